"""The desk: acts of the authority's people, signed by them, filed and told to the running case, once.

The engine, the database and the rules are real; the ISPs are those of ``tests/fakes.py``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Coroutine
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import func, select
from temporalio.client import Client

from precinto import desk as module
from precinto.desk import Desk, Signatory
from precinto.domain.case import Stage
from precinto.domain.errors import BadInput, NotFound, Refused, Unavailable
from precinto.domain.evidence import NO_LISTS
from precinto.domain.model import digest
from precinto.domain.procedures import Ground
from precinto.domain.review import OF_ORDERS, Officer, Outcome, Role
from precinto.domain.statements import verify
from precinto.store import Store
from precinto.store import review as reviews
from precinto.store.intake import CaseRow, ReferralRow
from precinto.store.orders import OrderRow
from precinto.store.review import DecisionRow
from tests.authority import (
    GROUND,
    REASONS,
    TERMS,
    Authority,
    enrol,
    key_of,
    open_authority,
    referral,
    signatory,
    terms,
    until,
)
from tests.fakes import FakeIsp, FakeRegistry

PROTECTED = "descargas.gob.pe"
LONG = terms(order=TERMS.span("review"))


@pytest.fixture
async def authority(client: Client, sqlite_store: Store) -> AsyncGenerator[Authority]:
    """An authority whose workers run."""
    async with open_authority(client, sqlite_store, {"isp0": FakeIsp()}) as opened:
        yield opened


@pytest.fixture
async def desk(client: Client, sqlite_store: Store) -> Desk:
    """Its desk, with the keys of its officers; an order that it leads to lasts for the rest of the test."""
    return await open_desk(client, sqlite_store, FakeRegistry({"isp0": FakeIsp()}))


async def open_desk(client: Client, store: Store, registry: FakeRegistry) -> Desk:
    """A desk of these officers, each of whom has a key."""
    await enrol(store, registry.officers)
    return Desk(client, store, registry, LONG, NO_LISTS.joined(FakeRegistry.protected))


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


@pytest.mark.parametrize(("officer", "code"), [("reviewer-1", "not_entitled"), ("nobody", "unknown_officer")])
async def test_only_operators_open_cases(desk: Desk, sqlite_store: Store, officer: str, code: str) -> None:
    with pytest.raises(Refused) as no:
        await desk.refer([referral("y2mate.com")], officer)
    assert no.value.code == code
    _, would_open = await sqlite_store.intake.place(referral("y2mate.com").target)
    assert would_open


# -------------------------------------------------------------------------------------------------------- deciding


async def test_an_approval_is_filed_told_and_carried_out(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    admitted = await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)
    assert admitted.needed == 0
    await authority.reached(case, Stage.VERIFICATION)
    assert authority.isps["isp0"].blocked == {"y2mate.com"}
    assert list((await authority.decisions(case)).values()) == [("admitted", None)]


@pytest.mark.parametrize(
    ("officer", "code"),
    [("operator-1", "not_entitled"), ("duty-1", "not_entitled"), ("nobody", "unknown_officer")],
)
async def test_who_is_not_appointed_to_review_may_not_decide(
    authority: Authority, desk: Desk, officer: str, code: str
) -> None:
    """Nor does anything of it go on file: nobody has signed it, so nobody is known to have tried."""
    case = await under_review(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.decide(case, signatory(officer), Outcome.APPROVE, REASONS)
    assert no.value.code == code
    assert await authority.stage(case) is Stage.REVIEW
    assert await authority.decisions(case) == {}
    assert await refused(authority, case) == []


async def test_a_decision_bears_the_signature_of_its_officer(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)
    [row] = await authority.rows(DecisionRow)
    assert row.envelope is not None
    signed = verify(row.envelope, key_of("reviewer-1").public_key().public_bytes_raw())
    assert (signed.case, signed.subject, signed.outcome) == (case, row.bundle, Outcome.APPROVE)
    assert (signed.actor, signed.role, signed.grounds) == ("reviewer-1", Role.REVIEWER, (GROUND,))
    assert signed.reasons == digest(REASONS.encode())


async def test_nobody_decides_with_the_key_of_another(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.decide(case, Signatory("reviewer-1", key_of("reviewer-2")), Outcome.APPROVE, REASONS)
    assert no.value.code == "other_officers_key"
    assert await refused(authority, case) == ["other_officers_key"]
    assert await authority.stage(case) is Stage.REVIEW


@pytest.mark.parametrize(
    ("second", "said"),
    [(Outcome.APPROVE, "one of art-1, art-2"), (Outcome.REJECT, None)],
)
async def test_a_ground_is_named_where_the_procedure_has_several(
    authority: Authority, client: Client, sqlite_store: Store, second: Outcome, said: str | None
) -> None:
    await enrol(sqlite_store)
    grounds = (*LONG.procedure.grounds, Ground(code="art-2", outcomes=(second,), es="Dos.", en="Two.", source="tests"))
    several = LONG.model_copy(update={"procedure": LONG.procedure.model_copy(update={"grounds": grounds})})
    desk = Desk(client, sqlite_store, FakeRegistry(authority.isps), several, NO_LISTS)
    case = await under_review(authority, desk)
    if said is not None:
        with pytest.raises(Refused, match=said) as no:
            await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)
        assert no.value.code == "ground_missing"
    await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS, ["art-2"] if said else [])
    [row] = await authority.rows(DecisionRow)
    assert row.grounds == ('["art-2"]' if said else '["art-1"]')


async def test_no_ground_that_the_procedure_does_not_have(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS, ["art-99"])
    assert no.value.code == "unknown_ground"
    assert await refused(authority, case) == ["unknown_ground"]


@pytest.mark.parametrize(
    ("grounds", "about", "where"),
    [(("two words",), None, "grounds.0"), (("art-1",) * 9, None, "grounds"), ((), "o" * 65, "about")],
)
async def test_what_no_statement_can_say(
    authority: Authority, desk: Desk, grounds: tuple[str, ...], about: str | None, where: str
) -> None:
    """It is said where it is wrong, instead of ending the command by a fault of the program."""
    case = await authority.refer("y2mate.com", LONG)
    await authority.under_review(case)
    with pytest.raises(BadInput, match=f"^{where}: "):
        await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS, grounds, about)


async def test_what_is_only_signed_and_filed_is_told_by_whoever_sends_it(authority: Authority, desk: Desk) -> None:
    """By a signal of Temporal's own tools: the envelope is all that the case needs."""
    case = await under_review(authority, desk)
    filed = await desk.file(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)
    assert filed.envelope is not None
    assert await authority.decisions(case) == {filed.id: ("submitted", None)}
    await authority.signal(case, filed.envelope)
    await authority.reached(case, Stage.VERIFICATION)
    assert await authority.decisions(case) == {filed.id: ("admitted", None)}


