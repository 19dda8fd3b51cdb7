"""Looks at a page from outside, through the browser's own protocol (CDP): nothing is put into the page to do so.

Playwright's screenshots wait for fonts and touch the page's style, and its page source has no limit of size; what
is kept as evidence should be what stood there.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any, cast

from playwright.async_api import CDPSession

from precinto.adapters.crawlers.web.browser import VIEWPORT

HTML = 10_000_000
"""Characters of a page's document that are kept."""

PICTURE = (2_048, 16_000)
"""Width and height, in pixels, to which a picture of the whole page is cut."""

_ANSWER_SECONDS = 3.0
_DOCUMENT = """(() => {
    const type = document.doctype ? new XMLSerializer().serializeToString(document.doctype) + "\\n" : "";
    return (type + (document.documentElement?.outerHTML ?? "")).slice(0, %d);
})()"""


class Lens:
    """A look at one page.

    Attributes:
        cuts: What was not kept whole, in words.
    """

    def __init__(self, session: CDPSession) -> None:
        self.cuts: list[str] = []
        self._session = session

    async def viewport(self) -> bytes:
        """A PNG of what the window shows."""
        return await self._picture({"format": "png"})

    async def whole(self) -> bytes:
        """A PNG of the page from top to bottom, cut to ``PICTURE``."""
        size = (await self._send("Page.getLayoutMetrics"))["cssContentSize"]
        width, height = int(size["width"]), int(size["height"])
        if width > PICTURE[0] or height > PICTURE[1]:
            cut = f"{min(width, PICTURE[0])} x {min(height, PICTURE[1])}"
            self.cuts.append(f"screenshot.png: {cut} of {width} x {height} pixels")
        clip = {
            "x": 0,
            "y": 0,
            "width": min(max(width, VIEWPORT[0]), PICTURE[0]),
            "height": min(max(height, VIEWPORT[1]), PICTURE[1]),
            "scale": 1,
        }
        return await self._picture({"format": "png", "clip": clip, "captureBeyondViewport": True})

    async def document(self) -> bytes:
        """The page's document as it stands now, in HTML.

        It is read in a world of its own: the page's scripts cannot replace what is called there.
        """
        frame = (await self._send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        world = (await self._send("Page.createIsolatedWorld", {"frameId": frame}))["executionContextId"]
        script = {"contextId": world, "expression": _DOCUMENT % HTML, "returnByValue": True}
        text = str((await self._send("Runtime.evaluate", script))["result"]["value"])
        if len(text) >= HTML:
            self.cuts.append(f"page.html: the first {HTML} characters")
        return text.encode(errors="replace")

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

    async def _picture(self, options: dict[str, Any]) -> bytes:
        return base64.b64decode((await self._send("Page.captureScreenshot", options))["data"])

    async def _send(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        return cast("dict[str, Any]", await self._session.send(method, parameters))  # pyright: ignore[reportUnknownMemberType]
