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
from pathlib import Path

from precinto.adapters.crawlers.browser import find_chromium
from precinto.domain.errors import CannotHere

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # name servers live there, and a user's PATH often leaves it out
_INSTALL_SECONDS = 900

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """A program that is needed.

    Attributes:
        name: What it is called.
        package: The Debian package that brings it.
        use: What it is needed for.
        lab: Whether only the lab (demo and tests) needs it.
    """

    name: str
    package: str
    use: str
    lab: bool = False

    def found(self) -> Path | None:
        """Where it is, if it is here."""
        if self.name == "chromium":
            try:
                return find_chromium(None)
            except CannotHere:  # the answer to the question, here; who needs it hears it
                return None
        path = shutil.which(self.name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")
        return Path(path) if path else None


CHROMIUM = Program("chromium", "chromium", "captures web sites")

PROGRAMS = (
    CHROMIUM,
    Program("setpriv", "util-linux", "ends child processes with their parent"),
    Program("named", "bind9", "is the lab's name servers and one ISP's resolver", lab=True),
    Program("unbound", "unbound", "is two ISPs' resolvers in the lab", lab=True),
    Program("openssl", "openssl", "is the lab's timestamp authority", lab=True),
)


async def install_missing(*, lab: bool, progress: Progress) -> list[Program]:
    """Install what is missing; returns what was installed.

    Raises:
        CannotHere: Something is missing and cannot be installed here; one line says what, and how to get it.
    """
    missing = [one for one in PROGRAMS if (lab or not one.lab) and one.found() is None]
    fetched = CHROMIUM in missing and await _from_playwright(progress)
    if packages := [one.package for one in missing if not (one is CHROMIUM and fetched)]:
        await _from_distribution(packages, progress)
    if still := [one for one in missing if one.found() is None]:
        raise CannotHere(_advice(still))
    return missing


async def _from_playwright(progress: Progress) -> bool:
    progress("installing Chromium with Playwright")
    code, _ = await _run([sys.executable, "-m", "playwright", "install", "chromium"])
    return code == 0 and CHROMIUM.found() is not None


async def _from_distribution(packages: Sequence[str], progress: Progress) -> None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    progress(f"installing {', '.join(packages)} from the distribution")
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        code, output = await _run([apt, *arguments], {"DEBIAN_FRONTEND": "noninteractive"})
        if code != 0:
            raise CannotHere(f"apt-get {' '.join(arguments)} failed: {output.strip()[-300:]}")


def _advice(missing: Sequence[Program]) -> str:
    needs = "; ".join(f"{one.name} ({one.use})" for one in missing)
    return f"missing: {needs}. As root: apt-get install {' '.join(one.package for one in missing)}"


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
