"""A crawler that visits web targets with a real Chromium, one fresh browser for each capture."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from playwright.async_api import Error

from precinto.adapters.crawlers.guard.egress import BYTES, Guard
from precinto.adapters.crawlers.web.browser import find_chromium, launched, sandboxed
from precinto.adapters.crawlers.web.record import readable, written
from precinto.adapters.crawlers.web.visit import Visit
from precinto.domain.errors import BadInput, Unavailable
from precinto.domain.intake import Target, TargetKind
from precinto.domain.model import canonical_json
from precinto.ports import Capture, CapturedFile, Subject

VANTAGE = "control"
"""Captures resolve names by the control resolvers, which stand under no ISP's policy."""

LOAD_SECONDS = 30.0
"""What a page may take to load, at most half of the visit's time: the rest is for what is kept."""


class WebCrawler:
    """Port ``Crawler`` for domains and URLs."""

    def __init__(
        self,
        executable: Path | None,
        resolvers: Sequence[str],
        ports: Mapping[int, int],
        ca: Path | None,
        timeout: timedelta,
    ) -> None:
        """Create a crawler; nothing is started before the first capture.

        Args:
            executable: The browser; None to look for it.
            resolvers: Resolvers to ask, ``address:port``; none for the system's.
            ports: Lab mode: real port to the lab's port; empty outside the lab.
            ca: Lab mode: a certificate authority (PEM) to trust beside the browser's own.
            timeout: Wall clock of one visit, the browser's start and end included.
        """
        self._executable = executable
        self._resolvers = tuple(resolvers)
        self._ports = dict(ports)
        self._ca = ca
        self._timeout = timeout
        self._running: set[asyncio.Task[Any]] = set()

    async def capture(self, subject: Subject, folder: Path) -> Capture:
        """Visit a domain or URL once.

        A domain is opened over https and, where no connection can be made, over http. A certificate that the
        browser refuses is a failure like a site that is down or answers with an error.

        Raises:
            Unavailable: The browser did not start.
            CannotHere: There is no browser on this machine.
            BadInput: The target is no web address.
        """
        addresses = _addresses(subject.target)
        executable = find_chromium(self._executable)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._running.add(task)
        try:
            async with Guard(self._resolvers, self._ports, BYTES) as guard:
                return await self._visit(executable, guard, addresses, folder)
        finally:
            self._running.discard(task)

    async def close(self) -> None:
        """Break off the captures that are still under way, and wait until their browsers are gone."""
        running = self._running - {asyncio.current_task()}
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _visit(self, executable: Path, guard: Guard, addresses: Sequence[str], folder: Path) -> Capture:
        visit: Visit | None = None
        tools = {"playwright": version("playwright"), "sandbox": "on" if sandboxed() else "off (root)"}
        seconds = self._timeout.total_seconds()
        try:
            async with (
                asyncio.timeout(seconds),
                launched(executable, guard.address, self._ca) as context,
            ):
                visit = Visit(context, guard, folder, patience_seconds=min(LOAD_SECONDS, seconds / 2))
                tools["chromium"] = context.browser.version if context.browser else "unknown"
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
        return Capture(
            files=(*visit.files, *_records(visit, guard, folder)),
            addresses=dict(guard.door.addresses),
            tools=tools,
            vantage=VANTAGE,
            failure=visit.failure,
        )


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
