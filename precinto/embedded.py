"""An installation on one machine by one command: Temporal with its UI, a worker, and the sweeps, all supervised.

For a small authority and for trying out. Everything it keeps is in one folder; a larger installation runs the same
worker against a Temporal cluster and PostgreSQL (``docker-compose.yml``).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from temporalio.client import Client

from precinto import engine, stubs
from precinto.adapters.seals.identity import issue_sealing_identity
from precinto.devserver import server_command, temporal_binary
from precinto.domain.errors import BadInput, Unavailable
from precinto.ports import OpenCase, Registry
from precinto.registry import read_registry
from precinto.settings import Settings
from precinto.store import Database
from precinto.store.watch import WatchStore
from precinto.supervisor import Service, Supervisor, supervised

TEMPORAL_PORTS = (7233, 8233)
"""Of frontend and UI, where they are free; else any free ones."""

CASES_AT_ONCE = 20
"""Open cases that are looked at together at the start."""

_ROOT = Path(__file__).resolve().parents[1]

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Running:
    """A running installation.

    Attributes:
        settings: Its settings, with the address of its Temporal.
        ui: Address of Temporal's web interface; None where the Temporal server is not ours.
        client: A client of its Temporal.
        registry: Officers, ISPs and guard lists.
        supervisor: What keeps its processes running.
    """

    settings: Settings
    ui: str | None
    client: Client
    registry: Registry
    supervisor: Supervisor


@asynccontextmanager
async def embedded(settings: Settings, progress: Progress) -> AsyncGenerator[Running]:
    """Start everything, and stop it at the end of the block.

    Args:
        settings: Of the installation; without an address, a Temporal server is started too.
        progress: Told, in words, what is being done.

    Raises:
        BadInput: Another installation runs in this home.
        CannotHere: A program is missing.
        Unavailable: Something did not start; with the end of its log.
    """
    registry = read_registry(settings.registry)
    settings.home.mkdir(parents=True, exist_ok=True)

    def restarted(name: str) -> None:
        progress(f"{name} had died and was started again")

    async with AsyncExitStack() as stack:
        stack.enter_context(_alone(settings))
        ports = Ports()
        stack.callback(ports.release)
        one = await stack.enter_async_context(supervised(settings.home / "run", restarted))
        ui = None
        if not settings.temporal_address:
            settings, ui = await _start_temporal(settings, one, ports, progress)
        client = await engine.connect(settings.temporal_address, settings.temporal_namespace)
        if taken_up := await bootstrap(settings, client, registry):
            progress(f"open cases without a run were taken up again: {taken_up}")
        progress("starting the worker")
        environment = settings.environment(secrets=True) | _bytecode(settings.home / "run" / "bytecode")
        worker = Service("worker", [sys.executable, str(_ROOT / "worker.py")], environment)
        started = datetime.now(UTC)
        await one.start(worker, lambda: engine.polled(client, stubs.CASES, since=started))
        announce(settings)
        try:
            yield Running(settings, ui, client, registry, one)
        finally:
            settings.running.unlink(missing_ok=True)


def _bytecode(folder: Path) -> dict[str, str]:
    """Let a worker keep the bytecode of its modules, whatever this process was told about it.

    Temporal's sandbox loads the workflow modules anew for every case; from source, that takes three times as long.
    """
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder.absolute())}


@contextmanager
def _alone(settings: Settings) -> Generator[None]:
    """Hold the home for this process alone, and clear away what one that was killed has announced."""
    with (settings.home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"PRECINTO_HOME: another installation runs in {settings.home}; name another home") from None
        settings.running.unlink(missing_ok=True)
        yield


async def bootstrap(settings: Settings, client: Client, registry: Registry) -> int:
    """Bring database, search attributes, schedules and open cases to what this version needs; idempotent.

    Where there is no sealing identity, one for trials is issued; the authority's own, put there before, is kept.

    Returns:
        How many open cases had no run that this version can go on with, and got one.
    """
    issue_sealing_identity(settings.sealing_folder, registry.authority)
    await engine.register_attributes(client)
    database = Database(settings.database)
    try:
        await database.migrate()
        taken_up = await take_up(client, database)
    finally:
        await database.close()
    vantages = [isp.id for isp in registry.isps]
    await engine.schedule_sweeps(client, vantages, timedelta(seconds=settings.sweep_seconds))
    ask_again = timedelta(seconds=settings.stamping_seconds)
    await engine.schedule_stamping(client, ask_again)
    await engine.schedule_anchoring(client, timedelta(seconds=settings.anchor_seconds), ask_again)
    await engine.schedule_watch(client, timedelta(seconds=settings.watch_seconds))
    return taken_up


async def take_up(client: Client, database: Database) -> int:
    """Give every open case a run that has none, or one of release 0.1 only: no end of an order is lost with a run.

    Returns:
        How many there were.
    """
    at_once = asyncio.Semaphore(CASES_AT_ONCE)

    async def one(case: OpenCase) -> bool:
        async with at_once:
            if await engine.is_at_work(client, case.case):
                return False
            await engine.resume_case(client, case)
            return True

    return sum(await asyncio.gather(*map(one, await WatchStore(database).open_cases(datetime.now(UTC)))))


async def _start_temporal(
    settings: Settings, supervisor: Supervisor, ports: Ports, progress: Progress
) -> tuple[Settings, str]:
    binary = await temporal_binary(progress)
    progress("starting the Temporal server")
    port, ui_port = (ports.take(wanted) for wanted in TEMPORAL_PORTS)
    address = f"127.0.0.1:{port}"
    command = server_command(binary, address, ui_port, settings.home / "temporal.db")
    await supervisor.start(Service("temporal", command), lambda: engine.ready(address, settings.temporal_namespace))
    return settings.model_copy(update={"temporal_address": address}), f"http://127.0.0.1:{ui_port}"


def announce(settings: Settings) -> None:
    """Let commands in other terminals find this installation by its home folder; no secret is written."""
    lines = "".join(f"{name}={_quoted(value)}\n" for name, value in settings.environment(secrets=False).items())
    fresh = settings.running.with_suffix(".new")
    fresh.write_text(lines)
    os.replace(fresh, settings.running)


def _quoted(value: str) -> str:
    """A value as files of environment variables write it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Ports:
    """Ports on 127.0.0.1 that no other installation takes while this object lives.

    Whether a port is free is known only once a server listens there, which takes a second, and whoever started at
    the same time would then talk to our Temporal instead of its own. A name in Linux' abstract socket namespace is
    taken at once, by one process, and given back however that process ends.
    """

    def __init__(self) -> None:
        self._claims: list[socket.socket] = []

    def take(self, wanted: int) -> int:
        """The wanted port, or another where it is not free.

        Raises:
            Unavailable: There is no free port.
        """
        for port in (wanted, *[any_free_port() for _ in range(20)]):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0precinto-port-{port}")
                if _is_free(port):
                    self._claims.append(claim)
                    return port
            except OSError:  # another installation holds it
                pass
            claim.close()
        raise Unavailable("there is no free port on 127.0.0.1")

    def release(self) -> None:
        """Give them back."""
        while self._claims:
            self._claims.pop().close()


def any_free_port() -> int:
    """A port of 127.0.0.1 where nobody listens now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:  # somebody else listens there
            return False
    return True
