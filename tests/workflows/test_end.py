"""The end of an order: on its date, sooner or later by a decision, and through every accident."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from precinto import engine
from precinto.contracts import Lapse
from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound, Refused, Unavailable
from precinto.domain.notification import Action
from precinto.domain.review import Outcome
from precinto.store import Store
from precinto.store.orders import OrderRow
from tests.authority import SECOND, Authority, open_authority, terms, until
from tests.fakes import FakeIsp
from tests.workflows.cases import LONG, PROTECTED


async def in_force(authority: Authority, **changed: object) -> tuple[str, OrderRow]:
    """A case with its order in force, and every ISP told."""
    case = await authority.refer("y2mate.com", terms(**changed) if changed else LONG)  # type: ignore[arg-type]
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    return case, await order_of(authority, case)


async def order_of(authority: Authority, case: str) -> OrderRow:
    """The order of a case."""
    order = await authority.order(case)
    assert order is not None
    return order


class TestSooner:
    """By a decision, or because nobody opened the proceeding."""

    @pytest.mark.parametrize("officer", ["reviewer-2", "duty-1"])
    async def test_a_revocation_ends_it_now(self, authority: Authority, officer: str) -> None:
        case, _ = await in_force(authority)
        await authority.decide(case, officer, Outcome.REVOKE)
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await order_of(authority, case)
        assert order.end_reason == "revoked"
        assert order.ended_at is not None
        assert order.ended_at < order.valid_until
        assert not any(isp.blocked for isp in authority.isps.values())

    async def test_an_order_not_in_force_cannot_be_revoked(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        with pytest.raises(Refused) as no:
            await authority.file(case, "reviewer-1", Outcome.REVOKE)
        assert no.value.code == "not_in_force"

    async def test_without_a_proceeding_it_lapses_before_its_date(self, authority: Authority) -> None:
        case, order = await in_force(authority, order=600 * SECOND, lapse=2 * SECOND)
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        ended = await order_of(authority, case)
        assert (ended.ended_at, ended.end_reason) == (order.lapses_at, "lapsed")
        assert not any(isp.blocked for isp in authority.isps.values())


class TestLater:
    """Only by a new decision of a human, before the end."""

    async def test_a_renewal_lengthens_it_and_tells_the_isps_the_new_date(self, authority: Authority) -> None:
        case, order = await in_force(authority, order=3 * SECOND, renewal=4 * SECOND)
        await authority.decide(case, "reviewer-2", Outcome.RENEW)

        async def told() -> bool:
            return all(len(isp.received) == 2 for isp in authority.isps.values())

        await until(told, "the ISPs told")
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        renewed = await order_of(authority, case)
        assert renewed.ended_at == renewed.valid_until == order.valid_until + 4 * SECOND
        first, second, last = authority.isps["isp0"].received
        assert (first.version, second.version, last.version) == (1, 2, 3)
        assert (first.action, second.action, last.action) == (Action.BLOCK, Action.BLOCK, Action.RELEASE)
        assert second.valid_until == renewed.valid_until

    async def test_a_case_on_hold_is_renewed_by_two(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        for officer in ("reviewer-1", "reviewer-2"):
            await authority.decide(case, officer)
        await authority.reached(case, Stage.VERIFICATION)
        before = (await order_of(authority, case)).valid_until
        assert (await authority.decide(case, "reviewer-1", Outcome.RENEW)).needed == 1
        assert (await order_of(authority, case)).valid_until == before
        assert (await authority.decide(case, "legal-head", Outcome.RENEW)).needed == 0
        assert (await order_of(authority, case)).valid_until > before

    async def test_silence_renews_nothing(self, authority: Authority) -> None:
        case, order = await in_force(authority, order=2 * SECOND)
        await authority.closed(case)
        assert (await order_of(authority, case)).ended_at == order.valid_until


class TestStay:
    """Suspend first, decide later: the block is lifted and may come back, within the order."""

    async def test_a_stay_lifts_the_block_and_its_end_brings_it_back(self, authority: Authority) -> None:
        case, order = await in_force(authority)
        await authority.decide(case, "duty-1", Outcome.STAY)
        await until(lambda: self.standing(authority, case, "released"), "the block lifted, as measured")
        assert await authority.stage(case) is Stage.STAYED
        assert not any(isp.blocked for isp in authority.isps.values())

        await authority.decide(case, "reviewer-2", Outcome.RESUME)
        await until(lambda: self.standing(authority, case, "compliant"), "the block back, as measured")
        assert (await order_of(authority, case)).valid_until == order.valid_until
        assert [n.action for n in authority.isps["isp0"].received] == [Action.BLOCK, Action.RELEASE, Action.BLOCK]

        await authority.decide(case, "reviewer-1", Outcome.REVOKE)
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED

    async def test_an_order_that_ends_while_stayed_is_over(self, authority: Authority) -> None:
        case, order = await in_force(authority, order=3 * SECOND)
        await authority.decide(case, "duty-1", Outcome.STAY)
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        ended = await order_of(authority, case)
        assert (ended.ended_at, ended.end_reason) == (order.valid_until, "expired")

    async def test_an_isp_that_is_away_does_not_hold_up_the_others(self, authority: Authority) -> None:
        """The block is still being told to one when the stay is told to all."""
        case, _ = await in_force(authority)
        authority.isps["isp1"].failures.extend(_away(20))
        await authority.decide(case, "duty-1", Outcome.STAY)

        async def lifted_at_the_other() -> bool:
            return not authority.isps["isp0"].blocked

        await until(lifted_at_the_other, "the block lifted at the ISP that answers")
        authority.isps["isp1"].failures.clear()
        await until(lambda: self.standing(authority, case, "released"), "the block lifted everywhere")

    async def standing(self, authority: Authority, case: str, wanted: str) -> bool:
        """Whether every ISP stands so, after one more sweep."""
        await authority.sweep()
        return set((await authority.standings(case)).values()) == {wanted}


def _away(times: int) -> list[Exception]:
    return [Unavailable("away") for _ in range(times)]


class TestAccidents:
    """A block cannot outlive its order, whatever happens to the case."""

    async def test_a_lapse_that_arrives_after_the_end_is_harmless(self, authority: Authority) -> None:
        case, _ = await in_force(authority, order=2 * SECOND)

        async def ended() -> bool:
            return await authority.stage(case) is Stage.UNBLOCKING

        await until(ended, "the end of the order")
        await authority.handle(case).signal("lapse", Lapse(case=case, measures=1))
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        assert not any(action == "block" and reminder for _, action, reminder, _ in await authority.notices(case))
        await engine.TemporalSignals(authority.client).lapsed(case, 1)

    async def test_cancelling_the_workflow_does_not_leave_the_block_behind(self, authority: Authority) -> None:
        """Somebody presses Cancel in Temporal's UI: the order runs to its end, and its unblock is measured."""
        case, _ = await in_force(authority, order=2 * SECOND)
        await authority.handle(case).cancel()
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        assert not any(isp.blocked for isp in authority.isps.values())

    async def test_an_outage_longer_than_the_order_blocks_nobody_afterwards(
        self, client: Client, sqlite_store: Store
    ) -> None:
        """The channels are away until the order is over: no ISP is told to block what is over, each to lift it."""
        async with open_authority(client, sqlite_store, {"isp0": FakeIsp()}) as authority:
            isp = authority.isps["isp0"]
            isp.failures.extend(_away(1_000))
            case = await authority.refer("y2mate.com", terms(order=2 * SECOND))
            await authority.under_review(case)
            since = datetime.now(UTC)
            await authority.decide(case, "reviewer-1")
            await authority.reached(case, Stage.UNBLOCKING)
            isp.failures.clear()

            async def told() -> bool:
                return bool(isp.received)

            await until(told, "the release")
            assert (await authority.closed(case)).closure is Closure.UNBLOCKED
            order = await order_of(authority, case)
            assert order.ended_at == order.valid_until
            assert order.valid_from >= since - SECOND
            assert {n.action for n in isp.received} == {Action.RELEASE}

    async def test_a_fault_in_the_workflow_does_not_leave_the_block_behind(self, authority: Authority) -> None:
        """The end of the order lies with the server: a case whose task fails again and again ends it all the same."""
        authority.isps["isp1"].ignores[Action.BLOCK] = 1
        remind, faults = authority.store.notification.remind, [NotFound("a fault that no retry mends")]

        async def faulty(order: str, now: datetime) -> int:
            if faults and not (await order_of(authority, case)).is_lifted:
                raise faults[0]
            return await remind(order, now)

        authority.store.notification.remind = faulty  # type: ignore[method-assign]
        case, _ = await in_force(authority, order=4 * SECOND)

        async def stuck() -> bool:
            await authority.sweep()
            return "WORKFLOW_TASK_FAILED" in await authority.events(case)

        async def ended() -> bool:
            await authority.sweep()
            return await authority.stage(case) is Stage.CLOSED

        await until(stuck, "the fault")
        await until(ended, "the end of the order")
        assert (await authority.handle(case).describe()).status is WorkflowExecutionStatus.RUNNING
        assert set((await authority.standings(case)).values()) == {"released"}
        assert not any(isp.blocked for isp in authority.isps.values())
