"""A round of the watch: it ends and tells, wakes and resumes, and what goes wrong with one case harms no other."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from activities.notification import Courier
from activities.watch import WatchActivities
from precinto.contracts import EndTask, Watched, WatchTask
from precinto.domain.case import Stage
from precinto.domain.errors import IllegalTransition, Refused, Unavailable
from precinto.domain.escalations import graced
from precinto.domain.notification import Action
from precinto.domain.review import Outcome
from precinto.store import Store
from precinto.store.intake import CaseRow
from precinto.store.orders import OrderRow
from tests.activities.conftest import World
from tests.store.steps import ISPS, MINUTE, TERMS, decide, end, issue, open_case

GRACE = graced(TERMS.span("recheck"))
ROUND = WatchTask(every=365 * timedelta(days=1))
"""A schedule so slow that whatever moments the tests choose, the watch was never away."""

NOTHING = Watched(ended=0, reminders=0, overdue=0, unreached=0, resumed=0, addressed=0)


async def go_round(world: World, at: datetime) -> Watched:
    """One round at a moment."""
    return await world.run(WatchActivities(world.ports).round, ROUND, started_time=at)


async def in_force(world: World, target: str = "y2mate.com") -> OrderRow:
    """An order in force that every ISP has heard of; the watch has gone round before."""
    await go_round(world, datetime.now(UTC) - MINUTE)
    order = await issue(world.store, await open_case(world.store, target))
    await tell(world, order)
    return await row_of(world.store, order)


async def tell(world: World, order: str) -> None:
    """Deliver every open notice to its ISP, as the case's own run does; an ISP that is away hears of it later."""
    with suppress(Unavailable):
        await Courier(world.ports).deliver(order)


async def row_of(store: Store, order: str) -> OrderRow:
    """The row of an order."""
    async with store.database.read() as session:
        return await session.get_one(OrderRow, order)


def blocked(world: World) -> list[str]:
    """ISPs that block something."""
    return [name for name, isp in world.isps.items() if isp.blocked]


async def test_while_all_is_well_a_round_finds_nothing(world: World) -> None:
    await in_force(world)
    assert await go_round(world, datetime.now(UTC)) == NOTHING
    assert await world.store.watch.last_round() is not None
    assert blocked(world) == list(ISPS)


async def test_an_end_that_did_not_fire_is_made_up_for_and_every_isp_lifts(world: World) -> None:
    order = await in_force(world)
    watched = await go_round(world, order.valid_until + GRACE)
    assert (watched.ended, watched.addressed) == (1, 1)
    assert blocked(world) == []
    assert (await row_of(world.store, order.id)).ended_at == order.valid_until
    assert world.lapses.told == [(order.case, 0)], "its run, if there is one, is told to look at its files"
    [line] = await world.store.escalations.lines()
    assert (line.what, line.subject, line.to) == ("end_missed", order.number, ("legal-head",))
    assert await go_round(world, order.valid_until + GRACE + MINUTE / 4) == NOTHING
    assert [notice.action for notice in world.isps["isp0"].received] == [Action.BLOCK, Action.RELEASE]


async def test_an_isp_that_is_away_hears_of_it_at_a_later_round(world: World) -> None:
    order = await in_force(world)
    world.isps["isp1"].failures.append(Unavailable("no answer"))
    await go_round(world, order.valid_until + GRACE)
    assert blocked(world) == ["isp1"]
    await go_round(world, order.valid_until + GRACE + MINUTE)
    assert blocked(world) == []
    assert len(world.isps["isp0"].received) == 2, "who was told is not told again"


