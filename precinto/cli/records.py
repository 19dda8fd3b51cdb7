"""Commands about the records: the ledger, its anchors, and what of it leaves the house."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.cases import Case, with_installation
from precinto.cli.output import AsJson, Exit, emit, stderr, stdout, when

if TYPE_CHECKING:
    from precinto.bundle.trust import Trust
    from precinto.cli.opened import Opened
    from precinto.contracts import Anchored
    from precinto.domain.ledger import BrokenChain
    from precinto.excerpt import Excerpt, Head
    from precinto.records import Records, Verified

ledger_app = typer.Typer(help="The hash-chained ledger of every change.", no_args_is_help=True)

_Trust = Annotated[
    Path | None,
    typer.Option(
        "--trust", metavar="FOLDER", help="Certificates you trust; else, for our own ledger, the registry's."
    ),
]


@ledger_app.callback()
def ledger() -> None:
    """The hash-chained ledger of every change."""


@ledger_app.command()
def verify(
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="An excerpt to check in its place; needs --trust.")
    ] = None,
    trust: _Trust = None,
    as_json: AsJson = False,
) -> int:
    """Recompute the chains, and check the anchors and their time stamps; or check an excerpt, offline.

    A changed, removed or inserted row is named, and the exit code is 8.
    """
    from precinto.domain.ledger import BrokenChain

    try:
        if file is None:
            _say_verified(with_installation(partial(_verified, trust)), as_json)
        else:
            _say_excerpt(_checked(file, trust), as_json)
    except BrokenChain as broken:
        _say_broken(broken, as_json)
        return Exit.MISMATCH
    return Exit.OK


@ledger_app.command()
def export(
    case: Case,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where it goes; else CASE.jsonl.")] = None,
    as_json: AsJson = False,
) -> int:
    """Write the ledger's rows of one case, with the anchors that prove them, for others to check.

    No row of another case goes out. Rows that no anchor covers yet are not proved: see 'ledger anchor'.
    """
    from precinto.domain.ledger import BrokenChain

    path = to or Path(f"{case}.jsonl")

    async def act(here: Opened) -> Head:
        return await _records(here).export(case, path)

    try:
        head = with_installation(act)
    except BrokenChain as broken:
        _say_broken(broken, as_json)
        return Exit.MISMATCH
    if as_json:
        emit({"file": str(path), **head.model_dump(include={"case", "rows", "anchors"})})
    else:
        stdout().print(f"{path}: {head.rows} rows of {case}, and {head.anchors} anchors", soft_wrap=True)
    return Exit.OK


@ledger_app.command()
def anchor(as_json: AsJson = False) -> None:
    """Anchor the newest row now, beside the schedule, and get the time stamps that anchors lack."""
    from precinto import engine

    async def act(here: Opened) -> Anchored:
        return await engine.anchor_now(await here.client())

    done = with_installation(act)
    if as_json:
        emit({"last": done.last, "got": done.got, "waiting": done.waiting})
        return
    news = f"anchored up to row {done.last}" if done.last else "nothing new to anchor"
    stdout().print(f"{news}; {done.got} time stamps got, {done.waiting} anchors still lack one")


def _records(here: Opened) -> Records:
    from precinto.adapters.blobs import blob_store
    from precinto.records import Records

    return Records(here.store, blob_store(here.settings.blob_place))


async def _verified(folder: Path | None, here: Opened) -> Verified:
    from precinto.bundle.trust import Trust

    records = _records(here)
    if folder is not None:
        return await records.verify(Trust.read(folder))
    # Without an anchor nobody's certificate is needed, and a ledger can be looked at where there is no registry.
    return await records.verify(_registered(here) if await records.anchors() else Trust(authority=(), timestamps={}))


def _registered(here: Opened) -> Trust:
    """Whom the registry names, and whom it named once."""
    from precinto.bundle.trust import FORMER, Trust, read_certificates, read_former

    known = {one.name: read_certificates(one.ca_file) for one in here.registry.timestamp_authorities}
    return Trust(authority=(), timestamps=known, former=read_former(here.settings.sealing_folder / FORMER))


def _checked(file: Path, folder: Path | None) -> Excerpt:
    from precinto.bundle.trust import Trust
    from precinto.domain.errors import BadInput
    from precinto.excerpt import check_excerpt

    if folder is None:
        raise BadInput("an excerpt is checked with certificates of your own: name their folder with --trust")
    return check_excerpt(file, Trust.read(folder))


def _say_verified(found: Verified, as_json: bool) -> None:
    if as_json:
        emit(
            {
                "valid": True,
                "rows": found.rows,
                "head": found.head,
                "anchors": found.anchors,
                "waiting": found.waiting,
                "covered": found.covered,
                "stamped_at": found.stamped_at,
            }
        )
        return
    stdout().print(f"{found.rows} rows, each follows from the one before; head {found.head}")
    if found.stamped_at is not None:
        stdout().print(f"{found.anchors} anchors; rows up to {found.covered} were there at {when(found.stamped_at)}")
    if found.waiting:
        stdout().print(f"{found.waiting} anchors lack a time stamp")
    stdout().print("keep the head elsewhere: a ledger whose end was cut off verifies too, up to the last anchor")


def _say_excerpt(found: Excerpt, as_json: bool) -> None:
    stamps = {str(number): stated for number, stated in found.stamps.items()}
    if as_json:
        emit(
            {
                "valid": True,
                "case": found.case,
                "rows": found.rows,
                "proved": found.proved,
                "head": found.head,
                "anchors": stamps,
            }
        )
        return
    stdout().print(f"{found.rows} rows of {found.case}, each follows from the one before; head {found.head}")
    for number, stated in stamps.items():
        moments = ", ".join(f"{authority} {when(at)}" for authority, at in stated.items())
        stdout().print(f"anchor {number}: {moments}")
    stdout().print(f"{found.proved} rows are proved by anchors; whether later rows were left out, no excerpt can show")


def _say_broken(broken: BrokenChain, as_json: bool) -> None:
    if as_json:
        emit({"valid": False, "first_bad_row": broken.seq, "reason": broken.reason})
    else:
        stderr().print(f"the ledger was changed: row {broken.seq} {broken.reason}", soft_wrap=True)
