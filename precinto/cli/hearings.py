"""Commands about hearings: that whoever runs a service was served, answered, or could not be heard."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.cases import Case, with_installation
from precinto.cli.objections import TextFile, quoted, text_of
from precinto.cli.output import AsJson, Officer, emit, stdout, when

if TYPE_CHECKING:
    from precinto.cli.opened import Opened
    from precinto.store.hearings import HearingLine, HearingStore

hearings_app = typer.Typer(help="The right of a service's operator to be heard.", no_args_is_help=True)


class Because(StrEnum):
    """Why nobody is heard before the order; the domain's reasons, which take too long to load for a help text."""

    OPERATOR_UNKNOWN = "operator_unknown"
    WOULD_DEFEAT = "would_defeat"


@hearings_app.callback()
def hearings() -> None:
    """The right of a service's operator to be heard."""


@hearings_app.command()
def serve(
    case: Case,
    officer: Officer,
    how: Annotated[str, typer.Option("--how", metavar="TEXT", help="How the operator was told; kept sealed.")],
    as_json: AsJson = False,
) -> None:
    """Record that the operator was told of the case: the term to answer runs from now on."""
    line = _record(case, "served", officer, how)
    if as_json:
        emit(line)
    else:
        stdout().print(f"{case}: the operator may answer until {when(line.due_at)} UTC")


@hearings_app.command()
def answer(case: Case, officer: Officer, text_file: TextFile, as_json: AsJson = False) -> None:
    """Record what the operator answered."""
    line = _record(case, "answered", officer, text_of(text_file))
    if as_json:
        emit(line)
    else:
        stdout().print(f"{case}: the operator is heard")


@hearings_app.command()
def skip(
    case: Case,
    officer: Officer,
    because: Annotated[Because, typer.Option("--because", help="Why; the procedure must allow it.")],
    as_json: AsJson = False,
) -> None:
    """Record why nobody is heard before the order."""
    line = _record(case, "skipped", officer, None, because)
    if as_json:
        emit(line)
    else:
        stdout().print(f"{case}: nobody is heard before the order: {because.value.replace('_', ' ')}")


@hearings_app.command()
def ceased(
    case: Case,
    officer: Officer,
    text_file: Annotated[
        Path | None, typer.Option("--text-file", metavar="PATH", help="File with what the operator said, UTF-8.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Record that the operator took the content down; a reviewer looks, and rejects the case if it is so."""
    line = _record(case, "ceased", officer, text_of(text_file) if text_file else None)
    if as_json:
        emit(line)
    else:
        stdout().print(f"{case}: on file; a reviewer looks, and rejects the case if it is so")


@hearings_app.command("show")
def show_hearing(case: Case, as_json: AsJson = False) -> None:
    """Show the hearing of a case, with what was said."""

    async def act(here: Opened) -> list[tuple[HearingLine, str | None]]:
        return await _store(here).read(case)

    steps: list[tuple[HearingLine, str | None]] = with_installation(act)
    if as_json:
        emit([{**line.model_dump(mode="json"), "text": text} for line, text in steps])
        return
    for line, text in steps:
        because = f", because: {line.reason.replace('_', ' ')}" if line.reason else ""
        until = f"; answer due {when(line.due_at)} UTC" if line.due_at else ""
        stdout().print(f"{when(line.at)} UTC  {line.step}{because}, recorded by {line.officer}{until}")
        if line.subject is not None:
            stdout().print(f"  subject {line.subject}:\n{quoted(text)}", soft_wrap=True)


def _record(case: str, step: str, officer: str, text: str | None, because: Because | None = None) -> HearingLine:
    async def act(here: Opened) -> HearingLine:
        from precinto.domain.hearings import HearingStep
        from precinto.domain.procedures import Skip

        skip = Skip(because.value) if because else None
        officers = here.registry.officers
        return await _store(here).record(case, HearingStep(step), officer, officers, text=text, skip=skip)

    return with_installation(act)


def _store(here: Opened) -> HearingStore:
    from precinto.store.hearings import HearingStore

    return HearingStore(here.store.database, here.subjects)
