"""Anchors: what is taken, what waits for its time, and that a ledger at rest is not anchored again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from precinto.domain.ledger import GENESIS
from precinto.domain.merkle import TreeHead
from precinto.store import Store, ledger
from tests.store.steps import filed_stamp, referred


async def test_an_anchor_states_the_newest_row_and_the_root_of_all_that_are_new(store: Store) -> None:
    case = await referred(store)
    first = await store.anchors.anchor()
    rows, head = 2, ""
    async with store.database.read() as session:
        entries = [entry async for entry in ledger.rows_of_case(session, case)]
    tree = TreeHead()
    for entry in entries:
        tree.add(bytes.fromhex(entry.hash))
        head = entry.hash
    assert first is not None
    assert (first.anchor, first.first, first.last, first.prev) == (1, 1, rows, GENESIS)
    assert (first.head, first.root) == (head, tree.root())
    await referred(store, "another.example.com")
    second = await store.anchors.anchor()
    assert second is not None
    assert (second.anchor, second.first, second.last, second.prev) == (2, rows + 1, 5, first.digest())
    assert (await ledger.verify(store.database))[0] == 6


async def test_an_empty_ledger_and_one_at_rest_are_not_anchored(store: Store) -> None:
    """A row that tells of an anchor is no news, or the ledger would grow by itself for ever."""
    assert await store.anchors.anchor() is None
    await referred(store)
    assert await store.anchors.anchor()
    before = await ledger.verify(store.database)
    assert await store.anchors.anchor() is None
    assert await ledger.verify(store.database) == before


async def test_an_anchor_is_not_taken_before_its_time(store: Store) -> None:
    await referred(store)
    assert await store.anchors.anchor(timedelta(days=1)), "the first has nothing to wait for"
    await referred(store, "another.example.com")
    assert await store.anchors.anchor(timedelta(days=1)) is None
    assert await store.anchors.anchor(timedelta(microseconds=1))


async def test_two_that_anchor_at_once_take_one_anchor(store: Store) -> None:
    await referred(store)
    taken = await asyncio.gather(*(store.anchors.anchor() for _ in range(4)))
    assert [one.anchor for one in taken if one] == [1]
    assert (await ledger.verify(store.database))[0] == 3


async def test_an_anchor_waits_until_two_authorities_have_stamped_it(store: Store) -> None:
    await referred(store)
    taken = await store.anchors.anchor()
    assert taken
    [waiting] = await store.anchors.unstamped()
    assert (waiting.anchor, waiting.authorities) == (taken, ())
    await store.anchors.stamped(1, filed_stamp("uno"))
    await store.anchors.stamped(1, filed_stamp("uno"))
    [waiting] = await store.anchors.unstamped()
    assert waiting.authorities == ("uno",)
    await store.anchors.stamped(1, filed_stamp("dos"))
    assert await store.anchors.unstamped() == []
    assert {stamp.authority for stamp in (await store.anchors.stamps())[1]} == {"uno", "dos"}
