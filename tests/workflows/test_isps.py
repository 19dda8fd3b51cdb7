"""ISPs that lie, forget, refuse or are gone."""

from __future__ import annotations

from datetime import timedelta

from precinto.domain.case import Closure, Stage
from precinto.domain.errors import Refused, Unavailable
from precinto.domain.notification import Action
from tests.authority import SECOND, Authority, terms, until
from tests.workflows.cases import LONG


class TestIspsThatMisbehave:
    """What an ISP says is a claim; what a sweep measures is a fact."""

    async def test_one_that_lies_is_reminded_until_it_blocks(self, authority: Authority) -> None:
        authority.isps["isp1"].ignores[Action.BLOCK] = 2
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)

        async def compliant() -> bool:
            await authority.sweep()
            return await authority.standings(case) == {"isp0": "compliant", "isp1": "compliant"}

        await until(compliant, "compliance everywhere")
        told = await authority.notices(case)
        assert [notice for notice in told if notice[0] == "isp0"] == [("isp0", "block", 0, "delivered")]
        assert told[1:4] == [("isp1", "block", reminder, "delivered") for reminder in (0, 1, 2)]
        moves = [row.body for row in await authority.ledger(case, "standing_changed") if '"isp1"' in row.body]
        assert any('"to":"lapsed"' in body for body in moves)

    async def test_one_that_forgets_to_unblock_is_reminded_until_it_does(self, authority: Authority) -> None:
        authority.isps["isp0"].ignores[Action.RELEASE] = 1
        case = await authority.refer("y2mate.com", terms(order=3 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        result = await authority.closed(case)
        assert (result.closure, result.overstaying) == (Closure.UNBLOCKED, 0)
        assert ("isp0", "release", 1, "delivered") in await authority.notices(case)
        assert not authority.isps["isp0"].blocked

    async def test_one_that_never_lifts_is_named_to_a_human(self, authority: Authority) -> None:
        authority.isps["isp0"].ignores[Action.RELEASE] = 10_000
        case = await authority.refer("y2mate.com", terms(order=3 * SECOND, release=SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        result = await authority.closed(case)
        assert (result.closure, result.overstaying) == (Closure.ESCALATED, 1)
        assert await authority.escalations(case) == [("block_not_lifted", "isp0")]

    async def test_a_dead_one_delays_no_other(self, authority: Authority) -> None:
        authority.isps["isp0"].failures = [Unavailable("no route to host")] * 10_000
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")

        async def told() -> bool:
            return "y2mate.com" in authority.isps["isp1"].blocked

        await until(told, "the block at the other ISP")
        assert await authority.stage(case) is Stage.NOTIFICATION

        async def measured() -> bool:
            await authority.sweep(["isp1"])
            return (await authority.standings(case))["isp1"] == "compliant"

        await until(measured, "its verification")

    async def test_the_order_ends_on_time_while_one_is_still_being_notified(self, authority: Authority) -> None:
        authority.isps["isp0"].failures = [Unavailable("no route to host")] * 10_000
        case = await authority.refer("y2mate.com", terms(order=1.5 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        result = await authority.closed(case)
        order = await authority.order(case)
        assert order is not None
        assert order.ended_at == order.valid_until
        (ended,) = await authority.ledger(case, "order_ended")
        assert ended.at - order.valid_until < timedelta(seconds=1)
        # It was never reached, and it was measured open: there is nothing to escalate.
        assert result.closure is Closure.UNBLOCKED
        assert ("isp0", "block", 0, "void") in await authority.notices(case)

    async def test_one_that_refuses_is_put_before_a_human_and_the_case_goes_on(self, authority: Authority) -> None:
        authority.isps["isp0"].failures = [Refused("not_ours", "we are no longer an ISP")]
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        ((what, subject),) = await authority.escalations(case)
        assert (what, subject.partition(":")[0]) == ("notice_undeliverable", "isp0")

    async def test_a_retry_tells_only_those_that_were_not_told(self, authority: Authority) -> None:
        authority.isps["isp0"].failures = [Unavailable("busy")]
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        assert [len(isp.received) for isp in authority.isps.values()] == [1, 1]
