"""Verification: sweeps that resume where another stopped, and ends that come when they are due and not before."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import verification
from activities.notification import NotificationActivities
from activities.verification import UNISSUED, VerificationActivities
from precinto.contracts import Ended, EndTask, SweepTask, Swept
from precinto.domain.case import Closure
from precinto.domain.errors import NotFound, NotVerified, NotYet, Unavailable
from precinto.domain.notification import Action
from precinto.domain.review import Outcome
from precinto.domain.verification import Facts
from tests.activities.conftest import World
from tests.authority import decision, terms, until
from tests.store.steps import file, open_case, order_task, seal

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
QUICK = terms(order=HOUR, comply=timedelta(microseconds=1), remind=timedelta(microseconds=1), release=HOUR)
"""An ISP is overdue as soon as it was told; the order and the term to release are long."""

NAMES = [f"ripper-{n}.com" for n in range(5)]


async def in_force(world: World, target: str = "y2mate.com") -> tuple[str, str]:
    """A case whose order every ISP was told of; case and order."""
    case = await open_case(world.store, target, terms=QUICK)
    bundle = await seal(world.store, case)
    task = order_task(case, bundle, await file(world.store, case, bundle, "reviewer-1"))
    await world.run(NotificationActivities(world.ports).notify, task)
    return case, task.order


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

    async def end(self, world: World, task: EndTask, at: datetime) -> Ended:
        """One attempt, at a moment of the server's clock."""
        return await world.run(VerificationActivities(world.ports).end, task, started_time=at)

    @pytest.mark.parametrize("early", [timedelta(days=180), SECOND, timedelta(microseconds=1)])
    async def test_before_its_time_it_waits_exactly_until_then(self, world: World, early: timedelta) -> None:
        case, order = await in_force(world)
        at = datetime.now(UTC) + HOUR
        with pytest.raises(NotYet, match="in force until") as not_yet:
            await self.end(world, EndTask(case=case, order=order, at=at), at - early)
        assert not_yet.value.wait == early
        assert not any(n.action is Action.RELEASE for isp in world.isps.values() for n in isp.received)

    async def test_at_its_time_every_isp_is_told_and_the_unblock_is_awaited(self, world: World) -> None:
        case, order = await in_force(world)
        at = datetime.now(UTC)
        with pytest.raises(NotYet, match="2 of 2 unblocks are not measured yet") as not_yet:
            await self.end(world, EndTask(case=case, order=order, at=at), at)
        assert not_yet.value.wait == QUICK.recheck
        for isp in world.isps.values():
            assert [n.action for n in isp.received] == [Action.BLOCK, Action.RELEASE]
            assert isp.blocked == set()

    async def test_again_it_tells_nobody_again_and_closes_when_every_unblock_was_measured(self, world: World) -> None:
        case, order = await in_force(world)
        at = datetime.now(UTC)
        task = EndTask(case=case, order=order, at=at)
        for _ in range(2):
            with pytest.raises(NotYet):
                await self.end(world, task, at)
        for isp in world.isps:
            await sweep(world, isp)
        for _ in range(2):
            assert await self.end(world, task, at) == Ended(closure=Closure.UNBLOCKED, isps=2, overstaying=0)
        assert [len(isp.received) for isp in world.isps.values()] == [2, 2]

    async def test_an_isp_that_still_blocks_is_reminded(self, world: World) -> None:
        world.isps["isp0"].ignores[Action.RELEASE] = 1
        case, order = await in_force(world)
        task = EndTask(case=case, order=order, at=datetime.now(UTC))
        with pytest.raises(NotYet):
            await self.end(world, task, task.at)
        for isp in world.isps:
            await sweep(world, isp)
        with pytest.raises(NotYet, match="1 of 2 unblocks"):
            await self.end(world, task, task.at)
        assert [(n.action, n.reminder) for n in world.isps["isp0"].received[1:]] == [
            (Action.RELEASE, 0),
            (Action.RELEASE, 1),
        ]
        await sweep(world, "isp0")
        assert (await self.end(world, task, task.at)).closure is Closure.UNBLOCKED

    async def test_when_the_term_to_release_is_over_a_human_is_told_and_not_before(self, world: World) -> None:
        case, order = await in_force(world)
        at = datetime.now(UTC)
        task = EndTask(case=case, order=order, at=at)
        with pytest.raises(NotYet):
            await self.end(world, task, at + HOUR - SECOND)
        ended = await self.end(world, task, at + HOUR + 20 * SECOND)
        assert ended == Ended(closure=Closure.ESCALATED, isps=2, overstaying=2)

    async def test_an_isp_that_cannot_be_reached_does_not_hold_up_the_end_of_the_others(self, world: World) -> None:
        case, order = await in_force(world)
        world.isps["isp0"].failures = [Unavailable("no route")]
        task = EndTask(case=case, order=order, at=datetime.now(UTC))
        with pytest.raises(NotYet):
            await self.end(world, task, task.at)
        assert world.isps["isp1"].blocked == set()
        with pytest.raises(NotYet):
            await self.end(world, task, task.at)
        assert world.isps["isp0"].blocked == set()

    async def test_the_end_of_an_order_that_is_not_issued_yet_comes_again(self, world: World) -> None:
        """An outage of the gate: were the end given up, the order that is issued later would have none."""
        case = await open_case(world.store, terms=QUICK)
        with pytest.raises(NotYet) as not_yet:
            await self.end(world, EndTask(case=case, order="not-issued", at=datetime.now(UTC)), datetime.now(UTC))
        assert not_yet.value.wait == UNISSUED

    async def test_a_revocation_that_nobody_filed_ends_nothing(self, world: World) -> None:
        case, order = await in_force(world)
        forged = decision(case, "ab" * 32, "reviewer-2", Outcome.REVOKE)
        now = datetime.now(UTC)
        with pytest.raises(NotVerified) as refused:
            await self.end(world, EndTask(case=case, order=order, at=now, revocation=forged.id), now)
        assert refused.value.code == "decision_not_on_file"
        assert all(isp.blocked for isp in world.isps.values())
