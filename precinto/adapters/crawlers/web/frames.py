"""Frames of what the window shows while something plays, each with the browser's own time of it.

The browser sends a picture whenever the window's content has changed (CDP ``Page.startScreencast``). Of these, the
newest is kept at even times: a picture that stands still is kept once, which is what a still picture is.
"""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from playwright.async_api import CDPSession, Error

from precinto.adapters.crawlers.captured import written
from precinto.adapters.crawlers.web.browser import VIEWPORT
from precinto.domain.model import digest
from precinto.ports import CapturedFile

_QUALITY = 80  # of the JPEGs, in per cent
_PACE_SECONDS = 0.1  # the browser sends on only what was acknowledged: ten a second are enough, and cost little


class Frames:
    """The frames of one capture.

    Attributes:
        kept: The content of ``frames.json``: each frame with its time, size in bytes and SHA-256.
    """

    def __init__(self, session: CDPSession, folder: Path, files: list[CapturedFile]) -> None:
        self.kept: list[dict[str, Any]] = []
        self._session = session
        self._folder = folder
        self._files = files
        self._newest: tuple[datetime, str] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        session.on("Page.screencastFrame", self._arrived)

    async def watch(self, seconds: float, frames: int) -> int:
        """Watch for so many seconds and keep up to so many frames; returns how many different ones there were.

        Raises:
            Error: The browser sends no pictures.
        """
        width, height = VIEWPORT
        options = {"format": "jpeg", "quality": _QUALITY, "maxWidth": width, "maxHeight": height}
        before, self._newest = len(self.kept), None
        await self._send("Page.startScreencast", options)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        try:
            for left in reversed(range(frames)):
                await asyncio.sleep(end - seconds * left / frames - loop.time())
                self._keep()
        finally:
            with suppress(Error):  # the browser is gone
                await self._send("Page.stopScreencast")
        return len({frame["sha256"] for frame in self.kept[before:]})

    def _keep(self) -> None:
        if self._newest is None:
            return
        (at, data), self._newest = self._newest, None
        content = base64.b64decode(data)
        name = f"frame-{len(self.kept) + 1:04}.jpg"
        self._files.append(written(self._folder, name, "image/jpeg", content))
        shown = at.isoformat(timespec="microseconds")
        self.kept.append({"name": name, "at": shown, "size": len(content), "sha256": digest(content)})

    def _arrived(self, event: dict[str, Any]) -> None:
        seconds = event["metadata"].get("timestamp")
        at = datetime.fromtimestamp(seconds, UTC) if seconds is not None else datetime.now(UTC)
        self._newest = (at, event["data"])
        task = asyncio.create_task(self._acknowledge(event["sessionId"]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _acknowledge(self, number: int) -> None:
        await asyncio.sleep(_PACE_SECONDS)
        with suppress(Error):  # the browser is gone
            await self._send("Page.screencastFrameAck", {"sessionId": number})

    async def _send(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        return cast("dict[str, Any]", await self._session.send(method, parameters))  # pyright: ignore[reportUnknownMemberType]
