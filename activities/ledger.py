"""The ledger's anchors: taken here, stamped by others. An authority that is down leaves an anchor waiting."""

from __future__ import annotations

from temporalio import activity

from activities.heartbeat import beating
from precinto import stubs
from precinto.contracts import Anchored, AnchorTask
from precinto.domain.errors import Refused, Unavailable
from precinto.domain.evidence import STAMPS_NEEDED
from precinto.ports import FiledStamp, Ports, UnstampedAnchor


class LedgerActivities:
    """Activities about the ledger."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name=stubs.ANCHOR.name)
    async def anchor(self, task: AnchorTask) -> Anchored:
        """Anchor what is new, if it is time to; then get the time stamps that anchors lack. Idempotent."""
        got = waiting = 0
        async with beating():
            taken = await self._ports.anchors.anchor(task.every)
            for one in await self._ports.anchors.unstamped():
                stamps = await self._stamp(one)
                got += stamps
                waiting += len(one.authorities) + stamps < STAMPS_NEEDED
        return Anchored(last=taken.last if taken else None, got=got, waiting=waiting)

    async def _stamp(self, waiting: UnstampedAnchor) -> int:
        """Get a stamp of each authority that has not stamped yet and answers now; how many there were."""
        got = 0
        statement = waiting.anchor.statement()
        for timestamper in self._ports.timestampers:
            if timestamper.name in waiting.authorities:
                continue
            try:
                stamp = await timestamper.stamp(statement)
            except (Unavailable, Refused) as error:
                activity.logger.warning("Time stamp of %s not had: %s", timestamper.name, error)
                continue
            token = await self._ports.blobs.put(stamp.token)
            filed = FiledStamp(authority=stamp.authority, token=token, at=stamp.at)
            await self._ports.anchors.stamped(waiting.anchor.anchor, filed)
            got += 1
        return got