async def test_who_opened_the_case_may_not_decide_it_though_a_reviewer(
    authority: Authority, client: Client, sqlite_store: Store
) -> None:
    registry = FakeRegistry(authority.isps)
    both = Officer(id="both", roles=(Role.OPERATOR, Role.REVIEWER))
    registry.officers = (*registry.officers, both)
    desk = await open_desk(client, sqlite_store, registry)
    [registered] = await desk.refer([referral("y2mate.com")], "both")
    await authority.under_review(registered.case)
    with pytest.raises(Refused, match="both referred or opened the case") as no:
        await desk.decide(registered.case, signatory("both"), Outcome.REJECT, REASONS)
    assert no.value.code == "referrer_may_not_decide"
    assert await refused(authority, registered.case) == ["referrer_may_not_decide"]


async def test_who_referred_the_case_may_not_decide_it(
    authority: Authority, client: Client, sqlite_store: Store
) -> None:
    """A partner who is also an officer, and whose referral joined a case that another partner's had opened."""
    registry = FakeRegistry(authority.isps)
    registry.officers = (*registry.officers, Officer(id="mincultura-es", roles=(Role.REVIEWER,)))
    desk = await open_desk(client, sqlite_store, registry)
    [opened, _] = await desk.refer(
        [referral("y2mate.com"), referral("y2mate.com", partner="mincultura-es")], "operator-1"
    )
    await authority.under_review(opened.case)
    with pytest.raises(Refused) as no:
        await desk.decide(opened.case, signatory("mincultura-es"), Outcome.APPROVE, REASONS)
    assert no.value.code == "referrer_may_not_decide"


async def test_a_held_case_needs_two_different_reviewers(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk, PROTECTED)
    assert (await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)).needed == 1
    with pytest.raises(Refused, match="reviewer-1 has approved already; a second, different reviewer must") as no:
        await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)
    assert no.value.code == "same_officer_twice"
    assert await refused(authority, case) == ["same_officer_twice"]
    assert await authority.stage(case) is Stage.REVIEW
    assert (await authority.decisions(case))[await only_decision(authority, case)] == ("admitted", None)
    assert (await desk.decide(case, signatory("legal-head"), Outcome.APPROVE, REASONS)).needed == 0
    await authority.reached(case, Stage.VERIFICATION)


