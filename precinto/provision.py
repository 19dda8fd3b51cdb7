"""What a machine must have beside Python packages: found, or installed from where this system gets its programs.

Nothing is downloaded from places of our own: the browser comes from Playwright or the distribution, name servers from
the distribution, the Temporal server as :mod:`precinto.devserver` says.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from precinto.adapters.crawlers.web.browser import find_chromium
from precinto.domain.errors import CannotHere

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # name servers live there, and a user's PATH often leaves it out
_POSTGRES = "/usr/lib/postgresql"
_INSTALL_SECONDS = 900

Progress = Callable[[str], None]


class Need(IntEnum):
    """Who needs a program; each also needs what those before it need."""

    RUN = 0
    LAB = 1
    TESTS = 2
    """The tests are skipped, with the reason, where such a program is missing: it is asked for, not insisted on."""


@dataclass(frozen=True)
class Program:
    """A program that is needed.

    Attributes:
        name: What it is called.
        package: The Debian package that brings it.
        use: What it is needed for.
        need: Who needs it.
    """

    name: str
    package: str
    use: str
    need: Need = Need.RUN

    def found(self) -> Path | None:
        """Where it is, if it is here."""
        if self.name == "chromium":
            try:
                return find_chromium(None)
            except CannotHere:  # the answer to the question, here; who needs it hears it
                return None
        path = shutil.which(self.name, path=os.pathsep.join((os.environ.get("PATH", ""), _SBIN, *_postgres())))
        return Path(path) if path else None


def _postgres() -> list[str]:
    """Where Debian keeps PostgreSQL's own programs, the newest version first: not on the PATH."""
    folders = Path(_POSTGRES).glob("*/bin")
    return [str(one) for one in sorted(folders, key=lambda one: float(one.parent.name), reverse=True)]


CHROMIUM = Program("chromium", "chromium", "captures web sites")

PROGRAMS = (
    CHROMIUM,
    Program("setpriv", "util-linux", "ends child processes with their parent"),
    Program("prlimit", "util-linux", "keeps what reads hostile files within limits"),
    Program("named", "bind9", "is the lab's name servers and one ISP's resolver", need=Need.LAB),
    Program("unbound", "unbound", "is two ISPs' resolvers in the lab", need=Need.LAB),
    Program("openssl", "openssl", "is the lab's time-stamp authorities", need=Need.LAB),
    Program("initdb", "postgresql", "makes the PostgreSQL that the store's tests run on too", need=Need.TESTS),
    Program("ip", "iproute2", "makes the island from which no test's packet leaves", need=Need.TESTS),
    Program("tshark", "tshark", "reads the wire record beside our own decoder", need=Need.TESTS),
    Program("wixl", "wixl", "makes an installer to read", need=Need.TESTS),
    Program("osslsigncode", "osslsigncode", "signs a program to read", need=Need.TESTS),
    Program("pdftotext", "poppler-utils", "reads the letters of orders", need=Need.TESTS),
)


async def install_missing(need: Need, progress: Progress) -> list[Program]:
    """Install what is missing; returns what was installed.

    Raises:
        CannotHere: Something is missing and cannot be installed here; one line says what, and how to get it.
    """
    missing = [one for one in PROGRAMS if one.need <= need and one.found() is None]
    fetched = CHROMIUM in missing and await _from_playwright(progress)
    for needed in (True, False):
        wanted = [one for one in missing if (one.need < Need.TESTS) is needed and not (one is CHROMIUM and fetched)]
        try:
            await _from_distribution(_packages(wanted), progress)
        except CannotHere as failed:
            if needed:
                raise
            progress(str(failed))
    still = [one for one in missing if one.found() is None]
    if lacking := [one for one in still if one.need < Need.TESTS]:
        raise CannotHere(_advice(lacking))
    if still:
        progress(f"{_advice(still)}; some tests will be skipped")
    return [one for one in missing if one not in still]


async def _from_playwright(progress: Progress) -> bool:
    progress("installing Chromium with Playwright")
    code, _ = await _run([sys.executable, "-m", "playwright", "install", "chromium"])
    return code == 0 and CHROMIUM.found() is not None


async def _from_distribution(packages: Sequence[str], progress: Progress) -> None:
    apt = shutil.which("apt-get")
    if not packages or apt is None or os.geteuid() != 0:
        return
    progress(f"installing {', '.join(packages)} from the distribution")
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        code, output = await _run([apt, *arguments], {"DEBIAN_FRONTEND": "noninteractive"})
        if code != 0:
            raise CannotHere(f"apt-get {' '.join(arguments)} failed: {output.strip()[-300:]}")


def _advice(missing: Sequence[Program]) -> str:
    needs = "; ".join(f"{one.name} ({one.use})" for one in missing)
    return f"missing: {needs}. As root: apt-get install {' '.join(_packages(missing))}"


def _packages(programs: Sequence[Program]) -> list[str]:
    """The packages that bring these programs, each once."""
    return list(dict.fromkeys(one.package for one in programs))


async def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(environment or {})}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_INSTALL_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return 1, f"{command[0]} did not end within {_INSTALL_SECONDS} s"
    return process.returncode or 0, output.decode(errors="replace")
