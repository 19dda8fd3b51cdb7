"""What the client halves share: a decision that the case may not be ready for yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from temporalio.client import WorkflowUpdateFailedError

READ = 0.05
"""Seconds a reviewer takes; the case hears of its own evidence in this time, unless the machine is busy."""


async def persist(decide: Callable[[], Awaitable[object]]) -> None:
    """Send a decision, again after a while where the case is not under review yet."""
    pause = READ
    while True:
        await asyncio.sleep(pause)
        try:
            await decide()
        except WorkflowUpdateFailedError:
            pause *= 2
        else:
            return
