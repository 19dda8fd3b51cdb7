"""One visit: open the target's addresses in turn, outlast what the page does, and keep what a visitor saw.

A hostile page may never finish loading, ask question after question, open windows, or keep its thread busy for ever.
Dialogs are dismissed, windows closed and downloads refused; a page that still does not let itself be looked at has
its scripts halted, which the record says, and is then kept as it stands.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, Dialog, Error, Page, Response
from playwright.async_api import TimeoutError as OutOfPatience

from precinto.adapters.crawlers.guard.egress import Guard
from precinto.adapters.crawlers.web.lens import Lens
from precinto.adapters.crawlers.web.record import DIALOGS, Record, readable, written
from precinto.ports import CapturedFile

_SETTLE_SECONDS = 3.0  # for the network to fall silent after the load; players never do
_STEP_SECONDS = 10.0
_EVENT_SECONDS = 2.0
_NO_CONNECTION = re.compile(r"net::ERR_(TUNNEL_|CONNECTION_|EMPTY_RESPONSE|SOCKET_|SSL_)")
_DOWNLOAD = re.compile(r"Download is starting|net::ERR_ABORTED")
_NET_ERROR = re.compile(r"net::ERR_\w+")


class Visit:
    """A visit with one browser.

    Attributes:
        files: What was kept so far.
        failure: Why the visit failed, or None.
        record: What happened.
    """

    def __init__(self, context: BrowserContext, guard: Guard, folder: Path, patience_seconds: float) -> None:
        """Begin; ``patience_seconds`` is how long an address may take to load."""
        self.files: list[CapturedFile] = []
        self.failure: str | None = None
        self.record = Record(context, context.pages[0])
        self._context = context
        self._page = context.pages[0]
        self._guard = guard
        self._folder = folder
        self._patience = patience_seconds
        self._opened: list[dict[str, Any]] = []
        self._missing: list[str] = []
        self._headers: list[list[str]] = []
        self._tls: dict[str, Any] | None = None
        self._halted: str | None = None
        self._lens: Lens | None = None
        self._page.on("dialog", self._dismiss)
        context.on("page", self._shut)

    async def run(self, addresses: Sequence[str]) -> None:
        """Open the addresses until one can be connected to, and keep what is there."""
        self._lens = Lens(await self._context.new_cdp_session(self._page))
        for address in addresses:
            self.failure = await self._open(address)
            self._opened.append({"url": address, "failure": self.failure})
            if self.failure is None or not _NO_CONNECTION.search(self.failure):
                break
            # The browser's own error page comes a moment after the error, and would break off what is opened next.
            await self._page.wait_for_url("chrome-error://**", wait_until="commit")
        # After a failure Chromium shows a page of its own, which nobody may take for the site's.
        if self._page.url.startswith(("http://", "https://")):
            await self._ask(self.record.document)
            await self._keep(self._lens)

    def facts(self) -> dict[str, Any]:
        """The content of ``response.json``: what is known so far."""
        document = self.record.document
        return {
            "opened": self._opened,
            "url": readable(self._page.url),
            "chain": self.record.chain(),
            "status": document.status if document else None,
            "headers": self._headers,
            "server": self._server(document),
            "tls": self._tls,
            "halted": self._halted,
            "cut": self._lens.cuts if self._lens else [],
            "missing": self._missing,
        }

    async def _open(self, address: str) -> str | None:
        """Load an address; returns why that failed, or None."""
        try:
            response = await self._page.goto(address, wait_until="load", timeout=self._patience * 1000)
        except OutOfPatience:
            reason = f"not loaded within {self._patience:g} s"
            await self._halt(reason)
            return f"{address}: {reason}"
        except Error as error:
            if _DOWNLOAD.search(error.message):
                with suppress(TimeoutError):  # what is told of the download comes a moment later, if it was one
                    await asyncio.wait_for(self.record.download.wait(), _EVENT_SECONDS)
            return self._reason(address, error)
        with suppress(OutOfPatience):  # a page that is never silent is no failure
            await self._page.wait_for_load_state("networkidle", timeout=_SETTLE_SECONDS * 1000)
        if response is not None and response.status >= 400:
            return f"{address}: answered {response.status} {readable(response.status_text)}".rstrip()
        return None

    def _reason(self, address: str, error: Error) -> str:
        """What went wrong, by the browser, and why the guard made no connection, where it made none."""
        found = _NET_ERROR.search(error.message)
        words = found[0] if found else _first_line(error)
        parts = urlsplit(address)
        why = self._guard.why(parts.hostname or "", _port(address))
        return f"{address}: {words} ({why})" if why else f"{address}: {words}"

    async def _ask(self, document: Response | None) -> None:
        """Ask the browser for what it knows of the connection and of the header fields, every one as it was spelt."""
        if document is None:
            return
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                fields = await document.headers_array()
                self._headers = [[field["name"], readable(field["value"])] for field in fields]
                self._tls = await _tls(document)
        except (TimeoutError, Error) as error:
            self._missing.append(f"header fields and TLS: {readable(str(error)) or 'no answer in time'}")

    async def _keep(self, lens: Lens) -> None:
        if not await lens.answers():
            await self._halt("its scripts kept the page busy")
        await self._step("viewport.png", "image/png", lens.viewport)
        await self._step("page.html", "text/html; charset=utf-8", lens.document)
        await self._step("screenshot.png", "image/png", lens.whole)

    async def _step(self, name: str, media_type: str, take: Callable[[], Awaitable[bytes]]) -> None:
        """Keep one file; one that cannot be had does not cost the others."""
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                content = await take()
        except TimeoutError:
            problem = f"{name}: not had within {_STEP_SECONDS:g} s"
        except Error as error:
            problem = f"{name}: {_first_line(error)}"
        else:
            self.files.append(written(self._folder, name, media_type, content))
            return
        self._missing.append(problem)
        self.failure = self.failure or problem

    async def _halt(self, reason: str, *, loading: bool = True) -> None:
        self._halted = self._halted or reason
        if self._lens:
            await self._lens.halt(loading=loading)

    async def _dismiss(self, dialog: Dialog) -> None:
        self.record.dialog(dialog)
        if self.record.dialogs == DIALOGS:
            # Together: the order is obeyed between two dialogs. With no more scripts, the page loads to its end.
            await asyncio.gather(self._halt(f"{DIALOGS} dialogs", loading=False), _dismissed(dialog))
        else:
            await _dismissed(dialog)

    async def _shut(self, page: Page) -> None:
        self.record.window(page)
        with suppress(Error):  # it closed itself
            await page.close()

    def _server(self, document: Response | None) -> dict[str, Any] | None:
        """Where the document came from, by the guard: the browser knows only its proxy."""
        if document is None:
            return None
        host, port = urlsplit(document.url).hostname or "", _port(document.url)
        return {"host": host, "port": port, "address": self._guard.connected.get((host, port))}


async def _dismissed(dialog: Dialog) -> None:
    with suppress(Error):  # the page went away together with its dialog
        await dialog.dismiss()


async def _tls(document: Response) -> dict[str, Any] | None:
    details = await document.security_details()
    if not details:
        return None
    return {
        "protocol": details.get("protocol"),
        "issuer": readable(details.get("issuer") or ""),
        "subject": readable(details.get("subjectName") or ""),
        "valid_from": _moment(details.get("validFrom")),
        "valid_to": _moment(details.get("validTo")),
    }


def _moment(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds is not None else None


def _port(address: str) -> int:
    parts = urlsplit(address)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _first_line(error: Error) -> str:
    return readable(error.message.partition("\n")[0])
