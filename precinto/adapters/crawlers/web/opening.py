"""Opens a target, and knows where its page went: what a visitor is led to is part of what the site does.

A page may send its visitors on before they have seen it: to another site, to one that no capture may reach, or to a
program that is no browser. Whatever it is, the failure says where to, and why nothing came from there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Error, Page
from playwright.async_api import TimeoutError as OutOfPatience

from precinto.adapters.crawlers.guard.egress import Guard
from precinto.adapters.crawlers.web.lens import Lens
from precinto.adapters.crawlers.web.record import Record, first_line, place, readable

_SETTLE_SECONDS = 3.0  # for the network to fall silent after the load; players never do
_LOOK_SECONDS = 0.5
_EVENT_SECONDS = 2.0
_NO_CONNECTION = re.compile(r"net::ERR_(TUNNEL_|CONNECTION_|EMPTY_RESPONSE|SOCKET_|SSL_)")
_DOWNLOAD = re.compile(r"Download is starting|net::ERR_ABORTED")
_NET_ERROR = re.compile(r"net::ERR_\w+")
_WEB = ("http://", "https://")
_MADE_BY_A_PAGE = ("blob:http://", "blob:https://")


@dataclass
class Opening:
    """The opening of one target, in the one window of a visit.

    Attributes:
        halt: Stops the page's scripts and its loading; is told why.
        tried: Each address that was opened, and why that failed.
    """

    page: Page
    record: Record
    guard: Guard
    lens: Lens
    halt: Callable[[str], Awaitable[None]]
    tried: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _address: str = ""
    _before: int = 0

    async def first(self, addresses: Sequence[str], seconds: float) -> str | None:
        """Open the first of the addresses that can be connected to, in ``seconds``; why that failed, or None."""
        loop = asyncio.get_running_loop()
        end, failure = loop.time() + seconds, None
        for address in addresses:
            self._address, self._before = address, len(self.record.asked())
            failure = await self._open(address, end - loop.time())
            self.tried.append({"url": address, "failure": failure})
            answered = len(self._asked) > 1  # with a redirect: it was the next address that failed
            if failure is None or answered or not _NO_CONNECTION.search(failure):
                break
            # The browser's own error page comes a moment after the error, and would break off what is opened next.
            await self.page.wait_for_url("chrome-error://**", wait_until="commit")
            if loop.time() >= end:
                break
        return failure

    @property
    def there(self) -> bool:
        """Whether the window shows the site: after a failure, Chromium shows a page of its own."""
        return self.page.url.startswith((*_WEB, *_MADE_BY_A_PAGE))

    def whereabouts(self, words: str | None = None) -> str:
        """Where the page went and what went wrong there, and why the guard made no connection, where it made none.

        Args:
            words: What the browser says; if None, what it said of the document that was asked for last.
        """
        url, failure = (self._asked or [(self._address, None)])[-1]
        failed = self.page.url.startswith("chrome-error:")
        words = words or (failed and failure) or f"the page went to {readable(self.page.url)}"
        at = f" at {readable(url)}" if url != self._address else ""
        why = self.guard.why(*place(url))
        return f"{words}{at} ({why})" if why else f"{words}{at}"

    async def _open(self, address: str, seconds: float) -> str | None:
        """Load an address; returns why that failed, or None."""
        try:
            async with asyncio.timeout(seconds):
                response = await self.page.goto(address, wait_until="commit", timeout=seconds * 1000)
                await self._loaded()
        except (OutOfPatience, TimeoutError):
            reason = f"not loaded within {round(seconds, 1):g} s"
            await self.halt(reason)
            return f"{address}: {reason}"
        except Error as error:
            if _DOWNLOAD.search(error.message):
                with suppress(TimeoutError):  # what is told of the download comes a moment later, if it was one
                    await asyncio.wait_for(self.record.download.wait(), _EVENT_SECONDS)
            found = _NET_ERROR.search(error.message)
            return f"{address}: {self.whereabouts(found[0] if found else first_line(error))}"
        with suppress(OutOfPatience):  # a page that is never silent is no failure
            await self.page.wait_for_load_state("networkidle", timeout=_SETTLE_SECONDS * 1000)
        if not self.there:
            return f"{address}: {self.whereabouts()}"
        if response is not None and response.status >= 400:
            return f"{address}: answered {response.status} {readable(response.status_text)}".rstrip()
        return None

    async def _loaded(self) -> None:
        """Wait until the page has loaded.

        One that sends its visitor to another program (``mailto:``) stays, but never has its load event.
        """
        while True:
            with suppress(OutOfPatience):
                return await self.page.wait_for_load_state("load", timeout=_LOOK_SECONDS * 1000)
            if self._left_aside and await self.lens.complete():
                return None

    @property
    def _asked(self) -> list[tuple[str, str | None]]:
        """The documents that the address opened last led to: each address, and the browser's word if it failed."""
        return self.record.asked()[self._before :]

    @property
    def _left_aside(self) -> bool:
        """Whether the page asked for something that is not of the web, and so stayed where it was."""
        return any(not url.startswith(_WEB) for url, _ in self._asked)
