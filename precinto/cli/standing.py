"""Commands about standing orders: draft, enact, revoke, and release cases under one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from precinto.cli.cases import Reason, with_installation
from precinto.cli.output import AsJson, Exit, Officer, emit, stderr, stdout, table, when
from precinto.cli.signing import PassphraseFile, signatory

if TYPE_CHECKING:
    from precinto.cli.opened import Opened
    from precinto.store.standing_orders import StandingFile

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="The standing order, as 'standing list' shows it.")]
Grounds = Annotated[
    list[str] | None, typer.Option("--ground", metavar="CODE", help="Legal ground, as 'procedures show' lists them.")
]

standing_app = typer.Typer(help="Standing orders, and what is released under them.", no_args_is_help=True)


@standing_app.callback()
def standing() -> None:
    """Standing orders, and what is released under them."""


@standing_app.command()
def draft(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its terms: TOML.")],
    officer: Officer,
    number: Annotated[
        str | None, typer.Option("--number", metavar="NUMBER", help="Replace this draft; else it gets a new number.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put the draft of a standing order on file.

    What was signed on an earlier draft does not count for this one.
    """

    async def act(here: Opened) -> StandingFile:
        from datetime import UTC, datetime

        from precinto.domain.standing_orders import drafted, read_terms
        from precinto.procedures import load_procedure, snapshot, text_of

        terms = read_terms(text_of(file, "standing order"), file.name)
        procedure = load_procedure(_beside(here.settings.procedure, terms.procedure, file.name))
        order = drafted(terms, snapshot(procedure, datetime.now(UTC).date()), file.name)
        return await here.store.standing_orders.draft(order, officer, here.registry.officers, number)

    done = with_installation(act)
    if as_json:
        emit({"number": done.number, "digest": done.digest, "needed": done.needed})
    else:
        stdout().print(f"{done.number} is drafted; what its officers sign: {done.digest}", soft_wrap=True)


