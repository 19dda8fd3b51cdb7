"""Commands about escalations: what waits for whom, and saying that it is seen to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.output import AsJson, Officer, emit, stdout, table, when

if TYPE_CHECKING:
    from precinto.store.escalations import EscalationLine

escalations_app = typer.Typer(help="What waits for people, and for whom.", no_args_is_help=True)

_SHOWN = 8
"""Characters of an id that are shown, and that suffice to name one."""


@escalations_app.callback()
def escalations() -> None:
    """What waits for people, and for whom."""


@escalations_app.command("list")
def list_escalations(
    officer: Annotated[
        str | None, typer.Option("--officer", metavar="ID", help="For this officer, or for whom that one stands in.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what was seen to.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what waits for people, the oldest first.

    Each escalation is put before the officers who are there when it is raised: the legal head, or the deputy;
    reminders of a review before its reviewers.
    """
    from precinto.cli.opened import opened

    async def run() -> list[EscalationLine]:
        async with opened() as here:
            officers = here.registry.officers if officer is not None else ()
            return await here.store.escalations.lines(officers, officer, everything=everything)

    found = asyncio.run(run())
    if as_json:
        emit(found)
        return
    columns = ("id", "at (UTC)", "case", "what", "subject", "for") + (("seen by",) if everything else ())
    rows = table(*columns, fixed=("id", "at (UTC)", "case"))
    for one in found:
        to = ", ".join(one.to) or "nobody is there"
        seen = (f"{one.seen_by} at {when(one.seen_at)}" if one.seen_by else "",) if everything else ()
        rows.add_row(one.id[:_SHOWN], when(one.at), one.case, one.what.replace("_", " "), one.subject, to, *seen)
    stdout().print(rows if found else "nothing waits")


@escalations_app.command()
def done(
    escalation: Annotated[str, typer.Argument(metavar="ID", help="Its id, or as much of it as 'list' shows.")],
    officer: Officer,
    as_json: AsJson = False,
) -> None:
    """Say that an escalation is seen to; the ledger keeps who did.

    An officer whom it was put before may, whoever stands in for one, and a legal head.
    """
    from precinto.cli.opened import opened

    async def run() -> EscalationLine:
        async with opened() as here:
            return await here.store.escalations.seen(escalation, officer, here.registry.officers)

    one = asyncio.run(run())
    if as_json:
        emit(one)
    else:
        stdout().print(f"{one.case}: {one.what} ({one.subject}): seen to by {one.seen_by} at {when(one.seen_at)} UTC")
