"""What happens during a visit, written down as it happens, within limits.

Texts of a page are the page's own: they are shortened, and what UTF-8 cannot carry (a lone surrogate, which a script
can log) is replaced, so that a page cannot spoil the record of its own visit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Download,
    Error,
    Page,
    Request,
    Response,
    WebError,
)

from precinto.domain.evidence import Missing

REQUESTS = 2_000
"""Requests that are recorded; further ones are only counted."""

EVENTS = 500
"""Console messages, windows and downloads that are recorded."""

DIALOGS = 20
"""Dialogs that are recorded; a page that opens more has its scripts halted."""

TEXT = 2_000
"""Characters of a text or address that are recorded."""


class Record:
    """Listens to a browser and its one page.

    Attributes:
        document: The last answer to a request for the page itself.
        dialogs: How many dialogs were opened.
        download: Set once the page has begun a download.
    """

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.document: Response | None = None
        self.dialogs = 0
        self.download = asyncio.Event()
        self._documents: list[Request] = []
        self._requests: list[dict[str, Any]] = []
        self._entries: dict[Request, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._dropped = {"requests": 0, "events": 0}
        context.on("request", self._request)
        context.on("response", self._response)
        context.on("requestfailed", self._failed)
        context.on("console", self._console)
        context.on("weberror", self._error)
        # The page's own events: a navigation of another window would have no frame yet.
        page.on("request", self._navigation)
        page.on("response", self._answer)
        page.on("download", self._download)

    def network(self) -> dict[str, Any]:
        """Every request: address, method, status, type, failure. Playwright does not tell of the site's icon."""
        return {"requests": self._requests, "unrecorded": self._dropped["requests"]}

    def events(self) -> dict[str, Any]:
        """What the page said and tried: console, errors, dialogs, windows, downloads."""
        return {"events": self._events, "unrecorded": self._dropped["events"], "dialogs": self.dialogs}

    def asked(self) -> list[tuple[str, str | None]]:
        """The address of each document that was asked for, as ``chain``, and the browser's word if it did not come."""
        entries = ((request, self._entries.get(request)) for request in self._documents)
        return [(request.url, entry["failure"] if entry else None) for request, entry in entries]

    def chain(self) -> list[dict[str, Any]]:
        """Address and status of each document: the first, its redirects, and where the page went on its own."""
        entries = [self._entries.get(request) for request in self._documents]
        return [{"url": e["url"], "status": e["status"]} for e in entries if e]

    def missing(self, why: Callable[[str, int], str | None]) -> Iterator[Missing]:
        """Each request that has no whole answer, with the reason; ``why`` knows what was refused, by host and port."""
        for entry in self._requests:
            if entry["failure"] or entry["status"] is None:
                words = entry["failure"] or "no answer when the visit ended"
                refusal = why(*place(entry["url"]))
                yield Missing(what=entry["url"], reason=f"{words} ({refusal})"[:500] if refusal else words[:500])
        if unrecorded := self._dropped["requests"]:
            yield Missing(what="further requests", reason=f"{unrecorded} beyond the {REQUESTS} that are recorded")

    def dialog(self, dialog: Dialog) -> None:
        """Note a dialog."""
        self.dialogs += 1
        if self.dialogs <= DIALOGS:
            self._event("dialog", type=dialog.type, text=dialog.message)

    def window(self, page: Page) -> None:
        """Note a window that the page opened."""
        self._event("window", url=page.url)

    def _request(self, request: Request) -> None:
        if len(self._requests) >= REQUESTS:
            self._dropped["requests"] += 1
            return
        entry: dict[str, Any] = {
            "url": readable(request.url),
            "method": request.method,
            "type": request.resource_type,
            "status": None,
            "failure": None,
        }
        self._requests.append(entry)
        self._entries[request] = entry

    def _response(self, response: Response) -> None:
        if entry := self._entries.get(response.request):
            entry["status"] = response.status

    def _navigation(self, request: Request) -> None:
        if _is_document(request) and len(self._documents) < REQUESTS:
            self._documents.append(request)

    def _answer(self, response: Response) -> None:
        if _is_document(response.request):
            self.document = response

    def _failed(self, request: Request) -> None:
        if entry := self._entries.get(request):
            entry["failure"] = readable(request.failure or "failed")

    def _console(self, message: ConsoleMessage) -> None:
        self._event("console", type=message.type, text=message.text, url=message.location["url"])

    def _error(self, error: WebError) -> None:
        self._event("error", text=str(error.error))

    def _download(self, download: Download) -> None:
        self.download.set()
        self._event("download", url=download.url, text=download.suggested_filename)

    def _event(self, kind: str, **details: str) -> None:
        if len(self._events) >= EVENTS:
            self._dropped["events"] += 1
        else:
            self._events.append({"kind": kind} | {name: readable(text) for name, text in details.items()})


def _is_document(request: Request) -> bool:
    return request.is_navigation_request() and request.frame.parent_frame is None


def readable(text: str) -> str:
    """A text of the page as it may stand in a record."""
    whole = text.encode(errors="replace").decode()
    return whole if len(whole) <= TEXT else f"{whole[:TEXT]}... ({len(whole)} characters)"


def place(address: str) -> tuple[str, int]:
    """Host and port of a web address; an empty host for any other."""
    try:
        parts = urlsplit(address)
        return parts.hostname or "", parts.port or (443 if parts.scheme in {"https", "wss"} else 80)
    except ValueError:  # such as a port that is no number, or an address that was shortened
        return "", 0


def moment(at: datetime | None = None) -> str:
    """A moment, or now, as it is written in a record: UTC, to the millisecond."""
    return (at or datetime.now(UTC)).isoformat(timespec="milliseconds")


def first_line(error: Error) -> str:
    """What the browser's driver says went wrong, without its log."""
    return readable(error.message.partition("\n")[0])
