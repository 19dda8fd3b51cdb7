"""The desk: acts of the authority's people, filed under their names and told to the running case, once.

The engine, the database and the rules are real; the ISPs are those of ``tests/fakes.py``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest
from sqlmodel import func, select
from temporalio.client import Client

from precinto import desk as module
from precinto.desk import Desk
from precinto.domain.case import Stage
from precinto.domain.errors import NotFound, Refused, Unavailable
from precinto.domain.evidence import NO_LISTS
from precinto.domain.review import Officer, Outcome, Role
from precinto.store import Store
from precinto.store.intake import CaseRow, ReferralRow
from tests.authority import REASONS, TERMS, Authority, open_authority, referral, terms
from tests.fakes import FakeIsp, FakeRegistry

PROTECTED = "descargas.gob.pe"
LONG = terms(order=TERMS.review)


@pytest.fixture
async def authority(client: Client, sqlite_store: Store) -> AsyncGenerator[Authority]:
    """An authority whose workers run."""
    async with open_authority(client, sqlite_store, {"isp0": FakeIsp()}) as opened:
        yield opened


@pytest.fixture
def desk(client: Client, sqlite_store: Store) -> Desk:
    """Its desk; an order that it leads to lasts for the rest of the test."""
    return Desk(client, sqlite_store, FakeRegistry({"isp0": FakeIsp()}), LONG, NO_LISTS.joined(FakeRegistry.protected))


async def under_review(authority: Authority, desk: Desk, target: str = "y2mate.com") -> str:
    """A case that was opened at the desk, with its bundle under review."""
    [registered] = await desk.refer([referral(target)], "operator-1")
    await authority.under_review(registered.case)
    return registered.case


async def refused(authority: Authority, case: str) -> list[str]:
    """Codes of the refusals that the ledger has of a case, in order."""
    return [json.loads(row.body)["code"] for row in await authority.ledger(case, "decision_refused")]


# ------------------------------------------------------------------------------------------------------- referring


async def test_referring_twice_opens_no_second_case(desk: Desk, client: Client, sqlite_store: Store) -> None:
    first = await desk.refer([referral("y2mate.com")], "operator-1")
    again = await desk.refer([referral("y2mate.com")], "operator-1")
    assert [(one.opened, one.known) for one in (*first, *again)] == [(True, False), (False, True)]
    assert first[0].case == again[0].case
    async with sqlite_store.database.read() as session:
        counts = [
            (await session.exec(select(func.count()).select_from(table))).one() for table in (CaseRow, ReferralRow)
        ]
    assert counts == [1, 1]
    described = await client.get_workflow_handle(f"case/{first[0].case}").describe()
    assert described.id == f"case/{first[0].case}"


async def test_a_second_partner_joins_the_open_case(desk: Desk) -> None:
    [opened, joined, other] = await desk.refer(
        [referral("y2mate.com"), referral("y2mate.com", partner="mincultura-es"), referral("yout.com")], "operator-1"
    )
    assert (opened.opened, joined.opened, other.opened) == (True, False, True)
    assert opened.case == joined.case != other.case


async def test_a_case_whose_start_was_cut_off_is_started_by_referring_again(
    desk: Desk, client: Client, sqlite_store: Store
) -> None:
    one = referral("y2mate.com")
    registered = await sqlite_store.intake.register(one, (), "operator-1", LONG)
    await desk.refer([one], "operator-1")
    assert (await client.get_workflow_handle(f"case/{registered.case}").describe()).run_id


async def test_a_protected_name_is_held_for_two_reviewers_and_the_lists_say_so(desk: Desk, client: Client) -> None:
    [registered] = await desk.refer([referral(PROTECTED)], "operator-1")
    assert registered.hold
    described = await client.get_workflow_handle(f"case/{registered.case}").describe()
    assert await described.static_summary() == f"{PROTECTED} (stream-ripper, referred by ifpi, on hold)"


@pytest.mark.parametrize(("officer", "code"), [("reviewer-1", "not_an_operator"), ("nobody", "unknown_officer")])
async def test_only_operators_open_cases(desk: Desk, sqlite_store: Store, officer: str, code: str) -> None:
    with pytest.raises(Refused) as no:
        await desk.refer([referral("y2mate.com")], officer)
    assert no.value.code == code
    _, would_open = await sqlite_store.intake.place(referral("y2mate.com").target)
    assert would_open


# -------------------------------------------------------------------------------------------------------- deciding


async def test_an_approval_is_filed_told_and_carried_out(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    admission = await desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS)
    assert admission.still_needed == 0
    await authority.reached(case, Stage.VERIFICATION)
    assert authority.isps["isp0"].blocked == {"y2mate.com"}
    assert list((await authority.decisions(case)).values()) == [("admitted", None)]


@pytest.mark.parametrize(
    ("officer", "code"),
    [("operator-1", "not_a_reviewer"), ("nobody", "unknown_officer")],
)
async def test_who_is_not_appointed_to_review_may_not_decide(
    authority: Authority, desk: Desk, officer: str, code: str
) -> None:
    case = await under_review(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.decide(case, officer, Outcome.APPROVE, REASONS)
    assert no.value.code == code
    assert await refused(authority, case) == [code]
    assert await authority.stage(case) is Stage.REVIEW
    assert await authority.decisions(case) == {}  # what may not be said is not filed as a decision


async def test_who_opened_the_case_may_not_decide_it_though_a_reviewer(
    authority: Authority, client: Client, sqlite_store: Store
) -> None:
    registry = FakeRegistry(authority.isps)
    both = Officer(id="both", roles=(Role.OPERATOR, Role.REVIEWER))
    registry.officers = (*registry.officers, both)
    desk = Desk(client, sqlite_store, registry, LONG, NO_LISTS.joined(FakeRegistry.protected))
    [registered] = await desk.refer([referral("y2mate.com")], "both")
    await authority.under_review(registered.case)
    with pytest.raises(Refused, match="both referred or opened the case") as no:
        await desk.decide(registered.case, "both", Outcome.REJECT, REASONS)
    assert no.value.code == "referrer_may_not_decide"
    assert await refused(authority, registered.case) == ["referrer_may_not_decide"]


async def test_who_referred_the_case_may_not_decide_it(
    authority: Authority, client: Client, sqlite_store: Store
) -> None:
    """A partner who is also an officer, and whose referral joined a case that another partner's had opened."""
    registry = FakeRegistry(authority.isps)
    registry.officers = (*registry.officers, Officer(id="mincultura-es", roles=(Role.REVIEWER,)))
    desk = Desk(client, sqlite_store, registry, LONG, NO_LISTS.joined(FakeRegistry.protected))
    [opened, _] = await desk.refer(
        [referral("y2mate.com"), referral("y2mate.com", partner="mincultura-es")], "operator-1"
    )
    await authority.under_review(opened.case)
    with pytest.raises(Refused) as no:
        await desk.decide(opened.case, "mincultura-es", Outcome.APPROVE, REASONS)
    assert no.value.code == "referrer_may_not_decide"