async def only_decision(authority: Authority, case: str) -> str:
    """The id of the only decision on file."""
    [one] = await authority.decisions(case)
    return one


async def test_a_decision_states_its_reasons(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, " \n")
    assert no.value.code == "reasons_missing"
    assert await authority.decisions(case) == {}


async def test_a_case_that_does_not_exist_is_not_found(desk: Desk) -> None:
    for act in (
        desk.decide("c-none", signatory("reviewer-1"), Outcome.APPROVE, REASONS),
        desk.decide("c-none", signatory("reviewer-1"), Outcome.REVOKE, REASONS),
    ):
        with pytest.raises(NotFound, match="there is no case 'c-none'"):
            await act


async def test_a_case_whose_workflow_is_gone_says_so(authority: Authority, desk: Desk) -> None:
    """Somebody terminated it in Temporal: the database still has it under review."""
    case = await under_review(authority, desk)
    await authority.handle(case).terminate("by hand")
    with pytest.raises(Refused, match="is not running any more") as no:
        await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)
    assert no.value.code == "not_running"


async def test_there_is_nothing_to_decide_on_once_a_case_is_closed(authority: Authority, desk: Desk) -> None:
    case = await under_review(authority, desk)
    await desk.decide(case, signatory("reviewer-1"), Outcome.REJECT, REASONS)
    await authority.reached(case, Stage.CLOSED)
    with pytest.raises(Refused) as no:
        await desk.decide(case, signatory("reviewer-2"), Outcome.APPROVE, REASONS)
    assert no.value.code == "not_under_review"


# -------------------------------------------------------------------------------------------- when the engine is away


async def test_a_decision_while_no_worker_runs_is_filed_and_told_later_once(
    client: Client, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    isps = {"isp0": FakeIsp()}
    desk = await open_desk(client, sqlite_store, FakeRegistry(isps))
    async with open_authority(client, sqlite_store, isps) as authority:
        case = await under_review(authority, desk)
    for _ in range(2):
        await unanswered(desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS), monkeypatch)
    async with open_authority(client, sqlite_store, isps) as authority:
        admitted = await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)
        assert admitted.needed == 0
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
    desk = await open_desk(client, sqlite_store, FakeRegistry(isps))
    async with open_authority(client, sqlite_store, isps) as authority:
        case = await under_review(authority, desk)
    await unanswered(desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS), monkeypatch)
    async with open_authority(client, sqlite_store, isps) as authority:
        await authority.reached(case, Stage.VERIFICATION)
        assert list((await authority.decisions(case)).values()) == [("admitted", None)]
        assert (await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)).needed == 0
        with pytest.raises(Refused, match="not under review"):
            await desk.decide(case, signatory("reviewer-2"), Outcome.APPROVE, REASONS)
        assert len(await authority.ledger(case, "decision_admitted")) == 1
    await unanswered(desk.decide(case, signatory("reviewer-2"), Outcome.REVOKE, REASONS), monkeypatch)
    async with open_authority(client, sqlite_store, isps) as authority:
        await authority.reached(case, Stage.UNBLOCKING)
        assert set((await authority.decisions(case)).values()) == {("admitted", None)}
        await desk.decide(case, signatory("reviewer-2"), Outcome.REVOKE, REASONS)
        await authority.closed(case)
        await desk.decide(case, signatory("reviewer-2"), Outcome.REVOKE, REASONS)
        assert len(await authority.ledger(case, "order_ended")) == 1


