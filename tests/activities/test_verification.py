"""Verification: sweeps that resume where another stopped, and ends that come when they are due and not before."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import verification
from activities.notification import NotificationActivities
from activities.verification import VerificationActivities
from precinto.contracts import Ended, EndTask, OrderTask, SweepTask, Swept
from precinto.domain.case import Closure
from precinto.domain.errors import NotFound, NotYet, Unavailable
from precinto.domain.notification import Action
from precinto.domain.review import Outcome
from precinto.domain.verification import Facts
from precinto.store.orders import OrderRow
from tests.activities.conftest import World
from tests.authority import terms, until
from tests.store.steps import decide, issue, open_case

SECOND, HOUR, TICK = timedelta(seconds=1), timedelta(hours=1), timedelta(milliseconds=1)
QUICK = terms(order=HOUR, comply=TICK, remind=TICK, release=HOUR)
"""An ISP is overdue as soon as it was told; the order and the term to release are long."""

NAMES = [f"ripper-{n}.com" for n in range(5)]


async def in_force(world: World, target: str = "y2mate.com") -> tuple[str, str]:
    """A case whose order every ISP was told of; case and order."""
    case = await open_case(world.store, target, terms=QUICK)
    order = await issue(world.store, case)
    await world.run(NotificationActivities(world.ports).notify, OrderTask(case=case, order=order))
    return case, order


async def revoked(world: World) -> EndTask:
    """A case whose order was just revoked: the task that sees it to its end."""
    case, order = await in_force(world)
    await decide(world.store, case, "duty-1", Outcome.REVOKE)
    return EndTask(case=case, order=order)


async def sweep(world: World, vantage: str = "isp0", **info: Any) -> Swept:
    """One round from a vantage."""
    return await world.run(VerificationActivities(world.ports).sweep, SweepTask(vantage=vantage), **info)


class TestSweep:
    """One round of verification from one vantage."""

    async def test_every_order_in_force_is_measured(self, world: World) -> None:
        for name in NAMES:
            await in_force(world, name)
        assert await sweep(world) == Swept(vantage="isp0", measured=5, lapsed=0)
        assert world.lapses.told == []

    async def test_a_block_that_does_not_hold_is_told_to_its_case(self, world: World) -> None:
        case, _ = await in_force(world)
        await in_force(world, "flvto.biz")
        world.isps["isp0"].blocked.discard("y2mate.com")
        assert (await sweep(world)).lapsed == 1
        assert world.lapses.told == [(case, 1)]
        assert (await sweep(world, "isp1")).lapsed == 0

    async def test_a_vantage_that_the_registry_does_not_know(self, world: World) -> None:
        with pytest.raises(NotFound, match="no vantage 'isp9'"):
            await sweep(world, "isp9")

    async def test_a_sweep_that_lost_its_worker_resumes_behind_the_last_page(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(verification, "PAGE", 2)
        for name in NAMES:
            await in_force(world, name)
        measure, asked = world.ports.prober.measure, list[str]()

        async def dies(target: str, resolvers: list[str]) -> Facts:
            asked.append(target)
            if len(asked) == 4:
                raise ConnectionResetError("the worker is gone")
            return await measure(target, resolvers)

        monkeypatch.setattr(world.ports.prober, "measure", dies)
        beats = list[tuple[Any, ...]]()
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, heartbeat_timeout=timedelta(milliseconds=30))
        environment.on_heartbeat = lambda *details: beats.append(details)
        pages = world.store.verification.due

        async def told(after: str) -> bool:
            return bool(beats) and beats[-1][0] == after

        async def slow(isp: str, after: str, limit: int) -> Any:
            if after:  # the next page is fetched only when a heartbeat has told of the one before
                await until(lambda: told(after), "a heartbeat behind the page")
            return await pages(isp, after, limit)

        monkeypatch.setattr(world.store.verification, "due", slow)
        with pytest.raises(ConnectionResetError):
            await environment.run(VerificationActivities(world.ports).sweep, SweepTask(vantage="isp0"))
        monkeypatch.setattr(world.store.verification, "due", pages)
        cursor, measured, _ = beats[-1]
        assert measured == 2

        asked.clear()
        monkeypatch.setattr(world.ports.prober, "measure", measure)
        assert await sweep(world, heartbeat_details=list(beats[-1])) == Swept(vantage="isp0", measured=5, lapsed=0)
        again = [due.measure for due in await pages("isp0", cursor, 10)]
        assert len(again) == 3


class TestTheEnd:
    """The waiting is the server's: an attempt that comes too soon says exactly when to come again."""

    async def end(self, world: World, task: EndTask, at: datetime | None = None) -> Ended:
        """One attempt, at a moment of the server's clock."""
        return await world.run(VerificationActivities(world.ports).end, task, started_time=at or datetime.now(UTC))

    async def until(self, world: World, order: str) -> datetime:
        """The order's date."""
        async with world.store.database.read() as session:
            return (await session.get_one(OrderRow, order)).valid_until

    @pytest.mark.parametrize("early", [HOUR, SECOND, timedelta(microseconds=1)])
    async def test_before_its_time_it_waits_exactly_until_then(self, world: World, early: timedelta) -> None:
        case, order = await in_force(world)
        at = await self.until(world, order)
        with pytest.raises(NotYet, match="in force until") as not_yet:
            await self.end(world, EndTask(case=case, order=order), at - early)
        assert not_yet.value.wait == early
        assert not any(n.action is Action.RELEASE for isp in world.isps.values() for n in isp.received)

    async def test_when_it_was_renewed_meanwhile_it_waits_for_the_new_date(self, world: World) -> None:
        """It asks at each waking: nobody has to tell it."""
        case, order = await in_force(world)
        at = await self.until(world, order)
        await decide(world.store, case, "reviewer-1", Outcome.RENEW)
        with pytest.raises(NotYet) as not_yet:
            await self.end(world, EndTask(case=case, order=order), at)
        assert not_yet.value.wait == QUICK.span("renewal")

    async def test_when_no_proceeding_was_opened_it_ends_at_the_lapse(self, world: World) -> None:
        case = await open_case(world.store, terms=terms(order=HOUR, comply=TICK, remind=TICK, lapse=SECOND))
        order = await issue(world.store, case)
        with pytest.raises(NotYet, match="unblocks"):
            await self.end(world, EndTask(case=case, order=order), datetime.now(UTC) + SECOND)
        async with world.store.database.read() as session:
            assert (await session.get_one(OrderRow, order)).end_reason == "lapsed"

    async def test_at_its_time_every_isp_is_told_and_the_unblock_is_awaited(self, world: World) -> None:
        case, order = await in_force(world)
        with pytest.raises(NotYet, match="2 of 2 unblocks are not measured yet") as not_yet:
            await self.end(world, EndTask(case=case, order=order), await self.until(world, order))
        assert not_yet.value.wait == QUICK.span("recheck")
        for isp in world.isps.values():
            assert [n.action for n in isp.received] == [Action.BLOCK, Action.RELEASE]
            assert isp.blocked == set()

    async def test_again_it_tells_nobody_again_and_closes_when_every_unblock_was_measured(self, world: World) -> None:
        task = await revoked(world)
        for _ in range(2):
            with pytest.raises(NotYet):
                await self.end(world, task)
        for isp in world.isps:
            await sweep(world, isp)
        for _ in range(2):
            assert await self.end(world, task) == Ended(closure=Closure.UNBLOCKED, isps=2, overstaying=0)
        assert [len(isp.received) for isp in world.isps.values()] == [2, 2]

    async def test_an_isp_that_still_blocks_is_reminded(self, world: World) -> None:
        world.isps["isp0"].ignores[Action.RELEASE] = 1
        task = await revoked(world)
        with pytest.raises(NotYet):
            await self.end(world, task)
        await asyncio.sleep(2 * TICK.total_seconds())  # its term to comply
        for isp in world.isps:
            await sweep(world, isp)
        with pytest.raises(NotYet, match="1 of 2 unblocks"):
            await self.end(world, task)
        assert [(n.action, n.reminder) for n in world.isps["isp0"].received[1:]] == [
            (Action.RELEASE, 0),
            (Action.RELEASE, 1),
        ]
        await sweep(world, "isp0")
        assert (await self.end(world, task)).closure is Closure.UNBLOCKED

    async def test_when_the_term_to_release_is_over_a_human_is_told_and_not_before(self, world: World) -> None:
        task = await revoked(world)
        now = datetime.now(UTC)
        with pytest.raises(NotYet):
            await self.end(world, task, now + HOUR - SECOND)
        ended = await self.end(world, task, now + HOUR + 20 * SECOND)
        assert ended == Ended(closure=Closure.ESCALATED, isps=2, overstaying=2)

    async def test_an_isp_that_cannot_be_reached_does_not_hold_up_the_end_of_the_others(self, world: World) -> None:
        task = await revoked(world)
        world.isps["isp0"].failures = [Unavailable("no route")]
        with pytest.raises(NotYet):
            await self.end(world, task)
        assert world.isps["isp1"].blocked == set()
        with pytest.raises(NotYet):
            await self.end(world, task)
        assert world.isps["isp0"].blocked == set()

    async def test_who_was_not_told_of_the_end_is_waited_for_though_measured_open(self, world: World) -> None:
        """The block that it has may lie about with it still, to be acted on some other day."""
        task = await revoked(world)
        away = world.isps["isp1"]
        away.blocked.clear()
        away.failures = [Unavailable("no route"), Unavailable("no route")]
        with pytest.raises(NotYet):
            await self.end(world, task)
        for isp in world.isps:
            await sweep(world, isp)
        with pytest.raises(NotYet, match="1 of 2 unblocks"):
            await self.end(world, task)
        assert (await self.end(world, task)).closure is Closure.UNBLOCKED
        assert away.received[-1].action is Action.RELEASE

    async def test_a_stayed_order_ends_at_its_date_too(self, world: World) -> None:
        case, order = await in_force(world)
        await decide(world.store, case, "duty-1", Outcome.STAY)
        at = await self.until(world, order)
        with pytest.raises(NotYet, match="in force until"):
            await self.end(world, EndTask(case=case, order=order), at - SECOND)
        with pytest.raises(NotYet, match="unblocks"):
            await self.end(world, EndTask(case=case, order=order), at)
        assert all(not isp.blocked for isp in world.isps.values())

    async def test_there_is_no_end_without_an_order_nor_by_another_case(self, world: World) -> None:
        _, order = await in_force(world)
        case = await open_case(world.store, "flvto.biz", terms=QUICK)
        for not_its in ("not-issued", order):
            with pytest.raises(NotFound):
                await self.end(world, EndTask(case=case, order=not_its), datetime.now(UTC) + 2 * HOUR)
        assert all(isp.blocked for isp in world.isps.values())
