"""Keeps the processes of an installation on one machine running: started again when they die, gone when it ends.

A killed worker or server loses nothing, because every step is in Temporal's history or in the database; so the right
answer to a death is a new process. Each child asks the kernel to be killed when this process dies, however it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from precinto.domain.errors import CannotHere, Unavailable

_STOP_SECONDS = 40.0
"""A worker gets 30 s to let running activities finish; then it is killed, and another will repeat them."""

_RESTART_SECONDS = (0.2, 10.0)
"""Pause before a restart, and the longest it grows to when a process dies again and again."""

_SETTLED_SECONDS = 30.0

_IF_PARENT_LIVES = '[ "$PPID" = "$0" ] && exec "$@"'
"""A parent that died before the request reached the kernel sends no signal any more: then do not even begin."""

log = structlog.get_logger(__name__)


@dataclass
class Service:
    """One process to keep running.

    Attributes:
        name: What it is called; its output goes to ``<name>.log``, its process id to ``<name>.pid``.
        command: Program and arguments.
        environment: Added to this process's own environment, of which Precinto's settings are left out.
        restarts: How often it was started again.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None


class Supervisor:
    """Starts services, in order, and keeps them running until it is closed.

    Args:
        logs: Folder for what the services write.
        restarted: Told the name of a service that had to be started again.
    """

    def __init__(self, logs: Path, restarted: Callable[[str], None] | None = None) -> None:
        self._logs = logs
        self._restarted = restarted
        self._services: list[Service] = []
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each service that runs now."""
        return {one.name: one.process.pid for one in self._services if one.process and one.process.returncode is None}

    @property
    def restarts(self) -> dict[str, int]:
        """How often each service was started again."""
        return {one.name: one.restarts for one in self._services}

    async def start(self, service: Service, answers: Callable[[], Awaitable[bool]], within: float = 30.0) -> None:
        """Start a service and wait until it answers.

        Raises:
            Unavailable: It does not answer in time, or ended; with the end of its log.
        """
        await self._spawn(service)
        self._services.append(service)
        deadline = time.monotonic() + within
        while True:
            answered = await answers()
            # Asked in this order: what answers may be another's process, if ours has ended.
            ended = service.process is None or service.process.returncode is not None
            if ended or time.monotonic() > deadline:
                state = "ended at its start" if ended else f"does not answer after {within:g} s"
                raise Unavailable(f"{service.name} {state}: {self._tail(service.name)}")
            if answered:
                break
            await asyncio.sleep(0.05)
        self._keepers.append(asyncio.create_task(self._keep(service)))

    async def close(self) -> None:
        """Stop every service, the last started first; politely, then not."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers.clear()
        while self._services:
            await _stop(self._services.pop())

    async def _spawn(self, service: Service) -> None:
        command = tied(service.command)
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{service.name}.log").open("ab") as output:
            service.process = await asyncio.create_subprocess_exec(
                *command, env={**_inherited(), **service.environment}, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        (self._logs / f"{service.name}.pid").write_text(f"{service.process.pid}\n")

    async def _keep(self, service: Service) -> None:
        pause, longest = _RESTART_SECONDS
        while service.process is not None:
            started = time.monotonic()
            code = await service.process.wait()
            if time.monotonic() - started > _SETTLED_SECONDS:
                pause = _RESTART_SECONDS[0]
            log.warning("service_died", service=service.name, exit=code, restart_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
            try:
                await self._spawn(service)
            except (OSError, CannotHere) as error:  # out of memory, of files, of disk: that passes
                log.error("service_not_restarted", service=service.name, reason=str(error), again_in=pause)
                continue
            service.restarts += 1
            if self._restarted:
                self._restarted(service.name)

    def _tail(self, name: str) -> str:
        lines = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-10:])


def _inherited() -> dict[str, str]:
    """This process's environment without our settings: a service works with exactly those that it is given."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PRECINTO_")}


@contextlib.asynccontextmanager
async def supervised(logs: Path, restarted: Callable[[str], None] | None = None) -> AsyncGenerator[Supervisor]:
    """A supervisor whose services end with the block."""
    supervisor = Supervisor(logs, restarted)
    try:
        yield supervisor
    finally:
        await supervisor.close()


def tied(command: Sequence[str]) -> list[str]:
    """The command of a child that the kernel ends when this process ends, however it ends.

    Raises:
        CannotHere: The program that asks the kernel for it is missing.
    """
    if (setpriv := shutil.which("setpriv")) is None:
        raise CannotHere("the program setpriv is missing: apt install util-linux")
    return [setpriv, "--pdeathsig", "KILL", "/bin/sh", "-c", _IF_PARENT_LIVES, str(os.getpid()), *command]


async def _stop(service: Service) -> None:
    process = service.process
    if process is None or process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):  # it may end by itself in this very moment
        os.killpg(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
