"""Daemons that the lab starts, and that never outlive it.

Each child gets a process group of its own, to be stopped whole, and asks the kernel (``setpriv --pdeathsig``, that is
PR_SET_PDEATHSIG) to be killed when its parent dies, which holds for SIGKILL too. A wrapper program is used rather
than a ``preexec_fn``: running Python between fork and exec can deadlock when the parent has other threads.

The kernel ties that signal to the *thread* that started the child: start a lab from a thread that lives as long.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import DaemonFailed, MissingProgram
from precinto.supervisor import tied

_PACKAGES = {
    "named": "bind9",
    "openssl": "openssl",
    "unbound": "unbound",
}
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # daemons live there, and a user's PATH often leaves it out
_POLL_SECONDS = 0.02
_START_SECONDS = 15.0
_STOP_SECONDS = 3.0
_TAIL_LINES = 15


@dataclass(frozen=True)
class Child:
    """A running daemon: a name to call it by, its process, and the file its output goes to."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def tail(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])


class Children:
    """The daemons of one lab."""

    def __init__(self) -> None:
        self._running: list[Child] = []

    @property
    def pids(self) -> dict[str, int]:
        """Process id by name."""
        return {child.name: child.process.pid for child in self._running}

    async def start(self, name: str, argv: Sequence[str], folder: Path) -> Child:
        """Start a daemon in the foreground, in ``folder``, its output in ``folder/output.log``."""
        log = folder / "output.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *tied(argv),
                cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        child = Child(name, process, log)
        self._running.append(child)
        return child

    async def ready(self, child: Child, answers: Callable[[], Awaitable[bool]]) -> None:
        """Wait until the daemon answers.

        Raises:
            DaemonFailed: It ended, or does not answer in time; with the tail of its log.
        """
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await answers():
                    if child.process.returncode is not None:
                        raise DaemonFailed(f"{child.name} ended with {child.process.returncode}:\n{child.tail()}")
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            message = f"{child.name} did not answer within {_START_SECONDS:g} s:\n{child.tail()}"
            raise DaemonFailed(message) from error

    async def stop(self) -> None:
        """Stop every daemon: politely, then not.

        Raises:
            DaemonFailed: One had died before it was asked to, or crashed when it was.
        """
        stopped = list(self._running)
        ended_well = await asyncio.gather(*(_stop(child) for child in stopped))
        self._running.clear()
        died = [child for child, well in zip(stopped, ended_well, strict=True) if not well]
        if died:
            tails = "\n".join(f"{c.name} had ended with {c.process.returncode}:\n{c.tail()}" for c in died)
            raise DaemonFailed(tails)


async def _stop(child: Child) -> bool:
    """End a daemon; whether it had lived until then. How it ended is asked too: news of a death may be under way."""
    if child.process.returncode is not None:
        return False
    _signal(child, signal.SIGTERM)
    try:
        return await asyncio.wait_for(child.process.wait(), _STOP_SECONDS) in (0, -signal.SIGTERM)
    except TimeoutError:
        _signal(child, signal.SIGKILL)
        await child.process.wait()
        return True


def _signal(child: Child, number: signal.Signals) -> None:
    try:
        os.killpg(child.process.pid, number)
    except ProcessLookupError:
        return  # it ended by itself in this very moment


def program(name: str) -> str:
    """Path of a program the lab needs.

    Raises:
        MissingProgram: It is not installed; says which package brings it.
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    if path is None:
        raise MissingProgram(f"the lab needs the program {name}: apt install {_PACKAGES[name]}")
    return path


def daemon(name: str, copies: Path) -> str:
    """Path of a daemon that may read and write the lab's folder.

    Debian's and Ubuntu's AppArmor profiles attach to the path of ``named`` and ``unbound`` and shut them into /etc
    and /var; where such a profile may be in force, a copy of the program runs instead.
    """
    path = program(name)
    enabled = Path("/sys/module/apparmor/parameters/enabled")
    profile = Path("/etc/apparmor.d") / path.lstrip("/").replace("/", ".")
    if not (enabled.exists() and enabled.read_text().startswith("Y") and profile.exists()):
        return path
    copies.mkdir(parents=True, exist_ok=True)
    return str(shutil.copy(path, copies / name))
