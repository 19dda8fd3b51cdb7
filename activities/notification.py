"""Notification: one batch for all ISPs, idempotent for each. A dead ISP never delays another."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity

from activities.documents import Clerk
from activities.heartbeat import beating
from precinto import stubs
from precinto.contracts import Notified, OrderTask
from precinto.domain.errors import NotFound, Refused, Throttled, Unavailable
from precinto.ports import OpenNotice, Ports

AT_ONCE = 20
"""Notices in flight at the same time from one batch."""

STALE = timedelta(seconds=1)
"""A notice that waited longer, for its document or for its turn, is looked up again: its order may have ended."""

GIVE_UP_AFTER = timedelta(days=3)
"""An ISP that cannot be reached this long is put before a human."""

log = structlog.get_logger(__name__)


class Courier:
    """Delivers the open notices of an order, each with its letter, through its ISP's channel."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._clerk = Clerk(ports)

    async def deliver(self, order: str) -> None:
        """Deliver what is still to be delivered; what lifts a block goes first.

        Raises:
            Unavailable: Some ISPs did not answer, or a block has no document yet; the others have been told and will
                not be told again.
        """
        looked_up = datetime.now(UTC)
        notices, held = await self._clerk.enclose(order, await self._ports.notification.undelivered(order))
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(notice: OpenNotice) -> Unavailable | None:
            async with limit:
                waited = datetime.now(UTC) - looked_up
                if waited > STALE and not await self._ports.notification.is_open(notice.notice.id):
                    return None
                return await self._one(notice)

        away = [away for away in await asyncio.gather(*map(one, notices)) if away is not None]
        if away:
            waits = [error.retry_after for error in away if isinstance(error, Throttled)]
            reason = f"{len(away)} of {len(notices)} notices are undelivered; the first: {away[0]}"
            raise Throttled(reason, min(waits)) if len(waits) == len(away) and not held else Unavailable(reason)
        if held:
            raise Unavailable(held[0])

    async def _one(self, open_notice: OpenNotice) -> Unavailable | None:
        notice, repository = open_notice.notice, self._ports.notification
        try:
            delivery = await self._ports.registry.channel(notice.isp).deliver(notice)
        except Unavailable as away:
            final = datetime.now(UTC) - open_notice.queued_at > GIVE_UP_AFTER
            await repository.failed(notice.id, str(away), final=final)
            log.warning("notice_undelivered", isp=notice.isp, notice=notice.id, final=final, reason=str(away))
            return None if final else away
        except (Refused, NotFound) as refused:
            # Sending it again cannot help: the ISP will not take it, or the registry no longer knows the ISP.
            # Where the order ended while its block was on the way, the ISP is right, and no human has to see to it.
            final = await repository.is_open(notice.id)
            await repository.failed(notice.id, f"{type(refused).__name__}: {refused}", final=final)
            log.error("notice_refused", isp=notice.isp, notice=notice.id, final=final, reason=str(refused))
            return None
        await repository.delivered(notice.id, delivery, datetime.now(UTC))
        return None


class NotificationActivities:
    """Activities of the notification stage."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._courier = Courier(ports)

    @activity.defn(name=stubs.NOTIFY.name)
    async def notify(self, task: OrderTask) -> Notified:
        """Tell every ISP what an order asks now. Run again, only the untold ones are told.

        Raises:
            NotFound: No such order.
            Unavailable: Some ISPs could not be told yet.
        """
        if task.remind:
            await self._ports.notification.remind(task.order, datetime.now(UTC))
        async with beating():
            await self._courier.deliver(task.order)
        return await self._result(task.order)

    async def _result(self, order: str) -> Notified:
        isps, delivered, undelivered = await self._ports.notification.notified(order)
        return Notified(order=order, isps=isps, delivered=delivered, undelivered=undelivered)
