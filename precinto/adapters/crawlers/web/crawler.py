"""A crawler that visits web targets with a real Chromium, one fresh browser for each capture."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from playwright.async_api import Error

from precinto.adapters.crawlers.captured import written
from precinto.adapters.crawlers.guard.egress import Guard
from precinto.adapters.crawlers.under_way import UnderWay
from precinto.adapters.crawlers.web.browser import Visitor, find_chromium, launched
from precinto.adapters.crawlers.web.home import Home, opened_home
from precinto.adapters.crawlers.web.limits import Limits, Use, Watch
from precinto.adapters.crawlers.web.record import readable
from precinto.adapters.crawlers.web.visit import Visit
from precinto.domain.errors import BadInput, Unavailable
from precinto.domain.evidence import Missing
from precinto.domain.intake import Target, TargetKind
from precinto.domain.model import canonical_json
from precinto.domain.recipes import Recipe, RecipeBook
from precinto.ports import Capture, CapturedFile, Subject
from precinto.wire.pcapng import RECORD, WireRecorder

VANTAGE = "control"
"""Captures resolve names by the control resolvers, which stand under no ISP's policy."""

KEEP_SECONDS = 20.0
"""What of the visit's time the recipe may not take, at most half of it: it is for what is kept at the end."""


class WebCrawler:
    """Port ``Crawler`` for domains and URLs."""

    def __init__(
        self,
        executable: Path | None,
        resolvers: Sequence[str],
        ports: Mapping[int, int],
        ca: Path | None,
        timeout: timedelta,
        recipes: RecipeBook,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        visitor: Visitor = Visitor(),  # noqa: B008 - frozen
    ) -> None:
        """Create a crawler; nothing is started before the first capture.

        Args:
            executable: The browser; None to look for it.
            resolvers: Resolvers to ask, ``address:port``; none for the system's.
            ports: Lab mode: real port to the lab's port; empty outside the lab.
            ca: Lab mode: a certificate authority (PEM) to trust beside the browser's own.
            timeout: Wall clock of one visit, the browser's start and end included.
            recipes: What a visit does at each service.
            limits: What else one capture may use.
            visitor: Whom the sites see.
        """
        self._executable = executable
        self._resolvers = tuple(resolvers)
        self._ports = dict(ports)
        self._ca = ca
        self._timeout = timeout
        self._recipes = recipes
        self._limits = limits
        self._visitor = visitor
        self._under_way = UnderWay()

    async def capture(self, subject: Subject, folder: Path) -> Capture:
        """Visit a domain or URL once.

        A domain is opened over https and, where no connection can be made, over http. A certificate that the
        browser refuses is a failure like a site that is down or answers with an error, and so is a page for which
        the limits are not enough.

        Raises:
            Unavailable: The browser did not start, or the machine has no room.
            CannotHere: There is no browser on this machine.
            BadInput: The target is no web address.
        """
        addresses = _addresses(subject.target)
        executable = find_chromium(self._executable)
        with self._under_way.one():
            async with opened_home(executable, self._ca) as home:
                return await self._capture(home, addresses, self._recipes.recipe(subject.service), folder)

    async def close(self) -> None:
        """Break off the captures that are still under way, and wait until their browsers are gone."""
        await self._under_way.stop()

    async def _capture(self, home: Home, addresses: Sequence[str], recipe: Recipe, folder: Path) -> Capture:
        recorder = WireRecorder(folder / "wire.spool")
        guard = Guard(self._resolvers, self._ports, self._limits.network, recorder)
        tools = {
            "playwright": version("playwright"),
            "sandbox": home.sandbox,
            "visitor": f"{self._visitor.language}, {self._visitor.time_zone}",
        }
        try:
            with Watch(home.path, self._limits) as watch:
                visit = await self._visit(home, guard, addresses, recipe, folder, tools)
        finally:
            wire, missing = await asyncio.to_thread(_wire, recorder, home, folder)
        files = (*visit.files, *_records(visit, guard, folder), _used(watch.use, guard, self._limits, folder), *wire)
        return Capture(
            files=files,
            addresses=dict(guard.door.addresses),
            tools=tools,
            vantage=VANTAGE,
            failure=watch.use.exceeded or visit.failure,
            missing=(*visit.missing, *missing),
            recipe=recipe.digest(),
        )

    async def _visit(
        self,
        home: Home,
        guard: Guard,
        addresses: Sequence[str],
        recipe: Recipe,
        folder: Path,
        tools: dict[str, str],
    ) -> Visit:
        visit: Visit | None = None
        seconds = self._timeout.total_seconds()
        try:
            async with guard, asyncio.timeout(seconds), launched(home, guard.address, self._visitor) as browser:
                tools |= {"chromium": browser.version, "user agent": browser.user_agent}
                patience = max(seconds - KEEP_SECONDS, seconds / 2)
                visit = Visit(browser.context, guard, folder, recipe, patience)
                await visit.run(addresses)
        except TimeoutError as error:
            if visit is None:
                raise Unavailable(f"the browser did not start within {seconds:g} s") from error
            visit.failure = visit.failure or f"the visit took longer than {seconds:g} s"
        except Error as error:
            if visit is None:
                raise Unavailable(f"the browser did not start: {error.message}") from error
            # The visit had begun: a page that brings the browser down does so every time, so it is kept as it is.
            visit.failure = visit.failure or f"the browser broke down: {readable(error.message)}"
        return visit


def _addresses(target: Target) -> tuple[str, ...]:
    match target.kind:
        case TargetKind.URL:
            return (target.value,)
        case TargetKind.DOMAIN:
            return (f"https://{target.value}/", f"http://{target.value}/")
        case other:
            raise BadInput(f"a target of kind {other} is not opened with a browser")


def _records(visit: Visit, guard: Guard, folder: Path) -> list[CapturedFile]:
    refusals = [
        {"host": readable(r.host), "port": r.port, "rule": r.rule, "reason": readable(r.reason), "times": times}
        for r, times in guard.refusals.items()
    ]
    contents = {
        "response.json": visit.facts(),
        "network.json": visit.record.network(),
        "console.json": visit.record.events(),
        "refused.json": {"refusals": refusals, "unrecorded": guard.unrecorded},
    }
    return [written(folder, name, "application/json", canonical_json(content)) for name, content in contents.items()]


def _used(use: Use, guard: Guard, limits: Limits, folder: Path) -> CapturedFile:
    budget = guard.budget
    content = {
        "memory_bytes": {"peak": use.memory, "limit": limits.memory},
        "disk_bytes": {"peak": use.disk, "limit": limits.disk},
        "files": {"peak": use.files, "limit": limits.files},
        "network_bytes": {"used": budget.limit - budget.left, "limit": budget.limit},
        "exceeded": use.exceeded,
    }
    return written(folder, "limits.json", "application/json", canonical_json(content))


def _wire(recorder: WireRecorder, home: Home, folder: Path) -> tuple[list[CapturedFile], list[Missing]]:
    """Compose the wire record; without it, the capture is still worth keeping."""
    path = folder / RECORD
    try:
        recorder.finish(home.key_log(), path)
    except OSError as error:
        return [], [Missing(what=RECORD, reason=f"it could not be written: {error.strerror or error}")]
    return [CapturedFile(name=RECORD, media_type="application/vnd.tcpdump.pcap", path=path)], []