@standing_app.command()
def enact(
    number: Number,
    officer: Officer,
    reason: Reason,
    grounds: Grounds = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Enact a standing order, signed with your key.

    It takes two officers, one of them a legal head. Who has drafted it may not.
    """

    async def act(here: Opened) -> int:
        from precinto.standing import enact as enacted

        by = await signatory(here, officer, passphrase_file)
        return await enacted(here.store, here.registry.officers, number, by, reason, grounds or ())

    needed = with_installation(act)
    if as_json:
        emit({"number": number, "officer": officer, "needed": needed})
    elif needed:
        stdout().print(f"{number}: signed by {officer}; {needed} more must enact it, one of all a legal head")
    else:
        stdout().print(f"{number}: enacted; cases can be released under it while its window lasts")


@standing_app.command()
def revoke(
    number: Number,
    officer: Officer,
    reason: Reason,
    grounds: Grounds = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> int:
    """Revoke a standing order, signed with your key: every order that rests on it is over.

    Repeat it where cases could not be told; they are told again.
    """

    async def act(here: Opened) -> tuple[tuple[str, ...], list[str]]:
        from precinto.domain.errors import Unavailable
        from precinto.engine import TemporalSignals
        from precinto.standing import revoke as revoked
        from precinto.standing import tell

        by = await signatory(here, officer, passphrase_file)
        cases = await revoked(here.store, here.registry.officers, number, by, reason, grounds or ())
        try:
            return cases, await tell(TemporalSignals(await here.client()), cases) if cases else []
        except Unavailable:
            return cases, list(cases)

    cases, untold = with_installation(act)
    if as_json:
        emit({"number": number, "cases": cases, "untold": untold})
    else:
        stdout().print(f"{number}: revoked; {len(cases)} cases lift their blocks now")
        if untold:
            stderr().print(f"not told yet: {', '.join(untold)}; give the same command again", soft_wrap=True)
    return Exit.PARTIAL if untold else Exit.OK


@standing_app.command()
def release(
    number: Number,
    cases: Annotated[list[str], typer.Argument(metavar="CASE...", help="Case ids, as 'cases' lists them.")],
    officer: Officer,
    reason: Reason,
    grounds: Grounds = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> int:
    """Release cases under a standing order: each is signed by itself, on its own bundle.

    Of several, each is released or refused by itself; where one is refused, the exit code is 6.
    """

    async def act(here: Opened) -> list[Any]:
        from precinto.standing import release as released

        by = await signatory(here, officer, passphrase_file)
        return await released(here.store, await here.desk(), number, cases, by, reason, grounds or ())

    done = with_installation(act)
    refused = [one for one in done if one.code]
    if as_json:
        emit({"number": number, "officer": officer, "cases": done})
    else:
        for one in refused:
            stderr().print(f"refused: {one.case}: {one.reason} [{one.code}]", soft_wrap=True)
        stdout().print(f"{number}: {len(done) - len(refused)} of {len(done)} cases released by {officer}")
    return Exit.PARTIAL if refused else Exit.OK


@standing_app.command("list")
def list_standing(as_json: AsJson = False) -> None:
    """List the standing orders, with how much of their caps is used."""

    async def files(here: Opened) -> list[StandingFile]:
        return await here.store.standing_orders.files()

    found = with_installation(files)
    if as_json:
        emit([_line(one) for one in found])
        return
    rows = table("number", "state", "until (UTC)", "released", "title", fixed=("number", "state", "until (UTC)"))
    for one in found:
        terms = one.order.terms
        state = f"{one.state}, {one.needed} to sign" if one.state == "draft" else one.state
        used = f"{one.released.total} of {terms.caps.total}"
        rows.add_row(one.number, state, when(terms.window.until), used, terms.title.en)
    stdout().print(rows)


@standing_app.command()
def show(number: Number, as_json: AsJson = False) -> None:
    """Show the terms of a standing order, who signed them, and what rests on it."""

    async def file(here: Opened) -> StandingFile:
        return await here.store.standing_orders.file(number)

    one = with_installation(file)
    if as_json:
        emit(one)
        return
    out, terms = stdout(), one.order.terms
    out.print(f"{one.number}, {one.state}: {terms.title.en}\nwhat its officers sign: {one.digest}", soft_wrap=True)
    out.print(f"procedure {terms.procedure}, on the grounds {', '.join(terms.grounds)}")
    out.print(f"window    {when(terms.window.since)} until {when(terms.window.until)} UTC")
    caps, released = terms.caps, one.released
    out.print(f"released  {released.total} of {caps.total} in all, {released.on_day} of {caps.per_day} today")
    for name, allowed in terms.scope.model_dump(mode="json").items():
        out.print(f"{name:<9} {', '.join(allowed)}", soft_wrap=True)
    out.print(f"drafted   {when(one.drafted_at)} by {', '.join(one.drafted_by)}\n")
    for by in one.signatures:
        counts = by.refusal or ("" if by.subject == one.digest else "of an earlier draft")
        does_not = f"; does not count: {counts.replace('_', ' ')}" if counts else ""
        role = by.role.replace("_", " ")
        out.print(f"{when(by.submitted_at)}  {by.officer} as {role}: {by.outcome}{does_not}", soft_wrap=True)
        out.print(f"  {by.reasons}", soft_wrap=True)
    orders = table("order", "case", "until (UTC)", "ended", fixed=("order", "case", "until (UTC)"))
    for order in one.orders:
        orders.add_row(order.order, order.case, when(order.until), (order.end_reason or "").replace("_", " "))
    if one.orders:
        out.print("")
        out.print(orders)


def _line(one: StandingFile) -> dict[str, Any]:
    terms = one.order.terms
    return {
        "number": one.number,
        "title": terms.title,
        "state": one.state,
        "needed": one.needed,
        "procedure": terms.procedure,
        "window": terms.window,
        "caps": terms.caps,
        "released": one.released,
        "digest": one.digest,
    }


def _beside(chosen: Path, name: str, where: str) -> Path:
    """The procedure of this name, beside the one that new cases take."""
    from precinto.domain.errors import BadInput
    from precinto.shipped import own_or_shipped

    found = {path.stem: path for path in own_or_shipped(chosen).parent.glob("*.toml")}
    if name not in found:
        raise BadInput(f"{where}: procedure: there is no {name!r}; there is {', '.join(sorted(found))}")
    return found[name]
