"""Files that a page hands out: the ones that the recipe asks for are kept, within their size; all others are refused.

A page may hand a file out before the recipe comes to it, or through a window of its own; that is the same file.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.async_api import CDPSession, Download, Error, Page

from precinto.adapters.crawlers.web.record import readable
from precinto.adapters.crawlers.web.steps import NotDone
from precinto.domain.evidence import Missing
from precinto.ports import CapturedFile

REFUSED = 100
"""Refused downloads that are named; further ones are refused too."""

FOLLOWED = 1_000
"""Downloads whose size is followed while they run; of a further one, it is checked at the end."""

MEDIA_TYPE = "application/octet-stream"
"""Of every file: what it really is is for an expert to say, and what the site called it is in the wire record."""

WINDOWS = 5
"""Windows of their own that a file may come through."""

_EXTENSION = re.compile(r"\.([a-z0-9]{1,10})$")
_PART = 2**20
_LOOK_SECONDS = 0.1
_WINDOW_SECONDS = 5.0


class Downloads:
    """The downloads of one capture.

    Attributes:
        kept: The files that were kept: name, suggested name, address, size in bytes, SHA-256.
        refused: The files that nobody asked for.
    """

    def __init__(self, page: Page, session: CDPSession, folder: Path, files: list[CapturedFile], wanted: int) -> None:
        """Begin to listen; ``wanted`` files may come before they are asked for."""
        self.kept: list[dict[str, Any]] = []
        self.refused: list[Missing] = []
        self._folder = folder
        self._files = files
        self._wanted = wanted
        self._waiting: deque[Download] = deque()
        self._came = asyncio.Event()
        self._awaited = False
        self._windows = 0
        self._received: dict[str, int] = {}
        self._numbers: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        session.on("Page.downloadWillBegin", self._begun)
        session.on("Page.downloadProgress", self._progress)
        self.listen(page)

    def listen(self, page: Page) -> None:
        """Listen to one window."""
        page.on("download", self._arrived)

    @property
    def waiting(self) -> bool:
        """Whether a file has come that was not asked for yet."""
        return bool(self._waiting)

    async def through(self, window: Page) -> None:
        """Give a window of its own time to hand out the file that it may have been opened for.

        Only while a file is awaited, and only to so many windows: an advertisement is not waited for.
        """
        if not self._awaited or self._windows >= WINDOWS:
            return
        self._windows += 1
        self.listen(window)
        with suppress(Error):  # it showed something, or closed itself
            await window.wait_for_event("download", timeout=_WINDOW_SECONDS * 1000)

    async def keep(self, limit: int, ask: Callable[[], Awaitable[None]]) -> str:
        """Keep the next file, when it is whole: one that has come already, or the one that asking for it brings.

        Returns its name in the capture; ``limit`` is in bytes.

        Raises:
            NotDone: It is larger, or it broke off.
        """
        self._awaited = True
        try:
            if not self._waiting:
                await ask()
            while not self._waiting:
                self._came.clear()
                await self._came.wait()
        finally:
            self._awaited = False
        download = self._waiting.popleft()
        self._wanted -= 1
        called = readable(download.suggested_filename)
        path = await self._whole(download, limit)
        found = _EXTENSION.search(download.suggested_filename.lower())
        name = f"download-{len(self.kept) + 1}.{found[1] if found else 'bin'}"
        try:
            size, sha256 = await asyncio.to_thread(copied, path, self._folder / name, limit)
        except OSError as error:
            raise NotDone(f"{called}: cannot be read: {error.strerror or error}") from error
        if size > limit:
            raise NotDone(f"{called}: more than the {limit} bytes of the recipe")
        url = readable(download.url)
        self.kept.append({"name": name, "suggested": called, "url": url, "size": size, "sha256": sha256})
        self._files.append(CapturedFile(name=name, media_type=MEDIA_TYPE, path=self._folder / name))
        return name

    async def _whole(self, download: Download, limit: int) -> Path:
        """Wait for the end of a download, or break it off once it is too large."""
        ending = asyncio.create_task(download.path())
        try:
            while not (await asyncio.wait([ending], timeout=_LOOK_SECONDS))[0]:
                if self._received.get(self._numbers.get(download.url, ""), 0) > limit:
                    called = readable(download.suggested_filename)
                    raise NotDone(f"{called}: more than the {limit} bytes of the recipe")
            return await ending
        except Error as error:
            reason = readable(error.message.partition("\n")[0])
            raise NotDone(f"{readable(download.suggested_filename)}: {reason}") from error
        finally:
            if not ending.done():
                ending.cancel()
                await _broken_off(download)

    def _arrived(self, download: Download) -> None:
        if len(self._waiting) < self._wanted:
            self._waiting.append(download)
            self._came.set()
            return
        if len(self.refused) < REFUSED:
            what = f"download {readable(download.suggested_filename)} of {readable(download.url)}"
            self.refused.append(Missing(what=what[:2_100], reason="no step of the recipe asks for it"))
        task = asyncio.create_task(_broken_off(download))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _begun(self, event: dict[str, Any]) -> None:
        if len(self._numbers) < FOLLOWED:
            self._numbers[event["url"]] = event["guid"]
            self._received[event["guid"]] = 0

    def _progress(self, event: dict[str, Any]) -> None:
        if event["guid"] in self._received:
            self._received[event["guid"]] = int(event["receivedBytes"])


async def _broken_off(download: Download) -> None:
    with suppress(Error):  # it has ended, or the browser has
        await download.cancel()


def copied(source: Path, destination: Path, limit: int) -> tuple[int, str]:
    """Copy a file of the browser's, at most one byte more than ``limit``; its size and SHA-256.

    The folder is the browser's: what stands there need not be the file that was to be there. A link is not followed,
    and the file must be of whoever the folder is of.
    """
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != source.parent.lstat().st_uid:
            raise PermissionError(f"{source.name} is not the browser's own file")
        size, digest = 0, hashlib.sha256()
        with destination.open("wb") as copy:
            while size <= limit and (part := file.read(min(_PART, limit + 1 - size))):
                copy.write(part)
                digest.update(part)
                size += len(part)
    if size > limit:
        destination.unlink()
    return size, digest.hexdigest()
