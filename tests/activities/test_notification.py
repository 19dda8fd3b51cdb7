"""Notification: a batch that is retried tells nobody twice, and nobody waits for the dead."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from activities import notification
from activities.notification import GIVE_UP_AFTER, NotificationActivities
from precinto.contracts import Notified, OrderTask
from precinto.domain.errors import NotFound, Refused, Throttled, Unavailable
from precinto.domain.notification import Action, Delivery, Method, Notice, measure_id, notice_id
from precinto.domain.review import Outcome
from precinto.domain.verification import Ruling
from precinto.store.orders import NoticeRow
from precinto.store.review import EscalationRow
from tests.activities.conftest import World
from tests.fakes import FakeIsp
from tests.store.steps import TERMS, decide, issue, measured, open_case

SECOND = timedelta(seconds=1)


async def approved(world: World) -> OrderTask:
    """A case that a reviewer has approved: the task that tells of its order."""
    case = await open_case(world.store)
    return OrderTask(case=case, order=await issue(world.store, case))


async def notify(world: World, task: OrderTask) -> Notified:
    """One attempt of the batch."""
    return await world.run(NotificationActivities(world.ports).notify, task)


async def states(world: World) -> dict[str, tuple[str, int]]:
    """State and number of tries of the notice to each ISP."""
    async with world.store.database.read() as session:
        return {row.isp: (row.state, row.tries) for row in await session.exec(select(NoticeRow))}


async def test_every_isp_is_told_once(world: World) -> None:
    task = await approved(world)
    assert await notify(world, task) == Notified(order=task.order, isps=2, delivered=2, undelivered=0)
    for name, isp in world.isps.items():
        (notice,) = isp.received
        assert notice.id == notice_id(task.order, 1, name, 0)
        assert isp.blocked == {"y2mate.com"}


async def test_run_again_it_tells_nobody_again(world: World) -> None:
    task = await approved(world)
    first = await notify(world, task)
    assert await notify(world, task) == first
    assert [len(isp.received) for isp in world.isps.values()] == [1, 1]


async def test_a_crash_between_the_delivery_and_its_record_sends_the_same_notice_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one moment in which an ISP must be told twice; the id says that it is one order, and it acts once."""
    task, delivered = await approved(world), world.store.notification.delivered
    acts = Counter[str]()
    for isp in world.isps.values():
        monkeypatch.setattr(isp, "deliver", _counting(isp, acts))

    async def dies(*_: object) -> None:
        raise ConnectionResetError("the worker is gone")

    monkeypatch.setattr(world.store.notification, "delivered", dies)
    with pytest.raises(ConnectionResetError):
        await notify(world, task)
    monkeypatch.setattr(world.store.notification, "delivered", delivered)
    assert (await notify(world, task)).delivered == 2
    for name, isp in world.isps.items():
        assert [n.id for n in isp.received] == [notice_id(task.order, 1, name, 0)] * 2
    assert set(acts.values()) == {1}


def _counting(isp: FakeIsp, acts: Counter[str]):
    """An ISP's desk that tells a repetition by the notice's id, as every real channel must."""
    deliver = isp.deliver

    async def once(notice: Notice) -> Delivery:
        if not any(known.id == notice.id for known in isp.received):
            acts[notice.id] += 1
        return await deliver(notice)

    return once


async def test_a_dead_isp_delays_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not even answer with an error while the other is told."""
    task, told = await approved(world), asyncio.Event()

    async def hangs(_: Notice) -> Delivery:
        await told.wait()
        raise Unavailable("no route to host")

    async def obeys(notice: Notice) -> Delivery:
        told.set()
        return await FakeIsp.deliver(world.isps["isp1"], notice)

    monkeypatch.setattr(world.isps["isp0"], "deliver", hangs)
    monkeypatch.setattr(world.isps["isp1"], "deliver", obeys)
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match="1 of 2 notices are undelivered; the first: no route to host"):
            await notify(world, task)
    assert await states(world) == {"isp0": ("queued", 1), "isp1": ("delivered", 1)}


async def test_who_waits_for_a_slow_isp_is_not_told_what_is_over_by_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One notice is under way at a time; while it is, the order is revoked."""
    monkeypatch.setattr(notification, "AT_ONCE", 1)
    monkeypatch.setattr(notification, "STALE", timedelta())
    task, deliver = await approved(world), world.isps["isp0"].deliver

    async def slow(notice: Notice) -> Delivery:
        taken = await deliver(notice)
        if notice.action is Action.BLOCK:
            await decide(world.store, task.case, "reviewer-1", Outcome.REVOKE)
        return taken

    monkeypatch.setattr(world.isps["isp0"], "deliver", slow)
    await notify(world, task)
    assert world.isps["isp1"].received == []
    await notify(world, task)
    assert [isp.received[-1].action for isp in world.isps.values()] == [Action.RELEASE, Action.RELEASE]
    assert [isp.blocked for isp in world.isps.values()] == [set(), set()]


async def test_the_next_attempt_tries_the_untold_only(world: World) -> None:
    task = await approved(world)
    world.isps["isp0"].failures = [Unavailable("busy"), Unavailable("busy")]
    for _ in range(2):
        with pytest.raises(Unavailable):
            await notify(world, task)
    assert (await notify(world, task)).delivered == 2
    assert await states(world) == {"isp0": ("delivered", 3), "isp1": ("delivered", 1)}
    assert [len(isp.received) for isp in world.isps.values()] == [1, 1]


