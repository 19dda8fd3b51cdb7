"""What is recorded at the same time is written together, and nobody pays for another's mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import OperationalError

from precinto.domain.errors import NotFound
from precinto.store.together import Together


class Disk:
    """Keeps what it is told to write, batch by batch; ``free`` lets it go on."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.free = asyncio.Event()
        self.down = False

    async def write(self, batch: Sequence[str]) -> None:
        await self.free.wait()
        if self.down:
            raise OperationalError("COMMIT", {}, Exception("disk I/O error"))
        if "wrong" in batch:
            raise NotFound("no such thing")
        self.batches.append(list(batch))


@pytest.fixture
async def disk() -> Disk:
    """A disk that is busy."""
    return Disk()


async def added(together: Together[str], *items: str) -> list[asyncio.Task[None]]:
    """Add items, each in a task of its own, that all wait by now."""
    tasks = [asyncio.create_task(together.add(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_during_a_write_is_the_next_batch(disk: Disk) -> None:
    together = Together(disk.write)
    tasks = await added(together, "a")
    await asyncio.sleep(0)  # the first write is under way
    tasks += await added(together, "b", "c")
    disk.free.set()
    await asyncio.gather(*tasks)
    assert disk.batches == [["a"], ["b", "c"]]


async def test_it_returns_only_when_written(disk: Disk) -> None:
    (task,) = await added(Together(disk.write), "a")
    assert not task.done()
    disk.free.set()
    await task
    assert disk.batches == [["a"]]


async def test_one_that_is_wrong_fails_alone(disk: Disk) -> None:
    good, wrong, other = await added(Together(disk.write), "a", "wrong", "b")
    disk.free.set()
    await asyncio.gather(good, other)
    with pytest.raises(NotFound):
        await wrong
    assert disk.batches == [["a"], ["b"]]


async def test_an_outage_is_everyones(disk: Disk) -> None:
    disk.down = True
    together = Together(disk.write)
    tasks = await added(together, "a", "b")
    disk.free.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OperationalError, OperationalError]
    disk.down = False
    await together.add("c")
    assert disk.batches == [["c"]]


async def test_it_is_written_also_when_who_added_it_is_cancelled(disk: Disk) -> None:
    together = Together(disk.write)
    (task,) = await added(together, "a")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    disk.free.set()
    await together.add("b")
    assert [item for batch in disk.batches for item in batch] == ["a", "b"]
