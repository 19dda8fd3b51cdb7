"""Looks at a page from outside, through the browser's own protocol (CDP): nothing is put into the page to do so.

Playwright's screenshots wait for fonts and touch the page's style, and its page source has no limit of size; what
is kept as evidence should be what stood there. Where a script has to run, it runs in a world of its own: the page's
scripts cannot replace what is called there.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, cast

from playwright.async_api import CDPSession, Error, Frame, Page

from precinto.adapters.crawlers.web.browser import VIEWPORT

HTML = 10_000_000
"""Characters of a page's document that are kept."""

PICTURE = (2_048, 16_000)
"""Width and height, in pixels, to which a picture of the whole page is cut."""

PRINT = (50, 30_000_000)
"""Sheets of paper and bytes to which a print of the page is cut."""

FRAMES = 30
"""Frames of a page that are looked into."""

PLAYERS = 20
"""Players of a frame that are told of."""

_ANSWER_SECONDS = 3.0
_DOCUMENT = """(() => {
    const type = document.doctype ? new XMLSerializer().serializeToString(document.doctype) + "\\n" : "";
    return (type + (document.documentElement?.outerHTML ?? "")).slice(0, %d);
})()"""
_PLAYERS = """JSON.stringify(Array.from(document.querySelectorAll("video, audio")).slice(0, %d).map((p, number) => ({
    number, kind: p.localName, source: p.currentSrc.slice(0, 500), paused: p.paused, ready: p.readyState,
    position_ms: Math.round(p.currentTime * 1000), width: p.videoWidth ?? 0, height: p.videoHeight ?? 0,
    pictures: p.getVideoPlaybackQuality?.().totalVideoFrames ?? 0,
    error: p.error ? `${p.error.code} ${p.error.message}`.slice(0, 200) : null,
})))"""


class TooLarge(Exception):
    """What was looked at is larger than what is kept."""


_TRIES = 4
_AGAIN_SECONDS = 0.5