async def test_a_held_case_needs_two_different_reviewers(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk, PROTECTED)
    assert (await desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS)).still_needed == 1
    with pytest.raises(Refused, match="reviewer-1 has approved already; a second, different reviewer must") as no:
        await desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS)
    assert no.value.code == "same_officer_twice"
    assert await refused(authority, case) == ["same_officer_twice"]
    assert await authority.stage(case) is Stage.REVIEW
    assert (await authority.decisions(case))[await only_decision(authority, case)] == ("admitted", None)
    assert (await desk.decide(case, "legal-head", Outcome.APPROVE, REASONS)).still_needed == 0
    await authority.reached(case, Stage.VERIFICATION)


async def only_decision(authority: Authority, case: str) -> str:
    """The id of the only decision on file."""
    [one] = await authority.decisions(case)
    return one


async def test_a_decision_states_its_reasons(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.decide(case, "reviewer-1", Outcome.APPROVE, " \n")
    assert no.value.code == "reasons_missing"
    assert await authority.decisions(case) == {}


async def test_a_case_that_does_not_exist_is_not_found(desk: Desk) -> None:
    for act in (
        desk.decide("c-none", "reviewer-1", Outcome.APPROVE, REASONS),
        desk.revoke("c-none", "reviewer-1", REASONS),
    ):
        with pytest.raises(NotFound, match="there is no case 'c-none'"):
            await act


async def test_a_case_whose_workflow_is_gone_says_so(authority: Authority, desk: Desk) -> None:
    """Somebody terminated it in Temporal: the database still has it under review."""
    case = await under_review(authority, desk)
    await authority.handle(case).terminate("by hand")
    with pytest.raises(Refused, match="is not running any more") as no:
        await desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS)
    assert no.value.code == "not_running"


