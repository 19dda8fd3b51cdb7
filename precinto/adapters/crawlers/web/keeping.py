"""Keeps what a page looks like: in the window, whole, as a document and on paper; what cannot be had is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from playwright.async_api import Error

from precinto.adapters.crawlers.captured import written
from precinto.adapters.crawlers.web.lens import Lens, TooLarge
from precinto.adapters.crawlers.web.record import first_line
from precinto.domain.evidence import Missing
from precinto.ports import CapturedFile

FOUND = ("viewport.png", "page.html", "screenshot.png", "page.pdf")
"""What is kept of the page as it was found."""

_SECONDS = 10.0
_PNG = "image/png"
_HTML = "text/html; charset=utf-8"


class Keeper:
    """Keeps looks at one page as files of the capture.

    Attributes:
        missing: Files that could not be had, and why.
    """

    def __init__(self, lens: Lens, folder: Path, files: list[CapturedFile]) -> None:
        self.missing: list[Missing] = []
        self._lens = lens
        self._folder = folder
        self._files = files

    async def window(self, name: str) -> bool:
        """Keep what the window shows; whether it could be had."""
        return await self._keep(name, _PNG, self._lens.viewport)

    async def found(self) -> None:
        """Keep the page as it was found."""
        await self._keep("page.html", _HTML, partial(self._lens.document, "page.html"))
        await self._keep("screenshot.png", _PNG, partial(self._lens.whole, "screenshot.png"))
        await self._keep("page.pdf", "application/pdf", self._lens.printed)

    async def left(self) -> None:
        """Keep the page as the recipe left it."""
        await self._keep("end.html", _HTML, partial(self._lens.document, "end.html"))
        await self._keep("end.png", _PNG, partial(self._lens.whole, "end.png"))

    async def _keep(self, name: str, media_type: str, take: Callable[[], Awaitable[bytes]]) -> bool:
        """Keep one file; one that cannot be had does not cost the others."""
        try:
            async with asyncio.timeout(_SECONDS):
                content = await take()
        except TimeoutError:
            self.missing.append(Missing(what=name, reason=f"not had within {_SECONDS:g} s"))
        except TooLarge as error:
            self.missing.append(Missing(what=name, reason=str(error)))
        except Error as error:
            self.missing.append(Missing(what=name, reason=first_line(error)[:500]))
        else:
            self._files.append(written(self._folder, name, media_type, content))
            return True
        return False
