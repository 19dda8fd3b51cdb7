"""The life of a case, told by what happens at the ISPs and by what is written down."""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio.client import WorkflowExecutionStatus

from precinto import engine, stubs
from precinto.domain.case import Closure, Stage
from precinto.domain.intake import Service
from precinto.domain.notification import Action
from precinto.domain.review import Outcome
from precinto.store import ledger
from tests.authority import SECOND, Authority, terms, until
from tests.workflows.cases import LONG, PROTECTED


class TestTheUsualWay:
    """From a referral to the measured unblock."""

    async def test_a_case_runs_to_its_measured_unblock(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com")
        await authority.under_review(case)
        assert (await authority.decide(case, "reviewer-1")).needed == 0
        await authority.reached(case, Stage.VERIFICATION)
        assert all("y2mate.com" in isp.blocked for isp in authority.isps.values())

        result = await authority.closed(case)
        assert (result.closure, result.isps, result.overstaying) == (Closure.UNBLOCKED, 2, 0)
        assert not any(isp.blocked for isp in authority.isps.values())
        assert await authority.standings(case) == {"isp0": "released", "isp1": "released"}
        assert [n.action for n in authority.isps["isp0"].received] == [Action.BLOCK, Action.RELEASE]
        await ledger.verify(authority.store.database)

    async def test_nobody_is_told_before_a_human_has_decided(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.sweep()
        assert await authority.order(case) is None
        assert not any(isp.received for isp in authority.isps.values())

    async def test_referred_again_it_is_the_same_case_at_work(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        run = (await authority.handle(case).describe()).run_id
        assert await authority.refer("www.Y2MATE.com.", LONG) == case
        assert (await authority.handle(case).describe()).run_id == run
        assert authority.crawler.visits == ["y2mate.com"]

    async def test_a_case_that_has_ended_is_not_started_again(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1", Outcome.REJECT)
        await authority.handle(case).result()
        await engine.start_case(authority.client, case, LONG, Service.STREAM_RIPPER, "once more")
        assert (await authority.handle(case).describe()).status is WorkflowExecutionStatus.COMPLETED

    async def test_the_order_ends_when_it_says_and_not_before(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com")
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.closed(case)
        order = await authority.order(case)
        assert order is not None
        assert order.ended_at == order.valid_until
        (ended,) = await authority.ledger(case, "order_ended")
        assert ended.at >= order.valid_until

    async def test_a_worker_that_keeps_nothing_in_memory_carries_it_all_the_same(self, forgetful: Authority) -> None:
        """Each task replays the case: whatever is not deterministic fails here."""
        forgetful.isps["isp0"].ignores[Action.BLOCK] = 1
        case = await forgetful.refer(PROTECTED)
        await forgetful.under_review(case)
        await forgetful.decide(case, "reviewer-1")
        assert (await forgetful.status(case)).stage is Stage.REVIEW
        await forgetful.decide(case, "reviewer-2")
        assert (await forgetful.closed(case)).closure is Closure.UNBLOCKED


class TestTheList:
    """What Temporal's own list of cases shows."""

    async def listed(self, authority: Authority, case: str) -> tuple[str | None, datetime | None]:
        """Phase and due date of a case, in the list."""
        attributes = (await authority.handle(case).describe()).typed_search_attributes
        return attributes.get(stubs.STAGE), attributes.get(stubs.DUE)

    async def test_a_case_is_listed_with_its_phase_and_the_end_of_its_term(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        phase, due = await self.listed(authority, case)
        promised = (await authority.status(case)).due
        assert phase == stubs.INVESTIGATION
        assert due is not None
        assert promised is not None
        assert abs(due - promised) < 5 * SECOND  # the starter's clock, to the second
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        order = await authority.order(case)
        assert order is not None
        until_then = order.valid_until.replace(microsecond=0)
        assert await self.listed(authority, case) == (stubs.IN_FORCE, until_then)

    async def test_a_review_that_escalates_or_begins_anew_has_a_new_term(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, terms(review=4 * SECOND))
        bundle = await authority.under_review(case)
        _, first = await self.listed(authority, case)
        await asyncio.sleep(1)  # the list knows whole seconds
        await authority.decide(case, "reviewer-1", Outcome.RETURN)
        await authority.under_review(case, other_than=bundle)
        phase, second = await self.listed(authority, case)

        async def listed_anew() -> datetime | None:
            _, due = await self.listed(authority, case)
            return due if due != second else None

        third = await until(listed_anew, "a new term in the list")
        assert await authority.escalations(case)
        assert phase == stubs.INVESTIGATION
        assert first is not None
        assert second is not None
        assert third is not None
        assert first < second < third
