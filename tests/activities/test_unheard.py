"""A case that was not told that its block is to be lifted: the watch tells it, once, and a human of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from activities.notification import Courier
from activities.watch import WatchActivities
from precinto.contracts import Watched, WatchTask
from precinto.domain.errors import Unavailable
from precinto.domain.escalations import graced
from precinto.domain.review import Outcome
from tests.activities.conftest import World
from tests.standing import enacted, revoked, standing_order
from tests.store.steps import MINUTE, TERMS, decide, open_case, seal

GRACE = graced(TERMS.span("recheck"))
ROUND = WatchTask(every=timedelta(days=365))
"""A schedule so slow that whatever moments the tests choose, the watch was never away."""


async def go_round(world: World, at: datetime) -> Watched:
    """One round at a moment."""
    return await world.run(WatchActivities(world.ports).round, ROUND, started_time=at)


@pytest.fixture
async def case(world: World) -> str:
    """A case that was released under a standing order, and is blocked; then that order was revoked."""
    await go_round(world, datetime.now(UTC) - MINUTE)
    number = await enacted(world.store, standing_order())
    case = await open_case(world.store, "y2mate.com")
    await seal(world.store, case)
    await decide(world.store, case, "duty-1", Outcome.RELEASE, about=number)
    await deliver(world, case)
    assert all(isp.blocked for isp in world.isps.values())
    assert await revoked(world.store, number) == (case,)
    return case


async def deliver(world: World, case: str) -> None:
    """What the case's own run does once it has heard."""
    order = (await world.store.gate.place(case)).order
    assert order is not None
    await Courier(world.ports).deliver(order)


async def test_it_is_told_once_and_a_human_too(world: World, case: str) -> None:
    moment = datetime.now(UTC) + GRACE + MINUTE
    assert (await go_round(world, moment)).woken == 1
    assert world.lapses.told == [(case, 0)]
    [line] = [one for one in await world.store.escalations.lines() if one.what == "change_missed"]
    assert line.to == ("legal-head",)
    assert line.subject.endswith(" v2")
    assert (await go_round(world, moment + MINUTE)).woken == 0
    assert len(world.lapses.told) == 1


async def test_not_before_it_has_had_the_time_to_tell_the_isps(world: World, case: str) -> None:
    assert (await go_round(world, datetime.now(UTC) + GRACE - MINUTE)).woken == 0


async def test_nor_where_it_has_heard(world: World, case: str) -> None:
    world.isps["isp1"].failures.append(Unavailable("no answer"))
    with pytest.raises(Unavailable):
        await deliver(world, case)
    assert (await go_round(world, datetime.now(UTC) + GRACE + MINUTE)).woken == 0
    assert world.lapses.told == []


async def test_what_could_not_be_told_is_told_at_the_next_round(
    world: World, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(case: str) -> None:
        raise Unavailable("Temporal does not answer")

    moment = datetime.now(UTC) + GRACE + MINUTE
    with monkeypatch.context() as down:
        down.setattr(world.lapses, "changed", away)
        with pytest.raises(Unavailable):
            await go_round(world, moment)
    assert (await go_round(world, moment + MINUTE)).woken == 1
