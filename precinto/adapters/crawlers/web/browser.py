"""One browser for one capture: a fresh home and profile, a process group of its own, and a certain end.

Playwright drives it through a pipe, not through a port: no other process of the machine can take part in a capture.
Each capture has a driver of its own too, so one that a hostile page brought down takes no other capture with it.
When this process dies, the driver sees its pipe close and ends the browser.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import BrowserContext, Error, Playwright, async_playwright

from precinto.adapters.crawlers.web import trust
from precinto.domain.errors import CannotHere, Unavailable

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs looked for on the PATH."""

VIEWPORT = (1366, 768)
"""Width and height of the window, in CSS pixels."""

_FLAGS = (
    "--proxy-bypass-list=<-loopback>",  # without it, loopback would be reached past the guard
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # the browser resolves nothing itself
    "--disable-quic",  # UDP would go past the guard
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-auto-reload",  # a failed page stays failed
    "--disable-sync",
    "--disable-domain-reliability",
    "--gaia-url=https://browser.invalid",
    "--component-updater=disable-background-downloads,url-source=https://browser.invalid/",
)
"""Beside those that Playwright gives (no background networking, no component update, no first run ...)."""

_PREFERENCES = {
    "alternate_error_pages": {"enabled": False},  # also ends the probing for captive portals
    "safebrowsing": {"enabled": False},
    "search": {"suggest_enabled": False},
    "signin": {"allowed": False, "allowed_on_next_startup": False},
}
_START_SECONDS = 30.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.02


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


def sandboxed() -> bool:
    """Whether the browser's sandbox is on: it refuses to run as root, so there it is off."""
    return os.geteuid() != 0


@asynccontextmanager
async def launched(executable: Path, proxy: str, authority: Path | None) -> AsyncGenerator[BrowserContext]:
    """A fresh browser with one empty page; when the block ends, however it ends, no process and no file is left.

    Args:
        executable: The browser.
        proxy: The guard, ``host:port``.
        authority: Certificate authorities (PEM) to trust beside the browser's own.

    Raises:
        Unavailable: The browser or its driver did not start.
        CannotHere: The authority cannot be trusted on this machine.
    """
    home = Path(tempfile.mkdtemp(prefix="precinto-capture-"))
    try:
        (home / "profile" / "Default").mkdir(parents=True)
        (home / "profile" / "Default" / "Preferences").write_text(json.dumps(_PREFERENCES))
        if authority is not None:
            await _trust(authority, home)
        async with _driver(home) as playwright:
            yield await _launch(playwright, executable, proxy, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


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
        _kill(home)
        await asyncio.shield(asyncio.ensure_future(_end(playwright, home)))


async def _launch(playwright: Playwright, executable: Path, proxy: str, home: Path) -> BrowserContext:
    width, height = VIEWPORT
    try:
        return await playwright.chromium.launch_persistent_context(
            home / "profile",
            executable_path=executable,
            args=[f"--proxy-server=http://{proxy}", *_FLAGS],
            ignore_default_args=["--disable-popup-blocking"],
            env=_environment(home),  # not ours: a page that breaks out finds no secret there
            chromium_sandbox=sandboxed(),
            accept_downloads=False,
            # A service worker would answer for the site, out of sight; a first visit does not need one.
            service_workers="block",
            viewport={"width": width, "height": height},
            handle_sigint=False,  # the worker drains on a signal; captures end with it
            handle_sigterm=False,
            handle_sighup=False,
            timeout=_START_SECONDS * 1000,
        )
    except Error as error:
        raise Unavailable(f"the browser did not start: {error.message.strip()}") from error


async def _end(playwright: Playwright, home: Path) -> None:
    """Stop the driver and wait until nothing runs in ``home`` any more."""
    try:
        async with asyncio.timeout(_END_SECONDS):
            await playwright.stop()
            while _kill(home):  # noqa: ASYNC110 - these are not our children: nothing tells us of their end
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise Unavailable(f"the browser or its driver did not end within {_END_SECONDS:g} s") from error


async def _trust(authority: Path, home: Path) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-I", trust.__file__, str(authority), str(home / ".pki" / "nssdb"),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, errors = await writer.communicate()
    finally:
        if writer.returncode is None:
            writer.kill()
            await writer.wait()
    if writer.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise CannotHere(f"the browser cannot be made to trust {authority} (NSS: apt install libnss3): {last}")


def _environment(home: Path) -> dict[str, str | float | bool]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return {**kept, "HOME": str(home), "TMPDIR": str(home)}


def _kill(home: Path) -> int:
    """Kill every process group that has ``home`` in a command line; returns how many there were.

    Not only the browser's: its crash handlers put themselves into groups of their own.
    """
    groups: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(home) in (process / "cmdline").read_bytes():
                groups.add(os.getpgid(int(process.name)))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    groups.discard(os.getpgrp())
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(groups)