async def test_isps_that_do_not_answer_cannot_keep_all_else_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for telling is over before it began; the round goes on, and the next one tells."""
    order = await in_force(world)
    with monkeypatch.context() as patch:
        patch.setattr("activities.watch.TELLING_SECONDS", -1.0)
        watched = await go_round(world, order.valid_until + GRACE)
    assert watched.ended == 1
    assert watched.addressed
    assert blocked(world) == list(ISPS)
    await go_round(world, order.valid_until + GRACE + MINUTE)
    assert blocked(world) == []


async def test_a_case_that_no_run_carries_gets_one(world: World) -> None:
    order = await in_force(world)
    world.runs.without[order.case] = "run-1"
    moment = datetime.now(UTC) + 2 * MINUTE
    assert (await go_round(world, moment)).resumed == 1
    [resumed] = world.runs.resumed
    assert (resumed.case, resumed.due) == (order.case, order.valid_until)
    assert (await go_round(world, moment + MINUTE)).resumed == 0
    [line] = await world.store.escalations.lines()
    assert (line.what, line.subject) == ("run_lost", "run-1")


async def test_where_temporal_does_not_say_what_runs_the_rest_is_done_and_the_round_fails(world: World) -> None:
    order = await in_force(world)
    before = await world.store.watch.last_round()
    world.runs.down = True
    with pytest.raises(Unavailable):
        await go_round(world, order.valid_until + GRACE)
    assert blocked(world) == []
    assert [line.to for line in await world.store.escalations.lines()] == [("legal-head",)]
    assert await world.store.watch.last_round() == before, "the doctor must see that it was no whole round"


async def test_a_case_that_cannot_be_ended_keeps_no_other_waiting(world: World) -> None:
    """Somebody has closed it in the database by hand."""
    broken, order = await in_force(world, "broken.example.com"), await in_force(world)
    async with world.store.database.write() as session:
        case = await session.get_one(CaseRow, broken.case)
        case.stage = Stage.CLOSED.value
        session.add(case)
    with pytest.raises(IllegalTransition):
        await go_round(world, order.valid_until + GRACE)
    assert (await row_of(world.store, order.id)).ended_at is not None
    assert all(isp.blocked == {"broken.example.com"} for isp in world.isps.values())


ACCIDENTS: dict[str, Callable[[World, OrderRow], Awaitable[object]]] = {}
"""What may have become of a case's run and its armed end before the watch comes round."""


def accident(happens: Callable[[World, OrderRow], Awaitable[object]]) -> None:
    """Note an accident under its name."""
    ACCIDENTS[happens.__name__] = happens


@accident
async def nothing_ever_fires(world: World, order: OrderRow) -> None:
    """The run is gone, or stuck, or never armed the end."""


@accident
async def its_run_is_lost(world: World, order: OrderRow) -> None:
    world.runs.without[order.case] = "run-1"


@accident
async def the_end_fires_in_time_and_its_worker_dies_before_it_tells_anybody(world: World, order: OrderRow) -> None:
    await end(world.store, order.case, order.id, order.valid_until)
    await tell(world, order.id)  # the attempt that follows


@accident
async def the_end_has_just_been_made_up_for_when_the_worker_dies(world: World, order: OrderRow) -> None:
    await world.store.watch.end(EndTask(case=order.case, order=order.id), order.valid_until + GRACE)


@accident
async def the_order_is_stayed(world: World, order: OrderRow) -> None:
    await decide(world.store, order.case, "duty-1", Outcome.STAY)
    await tell(world, order.id)


@accident
async def the_order_is_stayed_and_no_isp_is_told(world: World, order: OrderRow) -> None:
    await decide(world.store, order.case, "duty-1", Outcome.STAY)


@accident
async def the_order_is_stayed_and_resumed(world: World, order: OrderRow) -> None:
    await decide(world.store, order.case, "duty-1", Outcome.STAY)
    await decide(world.store, order.case, "reviewer-2", Outcome.RESUME)
    await tell(world, order.id)


@accident
async def the_order_is_renewed(world: World, order: OrderRow) -> None:
    await decide(world.store, order.case, "reviewer-2", Outcome.RENEW)


@accident
async def the_order_is_revoked(world: World, order: OrderRow) -> None:
    await decide(world.store, order.case, "duty-1", Outcome.REVOKE)
    await tell(world, order.id)


@accident
async def every_isp_is_away(world: World, order: OrderRow) -> None:
    for isp in world.isps.values():
        isp.failures.append(Unavailable("no answer"))


@accident
async def a_round_comes_too_early(world: World, order: OrderRow) -> None:
    await go_round(world, (await row_of(world.store, order.id)).valid_until)


@settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(happened=st.lists(st.sampled_from(sorted(ACCIDENTS)), max_size=4))
@example(happened=[])
async def test_an_order_beyond_its_end_is_ended_by_one_round_whatever_happened(
    world: World, happened: list[str]
) -> None:
    target = f"site-{uuid.uuid4().hex}.example.com"  # the examples share one world
    order = await in_force(world, target)
    for name in happened:
        with suppress(Refused):  # an officer cannot stay twice, nor renew what is over
            await ACCIDENTS[name](world, order)
    until = (await row_of(world.store, order.id)).valid_until
    await go_round(world, until + GRACE)
    ended = await row_of(world.store, order.id)
    assert ended.ended_at is not None
    assert ended.ended_at == until or ended.end_reason == "revoked"
    assert ended.asks is Action.RELEASE
    for isp in world.isps.values():
        isp.failures.clear()  # they are back
    await go_round(world, until + GRACE + MINUTE)
    made_up_for = any(line.subject == order.number for line in await world.store.escalations.lines())
    if not made_up_for:
        await tell(world, order.id)  # its own end fired, and goes on telling
    assert not any(target in isp.blocked for isp in world.isps.values())
