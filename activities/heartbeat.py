"""Signs of life: what a long activity tells the server while it works, so that its death is noticed in seconds.

A killed worker says nothing. Without heartbeats the server would wait for the whole time limit of the activity, and
an ISP would hear of a release that much later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from temporalio import activity

_UNWATCHED_SECONDS = 30.0


class Pulse:
    """What the next heartbeats carry; another worker resumes from it."""

    details: tuple[Any, ...] = ()


@asynccontextmanager
async def beating() -> AsyncGenerator[Pulse]:
    """Send heartbeats until the end of the block; they also bring a cancellation here."""
    limit = activity.info().heartbeat_timeout
    every = limit.total_seconds() / 3 if limit else _UNWATCHED_SECONDS
    pulse = Pulse()

    async def beat() -> None:
        while True:
            activity.heartbeat(*pulse.details)
            await asyncio.sleep(every)

    pulsing = asyncio.create_task(beat())
    try:
        yield pulse
    finally:
        pulsing.cancel()
