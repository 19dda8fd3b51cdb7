"""One browser for one capture: a process group of its own in a home of its own, and a certain end.

Playwright drives it through a pipe, not through a port: no other process of the machine can take part in a capture.
Each capture has a driver of its own too, so one that a hostile page brought down takes no other capture with it.
When this process dies, the driver sees its pipe close and ends the browser.

A site may show one thing to visitors and another to what it takes for a machine. So this is not Chromium's headless
browser, which says what it is in every request: it is the browser that visitors have, with its windows on a screen
that is not there. It says nothing false: name, version and system are its own, and the record has them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from playwright.async_api import BrowserContext, Error, Playwright, async_playwright

from precinto.adapters.crawlers.web.home import Home
from precinto.adapters.crawlers.web.limits import kill
from precinto.adapters.crawlers.web.record import readable
from precinto.domain.errors import CannotHere, Unavailable

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs looked for on the PATH."""

VIEWPORT = (1366, 768)
"""Width and height of the window, in CSS pixels."""

_WITHOUT = (
    "WebRtcHideLocalIpsWithMdns",  # its multicast would go past the guard; there are no addresses to hide
    "MediaRouter",  # looks for televisions, by multicast too
    "HttpsUpgrades",  # what is opened is what the target says
    "HttpsFirstBalancedModeAutoEnable",
    "AimEnabled",  # these four call home
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PreconnectToSearch",
    "AvoidUnnecessaryBeforeUnloadCheckSync",  # these four are what the driver counts on
    "DestroyProfileOnBrowserClose",
    "LensOverlay",
    "PaintHolding",
)
"""Features of Chromium that are off. The list stands in for Playwright's own, since the last one given is obeyed."""

_FLAGS = (
    f"--disable-features={','.join(_WITHOUT)}",
    "--ozone-platform=headless",  # windows without a screen; the browser itself is not the headless one
    "--disable-blink-features=AutomationControlled",  # navigator.webdriver
    "--proxy-bypass-list=<-loopback>",  # without it, loopback would be reached past the guard
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # the browser resolves nothing itself
    "--disable-quic",  # UDP would go past the guard
    "--disable-auto-reload",  # a failed page stays failed
    "--disable-sync",
    "--disable-domain-reliability",
    "--gaia-url=https://browser.invalid",
    "--component-updater=disable-background-downloads,url-source=https://browser.invalid/",
)
"""Beside those that Playwright gives (no background networking, no component update, no first run ...)."""

_SPARED = ("--disable-popup-blocking", "--disable-ipc-flooding-protection")
"""Flags of Playwright's that would take from a visitor's browser what it has against pages like these."""

_START_SECONDS = 30.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Visitor:
    """Whom the site sees: where a visitor lives whom the authority protects.

    Attributes:
        language: Language of the browser (BCP 47), what it asks sites for and formats numbers by.
        time_zone: Time zone of its clock (IANA).
    """

    language: str = "es-PE"
    time_zone: str = "America/Lima"


@dataclass(frozen=True)
class Browser:
    """A browser that runs.

    Attributes:
        context: Its one profile, with one empty page.
        version: Its version.
        user_agent: What it tells sites that it is.
    """

    context: BrowserContext
    version: str
    user_agent: str


def find_chromium(configured: Path | None) -> Path:
    """The browser: the configured one, one on the PATH, or one that Playwright installed.

    Raises:
        CannotHere: There is none; says what to install.
    """
    if configured is not None:
        if found := shutil.which(configured):
            return Path(found)
        raise CannotHere(f"PRECINTO_CHROMIUM names {configured}, which is not a program")
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    folder = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    if own := sorted(folder.glob("chromium-*/chrome-linux*/chrome")):
        return own[-1]
    raise CannotHere("captures need Chromium: apt install chromium, or playwright install chromium")


@asynccontextmanager
async def launched(home: Home, proxy: str, visitor: Visitor) -> AsyncGenerator[Browser]:
    """A fresh browser with one empty page; when the block ends, however it ends, no process of it is left.

    Args:
        home: Where it lives.
        proxy: The guard, ``host:port``.
        visitor: Whom the site sees.

    Raises:
        Unavailable: The browser or its driver did not start, or did not end.
    """
    async with _driver(home.path) as playwright:
        try:
            context = await _launch(playwright, home, proxy, visitor)
            session = await context.new_cdp_session(context.pages[0])
            about = cast("dict[str, str]", await session.send("Browser.getVersion"))  # pyright: ignore[reportUnknownMemberType]
            await session.detach()
        except Error as error:
            raise Unavailable(f"the browser did not start: {readable(error.message.strip())}") from error
        yield Browser(context, about["product"].rpartition("/")[2], about["userAgent"])


@asynccontextmanager
async def _driver(home: Path) -> AsyncGenerator[Playwright]:
    """Playwright's driver; when the block ends, everything that runs in ``home`` is killed, then the driver."""
    starting = asyncio.ensure_future(async_playwright().start())
    try:
        # Shielded: a start that is broken off half-way would leave a driver that nobody can stop.
        playwright = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await (await starting).stop()
        raise
    except (Error, OSError) as error:
        raise Unavailable(f"Playwright's driver did not start: {error}") from error
    try:
        yield playwright
    finally:
        kill(home)
        await asyncio.shield(asyncio.ensure_future(_end(playwright, home)))


async def _launch(playwright: Playwright, home: Home, proxy: str, visitor: Visitor) -> BrowserContext:
    width, height = VIEWPORT
    return await playwright.chromium.launch_persistent_context(
        home.profile,
        executable_path=home.executable,
        headless=False,
        args=[f"--proxy-server=http://{proxy}", f"--accept-lang={visitor.language}", *_FLAGS],
        ignore_default_args=_SPARED,
        env=home.environment(visitor.time_zone),
        chromium_sandbox=home.sandbox == "on",
        accept_downloads=True,
        downloads_path=home.downloads,
        locale=visitor.language,
        viewport={"width": width, "height": height},
        handle_sigint=False,  # the worker drains on a signal; captures end with it
        handle_sigterm=False,
        handle_sighup=False,
        timeout=_START_SECONDS * 1000,
    )


async def _end(playwright: Playwright, home: Path) -> None:
    """Stop the driver and wait until nothing runs in ``home`` any more."""
    try:
        async with asyncio.timeout(_END_SECONDS):
            await playwright.stop()
            while kill(home):  # noqa: ASYNC110 - these are not our children: nothing tells us of their end
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise Unavailable(f"the browser or its driver did not end within {_END_SECONDS:g} s") from error
