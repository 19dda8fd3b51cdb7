"""Cases that take months, in seconds: with terms such as laws have, not those of a test.

What the server's clock drives is real: the timers of the workflow, the retries of the end of the order, and the
moment that activities are told.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from precinto.domain.case import Closure, Stage
from precinto.domain.review import Outcome
from tests.authority import Authority, terms, until
from tests.time_skipping.steps import DAY, HOUR, in_force, measure, measured_to_its_end, unblocking_at

pytestmark = pytest.mark.time_skipping

LAW = terms(review=10 * DAY, order=180 * DAY, comply=DAY, remind=2 * DAY, release=3 * DAY, recheck=6 * HOUR)


async def test_a_review_may_wait_for_a_month_and_nobody_approves_in_its_stead(
    authority: Authority, skipping: WorkflowEnvironment
) -> None:
    case = await authority.refer("y2mate.com", LAW)
    await authority.under_review(case)
    begun = await skipping.get_current_time()
    await skipping.sleep(31 * DAY)
    assert await skipping.get_current_time() - begun >= 31 * DAY

    async def three() -> bool:
        return len(await authority.escalations(case)) == 3

    await until(three, "an escalation for each ten days")
    assert {what for what, _ in await authority.escalations(case)} == {"review_overdue"}
    assert (await authority.status(case)).stage is Stage.REVIEW
    assert (await authority.docket(case)).approvals == ()
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
    case = await in_force(authority, "flvto.biz", LAW)
    order = await authority.order(case)
    assert order is not None

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

    await unblocking_at(authority, skipping, case, order.valid_until)
    result = await measured_to_its_end(authority, skipping, case, 6 * HOUR)
    assert (result.closure, result.overstaying) == (Closure.UNBLOCKED, 0)
    assert not any(isp.blocked for isp in authority.isps.values())
    ended = await authority.order(case)
    assert ended is not None
    assert (ended.ended_at, ended.end_reason) == (order.valid_from + 180 * DAY, "expired")
    assert await skipping.get_current_time() - order.valid_until < DAY
    assert len(await authority.events(case)) < 60


async def test_a_stay_of_weeks_does_not_lengthen_the_order(
    authority: Authority, skipping: WorkflowEnvironment
) -> None:
    """Suspended on the tenth day: the block is gone for three weeks, comes back, and ends on its old date."""
    case = await in_force(authority, "mp3juices.cc", terms(order=60 * DAY, comply=DAY, release=3 * DAY, recheck=HOUR))
    order = await authority.order(case)
    assert order is not None
    await skipping.sleep(10 * DAY)
    await authority.decide(case, "duty-1", Outcome.STAY)

    async def blocked(expected: bool) -> bool:
        return all(bool(isp.blocked) is expected for isp in authority.isps.values())

    await until(lambda: blocked(False), "the block lifted")
    await skipping.sleep(21 * DAY)
    await authority.decide(case, "reviewer-2", Outcome.RESUME)
    await until(lambda: blocked(True), "the block back")
    await authority.reached(case, Stage.VERIFICATION)
    await unblocking_at(authority, skipping, case, order.valid_until)
    result = await measured_to_its_end(authority, skipping, case, timedelta(hours=6))
    assert (result.closure, result.overstaying) == (Closure.UNBLOCKED, 0)
    ended = await authority.order(case)
    assert ended is not None
    assert ended.ended_at == order.valid_from + 60 * DAY
