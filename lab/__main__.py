"""``python -m lab FOLDER``: open the lab, say where everything is, and keep it open until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab.errors import LabError
from lab.lab import Lab, open_lab
from lab.names import HOSTS


def main() -> int:
    """Run the lab; the exit status is 1 if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the lab keeps its files; made if missing, else empty")
    try:
        asyncio.run(_run(parser.parse_args().folder))
    except LabError as error:
        Console(stderr=True).print(str(error), style="red", markup=False)
        return 1
    return 0


async def _run(folder: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_lab(folder) as lab:
        console = Console(soft_wrap=True)
        console.print(_table(lab))
        for name, value in lab.environment.items():
            console.print(f"export {name}='{value}'", markup=False, highlight=False)
        console.print("The lab is open. Stop it with Ctrl-C.")
        sys.stdout.flush()
        await stop.wait()


def _table(lab: Lab) -> Table:
    table = Table("what", "where")
    table.add_row("sites", f"HTTPS port {lab.ports[443]}, HTTP port {lab.ports[80]}")
    for host in HOSTS:
        table.add_row(f"  {host.name}", f"{host.address} ({host.kind})")
    for name, resolver in lab.resolvers.items():
        table.add_row(f"resolver {name}", str(resolver))
    table.add_row("policy zone, primary", str(lab.primary))
    table.add_row("andes, interface", lab.andes.url)
    table.add_row("sur, mail", str(lab.mail))
    for name, clock in lab.timestamps.items():
        table.add_row(f"time stamps, {name}", clock.url)
    table.add_row("certificate authority", str(lab.ca))
    table.add_row("registry", str(lab.registry))
    return table


if __name__ == "__main__":
    sys.exit(main())
