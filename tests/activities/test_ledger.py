"""Anchoring: an authority that is down leaves the anchor waiting, and is asked again."""

from __future__ import annotations

from datetime import timedelta

from activities.ledger import LedgerActivities
from precinto.contracts import Anchored, AnchorTask
from precinto.store import ledger
from tests.activities.conftest import World
from tests.store.steps import open_case


async def test_an_anchor_is_stamped_over_its_statement_by_every_authority(world: World) -> None:
    await open_case(world.store)
    anchor, (rows, _) = LedgerActivities(world.ports).anchor, await ledger.verify(world.store.database)
    assert await world.run(anchor, AnchorTask()) == Anchored(last=rows, got=2, waiting=0)
    async with world.store.database.read() as session:
        [taken] = await ledger.anchors_of(session)
    stamps = (await world.store.anchors.stamps())[1]
    assert [world.blobs.content[stamp.token] for stamp in stamps] == [
        f"{name} {taken.digest()}".encode() for name in ("dos", "uno")
    ]
    assert await world.run(anchor, AnchorTask()) == Anchored(last=None, got=0, waiting=0)


async def test_an_authority_that_is_down_is_asked_again_and_the_anchor_stays(world: World) -> None:
    dos = world.timestampers[1]
    dos.down = True
    await open_case(world.store)
    anchor, (rows, _) = LedgerActivities(world.ports).anchor, await ledger.verify(world.store.database)
    assert await world.run(anchor, AnchorTask()) == Anchored(last=rows, got=1, waiting=1)
    assert await world.run(anchor, AnchorTask()) == Anchored(last=None, got=0, waiting=1)
    dos.down = False
    await open_case(world.store, "another.example.com")
    daily = AnchorTask(every=timedelta(days=1))
    assert await world.run(anchor, daily) == Anchored(last=None, got=1, waiting=0), "asked again the same day"


async def test_both_down_and_the_next_day_two_anchors_wait(world: World) -> None:
    for one in world.timestampers:
        one.down = True
    anchor = LedgerActivities(world.ports).anchor
    for number in (1, 2):
        await open_case(world.store, f"site{number}.example.com")
        assert (await world.run(anchor, AnchorTask())).waiting == number
    for one in world.timestampers:
        one.down = False
    assert await world.run(anchor, AnchorTask()) == Anchored(last=None, got=4, waiting=0)
