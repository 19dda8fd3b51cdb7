"""The end of an order: on its date, sooner by a revocation, and through every accident."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

from temporalio.client import Client, WorkflowExecutionStatus

from precinto import engine
from precinto.contracts import Lapse
from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound, Unavailable
from precinto.domain.notification import Action
from precinto.domain.review import Outcome
from precinto.domain.verification import Standing
from precinto.store import Store
from tests.authority import SECOND, Authority, decision, open_authority, terms, until
from tests.fakes import FakeIsp
from tests.workflows.cases import LONG, forged, refused


class TestTheEnd:
    """A block cannot outlive its order, and may end sooner."""

    async def test_a_revocation_ends_it_early(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.revoke(case, "reviewer-2")
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await authority.order(case)
        assert order is not None
        assert order.revoked
        assert order.ended_at is not None
        assert order.ended_at < order.valid_until
        assert not any(isp.blocked for isp in authority.isps.values())

    async def test_an_order_not_in_force_cannot_be_revoked(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        await refused("not_in_force", authority.revoke(case, "reviewer-1"))
        await refused("not_in_force", authority.tell(case, decision(case, bundle, "reviewer-1", Outcome.REVOKE)))

    async def test_only_a_revocation_revokes(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        rejection = decision(case, bundle, "reviewer-1", Outcome.REJECT)
        await refused(
            "not_a_revocation",
            authority.handle(case).execute_update("revoke", rejection, id=str(uuid.uuid4())),
        )

    async def test_a_lapse_that_arrives_after_the_end_is_harmless(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", terms(order=SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")

        async def ended() -> bool:
            return await authority.stage(case) is Stage.UNBLOCKING

        await until(ended, "the end of the order")
        await authority.handle(case).signal("lapse", Lapse(case=case, measures=1))
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        assert not any(action == "block" and reminder for _, action, reminder, _ in await authority.notices(case))
        await engine.TemporalSignals(authority.client).lapsed(case, 1)

    async def test_cancelling_the_workflow_does_not_leave_the_block_behind(self, authority: Authority) -> None:
        """Somebody presses Cancel in Temporal's UI: the order runs to its end, and its unblock is measured."""
        case = await authority.refer("y2mate.com", terms(order=2 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.handle(case).cancel()
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        assert not any(isp.blocked for isp in authority.isps.values())

    async def test_an_outage_longer_than_the_order_blocks_nobody_afterwards(
        self, client: Client, sqlite_store: Store
    ) -> None:
        """The database is away until the order would be over: the order that is issued then runs its whole term."""
        async with open_authority(client, sqlite_store, {"isp0": FakeIsp()}) as authority:
            case = await authority.refer("y2mate.com", terms(order=1.5 * SECOND))
            await authority.under_review(case)
            issue, since = authority.store.notification.issue, datetime.now(UTC)

            async def away(*arguments: object) -> str:
                if datetime.now(UTC) < since + 2 * SECOND:
                    raise Unavailable("the database is away")
                return await issue(*arguments)  # type: ignore[arg-type]

            authority.store.notification.issue = away  # type: ignore[method-assign, assignment]
            await authority.decide(case, "reviewer-1")
            assert (await authority.closed(case)).closure is Closure.UNBLOCKED
            order = await authority.order(case)
            assert order is not None
            assert order.valid_from > since + SECOND
            assert order.ended_at == order.valid_until
            assert [n.action for n in authority.isps["isp0"].received] == [Action.BLOCK, Action.RELEASE]

    async def test_a_fault_in_the_workflow_does_not_leave_the_block_behind(self, authority: Authority) -> None:
        """The end of the order lies with the server: a case whose task fails again and again ends it all the same."""
        authority.isps["isp1"].ignores[Action.BLOCK] = 1
        remind = authority.store.notification.remind

        async def faulty(order: str, standing: Standing, now: datetime) -> int:
            if standing is Standing.LAPSED:
                raise NotFound("a fault that no retry mends")
            return await remind(order, standing, now)

        authority.store.notification.remind = faulty  # type: ignore[method-assign]
        case = await authority.refer("y2mate.com", terms(order=3 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")

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

    async def test_a_revocation_of_an_order_that_the_gate_refuses_is_forgotten(self, authority: Authority) -> None:
        """It must not end the order that comes after."""
        gate, asked = asyncio.Event(), asyncio.Event()
        issue = authority.store.notification.issue

        async def slow(*arguments: object) -> str:
            asked.set()
            await gate.wait()
            return await issue(*arguments)  # type: ignore[arg-type]

        authority.store.notification.issue = slow  # type: ignore[method-assign, assignment]
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        await authority.tell(case, forged(case, bundle, "reviewer-1"))
        await asked.wait()
        await authority.revoke(case, "reviewer-2")
        gate.set()

        async def reviewed_again() -> bool:
            return (await authority.status(case)).stage is Stage.REVIEW

        await until(reviewed_again, "the case under review again")
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.sweep()
        order = await authority.order(case)
        assert order is not None
        assert order.ended_at is None
