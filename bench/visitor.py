"""The process that makes captures: ``python -m bench.visitor``; told what on standard input, answers as JSON.

Here are the crawler, its guard and the recorder, as in a worker, and not the site: so CPU seconds and memory of this
process are what Precinto itself takes, beside what the browser and the site do.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.showcase import PAGE, Served
from lab.showcase import RECIPE
from precinto.adapters.archives.wire import RECORD, WireArchiver
from precinto.adapters.crawlers.guard.egress import Guard
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.adapters.crawlers.web.home import Home
from precinto.adapters.crawlers.web.visit import Visit
from precinto.domain.evidence import Missing
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.domain.recipes import Recipe, RecipeBook
from precinto.ports import Capture, Subject
from precinto.wire.pcapng import read_wire

_PATIENCE = timedelta(seconds=120)
_SUBJECT = Subject(case="bench", target=normalise(TargetKind.URL, f"https://{PAGE}/"), service=Service.OTHER)
_MAY_BE_CUT = re.compile(r"GET https://[^/]+/old: reset by the browser \(CANCEL\)")
_VERSIONS = {"h2": "2", "http/1.1": "1.1"}


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes:
        recorder: Whether what passes is recorded, and the record read.
        captures: How many captures.
        slots: How many of them at a time.
        resolver, ports, authority: Where the site is found.
    """

    recorder: bool
    captures: int
    slots: int
    resolver: str
    ports: tuple[tuple[int, int], ...]
    authority: str


@dataclass(frozen=True)
class Captured:
    """One capture.

    Attributes:
        seconds: From its beginning to the files of the capture.
        archive_seconds: From there to exchanges, WARC and WACZ; 0 without the recorder.
        browser_bytes: The most memory that the browser and its driver had.
        network_bytes: What went to the site and back.
        record_bytes: Size of the wire record.
        exchanges: What the record says was served.
        cut: What the record says the browser cut off where it may: a redirect, which it follows at its head.
        wrong: Why this was no good capture, if it was not.
        browser: Version of the browser.
    """

    seconds: float
    archive_seconds: float
    browser_bytes: int
    network_bytes: int
    record_bytes: int
    exchanges: tuple[Served, ...]
    cut: tuple[str, ...]
    wrong: tuple[str, ...]
    browser: str


@dataclass(frozen=True)
class Visited:
    """A task that was done.

    Attributes:
        seconds: From the beginning of the first capture to the end of the last.
        cpu_seconds: What this process took in them, user and system; neither browser nor reader of the record.
        peak_bytes: The most memory that this process had.
        captured: Each capture.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    captured: tuple[Captured, ...]


class Unrecorded(WebCrawler):
    """The same crawler with a guard that carries everything and writes nothing down; its record is empty."""

    async def _visit(
        self,
        home: Home,
        guard: Guard,
        addresses: Sequence[str],
        recipe: Recipe,
        folder: Path,
        tools: dict[str, str],
    ) -> Visit:
        guard._recorder = None  # pyright: ignore[reportPrivateUsage] - the product has no such switch, and needs none
        return await super()._visit(home, guard, addresses, recipe, folder, tools)


async def visit(task: Task) -> Visited:
    """Make the captures."""
    kind = WebCrawler if task.recorder else Unrecorded
    crawler = kind(
        executable=None,
        resolvers=[task.resolver],
        ports=dict(task.ports),
        ca=Path(task.authority),
        timeout=_PATIENCE,
        recipes=RecipeBook(recipes=(RECIPE,)),
    )
    slots = asyncio.Semaphore(task.slots)

    async def one() -> Captured:
        async with slots:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                return await _capture(crawler, Path(folder), recorder=task.recorder)

    began, cpu = time.monotonic(), time.process_time()
    captured = await asyncio.gather(*(one() for _ in range(task.captures)))
    return Visited(time.monotonic() - began, time.process_time() - cpu, _peak(), tuple(captured))


async def _capture(crawler: WebCrawler, folder: Path, *, recorder: bool) -> Captured:
    started, began = datetime.now(UTC), time.monotonic()
    capture = await crawler.capture(_SUBJECT, folder)
    seconds, archive_seconds = time.monotonic() - began, 0.0
    wrong = list(_wrong(capture, folder))
    exchanges: list[Served] = []
    cut: list[str] = []
    if recorder:
        archive = await WireArchiver().archive(_SUBJECT, 1, started, capture, folder)
        archive_seconds = time.monotonic() - began - seconds
        for missing in archive.missing:
            (cut if _MAY_BE_CUT.fullmatch(words := _words(missing)) else wrong).append(words)
        if archive.files:
            exchanges = [_served(one) for one in _facts(folder, "exchanges.json")["exchanges"]]
    elif read_wire(folder / RECORD).connections:
        wrong.append("something was recorded without the recorder")
    used = _facts(folder, "limits.json")
    return Captured(
        seconds=seconds,
        archive_seconds=archive_seconds,
        browser_bytes=used["memory_bytes"]["peak"],
        network_bytes=used["network_bytes"]["used"],
        record_bytes=(folder / RECORD).stat().st_size,
        exchanges=tuple(exchanges),
        cut=tuple(cut),
        wrong=tuple(wrong),
        browser=capture.tools["chromium"],
    )


def _words(missing: Missing) -> str:
    return f"{missing.what}: {missing.reason}"


def _wrong(capture: Capture, folder: Path) -> list[str]:
    """Whatever keeps a capture from being whole."""
    wrong = [_words(missing) for missing in capture.missing]
    if capture.failure:
        return [capture.failure, *wrong]
    if b"all done" not in (folder / "end.html").read_bytes():
        wrong.append("the page had not done all that it does")
    return wrong


def _served(one: dict[str, Any]) -> Served:
    """An exchange of ``exchanges.json`` in the words of the site's journal."""
    host, _, path = one["url"].partition("://")[2].partition("/")
    return _VERSIONS[one["protocol"]], host.partition(":")[0], f"/{path}", one["received"]["sha256"]


def _facts(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_bytes())


def _peak() -> int:
    """Bytes of memory that this program had at most (proc(5)); what began it does not count, as in ``getrusage``."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> int:
    """Read the task, do it, answer."""
    told: dict[str, Any] = json.load(sys.stdin)
    print(json.dumps(asdict(asyncio.run(visit(Task(**told))))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