class Lens:
    """A look at one page.

    Attributes:
        cuts: What was not kept whole, in words.
    """

    def __init__(self, page: Page, session: CDPSession) -> None:
        self.cuts: list[str] = []
        self._page = page
        self._session = session
        self._others: dict[Frame, CDPSession] = {}

    async def viewport(self) -> bytes:
        """A PNG of what the window shows."""
        return await self._picture({"format": "png"})

    async def whole(self, name: str) -> bytes:
        """A PNG of the page from top to bottom, cut to ``PICTURE``; ``name`` is what it is called if it is cut."""
        size = (await self._send("Page.getLayoutMetrics"))["cssContentSize"]
        width, height = int(size["width"]), int(size["height"])
        if width > PICTURE[0] or height > PICTURE[1]:
            cut = f"{min(width, PICTURE[0])} x {min(height, PICTURE[1])}"
            self.cuts.append(f"{name}: {cut} of {width} x {height} pixels")
        clip = {
            "x": 0,
            "y": 0,
            "width": min(max(width, VIEWPORT[0]), PICTURE[0]),
            "height": min(max(height, VIEWPORT[1]), PICTURE[1]),
            "scale": 1,
        }
        return await self._picture({"format": "png", "clip": clip, "captureBeyondViewport": True})

    async def document(self, name: str) -> bytes:
        """The page's document as it stands now, in HTML, cut to ``HTML``; ``name`` as above."""
        text = str(await self._here(_DOCUMENT % HTML))
        if len(text) >= HTML:
            self.cuts.append(f"{name}: the first {HTML} characters")
        return text.encode(errors="replace")

    async def complete(self) -> bool:
        """Whether the page's document has everything that it loads with."""
        try:
            return await self._here("document.readyState") == "complete"
        except Error:
            return False  # the page is between two documents

    async def printed(self) -> bytes:
        """A PDF as the browser prints the page: laid out anew for paper, so not what the window showed.

        The page is told that it is printed, so this comes after whatever must not be disturbed.
        """
        sheets, limit = PRINT
        options = {"printBackground": True, "pageRanges": f"1-{sheets}", "transferMode": "ReturnAsStream"}
        handle = (await self._send("Page.printToPDF", options))["stream"]
        content = b""
        try:
            while len(content) <= limit:
                part = await self._send("IO.read", {"handle": handle})
                content += base64.b64decode(part["data"]) if part.get("base64Encoded") else part["data"].encode()
                if part["eof"]:
                    return content
        finally:
            await self._send("IO.close", {"handle": handle})
        raise TooLarge(f"more than {limit} bytes")

    async def below(self) -> int:
        """How much of the page is still below the window, in CSS pixels."""
        metrics = await self._send("Page.getLayoutMetrics")
        seen = metrics["cssVisualViewport"]
        return int(metrics["cssContentSize"]["height"] - seen["pageY"] - seen["clientHeight"])

    async def players(self) -> list[dict[str, Any]]:
        """The page's players, in every frame: where each is, in milliseconds, and whether it gets on.

        What a player says of itself is the page's word; the frames that are kept show it.
        """
        found: list[dict[str, Any]] = []
        for session, frame in await self._frames():
            try:
                players = json.loads(await self._evaluate(session, frame["id"], _PLAYERS % PLAYERS))
            except Error:
                continue  # the frame went away
            found += [{**player, "frame": frame["url"][:500]} for player in players]
        return found

    async def answers(self) -> bool:
        """Whether the page's scripts leave the browser time to look at it."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._send("Runtime.evaluate", {"expression": "1"})
        except TimeoutError:
            return False
        return True

    async def halt(self, *, loading: bool) -> None:
        """Stop the page's scripts, and its loading too, for good.

        V8 looks up from a tight loop only now and then: an order may be obeyed after this has returned. A page that
        cannot be halted at all stays as it is.
        """
        orders = [
            asyncio.create_task(self._send("Emulation.setScriptExecutionDisabled", {"value": True})),
            asyncio.create_task(self._send("Runtime.terminateExecution")),
        ]
        if loading:
            orders.append(asyncio.create_task(self._send("Page.stopLoading")))
        _, late = await asyncio.wait(orders, timeout=_ANSWER_SECONDS)
        for order in late:
            order.cancel()
        await asyncio.gather(*orders, return_exceptions=True)

    async def _frames(self) -> list[tuple[CDPSession, dict[str, Any]]]:
        """The page's frames, each with the session that reaches it: frames of other sites have one of their own."""
        sessions = [self._session]
        for frame in self._page.frames[1:FRAMES]:
            if session := await self._other(frame):
                sessions.append(session)
        found: list[tuple[CDPSession, dict[str, Any]]] = []
        for session in sessions:
            try:
                trees = [(await _sent(session, "Page.getFrameTree"))["frameTree"]]
            except Error:  # the frame went away; if it comes back, it is with another session
                self._others = {frame: other for frame, other in self._others.items() if other is not session}
                continue
            while trees and len(found) < FRAMES:
                tree = trees.pop(0)
                found.append((session, tree["frame"]))
                trees += tree.get("childFrames", [])
        return found

    async def _other(self, frame: Frame) -> CDPSession | None:
        if frame not in self._others:
            try:
                self._others[frame] = await self._page.context.new_cdp_session(frame)
            except Error:
                return None  # it is reached by the session of the frame around it, or it went away
        return self._others[frame]

    async def _here(self, script: str) -> Any:
        """What a script says of the page's own document."""
        tree = (await self._send("Page.getFrameTree"))["frameTree"]
        return await self._evaluate(self._session, tree["frame"]["id"], script)

    async def _evaluate(self, session: CDPSession, frame: str, script: str) -> Any:
        world = await _sent(session, "Page.createIsolatedWorld", {"frameId": frame, "worldName": "lens"})
        options = {"contextId": world["executionContextId"], "expression": script, "returnByValue": True}
        return (await _sent(session, "Runtime.evaluate", options))["result"]["value"]

    async def _picture(self, options: dict[str, Any]) -> bytes:
        """A picture; a page whose scripts were only just halted may have nothing drawn yet, and is asked again."""
        for _ in range(_TRIES - 1):
            try:
                return base64.b64decode((await self._send("Page.captureScreenshot", options))["data"])
            except Error as error:
                if "Unable to capture" not in error.message:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
        return base64.b64decode((await self._send("Page.captureScreenshot", options))["data"])

    async def _send(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        return await _sent(self._session, method, parameters)


async def _sent(session: CDPSession, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    return cast("dict[str, Any]", await session.send(method, parameters))  # pyright: ignore[reportUnknownMemberType]
