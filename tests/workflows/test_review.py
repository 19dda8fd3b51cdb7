"""Review in the workflow: a named human decides, by update or by signal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from temporalio.client import WorkflowUpdateFailedError

from precinto.domain.case import Closure, Stage
from precinto.domain.model import digest
from precinto.domain.review import Decision, Outcome
from precinto.ports import Capture, Subject
from tests.authority import SECOND, Authority, decision, terms, until
from tests.workflows.cases import LONG, PROTECTED, refused
from workflows.case import MAX_REFUSALS


class TestReview:
    """A named human decides, on exactly what was sealed; silence decides nothing."""

    async def test_a_case_on_hold_needs_two(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        assert (await authority.decide(case, "reviewer-1")).still_needed == 1
        assert await authority.order(case) is None
        assert (await authority.decide(case, "legal-head")).still_needed == 0
        await authority.reached(case, Stage.VERIFICATION)

    async def test_the_same_officer_twice_is_one(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await authority.decide(case, "reviewer-1")
        assert "reviewer-1 has approved already; a second, different reviewer must" in str(failed.value.cause)
        assert (await authority.status(case)).approvals == 1

    async def test_whoever_opened_the_case_may_not_decide_it(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG, opened_by="reviewer-1")
        await authority.under_review(case)
        await refused("referrer_may_not_decide", authority.decide(case, "reviewer-1"))
        await authority.decide(case, "reviewer-2")

    async def test_a_decision_on_another_bundle_is_refused(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await refused("other_bundle", authority.tell(case, decision(case, digest(b"other"), "reviewer-1")))

    async def test_before_there_is_a_bundle_there_is_nothing_to_decide(self, authority: Authority) -> None:
        release = asyncio.Event()
        capture = authority.crawler.capture

        async def slow(subject: Subject, folder: Path) -> Capture:
            await release.wait()
            return await capture(subject, folder)

        authority.crawler.capture = slow  # type: ignore[method-assign]
        case = await authority.refer("y2mate.com", LONG)
        await refused("not_under_review", authority.tell(case, decision(case, digest(b"any"), "reviewer-1")))
        release.set()
        await authority.under_review(case)

    async def test_after_the_decision_there_is_nothing_more_to_decide(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await refused("already_decided", authority.decide(case, "reviewer-2", Outcome.REJECT))

    async def test_refused_updates_leave_no_event(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        before = await authority.events(case)
        for _ in range(5):
            await refused("other_bundle", authority.tell(case, decision(case, digest(b"other"), "reviewer-1")))
        assert await authority.events(case) == before

    async def test_a_rejection_closes_the_case(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1", Outcome.REJECT)
        assert (await authority.handle(case).result()).closure is Closure.REJECTED
        assert await authority.stage(case) is Stage.CLOSED
        assert not any(isp.received for isp in authority.isps.values())

    async def test_a_return_captures_again_and_old_approvals_do_not_count(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        first = await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.decide(case, "reviewer-2", Outcome.RETURN)
        second = await authority.under_review(case, other_than=first)
        assert authority.crawler.visits == [PROTECTED, PROTECTED]
        assert (await authority.status(case)).approvals == 0
        await refused("other_bundle", authority.tell(case, decision(case, first, "legal-head")))
        assert (await authority.decide(case, "legal-head")).still_needed == 1
        assert (await authority.decide(case, "reviewer-1")).still_needed == 0
        await authority.reached(case, Stage.VERIFICATION)
        order = await authority.order(case)
        assert order is not None
        assert order.bundle == second

    async def test_silence_escalates_and_never_approves(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", terms(review=0.3 * SECOND))
        await authority.under_review(case)

        async def overdue() -> bool:
            return len(await authority.escalations(case)) >= 2

        await until(overdue, "two escalations")
        assert {what for what, _ in await authority.escalations(case)} == {"review_overdue"}
        assert (await authority.status(case)).approvals == 0
        assert await authority.order(case) is None
        await authority.decide(case, "reviewer-1")
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED


class TestBySignal:
    """``legal_review``, for people who use Temporal's own tools: the same rules, and refusals go to the ledger."""

    async def signal(self, authority: Authority, case: str, one: Decision) -> None:
        """Tell a case of a decision by signal."""
        await authority.handle(case).signal("legal_review", one)

    async def refusals(self, authority: Authority, case: str, count: int) -> list[str]:
        """Wait until this many refusals are in the ledger; returns their bodies."""

        async def written() -> list[str] | None:
            rows = [row.body for row in await authority.ledger(case, "decision_refused")]
            return rows if len(rows) >= count else None

        return await until(written, f"{count} refusals in the ledger") or []

    async def test_a_signal_decides_like_an_update(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await self.signal(authority, case, await authority.file(case, "reviewer-1"))
        await authority.reached(case, Stage.VERIFICATION)

    async def test_a_refused_signal_is_written_to_the_ledger(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        other = decision(case, digest(b"other"), "reviewer-1")
        await self.signal(authority, case, other)
        (body,) = await self.refusals(authority, case, 1)
        assert body == f'{{"code":"other_bundle","decision":"{other.id}"}}'
        await authority.decide(case, "reviewer-1")

    async def test_the_same_signal_twice_is_one_and_spoils_nothing(self, authority: Authority) -> None:
        """Temporal delivers a signal once, but a person may send it again: the decision stays good."""
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        one = await authority.file(case, "reviewer-1")
        for _ in range(2):
            await self.signal(authority, case, one)

        async def counted() -> bool:
            return (await authority.status(case)).approvals == 1

        await until(counted, "one approval")
        assert (await authority.decisions(case))[one.id] == ("submitted", None)
        await authority.decide(case, "reviewer-2")
        await authority.reached(case, Stage.VERIFICATION)

    async def test_a_flood_of_bad_signals_is_written_down_only_so_far(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        other = decision(case, digest(b"other"), "reviewer-1")
        await asyncio.gather(*(self.signal(authority, case, other) for _ in range(300)))
        await self.refusals(authority, case, MAX_REFUSALS)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        written = (await authority.events(case)).count("MARKER_RECORDED") - 1  # one is intake's
        assert written == MAX_REFUSALS
        # A task that was done twice wrote its refusals twice; but never one for each signal.
        assert MAX_REFUSALS <= len(await authority.ledger(case, "decision_refused")) < 2 * MAX_REFUSALS
