"""Commands about the records: the ledger."""

from __future__ import annotations

import asyncio

import typer

from precinto.cli.output import AsJson, Exit, emit, stderr, stdout

ledger_app = typer.Typer(help="The hash-chained ledger of every change.", no_args_is_help=True)


@ledger_app.callback()
def ledger() -> None:
    """The hash-chained ledger of every change."""


@ledger_app.command()
def verify(as_json: AsJson = False) -> int:
    """Recompute the whole chain.

    A changed, removed or inserted row is named, and the exit code is 8.
    """
    from precinto.cli.opened import opened
    from precinto.store.ledger import BrokenChain
    from precinto.store.ledger import verify as verify_chain

    async def run() -> tuple[int, str]:
        async with opened() as here:
            return await verify_chain(here.store.database)

    try:
        rows, head = asyncio.run(run())
    except BrokenChain as broken:
        if as_json:
            emit({"valid": False, "first_bad_row": broken.seq, "reason": broken.reason})
        else:
            stderr().print(f"the ledger was changed: row {broken.seq} {broken.reason}")
        return Exit.MISMATCH
    if as_json:
        emit({"valid": True, "rows": rows, "head": head})
    else:
        stdout().print(f"{rows} rows, each follows from the one before; head {head}")
        stdout().print("keep the head elsewhere: a ledger whose end was cut off verifies too")
    return Exit.OK
