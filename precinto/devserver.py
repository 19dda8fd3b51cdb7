"""The Temporal server of the embedded default: found on this machine, downloaded, or built, and how it is started.

For one machine and for trying out; a production installation gives the address of a Temporal cluster instead.
Looked for in this order: ``temporal`` on PATH; the binary kept from an earlier time; the download that Temporal's SDK
makes; a build with Go from pinned sources (``tools/temporal``, four to five minutes on two cores, once).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import structlog
from temporalio.testing import WorkflowEnvironment

from precinto import shipped, stubs
from precinto.domain.errors import CannotHere
from precinto.supervisor import tied

VERSION = "v1.5.1"
"""Of the Temporal CLI: server 1.29.1, UI 2.42.1. Later ones cannot be built from the Go module proxy."""

LIMITS: dict[str, int] = {
    # More than a case hears in years, and more than the events after which its run goes on in another
    # (``workflows.case.LONG``). Beyond it the server refuses a signal at once, and the run is not bothered with it.
    "history.maximumSignalsPerExecution": 200,
    # Bytes of one payload, of which ours have some hundred; at the default, 2 MB, the 26th signal kills a case, for a
    # history may have 50 MB. 200 times 16 KB is also less than the 4 MB at which a run is asked to give way at once.
    # The server looks at the second only beyond the first.
    "limit.blobSize.warn": 16_384,
    "limit.blobSize.error": 16_384,
    # What may wait for a workflow task to be over, in events and bytes. At more the server fails the task, and the run
    # is replayed; at the defaults, 100 and 2 MB, a flood makes it do so again and again. Signals cannot reach these.
    "history.maximumBufferedEventsBatch": 1_000,
    "history.maximumBufferedEventsSizeInBytes": 4_194_304,
}
"""What keeps a flood of signals from a case: values of the server's dynamic configuration. A cluster is given the same
by ``deploy/temporal-limits.yaml``."""

_TOOL = shipped.FOLDER / "tools" / "temporal"
_PACKAGE = "github.com/temporalio/cli"
_DOWNLOAD_SECONDS = 180
_REPORT_SECONDS = 15

log = structlog.get_logger(__name__)
Progress = Callable[[str], None]


def cache_folder() -> Path:
    """Where what is fetched or built once is kept, outside any checkout (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "precinto"


def installed() -> Path | None:
    """A Temporal CLI that is here already: on PATH, or kept from an earlier time."""
    if on_path := shutil.which("temporal"):
        return Path(on_path)
    return kept if _is_program(kept := _kept()) else None


async def temporal_binary(progress: Progress) -> Path:
    """The Temporal CLI; fetched or built if need be.

    Args:
        progress: Told, in words, of what takes long.

    Raises:
        CannotHere: There is none and none can be made; says what was tried and what helps.
    """
    if found := installed():
        return found
    progress(f"fetching the Temporal dev server {VERSION}")
    try:
        return await _download()
    except (RuntimeError, TimeoutError) as error:
        log.info("temporal_download_failed", reason=str(error))
        return await _build(progress)


def server_command(
    binary: Path, address: str, ui_port: int | None, database: Path, options: Sequence[str] = ()
) -> list[str]:
    """How the server is started.

    The write-ahead log makes SQLite 2.6 times faster than the dev server's own pragmas, and ``synchronous=full``
    keeps what was acknowledged through a power cut. The search attributes are registered at the start, because one
    that is missing wedges every case. The server asks nobody for newer versions of itself: nothing leaves the machine.
    :data:`LIMITS` keep floods of signals out.

    Args:
        binary: From :func:`temporal_binary`.
        address: Of its frontend, ``host:port``.
        ui_port: Port of its web interface; None for none.
        database: Its SQLite file.
        options: Further options of ``temporal server start-dev``.
    """
    host, _, port = address.rpartition(":")
    dynamic = {"frontend.enableServerVersionCheck": "false", **LIMITS}
    attributes = [f"--search-attribute={name}={kind}" for name, kind in stubs.SEARCH_ATTRIBUTES.items()]
    return [
        str(binary), "server", "start-dev", "--ip", host, "--port", port, "--log-level", "error",
        *(["--headless"] if ui_port is None else ["--ui-port", str(ui_port)]),
        "--db-filename", str(database),
        "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=full",
        *(part for key, value in dynamic.items() for part in ("--dynamic-config-value", f"{key}={value}")),
        *attributes, *options,
    ]  # fmt: skip


def _kept() -> Path:
    return cache_folder() / "temporal" / VERSION / "temporal"


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


@contextlib.contextmanager
def _workshop() -> Generator[Path]:
    """A folder for what is not finished: no part of it is ever taken for the real one, and none of it stays."""
    _kept().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=_kept().parent) as folder:
        yield Path(folder)


async def _download() -> Path:
    """Let the SDK fetch its server, and keep the program that it leaves."""
    with _workshop() as folder:
        async with asyncio.timeout(_DOWNLOAD_SECONDS):
            server = await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType]
                download_dest_dir=str(folder), dev_server_download_version=VERSION
            )
            await server.shutdown()
        program = next((path for path in folder.iterdir() if _is_program(path)), None)
        if program is None:
            raise RuntimeError("the download left no program")
        return program.rename(_kept())


async def _build(progress: Progress) -> Path:
    go = shutil.which("go")
    if go is None or not _TOOL.is_dir():
        raise CannotHere(
            "the Temporal dev server is not here and could not be downloaded: install the Temporal CLI "
            "(https://docs.temporal.io/cli) so that 'temporal' is on PATH, or Go 1.25 or later, with which it is "
            "built, or set PRECINTO_TEMPORAL_ADDRESS to a server that runs"
        )
    with _workshop() as folder:
        fresh = folder / "temporal"
        building = await asyncio.create_subprocess_exec(
            *tied(_build_command(go, fresh)), cwd=_TOOL, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output = await _watched(building, progress)
        if building.returncode != 0:
            raise CannotHere(f"the Temporal dev server could not be built with Go: {output.strip()[-500:]}")
        return fresh.rename(_kept())


def _build_command(go: str, output: Path) -> list[str]:
    version = f"{_PACKAGE}/temporalcli.Version={VERSION.removeprefix('v')}"
    flags = f"-s -w -X {version}"
    return [go, "build", "-trimpath", "-ldflags", flags, "-o", str(output), f"{_PACKAGE}/cmd/temporal"]


async def _watched(building: asyncio.subprocess.Process, progress: Progress) -> str:
    started = time.monotonic()
    waiting = asyncio.create_task(building.communicate())
    try:
        while not (await asyncio.wait({waiting}, timeout=_REPORT_SECONDS))[0]:
            minutes, seconds = divmod(int(time.monotonic() - started), 60)
            progress(
                f"building the Temporal dev server {VERSION} with Go, once: {minutes}:{seconds:02} so far (about 5)"
            )
        return (await waiting)[0].decode(errors="replace")
    finally:
        if building.returncode is None:  # given up: with the compilers that it started
            os.killpg(building.pid, signal.SIGKILL)
        await waiting
