"""Notices as the authority would send them, and waiting for what they bring about."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from precinto.domain.notification import Action, Measure, Method, Notice, measure_id, notice_id

_PATIENCE_SECONDS = 15
_LOOK_SECONDS = 0.02


def new_order() -> str:
    """The id of an order that nobody has seen yet."""
    return str(uuid.uuid4())


def notice(isp: str, order: str, *targets: str, action: Action = Action.BLOCK, reminder: int = 0) -> Notice:
    """A notice to an ISP."""
    now = datetime.now(UTC)
    return Notice(
        id=notice_id(order, isp, action, reminder),
        order=order,
        isp=isp,
        action=action,
        reminder=reminder,
        valid_from=now,
        valid_until=now + timedelta(days=180),
        items=tuple(Measure(id=measure_id(order, target, Method.DNS), target=target) for target in targets),
    )


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds; for what happens in another process, which tells nobody."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(_LOOK_SECONDS)
