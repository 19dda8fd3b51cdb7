"""Writes that come at the same time go into one transaction, because each transaction waits for the disk once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import OperationalError

T = TypeVar("T")


class Together(Generic[T]):
    """Collects what is added while the last batch is being written, and writes it as the next one.

    Args:
        write: Writes a batch: all of it, or nothing.
    """

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, one: T) -> None:
        """Returns once it is written; raises what writing it raised. Cancelled, it is written all the same."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((one, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await asyncio.shield(written)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write_batch(batch)
        finally:
            self._writing = None

    async def _write_batch(self, batch: Sequence[tuple[T, asyncio.Future[None]]]) -> None:
        try:
            await self._write([one for one, _ in batch])
        except asyncio.CancelledError:
            for _, written in batch:
                written.cancel()
            raise
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, OperationalError):
                for single in batch:  # one that is wrong must not take the others with it
                    await self._write_batch([single])
            else:
                for _, written in batch:
                    written.set_exception(error)
        else:
            for _, written in batch:
                written.set_result(None)
