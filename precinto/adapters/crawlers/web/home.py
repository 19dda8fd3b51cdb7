"""A capture's own folder on this machine, and its own user: nothing that a browser leaves outlives its capture.

Chromium refuses to put on its sandbox for root. So where we are root, each browser runs as a user of its own, with
no rights at all, to whom its home belongs; two captures can then not touch each other either. Where that cannot be
(no such users in this container, a browser in a folder of root's), it runs as root without sandbox, and says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from precinto.adapters.crawlers.web import trust
from precinto.domain.errors import CannotHere, Unavailable

KEY_LOG = 16_000_000
"""Bytes of the browser's TLS key log that are kept: more than all the connections of a capture can need."""

_USERS = range(61_184, 65_520)
"""Users that systemd, too, gives to services for as long as they run (DynamicUser): they own nothing."""

_PREFERENCES = {
    "alternate_error_pages": {"enabled": False},  # also ends the probing for captive portals
    "safebrowsing": {"enabled": False},
    "search": {"suggest_enabled": False},
    "signin": {"allowed": False, "allowed_on_next_startup": False},
    "webrtc": {"ip_handling_policy": "disable_non_proxied_udp"},  # UDP would go past the guard
}


@dataclass(frozen=True)
class Home:
    """Where one browser lives.

    Attributes:
        path: The folder; everything the browser writes is in it.
        executable: The program to start: the browser, or a launcher that becomes its user first.
        sandbox: ``on``, or ``off (root: ...)`` and why.
    """

    path: Path
    executable: Path
    sandbox: str

    @property
    def profile(self) -> Path:
        """The browser's profile."""
        return self.path / "profile"

    @property
    def downloads(self) -> Path:
        """Where its downloads go."""
        return self.path / "downloads"

    def environment(self, time_zone: str) -> dict[str, str | float | bool]:
        """The browser's environment, and not ours: a page that breaks out finds no secret there."""
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
        here = str(self.path)
        programs = f"{self.path / 'bin'}:{os.environ.get('PATH', os.defpath)}"
        return {
            **kept,
            "PATH": programs,
            "HOME": here,
            "TMPDIR": here,
            "TZ": time_zone,
            "SSLKEYLOGFILE": str(self._keys),
        }

    def key_log(self) -> bytes:
        """The secrets of the browser's TLS connections so far (NSS key log format), cut to ``KEY_LOG`` bytes.

        The folder is the browser's: what stands there need not be the file that was to be there.
        """
        try:
            file = os.open(self._keys, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""  # it has made no TLS connection
        with open(file, "rb") as keys:
            return keys.read(KEY_LOG) if stat.S_ISREG(os.fstat(file).st_mode) else b""

    @property
    def _keys(self) -> Path:
        return self.path / "tls-keys.log"


@asynccontextmanager
async def opened_home(executable: Path, authority: Path | None) -> AsyncGenerator[Home]:
    """A new home for a browser, removed with everything in it when the block ends.

    Args:
        executable: The browser.
        authority: Certificate authorities (PEM) to trust beside the browser's own.

    Raises:
        CannotHere: The authority cannot be trusted on this machine.
        Unavailable: The folder cannot be written.
    """
    try:
        path = Path(tempfile.mkdtemp(prefix="precinto-capture-"))
    except OSError as error:
        raise Unavailable(f"a capture has no room on this machine: {error}") from error
    try:
        (path / "profile" / "Default").mkdir(parents=True)
        (path / "profile" / "Default" / "Preferences").write_text(json.dumps(_PREFERENCES))
        (path / "downloads").mkdir()
        (path / "bin").mkdir()
        _program(path / "bin" / "xdg-open", "exit 1")  # a link to mailto: and the like starts no program of ours
        if authority is not None:
            await _trust(authority, path)
        yield await _settled(path, executable)
    finally:
        shutil.rmtree(path, ignore_errors=True)


async def _settled(path: Path, executable: Path) -> Home:
    if os.geteuid() != 0:
        return Home(path, executable, "on")
    user = secrets.choice(_USERS)
    _give(path, user)
    become = [
        "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--bounding-set=-all",
        "--inh-caps=-all", "--no-new-privs", "--",
    ]  # fmt: skip
    # The sandbox is made of user namespaces: whether this user may have one is a matter of the machine.
    works = ["sh", "-c", 'test -x "$0" && test -w "$1" && unshare --user true', str(executable), str(path)]
    code, words = await _run([*become, *works])
    if code != 0:
        _give(path, 0)
        return Home(path, executable, f"off (root: {words or 'no other user can run the browser here'})")
    launcher = path / "bin" / "browser"
    _program(launcher, f'exec {shlex.join([*become, str(executable)])} "$@"')
    return Home(path, launcher, "on")


def _program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _give(path: Path, user: int) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, user, user, follow_symlinks=False)


async def _trust(authority: Path, home: Path) -> None:
    code, words = await _run([sys.executable, "-I", trust.__file__, str(authority), str(home / ".pki" / "nssdb")])
    if code != 0:
        raise CannotHere(f"the browser cannot be made to trust {authority} (NSS: apt install libnss3): {words}")


async def _run(command: Sequence[str]) -> tuple[int, str]:
    """Run a program; returns its exit code and the last line that it wrote as an error."""
    try:
        program = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    except FileNotFoundError as error:
        return 127, str(error)
    try:
        _, errors = await program.communicate()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    return program.returncode or 0, errors.decode(errors="replace").strip().rpartition("\n")[2]
