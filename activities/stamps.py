"""Time stamps: of each authority that answers now. The others are asked again later."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection

from temporalio import activity

from precinto.domain.errors import Refused, Unavailable
from precinto.ports import FiledStamp, Ports


async def stamps(ports: Ports, content: bytes, known: Collection[str] = ()) -> AsyncGenerator[FiledStamp]:
    """A stamp over this content of each authority that answers now, in the blob store; not of those in ``known``."""
    for timestamper in ports.timestampers:
        if timestamper.name in known:
            continue
        try:
            stamp = await timestamper.stamp(content)
        except (Unavailable, Refused) as error:
            activity.logger.warning("Time stamp of %s not had: %s", timestamper.name, error)
            continue
        yield FiledStamp(authority=stamp.authority, token=await ports.blobs.put(stamp.token), at=stamp.at)
