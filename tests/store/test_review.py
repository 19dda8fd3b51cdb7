"""Review in the store: what officers filed is what counts, whatever a workflow was told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlmodel import select

from precinto.contracts import EndTask
from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound, NotVerified, Refused
from precinto.domain.model import digest
from precinto.domain.review import Outcome
from precinto.store import Store, ledger
from precinto.store.intake import CaseRow
from precinto.store.review import DecisionRow, EscalationRow
from tests.authority import REASONS, decision
from tests.fakes import OFFICERS
from tests.store.steps import file, filed, open_case, order_task, seal


@pytest.fixture
async def case(store: Store) -> str:
    """A case under review."""
    opened = await open_case(store)
    await seal(store, opened)
    return opened


@pytest.fixture
async def bundle(store: Store, case: str) -> str:
    """The bundle under review."""
    found = (await store.review.docket(case)).bundle
    assert found is not None
    return found


async def state(store: Store, decision: str) -> tuple[str, str | None]:
    """State and refusal of a decision."""
    async with store.database.read() as session:
        row = await session.get_one(DecisionRow, decision)
    return row.state, row.refusal


async def test_a_decision_is_filed_once(store: Store, case: str, bundle: str) -> None:
    one = await file(store, case, bundle, "reviewer-1")
    before = await ledger.verify(store.database)
    assert await file(store, case, bundle, "reviewer-1") == one
    assert await ledger.verify(store.database) == before
    assert await state(store, one.id) == ("submitted", None)


async def test_the_reasons_must_be_those_that_the_decision_names(store: Store, case: str, bundle: str) -> None:
    with pytest.raises(Refused) as refused:
        await store.review.submit(case, decision(case, bundle, "reviewer-1"), "reviewer", "other reasons")
    assert refused.value.code == "reasons_digest"


async def test_a_decision_on_file_cannot_be_rewritten(store: Store, case: str, bundle: str) -> None:
    one = await file(store, case, bundle, "reviewer-1")
    changed = one.model_copy(update={"reasons": digest(b"on second thoughts")})
    with pytest.raises(Refused) as refused:
        await store.review.submit(case, changed, "reviewer", "on second thoughts")
    assert refused.value.code == "decision_changed"


async def test_the_ledger_holds_no_free_text(store: Store, case: str, bundle: str) -> None:
    await file(store, case, bundle, "reviewer-1")
    async with store.database.read() as session:
        bodies = list(await session.exec(select(ledger.LedgerRow.body)))
    assert not any(REASONS in body for body in bodies)
    assert any(digest(REASONS.encode()) in body for body in bodies)


async def test_only_admitted_approvals_of_this_bundle_show_on_the_docket(store: Store, case: str, bundle: str) -> None:
    one, ticket = await filed(store, case, bundle, "reviewer-1")
    await file(store, case, bundle, "reviewer-2")
    assert (await store.review.docket(case)).approvals == ()
    await store.review.admitted(one.id, ticket)
    await store.review.admitted(one.id, ticket)
    assert (await store.review.docket(case)).approvals == ("reviewer-1",)


async def test_a_refusal_is_written_down_also_of_what_nobody_filed(store: Store, case: str, bundle: str) -> None:
    one = await file(store, case, bundle, "reviewer-1")
    await store.review.refuse(case, one.id, "other_bundle")
    await store.review.refuse(case, "made-up", "unknown_officer")
    assert await state(store, one.id) == ("refused", "other_bundle")
    async with store.database.read() as session:
        rows = await session.exec(select(ledger.LedgerRow).where(ledger.LedgerRow.action == "decision_refused"))
        assert [row.body for row in rows] == [
            f'{{"code":"other_bundle","decision":"{one.id}"}}',
            '{"code":"unknown_officer","decision":"made-up"}',
        ]


async def test_a_decision_that_was_taken_cannot_be_refused_afterwards(store: Store, case: str, bundle: str) -> None:
    one, ticket = await filed(store, case, bundle, "reviewer-1")
    await store.review.admitted(one.id, ticket)
    await store.review.refuse(case, one.id, "already_decided")
    assert await state(store, one.id) == ("admitted", None)


async def test_a_decision_that_the_case_took_back_may_be_made_anew(store: Store, case: str, bundle: str) -> None:
    """The gate found the files not to bear it out; the word of the first telling, coming late, changes nothing."""
    one, ticket = await filed(store, case, bundle, "reviewer-1")
    await store.review.admitted(one.id, ticket)
    await store.review.refuse(case, one.id, "not_a_reviewer", undone=True)
    assert (await store.review.docket(case)).approvals == ()
    await store.review.admitted(one.id, ticket)
    assert await state(store, one.id) == ("refused", "not_a_reviewer")
    _, anew = await filed(store, case, bundle, "reviewer-1")
    assert anew != ticket
    await store.review.admitted(one.id, anew)
    assert (await store.review.docket(case)).approvals == ("reviewer-1",)


async def test_another_case_cannot_refuse_it(store: Store, case: str, bundle: str) -> None:
    one = await file(store, case, bundle, "reviewer-1")
    other = await open_case(store, "flvto.biz")
    await store.review.refuse(other, one.id, "other_bundle")
    assert await state(store, one.id) == ("submitted", None)


async def test_an_overdue_review_is_escalated_once_a_term(store: Store, case: str) -> None:
    due = datetime(2026, 11, 24, 12, tzinfo=UTC)
    await store.review.escalate(case, due)
    await store.review.escalate(case, due)
    await store.review.escalate(case, due.replace(day=25))
    async with store.database.read() as session:
        rows = list(await session.exec(select(EscalationRow).order_by(EscalationRow.subject)))
    assert [(row.what, row.subject) for row in rows] == [
        ("review_overdue", "2026-11-24T12:00:00+00:00"),
        ("review_overdue", "2026-11-25T12:00:00+00:00"),
    ]


class TestConclude:
    """A rejection closes the case, a return sends it back to evidence: only by a decision that is on file."""

    async def test_a_rejection_closes(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "reviewer-1", Outcome.REJECT)
        for _ in range(2):
            assert await store.review.conclude(case, one.id, OFFICERS) is Closure.REJECTED
        async with store.database.read() as session:
            assert (await session.get_one(CaseRow, case)).stage == Stage.CLOSED

    async def test_a_return_goes_back_to_evidence(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "reviewer-1", Outcome.RETURN)
        for _ in range(2):
            assert await store.review.conclude(case, one.id, OFFICERS) is None
        assert (await store.review.docket(case)).bundle is None

    @pytest.mark.parametrize(
        ("officer", "outcome", "code"),
        [
            ("operator-1", Outcome.REJECT, "not_a_reviewer"),
            ("stranger", Outcome.REJECT, "unknown_officer"),
            ("reviewer-1", Outcome.APPROVE, "not_a_conclusion"),
        ],
    )
    async def test_not_by_this_decision(
        self, store: Store, case: str, bundle: str, officer: str, outcome: Outcome, code: str
    ) -> None:
        one = await file(store, case, bundle, officer, outcome)
        with pytest.raises(NotVerified) as refused:
            await store.review.conclude(case, one.id, OFFICERS)
        assert refused.value.code == code
        assert (await store.review.docket(case)).bundle == bundle

    async def test_not_by_a_decision_that_nobody_filed(self, store: Store, case: str) -> None:
        with pytest.raises(NotVerified) as refused:
            await store.review.conclude(case, "made-up", OFFICERS)
        assert refused.value.code == "decision_not_on_file"

    async def test_not_by_a_decision_on_another_bundle(self, store: Store, case: str, bundle: str) -> None:
        """A rejection of the first capture, never carried out, must not close the case on its second one."""
        stale = await file(store, case, bundle, "reviewer-1", Outcome.REJECT)
        returned = await file(store, case, bundle, "reviewer-2", Outcome.RETURN)
        await store.review.conclude(case, returned.id, OFFICERS)
        second = await seal(store, case, round=2)
        with pytest.raises(NotVerified) as refused:
            await store.review.conclude(case, stale.id, OFFICERS)
        assert refused.value.code == "other_bundle"
        assert (await store.review.docket(case)).bundle == second

    async def test_not_by_who_opened_the_case(self, store: Store) -> None:
        case = await open_case(store, opened_by="reviewer-1")
        one = await file(store, case, await seal(store, case), "reviewer-1", Outcome.REJECT)
        with pytest.raises(NotVerified) as refused:
            await store.review.conclude(case, one.id, OFFICERS)
        assert refused.value.code == "referrer_may_not_decide"


async def test_there_is_no_docket_without_a_case(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.review.docket("nobody-1")


class TestCarriedOut:
    """What the gate has carried out counts, though the desk never heard the case's answer."""

    async def test_approvals_count_with_their_order(self, store: Store) -> None:
        case = await open_case(store)
        bundle = await seal(store, case)
        one = await file(store, case, bundle, "reviewer-1")
        assert not await store.review.taken(case, "reviewer-1", Outcome.APPROVE)
        order = await store.notification.issue(order_task(case, bundle, one), OFFICERS, ("isp0",))
        assert await state(store, one.id) == ("admitted", None)
        assert await store.review.taken(case, "reviewer-1", Outcome.APPROVE)
        assert not await store.review.taken(case, "reviewer-2", Outcome.APPROVE)
        revocation = await file(store, case, bundle, "reviewer-2", Outcome.REVOKE)
        task = EndTask(case=case, order=order, at=datetime.now(UTC), revocation=revocation.id)
        await store.verification.end(task, OFFICERS)
        assert await store.review.taken(case, "reviewer-2", Outcome.REVOKE)

    async def test_a_conclusion_counts(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "reviewer-1", Outcome.REJECT)
        await store.review.conclude(case, one.id, OFFICERS)
        assert await store.review.taken(case, "reviewer-1", Outcome.REJECT)

    async def test_what_the_gate_refused_does_not(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "operator-1", Outcome.REJECT)
        with pytest.raises(NotVerified):
            await store.review.conclude(case, one.id, OFFICERS)
        assert await state(store, one.id) == ("submitted", None)
        assert not await store.review.taken(case, "operator-1", Outcome.REJECT)
