"""Commands about this machine and this installation: up, setup, bootstrap, doctor."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.output import AsJson, Exit, emit, stderr, stdout, table

if TYPE_CHECKING:
    from precinto.embedded import Running
    from precinto.settings import Settings


def up(
    lab: Annotated[bool, typer.Option("--lab", help="With the lab: a small internet to try things on.")] = False,
) -> None:
    """Start Temporal with its UI, a worker and the sweeps, and keep them running until Ctrl-C."""
    from precinto.settings import load_settings

    asyncio.run(_up(load_settings(beside_up=False), lab=lab))


async def _up(settings: Settings, *, lab: bool) -> None:
    from precinto.embedded import embedded

    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        if lab:
            from precinto.cli.playground import lab_settings

            settings, _ = await stack.enter_async_context(lab_settings(settings))
        running = await stack.enter_async_context(embedded(settings, say))
        _where(running)
        await stop.wait()
        say("stopping: running activities may finish")


def say(text: str) -> None:
    """Tell the person at the terminal what is being done."""
    stderr().print(text, soft_wrap=True)


def _where(running: Running) -> None:
    out = stdout()
    out.print(f"Temporal    {running.settings.temporal_address}")
    if running.ui:
        out.print(f"Temporal UI {running.ui}/namespaces/{running.settings.temporal_namespace}/workflows")
    out.print(f"home        {running.settings.home}")
    out.print("In another terminal: python starter.py refer FILE, then cases, show, decide. Ctrl-C stops.")


def setup(
    lab: Annotated[bool, typer.Option("--lab", help="Also what the lab needs, for demo and tests.")] = False,
) -> None:
    """Install what this machine lacks: the browser, the Temporal server, with --lab the name servers."""
    from precinto.devserver import temporal_binary
    from precinto.provision import install_missing

    async def run() -> None:
        await install_missing(lab=lab, progress=say)
        await temporal_binary(say)

    asyncio.run(run())


def bootstrap() -> None:
    """Bring database, search attributes and sweep schedules to this version; for installations with a cluster."""
    from precinto import engine
    from precinto.domain.errors import BadInput
    from precinto.embedded import bootstrap as bring_up
    from precinto.registry import read_registry
    from precinto.settings import load_settings

    async def run() -> None:
        settings = load_settings()
        if not settings.temporal_address:
            raise BadInput(
                "PRECINTO_TEMPORAL_ADDRESS: needed here; on one machine, 'python starter.py up' does it all"
            )
        client = await engine.connect(settings.temporal_address, settings.temporal_namespace)
        await bring_up(settings, client, read_registry(settings.registry))

    asyncio.run(run())
    say("database, search attributes and schedules are up to date")


def doctor(as_json: AsJson = False) -> int:
    """Check this machine and this installation; each line says ok, warn or fail, and what helps."""
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