async def test_whoever_all_say_when_to_come_back_are_believed(world: World) -> None:
    task = await approved(world)
    world.isps["isp0"].failures = [Throttled("slow down", 90 * SECOND)]
    world.isps["isp1"].failures = [Throttled("slow down", 30 * SECOND)]
    with pytest.raises(Throttled) as throttled:
        await notify(world, task)
    assert throttled.value.retry_after == 30 * SECOND


async def test_one_that_is_merely_away_is_tried_sooner(world: World) -> None:
    task = await approved(world)
    world.isps["isp0"].failures = [Throttled("come back tomorrow", timedelta(days=1))]
    world.isps["isp1"].failures = [Unavailable("busy")]
    with pytest.raises(Unavailable) as away:
        await notify(world, task)
    assert not isinstance(away.value, Throttled)


async def test_one_that_refuses_is_not_asked_again(world: World) -> None:
    task = await approved(world)
    world.isps["isp0"].failures = [Refused("not_ours", "we are no longer an ISP")]
    assert await notify(world, task) == Notified(order=task.order, isps=2, delivered=1, undelivered=1)
    assert await states(world) == {"isp0": ("failed", 1), "isp1": ("delivered", 1)}


async def test_one_that_refuses_a_block_whose_order_ended_on_the_way_is_not_blamed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine has not yet got round to ending the order; the ISP has a clock too."""
    task, over = await approved(world), datetime.now(UTC) + TERMS.span("order")

    async def refuses(_: Notice) -> Delivery:
        monkeypatch.setattr("precinto.store.notification.now", lambda: over)
        raise Refused("http_409", "its term has passed")

    monkeypatch.setattr(world.isps["isp0"], "deliver", refuses)
    assert (await notify(world, task)).undelivered == 0
    assert (await states(world))["isp0"] == ("queued", 1)
    assert await world.store.notification.undelivered(task.order) == []
    async with world.store.database.read() as session:
        assert (await session.exec(select(EscalationRow))).all() == []


async def test_one_that_is_away_for_days_is_put_before_a_human(world: World) -> None:
    task = await approved(world)
    world.isps["isp0"].failures = [Unavailable("no route"), Unavailable("still no route")]
    with pytest.raises(Unavailable):
        await notify(world, task)
    async with world.store.database.write() as session:
        for row in await session.exec(select(NoticeRow).where(NoticeRow.isp == "isp0")):
            row.queued_at = datetime.now(UTC) - GIVE_UP_AFTER - SECOND
            session.add(row)
    assert (await notify(world, task)).undelivered == 1
    assert (await states(world))["isp0"] == ("failed", 2)


async def test_a_stay_is_told_as_a_release_and_its_end_as_a_block(world: World) -> None:
    task = await approved(world)
    await notify(world, task)
    for officer, outcome in (("duty-1", Outcome.STAY), ("reviewer-1", Outcome.RESUME)):
        await decide(world.store, task.case, officer, outcome)
        assert (await notify(world, task)).delivered == 2
        await notify(world, task)
    for name, isp in world.isps.items():
        assert [(n.action, n.version) for n in isp.received] == [
            (Action.BLOCK, 1),
            (Action.RELEASE, 2),
            (Action.BLOCK, 3),
        ]
        assert [n.id for n in isp.received] == [notice_id(task.order, version, name, 0) for version in (1, 2, 3)]
        assert isp.blocked == {"y2mate.com"}


async def test_a_renewal_is_told_with_its_new_date(world: World) -> None:
    task = await approved(world)
    await notify(world, task)
    await decide(world.store, task.case, "reviewer-1", Outcome.RENEW)
    await notify(world, task)
    for isp in world.isps.values():
        before, after = isp.received
        assert (after.action, after.version) == (Action.BLOCK, 2)
        assert after.valid_until - before.valid_until == TERMS.span("renewal")


async def test_who_does_not_hold_is_reminded_once_and_only_where_that_is_asked(world: World) -> None:
    task = await approved(world)
    await notify(world, task)
    late = datetime.now(UTC) + 2 * TERMS.span("comply")
    measure = measure_id(task.order, "y2mate.com", Method.DNS)
    await world.store.verification.observe([measured(measure, "isp0", Ruling.NOT_BLOCKED, late)])
    await notify(world, task)
    assert [len(isp.received) for isp in world.isps.values()] == [1, 1]
    for _ in range(2):
        await notify(world, task.model_copy(update={"remind": True}))
    assert [(n.reminder, n.reminds_of) for n in world.isps["isp0"].received] == [
        (0, None),
        (1, notice_id(task.order, 1, "isp0", 0)),
    ]
    assert len(world.isps["isp1"].received) == 1


async def test_an_order_that_nobody_issued_tells_nobody(world: World) -> None:
    case = await open_case(world.store)
    with pytest.raises(NotFound):
        await notify(world, OrderTask(case=case, order="not-issued"))
    assert not any(isp.received for isp in world.isps.values())
    assert await states(world) == {}