async def unanswered(act: Coroutine[Any, Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An act that the running case does not answer in time."""
    with monkeypatch.context() as impatient:
        impatient.setattr(module, "ANSWER_SECONDS", 0.5)
        with pytest.raises(Unavailable, match="does not answer: is a worker running\\? What was said is on file"):
            await act


# ------------------------------------------------------------------------------------------------ orders in force


async def in_force(authority: Authority, desk: Desk, target: str = "y2mate.com") -> str:
    """A case whose order every ISP has been told of."""
    case = await under_review(authority, desk, target)
    await desk.decide(case, signatory("reviewer-1"), Outcome.APPROVE, REASONS)
    if target == PROTECTED:
        await desk.decide(case, signatory("legal-head"), Outcome.APPROVE, REASONS)
    await authority.reached(case, Stage.VERIFICATION)
    return case


async def order_of(authority: Authority, case: str) -> OrderRow:
    """The order of a case."""
    order = await authority.order(case)
    assert order is not None
    return order


@pytest.mark.parametrize("officer", ["reviewer-2", "duty-1"])
async def test_a_revocation_ends_the_order_before_its_time(authority: Authority, desk: Desk, officer: str) -> None:
    case = await in_force(authority, desk)
    await desk.decide(case, signatory(officer), Outcome.REVOKE, REASONS)
    ended = await authority.closed(case)
    assert ended.closure == "unblocked"
    assert authority.isps["isp0"].blocked == set()
    assert (await order_of(authority, case)).end_reason == "revoked"


@pytest.mark.parametrize("outcome", sorted(OF_ORDERS - {Outcome.UPHOLD, Outcome.DISMISS}))
async def test_there_is_nothing_to_decide_of_an_order_before_one_is_in_force(
    authority: Authority, desk: Desk, outcome: Outcome
) -> None:
    case = await under_review(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.decide(case, signatory("reviewer-1"), outcome, REASONS)
    assert no.value.code == "not_in_force"


async def test_an_operator_revokes_nothing(authority: Authority, desk: Desk) -> None:
    case = await in_force(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.decide(case, signatory("operator-1"), Outcome.REVOKE, REASONS)
    assert no.value.code == "not_entitled"
    assert (await order_of(authority, case)).ended_at is None


async def test_an_order_is_stayed_and_resumed_and_stayed_again_in_the_same_words(
    authority: Authority, desk: Desk
) -> None:
    """To say the same again is the same only while nothing else was decided in between."""
    case = await in_force(authority, desk)
    for _ in range(2):
        for _ in range(2):
            await desk.decide(case, signatory("duty-1"), Outcome.STAY, REASONS)
        await authority.reached(case, Stage.STAYED)
        await lifted(authority, True)
        for _ in range(2):
            await desk.decide(case, signatory("reviewer-2"), Outcome.RESUME, REASONS)
        await authority.reached(case, Stage.VERIFICATION)
        await lifted(authority, False)
    assert sorted(one.outcome for one in await authority.rows(DecisionRow)) == sorted(
        ["approve", *["stay", "resume"] * 2]
    )
    assert (await order_of(authority, case)).version == 5


async def lifted(authority: Authority, is_lifted: bool) -> None:
    """Wait until the ISP blocks nothing, or blocks again."""

    async def so() -> bool:
        return (authority.isps["isp0"].blocked == set()) is is_lifted

    await until(so, "the ISP to do as it was told")


async def test_a_renewal_lengthens_the_order_from_its_date(authority: Authority, desk: Desk) -> None:
    case = await in_force(authority, desk)
    before = (await order_of(authority, case)).valid_until
    admitted = await desk.decide(case, signatory("reviewer-2"), Outcome.RENEW, REASONS)
    assert admitted.needed == 0
    order = await order_of(authority, case)
    assert order.valid_until == LONG.due("renewal", before)
    await desk.decide(case, signatory("reviewer-2"), Outcome.RENEW, REASONS)  # the answer was lost: the same again
    assert (await order_of(authority, case)).valid_until == order.valid_until


async def test_months_later_the_same_words_renew_once_more(
    authority: Authority, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = await in_force(authority, desk)
    await desk.decide(case, signatory("reviewer-2"), Outcome.RENEW, REASONS)
    monkeypatch.setattr(reviews, "FRESH", timedelta())  # what was signed a moment ago is old
    said = await authority.store.review.said(case, "reviewer-2", Outcome.RENEW, REASONS)
    monkeypatch.undo()
    assert said is None


async def test_the_order_of_a_held_case_is_renewed_by_two(authority: Authority, desk: Desk) -> None:
    case = await in_force(authority, desk, PROTECTED)
    before = (await order_of(authority, case)).valid_until
    assert (await desk.decide(case, signatory("reviewer-1"), Outcome.RENEW, REASONS)).needed == 1
    assert (await order_of(authority, case)).valid_until == before
    assert (await desk.decide(case, signatory("reviewer-2"), Outcome.RENEW, REASONS)).needed == 0
    assert (await order_of(authority, case)).valid_until > before


async def test_no_objection_is_decided_that_nobody_filed(authority: Authority, desk: Desk) -> None:
    case = await in_force(authority, desk)
    with pytest.raises(Refused) as no:
        await desk.decide(case, signatory("reviewer-2"), Outcome.UPHOLD, REASONS, about="o-1")
    assert no.value.code == "no_such_objection"
