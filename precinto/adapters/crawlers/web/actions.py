"""What a visitor does to a page: look for something, click, type, scroll, watch a player, take a file.

The elements are looked for in every frame of the page, open shadow trees included. A click goes where the visitor's
would go: if something lies over the element, then that gets the click, as it does on many a ripper, and it is noted.

Every step has its time. The frames that are looked into are bounded, and of the elements only the first is touched.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error, Frame, Locator, Page
from playwright.async_api import TimeoutError as OutOfPatience

from precinto.adapters.crawlers.web.browser import VIEWPORT
from precinto.adapters.crawlers.web.downloads import Downloads
from precinto.adapters.crawlers.web.frames import Frames
from precinto.adapters.crawlers.web.keeping import Keeper
from precinto.adapters.crawlers.web.lens import FRAMES, Lens
from precinto.adapters.crawlers.web.record import first_line, readable
from precinto.adapters.crawlers.web.steps import NotDone
from precinto.domain.recipes import AnyStep, Click, Consent, Download, Find, Picture, Play, Scroll, Type, Wait

_BUTTONS = "css=button, a, input[type=button], input[type=submit], [role=button], [role=link], summary, label"
_SIGNS = "[^0-9A-Za-z\u00c0-\u024f]*"
_NO_SELECTOR = re.compile(r"not a valid selector|while parsing|Unexpected token")
_LOOK_SECONDS = 0.15
_AIM_SECONDS = 2.0  # for an element to hold still with nothing over it
_REACT_SECONDS = 0.3  # for a page to begin to do what a click asked of it
_LOAD_SECONDS = 3.0
_CLICKS = 3  # at a player: the first ones often go to what lies over it
_START_SECONDS = 2.0
_SCREEN_SECONDS = 0.2
_TEXT = 200  # characters of an element's text that are recorded


@dataclass(frozen=True)
class Found:
    """An element that is to be seen, and the frame it is in."""

    element: Locator
    frame: Frame


@dataclass(frozen=True)
class Hand:
    """A visitor's hand on one page; what it sees, clicks on and types goes into the step's entry of the record."""

    page: Page
    lens: Lens
    keeper: Keeper
    frames: Frames
    downloads: Downloads
    values: Mapping[str, str]

    async def act(self, step: AnyStep, noted: dict[str, Any], seconds: float) -> None:
        """Do a step, within its own time and within ``seconds``.

        Raises:
            NotDone: It cannot be done; says why.
        """
        limit = min(step.limit, seconds)
        try:
            async with asyncio.timeout(limit):
                await self._do(step, noted)
        except TimeoutError:
            if isinstance(step, Find) and step.names_something and "seen" not in noted:
                raise NotDone(f"nothing that it names was to be seen within {limit:g} s") from None
            raise NotDone(f"not done within {limit:g} s") from None
        except Error as error:
            raise NotDone(first_line(error)) from error

    async def _do(self, step: AnyStep, noted: dict[str, Any]) -> None:
        match step:
            case Consent() | Click():
                await self._click(await self._find(step, noted), noted)
            case Type():
                await self._type(step, noted)
            case Scroll():
                await self._scroll(step, noted)
            case Wait():
                await self._wait(step, noted)
            case Download():
                await self._download(step, noted)
            case Play():
                await self._play(step, noted)
            case Picture():
                if not await self.keeper.window(f"picture-{step.name}.png"):
                    raise NotDone("no picture was had")
            case _:
                raise NotDone(f"a visitor does not {step.do}")

    async def _find(self, step: Find, noted: dict[str, Any]) -> Found:
        """The first element that is to be seen, as soon as there is one."""
        while (found := await self._glance(step)) is None:  # noqa: ASYNC110 - a page has no event for all of this
            await asyncio.sleep(_LOOK_SECONDS)
        noted["seen"] = await _told(found)
        return found

    async def _glance(self, step: Find) -> Found | None:
        """The first element that is to be seen now."""
        for frame in self.page.frames[:FRAMES]:
            for candidates in _candidates(frame, step):
                element = candidates.filter(visible=True).first
                try:
                    if await element.count():
                        return Found(element, frame)
                except Error as error:
                    if _NO_SELECTOR.search(error.message):
                        raise NotDone(f"not a selector: {first_line(error)}") from error
                    # Otherwise the frame went away, or is between two documents.
        return None

    async def _click(self, found: Found, noted: dict[str, Any]) -> None:
        """Click on an element, and give the page a moment to react."""
        clicked = {**await _told(found), "covered": False}
        try:
            await found.element.click(timeout=_AIM_SECONDS * 1000, no_wait_after=True)
        except OutOfPatience:
            box = await found.element.bounding_box()
            if box is None:
                raise NotDone("it went away before it could be clicked on") from None
            clicked["covered"] = True
            await self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        noted.setdefault("clicked", []).append(clicked)
        await self._settle()

    async def _type(self, step: Type, noted: dict[str, Any]) -> None:
        """Type into a field, key by key."""
        found = await self._find(step, noted)
        await self._click(found, noted)
        await found.element.fill("")
        await found.element.press_sequentially(self.values[step.value])
        noted["typed"] = self.values[step.value]
        if step.enter:
            await found.element.press("Enter", no_wait_after=True)
            noted["typed"] += "\n"
            await self._settle()

    async def _scroll(self, step: Scroll, noted: dict[str, Any]) -> None:
        width, height = VIEWPORT
        await self.page.mouse.move(width / 2, height / 2)
        noted["screens"] = 0
        while noted["screens"] < step.screens and await self.lens.below() > 0:
            await self.page.mouse.wheel(0, height)
            noted["screens"] += 1
            await asyncio.sleep(_SCREEN_SECONDS)
        await self.page.mouse.wheel(0, -height * (noted["screens"] + 1))
        await asyncio.sleep(_SCREEN_SECONDS)

    async def _wait(self, step: Wait, noted: dict[str, Any]) -> None:
        if step.names_something:
            await self._find(step, noted)
        elif step.idle:
            await self.page.wait_for_load_state("networkidle", timeout=step.seconds * 1000)
        else:
            await asyncio.sleep(step.seconds)

    async def _download(self, step: Download, noted: dict[str, Any]) -> None:
        async def ask() -> None:
            if step.names_something and (found := await self._offered(step, noted)):
                await self._click(found, noted)

        noted["file"] = await self.downloads.keep(step.bytes, ask)

    async def _offered(self, step: Download, noted: dict[str, Any]) -> Found | None:
        """What to click on for a file; None if the file comes by itself before there is anything."""
        try:
            async with asyncio.timeout(step.find_seconds):
                while not self.downloads.waiting:
                    if found := await self._glance(step):
                        noted["seen"] = await _told(found)
                        return found
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            reason = f"nothing that it names was to be seen, and no file came, within {step.find_seconds} s"
            raise NotDone(reason) from None
        return None

    async def _play(self, step: Play, noted: dict[str, Any]) -> None:
        """Begin a player, if it does not play by itself; then watch, and keep frames.

        It counts as played if a player got on, or if the picture changed: what draws on a canvas is no player.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(step.seconds):
                await self._begin(step, noted)
        noted["players_at_begin"] = before = await self.lens.players()
        noted["different_frames"] = different = await self.frames.watch(step.play_seconds, step.frames)
        noted["players_at_end"] = after = await self.lens.players()
        noted["played_ms"] = _advanced(before, after)
        if not noted["played_ms"] and different < 2:
            errors = sorted({player["error"] for player in after if player["error"]})
            raise NotDone(f"nothing plays{': ' if errors else ''}{'; '.join(errors)}"[:400])

    async def _begin(self, step: Play, noted: dict[str, Any]) -> None:
        for _ in range(_CLICKS):
            if await self._plays(_START_SECONDS):
                return
            waiting = any(not player["paused"] for player in await self.lens.players())
            if not waiting and (found := await self._glance(step)):  # a click would stop one that is loading
                await self._click(found, noted)
        await self._plays(step.seconds)

    async def _plays(self, seconds: float) -> bool:
        """Whether a player gets on, now or within this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    before = await self.lens.players()
                    await asyncio.sleep(_REACT_SECONDS)
                    if _advanced(before, await self.lens.players()):
                        return True
        return False

    async def _settle(self) -> None:
        await asyncio.sleep(_REACT_SECONDS)
        with suppress(OutOfPatience):  # what comes next looks for itself
            await self.page.wait_for_load_state("load", timeout=_LOAD_SECONDS * 1000)


def _candidates(frame: Frame, step: Find) -> Iterator[Locator]:
    if step.selectors:
        yield frame.locator("css=" + ", ".join(step.selectors))
    if step.texts:
        yield frame.locator(_BUTTONS).filter(has_text=_whole(step.texts))


def _whole(texts: Iterable[str]) -> re.Pattern[str]:
    """These texts in any case, with nothing but signs and spaces around; in a form that JavaScript reads as well."""
    words = (r"\s+".join(map(re.escape, text.split())) for text in texts)
    return re.compile(rf"^{_SIGNS}(?:{'|'.join(words)}){_SIGNS}$", re.IGNORECASE)


async def _told(found: Found) -> dict[str, Any]:
    """Which element it is, as the record tells it: its text, its place in the window in pixels, its frame."""
    box = await found.element.bounding_box()
    text = " ".join((await found.element.text_content() or "").split())
    return {
        "text": readable(text[:_TEXT]),
        "box": [round(box["x"]), round(box["y"]), round(box["width"]), round(box["height"])] if box else None,
        "frame": readable(found.frame.url),
    }


def _advanced(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> int:
    """How far the player that got on furthest got, in milliseconds."""
    positions = {(player["frame"], player["number"]): player["position_ms"] for player in before}
    moved = (p["position_ms"] - positions.get((p["frame"], p["number"]), p["position_ms"]) for p in after)
    return max(0, 0, *moved)
