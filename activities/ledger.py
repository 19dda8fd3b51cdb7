"""The ledger's anchors: taken here, stamped by others. An authority that is down leaves an anchor waiting."""

from __future__ import annotations

from temporalio import activity

from activities.heartbeat import beating
from activities.stamps import stamps
from precinto import stubs
from precinto.contracts import Anchored, AnchorTask
from precinto.domain.evidence import STAMPS_NEEDED
from precinto.ports import Ports


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
                new = 0
                async for stamp in stamps(self._ports, one.anchor.statement(), one.authorities):
                    await self._ports.anchors.stamped(one.anchor.anchor, stamp)
                    new += 1
                got += new
                waiting += len(one.authorities) + new < STAMPS_NEEDED
        return Anchored(last=taken.last if taken else None, got=got, waiting=waiting)
