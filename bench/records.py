"""Wire records to be read: a client asks the lab's showcase over HTTP/2, through the guard, which records."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.plan import Wrong
from bench.showcase import PAGE, Place
from precinto.adapters.archives.wire import RECORD
from precinto.adapters.crawlers.guard.egress import Guard
from precinto.wire.pcapng import WireRecorder

LARGE, SMALL = "/large.bin", "/picture.png"
"""5 MiB, and 8 kB."""

_AT_ONCE = {LARGE: 1, SMALL: 50}
_A_CONNECTION = 500  # what a client asks for over one; the site itself ends a connection after a thousand

Answers = Counter[tuple[str, str]]
"""Path, and SHA-256 of the body."""


@dataclass(frozen=True)
class Shape:
    """What a record holds: so many answers, all of one file."""

    name: str
    path: str
    answers: int


@dataclass(frozen=True)
class Recorded:
    """A record that was made, in a folder of its own, and what the site served for it."""

    shape: Shape
    folder: Path
    served: Answers

    @property
    def path(self) -> Path:
        """The record."""
        return self.folder / RECORD


async def record(place: Place, shape: Shape, folder: Path) -> Recorded:
    """Make a record.

    Raises:
        Wrong: The site did not serve it over HTTP/2, or not so often.
    """
    keys = folder / "keys.log"
    recorder = WireRecorder(folder / "spool")
    context = ssl.create_default_context(cafile=str(place.authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = str(keys)
    async with Guard([place.resolver], place.site.ports, 2**30, recorder) as guard:
        for start in range(0, shape.answers, _A_CONNECTION):
            await _ask(guard.address, context, shape, min(_A_CONNECTION, shape.answers - start))
    recorder.finish(keys.read_bytes(), folder / RECORD)
    served: Answers = Counter()
    for (protocol, _, path, sha256), times in place.served().items():
        if protocol != "2":
            raise Wrong(f"{path} was served over HTTP {protocol}")
        served[path, sha256] += times
    if served.total() != shape.answers:
        raise Wrong(f"{served.total()} answers were served, not {shape.answers}")
    return Recorded(shape, folder, served)


async def _ask(proxy: str, context: ssl.SSLContext, shape: Shape, answers: int) -> None:
    """Ask for a file so many times, over one connection."""
    async with httpx.AsyncClient(
        http2=True, verify=context, proxy=f"http://{proxy}", trust_env=False, timeout=60
    ) as client:
        turns = asyncio.Semaphore(_AT_ONCE[shape.path])

        async def get() -> None:
            async with turns:
                await client.get(f"https://{PAGE}{shape.path}")

        await get()  # alone: those that come after it find its connection
        await asyncio.gather(*(get() for _ in range(answers - 1)))
