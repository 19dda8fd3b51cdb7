"""Commands about this machine and this installation: up, setup, bootstrap, doctor."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.output import AsJson, Exit, emit, stderr, stdout, table

if TYPE_CHECKING:
    from precinto.embedded import Running
    from precinto.settings import Settings


def up(
    lab: Annotated[bool, typer.Option("--lab", help="With the lab: a small internet to try things on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run everything on this machine, until Ctrl-C.

    Temporal with its UI, a worker and the sweeps; whatever dies is started again.
    """
    from precinto.settings import load_settings

    asyncio.run(_up(load_settings(beside_up=False), lab=lab, as_json=as_json))


async def _up(settings: Settings, *, lab: bool, as_json: bool) -> None:
    """Run until a signal says stop, also while everything still starts; a second signal does not wait."""
    work = asyncio.create_task(_run(settings, lab=lab, as_json=as_json))

    def stop() -> None:
        say("stopping: running activities may finish")
        work.cancel()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _run(settings: Settings, *, lab: bool, as_json: bool) -> None:
    from precinto.embedded import embedded

    async with contextlib.AsyncExitStack() as stack:
        if lab:
            from precinto.cli.playground import lab_settings

            settings, _ = await stack.enter_async_context(lab_settings(settings))
        running = await stack.enter_async_context(embedded(settings, say))
        _where(running, as_json=as_json)
        await asyncio.Event().wait()


def say(text: str) -> None:
    """Tell the person at the terminal what is being done."""
    stderr().print(text, soft_wrap=True)


def _where(running: Running, *, as_json: bool) -> None:
    if as_json:
        emit({"temporal": running.settings.temporal_address, "ui": running.ui, "home": running.settings.home})
        sys.stdout.flush()
        return
    out = stdout()
    out.print(f"Temporal    {running.settings.temporal_address}")
    if running.ui:
        out.print(f"Temporal UI {running.ui}/namespaces/{running.settings.temporal_namespace}/workflows")
    out.print(f"home        {running.settings.home}")
    out.print("In another terminal: python starter.py refer FILE, then cases, show, decide. Ctrl-C stops.")


def setup(
    lab: Annotated[bool, typer.Option("--lab", help="Also what the lab and the demo need.")] = False,
    tests: Annotated[bool, typer.Option("--tests", help="Also what every test needs; implies --lab.")] = False,
    as_json: AsJson = False,
) -> None:
    """Install what this machine lacks.

    The browser and the Temporal server; with --lab the name servers, with --tests PostgreSQL.
    """
    from precinto.devserver import temporal_binary
    from precinto.provision import Need, install_missing

    async def run() -> tuple[list[str], str]:
        installed = await install_missing(Need.TESTS if tests else Need.LAB if lab else Need.RUN, say)
        return [one.name for one in installed], str(await temporal_binary(say))

    installed, temporal = asyncio.run(run())
    if as_json:
        emit({"installed": installed, "temporal": temporal})


def bootstrap(as_json: AsJson = False) -> None:
    """Bring an installation to this version.

    Database, search attributes, sweep schedules and open cases that no run carries any more, for installations with
    a Temporal cluster; 'up' does it itself.
    """
    from precinto import engine
    from precinto.domain.errors import BadInput
    from precinto.embedded import bootstrap as bring_up
    from precinto.registry import read_registry
    from precinto.settings import load_settings

    async def run() -> tuple[Settings, int]:
        settings = load_settings()
        if not settings.temporal_address:
            raise BadInput(
                "PRECINTO_TEMPORAL_ADDRESS: needed here; on one machine, 'python starter.py up' does it all"
            )
        client = await engine.connect(settings.temporal_address, settings.temporal_namespace)
        return settings, await bring_up(settings, client, read_registry(settings.registry))

    settings, taken_up = asyncio.run(run())
    if as_json:
        where = {"temporal": settings.temporal_address, "namespace": settings.temporal_namespace}
        emit(where | {"taken_up": taken_up})
    else:
        say("database, search attributes and schedules are up to date")
        if taken_up:
            say(f"open cases without a run were taken up again: {taken_up}")


def doctor(as_json: AsJson = False) -> int:
    """Check this machine and this installation.

    Each line says ok, warn or fail, and what helps.
    """
    from precinto.checks import Status, check_all
    from precinto.settings import load_settings

    found = asyncio.run(check_all(load_settings()))
    failed = any(one.status is Status.FAIL for one in found)
    if as_json:
        emit({"ok": not failed, "checks": found})
    else:
        rows = table("", "what", "found", "what helps", fixed=("", "what"))
        for one in found:
            rows.add_row(one.status, one.what, one.found, one.hint)
        stdout().print(rows)
    return Exit.FAILED if failed else Exit.OK
