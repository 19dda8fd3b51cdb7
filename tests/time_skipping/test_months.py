"""Cases that take months, in seconds: with the terms of the law, not those of a test.

What the server's clock drives is real: the timers of the workflow, the retries of the end of the order, and the
moment that activities are told. The sweeps' own clock is this machine's, so here the test measures for them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from precinto.contracts import CaseEnd, Lapse
from precinto.domain.case import Closure, Stage
from precinto.domain.terms import Terms
from precinto.domain.verification import judge
from precinto.ports import Round
from tests.authority import Authority, terms, until

pytestmark = pytest.mark.time_skipping

DAY = timedelta(days=1)
LAW = terms(review=10 * DAY, order=180 * DAY, comply=DAY, remind=2 * DAY, release=3 * DAY, recheck=timedelta(hours=6))


async def measure(authority: Authority, at: datetime) -> None:
    """One round of verification at every ISP, at a moment of the server's clock."""
    for isp in authority.isps:
        rounds: list[Round] = []
        for due in await authority.store.verification.due(isp, "", 100):
            facts = await authority.prober.measure(due.target, [f"{isp}:53"])
            one = Round(measure=due.measure, isp=isp, vantage=isp, at=at, facts=facts, verdict=judge(facts))
            rounds.append(one)
        for case, measures in (await authority.store.verification.observe(rounds)).items():
            await authority.handle(case).signal("lapse", Lapse(case=case, measures=measures))


async def measured_to_its_end(authority: Authority, skipping: WorkflowEnvironment, case: str) -> CaseEnd:
    """Let the clock go on in steps, each with a round of verification, until the case's workflow has ended."""

    async def ended() -> bool:
        await skipping.sleep(LAW.recheck)
        await measure(authority, await skipping.get_current_time())
        return (await authority.handle(case).describe()).status is not WorkflowExecutionStatus.RUNNING

    await until(ended, "the end of the case", within=60)
    return await authority.handle(case).result()


async def until_the_end(authority: Authority, skipping: WorkflowEnvironment, case: str) -> datetime:
    """Let the clock go on to the end of the order; returns that moment."""
    order = await authority.order(case)
    assert order is not None
    await skipping.sleep(order.valid_until - await skipping.get_current_time())
    await authority.reached(case, Stage.UNBLOCKING)
    return order.valid_until


async def case_of(authority: Authority, target: str, law: Terms = LAW) -> str:
    """A case under review."""
    case = await authority.refer(target, law)
    await authority.under_review(case)
    return case


async def test_a_review_may_wait_for_a_month_and_nobody_approves_in_its_stead(
    authority: Authority, skipping: WorkflowEnvironment
) -> None:
    case = await case_of(authority, "y2mate.com")
    begun = await skipping.get_current_time()
    await skipping.sleep(31 * DAY)
    assert await skipping.get_current_time() - begun >= 31 * DAY

    async def three() -> bool:
        return len(await authority.escalations(case)) == 3

    await until(three, "an escalation for each ten days")
    assert {what for what, _ in await authority.escalations(case)} == {"review_overdue"}
    status = await authority.status(case)
    assert (status.stage, status.approvals) == (Stage.REVIEW, 0)
    assert await authority.order(case) is None

    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    order = await authority.order(case)
    assert order is not None
    assert order.valid_from >= (begun + 31 * DAY).replace(microsecond=0)  # an order counts in whole seconds
    assert order.valid_until - order.valid_from == 180 * DAY


async def test_an_order_of_180_days_plays_to_its_measured_unblock(
    authority: Authority, skipping: WorkflowEnvironment
) -> None:
    case = await case_of(authority, "flvto.biz")
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)

    await skipping.sleep(90 * DAY)
    await measure(authority, await skipping.get_current_time())
    assert set((await authority.standings(case)).values()) == {"compliant"}
    assert all(isp.blocked == {"flvto.biz"} for isp in authority.isps.values())

    authority.isps["isp1"].blocked.clear()  # an ISP restores an old configuration
    await skipping.sleep(30 * DAY)
    await measure(authority, await skipping.get_current_time())

    async def blocked_again() -> bool:
        return bool(authority.isps["isp1"].blocked)

    await until(blocked_again, "the reminder")

    ending = await until_the_end(authority, skipping, case)
    result = await measured_to_its_end(authority, skipping, case)
    assert (result.closure, result.overstaying) == (Closure.UNBLOCKED, 0)
    assert not any(isp.blocked for isp in authority.isps.values())
    order = await authority.order(case)
    assert order is not None
    assert order.ended_at == ending == order.valid_from + 180 * DAY
    assert await skipping.get_current_time() - ending < DAY
    assert len(await authority.events(case)) < 60


async def test_a_block_that_is_never_lifted_is_put_before_a_human_when_the_term_to_release_is_over(
    authority: Authority, skipping: WorkflowEnvironment
) -> None:
    case = await case_of(authority, "yout.com")
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    deaf = authority.isps["isp0"].blocked = _Stuck({"yout.com"})
    ending = await until_the_end(authority, skipping, case)
    result = await measured_to_its_end(authority, skipping, case)
    assert (result.closure, result.overstaying) == (Closure.ESCALATED, 1)
    assert deaf == {"yout.com"}
    assert await skipping.get_current_time() >= ending + 3 * DAY
    assert ("block_not_lifted", "isp0") in await authority.escalations(case)


class _Stuck(set[str]):
    """What an ISP blocks that lifts nothing, whatever it is told."""

    def discard(self, element: str, /) -> None:
        """Do nothing."""
