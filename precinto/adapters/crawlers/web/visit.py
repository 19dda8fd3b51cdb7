"""One visit: follow the capture recipe, outlast what the page does, and keep what a visitor saw.

A hostile page may never finish loading, ask question after question, open windows, or keep its thread busy for ever.
Dialogs are dismissed and windows closed; a page that still does not let itself be looked at has its scripts halted,
which the record says, and is then kept as it stands.

The page is kept as it was found, before the recipe first acts on it, and again as it was left. A step that fails ends
the recipe; everything that can be kept is kept all the same, and what is not there is named with its reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Dialog, Error, Page, Response

from precinto.adapters.crawlers.captured import written
from precinto.adapters.crawlers.guard.egress import Guard
from precinto.adapters.crawlers.web.actions import Hand
from precinto.adapters.crawlers.web.downloads import Downloads
from precinto.adapters.crawlers.web.frames import Frames
from precinto.adapters.crawlers.web.keeping import FOUND, Keeper
from precinto.adapters.crawlers.web.lens import Lens
from precinto.adapters.crawlers.web.opening import Opening
from precinto.adapters.crawlers.web.record import DIALOGS, Record, first_line, place, readable
from precinto.adapters.crawlers.web.steps import NotDone, Steps
from precinto.domain.evidence import Missing, named
from precinto.domain.model import canonical_json
from precinto.domain.recipes import Click, Download, Open, Play, Recipe, Type
from precinto.ports import CapturedFile

_ASK_SECONDS = 10.0
_PRINT = "laid out anew for paper by the browser's print function: not what the window showed"


@dataclass(frozen=True)
class _Instruments:
    """What a visit looks and acts with, once there is a session with the browser."""

    lens: Lens
    opening: Opening
    keeper: Keeper
    frames: Frames
    downloads: Downloads
    hand: Hand


class Visit:
    """A visit with one browser.

    Attributes:
        files: What was kept so far.
        failure: Why the visit failed, or None.
        record: What happened.
    """

    def __init__(
        self, context: BrowserContext, guard: Guard, folder: Path, recipe: Recipe, patience_seconds: float
    ) -> None:
        """Begin; ``patience_seconds`` is what the recipe's steps may take together."""
        self.files: list[CapturedFile] = []
        self.failure: str | None = None
        self.record = Record(context, context.pages[0])
        self._context = context
        self._page = context.pages[0]
        self._guard = guard
        self._folder = folder
        self._recipe = recipe
        self._patience = patience_seconds
        self._steps = Steps(recipe)
        self._with: _Instruments | None = None
        self._found: dict[str, Any] = {"url": None, "status": None, "headers": [], "server": None, "tls": None}
        self._problems: list[Missing] = []
        self._acted = False
        self._halted: str | None = None
        self._gone: str | None = None
        self._page.on("dialog", self._dismiss)
        self._page.on("crash", self._crashed)
        context.on("page", self._shut)

    async def run(self, addresses: Sequence[str]) -> None:
        """Follow the recipe, opening the first of the addresses that can be connected to, and keep what is there."""
        self._write("recipe.json", self._recipe.canonical())
        try:
            self._with = tools = await self._instruments()
            await self._follow(addresses, tools)
            if not self._acted:
                await self._keep_found(tools)
            elif self._there:
                await tools.keeper.left()
            else:
                reason = self._gone or tools.opening.whereabouts()
                self._problems.append(Missing(what="end.html", reason=reason[:500]))
        finally:
            self.failure = self.failure or self._steps.failure
            steps = {"recipe": self._recipe.digest(), "steps": self._steps.told}
            self._write("steps.json", canonical_json(steps))
            if self._with and self._with.frames.kept:
                self._write("frames.json", canonical_json({"frames": self._with.frames.kept}))

    @property
    def missing(self) -> list[Missing]:
        """What a whole capture would hold and this one does not: steps, files, and answers to requests."""
        return list(named(self._missing()))

    def facts(self) -> dict[str, Any]:
        """The content of ``response.json``: what is known so far."""
        return {
            "opened": self._with.opening.tried if self._with else [],
            **self._found,
            "chain": self.record.chain(),
            "left": readable(self._page.url) if self._acted else None,
            "downloads": self._with.downloads.kept if self._with else [],
            "halted": self._halted,
            "cut": self._with.lens.cuts if self._with else [],
            "page.pdf": _PRINT,
        }

    @property
    def _there(self) -> bool:
        """Whether the window shows the site."""
        return self._gone is None and self._with is not None and self._with.opening.there

    async def _instruments(self) -> _Instruments:
        session = await self._context.new_cdp_session(self._page)
        await session.send("Page.enable")  # pyright: ignore[reportUnknownMemberType]
        wanted = sum(isinstance(step, Download) for step in self._recipe.steps)
        lens = Lens(self._page, session)
        opening = Opening(self._page, self.record, self._guard, lens, self._halt)
        keeper = Keeper(lens, self._folder, self.files)
        frames = Frames(session, self._folder, self.files)
        downloads = Downloads(self._page, session, self._folder, self.files, wanted)
        hand = Hand(self._page, lens, keeper, frames, downloads, self._recipe.values)
        return _Instruments(lens, opening, keeper, frames, downloads, hand)

    async def _follow(self, addresses: Sequence[str], tools: _Instruments) -> None:
        """Do the steps in turn, until one fails that is not optional, or the page or the time is at its end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience
        for step, noted in self._steps:
            left = end - loop.time()
            if why := self._gone or (self._halted and f"its scripts were halted: {self._halted}"):
                return self._steps.give_up(why)
            if left <= 0 and not isinstance(step, Open):
                return self._steps.give_up(f"the visit's {self._patience:g} s were used up")
            if isinstance(step, Type | Click | Download | Play) and not self._acted:
                await self._keep_found(tools)
                self._acted = True
            with self._steps.under_way(step, noted):
                if isinstance(step, Open):
                    await self._open(addresses, min(step.seconds, self._patience), tools)
                else:
                    await tools.hand.act(step, noted, left)
            noted["url"] = readable(self._page.url)
            if self._steps.failed(noted):
                return self._steps.give_up(f"step {noted['step']} ({noted['do']}) failed")
        return None

    async def _open(self, addresses: Sequence[str], seconds: float, tools: _Instruments) -> None:
        self.failure = await tools.opening.first(addresses, seconds)
        if self._there:
            if not await tools.lens.answers():
                await self._halt("its scripts kept the page busy")
            await tools.keeper.window("viewport.png")
        if self.failure:
            raise NotDone(self.failure)

    async def _keep_found(self, tools: _Instruments) -> None:
        """Keep the page as it was found, and what the browser knows of the connection that it came through."""
        if not self._there:
            self.failure = self.failure or self._gone or tools.opening.whereabouts()
            return
        self._found["url"] = readable(self._page.url)
        if document := self.record.document:
            await self._ask(document)
        await tools.keeper.found()

    async def _ask(self, document: Response) -> None:
        """Ask for the header fields, every one as it was spelt, and for the TLS connection."""
        host, port = place(document.url)
        server = {"host": host, "port": port, "address": self._guard.connected.get((host, port))}
        self._found |= {"status": document.status, "server": server}
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                fields = await document.headers_array()
                self._found["headers"] = [[field["name"], readable(field["value"])] for field in fields]
                self._found["tls"] = await _tls(document)
        except (TimeoutError, Error) as error:
            reason = first_line(error)[:500] if isinstance(error, Error) else f"not had within {_ASK_SECONDS:g} s"
            self._problems.append(Missing(what="header fields and TLS of the page", reason=reason))

    def _missing(self) -> Iterator[Missing]:
        tools = self._with
        known = [*self._problems, *(tools.keeper.missing if tools else ())]
        names = {file.name for file in self.files} | {missing.what for missing in known}
        why = self._gone or "the visit ended before"
        never = [Missing(what=name, reason=why) for name in FOUND if name not in names]
        refused = tools.downloads.refused if tools else ()
        # A request that became a download counts as aborted for the browser; its file is here.
        had = {download["url"] for download in tools.downloads.kept} if tools else set[str]()
        requests = (missing for missing in self.record.missing(self._guard.why) if missing.what not in had)
        return chain(self._steps.missing(), known, never, refused, requests)

    async def _halt(self, reason: str, *, loading: bool = True) -> None:
        self._halted = self._halted or reason
        if self._with:
            await self._with.lens.halt(loading=loading)

    async def _dismiss(self, dialog: Dialog) -> None:
        self.record.dialog(dialog)
        if self.record.dialogs == DIALOGS:
            # Together: the order is obeyed between two dialogs. With no more scripts, the page loads to its end.
            await asyncio.gather(self._halt(f"{DIALOGS} dialogs", loading=False), _dismissed(dialog))
        else:
            await _dismissed(dialog)

    async def _shut(self, page: Page) -> None:
        self.record.window(page)
        if self._with:
            await self._with.downloads.through(page)
        with suppress(Error):  # it closed itself
            await page.close()

    def _crashed(self, _: Page) -> None:
        self._gone = "the page crashed"
        self.failure = self.failure or self._gone

    def _write(self, name: str, content: bytes) -> None:
        self.files.append(written(self._folder, name, "application/json", content))


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
