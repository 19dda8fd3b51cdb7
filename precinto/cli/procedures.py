"""Commands about the procedures: what there is, what one says, and whether a file can be used."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.output import AsJson, Exit, emit, stderr, stdout, table

if TYPE_CHECKING:
    from precinto.domain.procedures import Procedure

procedures_app = typer.Typer(help="The procedures: legal terms, grounds and who decides.", no_args_is_help=True)


@procedures_app.callback()
def procedures() -> None:
    """The procedures: legal terms, grounds and who decides."""


@procedures_app.command("list")
def list_procedures(as_json: AsJson = False) -> int:
    """List the procedures beside the one that new cases take; that one is marked."""
    from precinto.settings import load_settings
    from precinto.shipped import own_or_shipped

    chosen = own_or_shipped(load_settings().procedure)
    found, refused = _read(sorted(chosen.parent.glob("*.toml"), key=lambda path: path.stem))
    if as_json:
        emit([{**_summary(one), "file": str(path), "chosen": path == chosen} for path, one in found.items()])
    else:
        rows = table("", "name", "kind", "country", "orders last", "to check", "title", fixed=("name", "kind"))
        for path, one in found.items():
            mark = "*" if path == chosen else ""
            to_check = str(len(one.unverified)) if one.unverified else ""
            rows.add_row(mark, path.stem, one.kind, one.country, one.order.said, to_check, one.title.en)
        stdout().print(rows)
    _name(refused)
    return Exit.PARTIAL if refused else Exit.OK


@procedures_app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a procedure, as `list` gives it.")],
    start: Annotated[
        datetime | None,
        typer.Option(
            "--from", formats=["%Y-%m-%dT%H:%M"], help="Count from this local time of the authority; default: now."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a procedure says, and when each term would end."""
    from datetime import UTC
    from zoneinfo import ZoneInfo

    from precinto.domain.errors import NotFound
    from precinto.procedures import load_procedure, snapshot
    from precinto.settings import load_settings
    from precinto.shipped import own_or_shipped

    folder = own_or_shipped(load_settings().procedure).parent
    if name not in {path.stem for path in folder.glob("*.toml")}:
        raise NotFound(f"there is no procedure {name!r} in {folder}")
    one = load_procedure(folder / f"{name}.toml")
    zone = ZoneInfo(one.time_zone)
    began = start.replace(tzinfo=zone) if start else datetime.now(UTC).astimezone(zone)
    kept = snapshot(one, began.date())
    ends = {term: kept.due(term, began) for term in one.terms}
    if as_json:
        counted = {"from": began.astimezone(UTC), "ends": ends}
        calendar = {"holidays": kept.holidays, "holidays_source": kept.holidays_source}
        emit({"procedure": one, "to_check": one.unverified, **counted, **calendar})
        return
    out = stdout()
    out.print(
        f"{one.title.en} ({one.name}): {one.kind}, {one.country}\n{one.basis}: {one.basis_text.en}\n{one.source}"
    )
    skip = f", may be skipped: {', '.join(one.hearing.skip)}" if one.hearing.skip else ""
    out.print(f"operator heard: {one.hearing.when}{skip}")
    out.print(f"approved by: {', '.join(one.deciders)}; revoked by: {', '.join(one.revokers)}")
    out.print(f"an appeal {'suspends' if one.appeal_suspends else 'does not suspend'} an order\n")
    ending = f"from {began:%Y-%m-%d %H:%M} to"
    rows = table("term", "length", ending, "", "source", fixed=("term", "length", ending))
    for term, stated in one.terms.items():
        end = f"{ends[term].astimezone(zone):%Y-%m-%d %H:%M:%S}"
        rows.add_row(term, stated.said, end, _mark(stated.verify), stated.source)
    out.print(rows)
    grounds = table("ground", "for", "", "reason", fixed=("ground",))
    for ground in one.grounds:
        grounds.add_row(ground.code, ", ".join(ground.outcomes), _mark(ground.verify), ground.en)
    out.print("")
    out.print(grounds)
    out.print(f"\nholidays: {kept.holidays_source}; times are those of {one.time_zone}")


@procedures_app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Procedure files.")], as_json: AsJson = False
) -> int:
    """Check procedure files: name what is wrong, and what counsel has still to check."""
    found, refused = _read(files)
    if as_json:
        good = [{"file": str(path), "name": one.name, "to_check": one.unverified} for path, one in found.items()]
        emit(good + [{"file": str(path), "error": reason} for path, reason in refused.items()])
    else:
        for path, one in found.items():
            stdout().print(f"{path}: {one.name}: can be used" + ("; counsel has to check:" if one.unverified else ""))
            for what in one.unverified:
                stdout().print(f"  {what}: {_source(one, what)}", soft_wrap=True)
    _name(refused)
    return (Exit.PARTIAL if found else Exit.USAGE) if refused else Exit.OK


def _read(files: list[Path]) -> tuple[dict[Path, Procedure], dict[Path, str]]:
    from precinto.domain.errors import BadInput
    from precinto.procedures import load_procedure

    found: dict[Path, Procedure] = {}
    refused: dict[Path, str] = {}
    for path in files:
        try:
            found[path] = load_procedure(path)
        except BadInput as error:
            refused[path] = str(error)
    return found, refused


def _name(refused: dict[Path, str]) -> None:
    for reason in refused.values():
        stderr().print(f"refused: {reason}", soft_wrap=True)


def _summary(one: Procedure) -> dict[str, object]:
    return {
        "name": one.name,
        "kind": one.kind,
        "country": one.country,
        "order": one.order.said,
        "to_check": one.unverified,
        "title": one.title.model_dump(),
    }


def _source(one: Procedure, what: str) -> str:
    grounds = {f"grounds.{ground.code}": ground.source for ground in one.grounds}
    return grounds[what] if what in grounds else one.terms[what].source


def _mark(verify: bool) -> str:
    return "to check" if verify else ""