async def test_there_is_nothing_to_decide_on_once_a_case_is_closed(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    await desk.decide(case, "reviewer-1", Outcome.REJECT, REASONS)
    await authority.reached(case, Stage.CLOSED)
    with pytest.raises(Refused) as no:
        await desk.decide(case, "reviewer-2", Outcome.APPROVE, REASONS)
    assert no.value.code == "not_under_review"


# -------------------------------------------------------------------------------------------- when the engine is away


async def test_a_decision_while_no_worker_runs_is_filed_and_told_later_once(
    client: Client, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    isps = {"isp0": FakeIsp()}
    desk = Desk(client, sqlite_store, FakeRegistry(isps), LONG, NO_LISTS.joined(FakeRegistry.protected))
    async with open_authority(client, sqlite_store, isps) as authority:
        case = await under_review(authority, desk)
    for _ in range(2):
        await unanswered(desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS), monkeypatch)
    async with open_authority(client, sqlite_store, isps) as authority:
        admission = await desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS)
        assert admission.still_needed == 0
        await authority.reached(case, Stage.VERIFICATION)
        assert list((await authority.decisions(case)).values()) == [("admitted", None)]
        assert len(await authority.ledger(case, "decision_submitted")) == 1
        assert (await authority.events(case)).count("WORKFLOW_EXECUTION_UPDATE_ACCEPTED") == 1
        assert len(isps["isp0"].received) == 1


async def test_a_case_may_take_a_decision_after_its_officer_gave_up_and_saying_it_again_is_the_same(
    client: Client, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server keeps what it was told, and hands it to the next worker though nobody waits for the answer."""
    isps = {"isp0": FakeIsp()}
    desk = Desk(client, sqlite_store, FakeRegistry(isps), LONG, NO_LISTS.joined(FakeRegistry.protected))
    async with open_authority(client, sqlite_store, isps) as authority:
        case = await under_review(authority, desk)
    await unanswered(desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS), monkeypatch)
    async with open_authority(client, sqlite_store, isps) as authority:
        await authority.reached(case, Stage.VERIFICATION)
        assert list((await authority.decisions(case)).values()) == [("admitted", None)]
        assert (await desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS)).still_needed == 0
        with pytest.raises(Refused, match="not under review"):
            await desk.decide(case, "reviewer-2", Outcome.APPROVE, REASONS)
        assert len(await authority.ledger(case, "decision_admitted")) == 1
    await unanswered(desk.revoke(case, "reviewer-2", REASONS), monkeypatch)
    async with open_authority(client, sqlite_store, isps) as authority:
        await authority.reached(case, Stage.UNBLOCKING)
        assert set((await authority.decisions(case)).values()) == {("admitted", None)}
        await desk.revoke(case, "reviewer-2", REASONS)
        await authority.closed(case)
        await desk.revoke(case, "reviewer-2", REASONS)
        assert len(await authority.ledger(case, "order_ended")) == 1


async def unanswered(act: Coroutine[Any, Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An act that the running case does not answer in time."""
    with monkeypatch.context() as impatient:
        impatient.setattr(module, "ANSWER_SECONDS", 0.5)
        with pytest.raises(Unavailable, match="does not answer: is a worker running\\? What was said is on file"):
            await act


# --------------------------------------------------------------------------------------------------------- revoking


async def test_a_revocation_ends_the_order_before_its_time(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    await desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS)
    await authority.reached(case, Stage.VERIFICATION)
    await desk.revoke(case, "reviewer-2", REASONS)
    ended = await authority.closed(case)
    assert ended.closure == "unblocked"
    assert authority.isps["isp0"].blocked == set()
    order = await authority.order(case)
    assert order is not None
    assert order.revoked


async def test_there_is_nothing_to_revoke_before_an_order_is_in_force(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.revoke(case, "reviewer-1", REASONS)
    assert no.value.code == "not_in_force"


async def test_only_reviewers_revoke(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    await desk.decide(case, "reviewer-1", Outcome.APPROVE, REASONS)
    await authority.reached(case, Stage.VERIFICATION)
    with pytest.raises(Refused) as no:
        await desk.revoke(case, "operator-1", REASONS)
    assert no.value.code == "not_a_reviewer"
    order = await authority.order(case)
    assert order is not None
    assert order.ended_at is None
