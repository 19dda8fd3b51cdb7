"""Commands about objections: file what somebody affected says against an order, list them, read one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer

from precinto.cli.cases import Case, with_installation
from precinto.cli.output import AsJson, Officer, emit, stdout, table, when

if TYPE_CHECKING:
    from precinto.cli.opened import Opened
    from precinto.domain.objections import Protest
    from precinto.store.objections import ObjectionLine, ObjectionStore, Person

objections_app = typer.Typer(help="Objections to orders, and appeals against them.", no_args_is_help=True)

TextFile = Annotated[Path, typer.Option("--text-file", metavar="PATH", help="File with what is said, UTF-8.")]

ERASED = "erased"
"""What is shown of a text that was."""


class As(StrEnum):
    """In what capacity somebody objects; the domain's, which take too long to load for a help text."""

    OWNER = "owner"
    OPERATOR = "operator"
    USER = "user"
    THIRD_PARTY = "third_party"
    ISP = "isp"


@objections_app.callback()
def objections() -> None:
    """Objections to orders, and appeals against them."""


@objections_app.command("file")
def file_objection(
    case: Case,
    officer: Officer,
    capacity: Annotated[As, typer.Option("--capacity", help="In what capacity the person objects.")],
    text_file: TextFile,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Who objects; kept sealed.")],
    contact: Annotated[str, typer.Option("--contact", metavar="TEXT", help="How to answer; kept sealed.")],
    collateral: Annotated[
        bool, typer.Option("--collateral", help="Harm beside the target is claimed: a stay is decided soon.")
    ] = False,
    appeal: Annotated[bool, typer.Option("--appeal", help="An appeal, to the instance above.")] = False,
    as_json: AsJson = False,
) -> None:
    """File an objection to the order in force of a case; the answer is its public id.

    Filed late, it is taken all the same, and marked. Where the law says so, an appeal in time suspends the order at
    once.
    """

    async def act(here: Opened) -> ObjectionLine:
        from precinto.engine import TemporalSignals

        protest = _protest(
            instance="appeal" if appeal else "objection",
            capacity=capacity.value,
            collateral=collateral,
            name=name,
            contact=contact,
            text=text_of(text_file),
        )
        # An appeal may stay the order, which its case must then be told: whether that works is known before.
        client = await here.client() if appeal else None
        line = await _store(here).file(case, protest, officer, here.registry.officers)
        if client is not None and line.suspends:
            await TemporalSignals(client).changed(case)
        return line

    line: ObjectionLine = with_installation(act)
    if as_json:
        emit(line)
        return
    stdout().print(f"{line.id}: to be decided by {when(line.due_at)} UTC")
    if line.stay_due_at:
        stdout().print(f"whether the order is stayed until then: by {when(line.stay_due_at)} UTC")
    if line.suspends:
        stdout().print("the order is suspended from now on: the law ties that to an appeal in time")
    if line.late:
        stdout().print("it is late; it is decided all the same")


@objections_app.command("list")
def list_objections(
    case: Annotated[str | None, typer.Argument(metavar="[CASE]", help="All cases, if none is named.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only what waits for a decision.")] = False,
    as_json: AsJson = False,
) -> None:
    """List objections, and how long each took to be corrected, by what was measured."""

    async def act(here: Opened) -> list[ObjectionLine]:
        from precinto.store.intake import load_case
        from precinto.store.objections import objection_lines

        async with here.store.database.read() as session:
            if case is not None:
                await load_case(session, case)
            return await objection_lines(session, case, only_open=only_open)

    lines: list[ObjectionLine] = with_installation(act)
    if as_json:
        emit(lines)
        return
    shown = table("id", "case", "as", "due (UTC)", "state", "correction", fixed=("id", "case", "due (UTC)"))
    for line in lines:
        due = when(line.due_at) if line.state == "open" else ""
        shown.add_row(line.id, line.case, line.capacity.replace("_", " "), due, state_of(line), corrected(line))
    stdout().print(shown)


@objections_app.command("show")
def show_objection(
    objection: Annotated[str, typer.Argument(metavar="ID", help="Its public id.")], as_json: AsJson = False
) -> None:
    """Show an objection, with what is personal of it."""

    async def act(here: Opened) -> tuple[ObjectionLine, Person]:
        return await _store(here).read(objection)

    line, person = with_installation(act)
    told: dict[str, str | None] = person.model_dump()
    if as_json:
        emit({**line.model_dump(mode="json"), **told})
        return
    out = stdout()
    harm = "; claims harm beside the target" if line.collateral else ""
    capacity = line.capacity.replace("_", " ")
    out.print(f"{line.id}: {line.instance} to order {line.order} of case {line.case}, as {capacity}{harm}")
    out.print(f"filed {when(line.filed_at)} UTC by {line.filed_by}; {state_of(line)}; due {when(line.due_at)} UTC")
    if correction := corrected(line):
        out.print(f"correction: {correction}")
    out.print(f"subject {line.subject}")
    for field in ("name", "contact", "text"):
        out.print(f"{field}:\n{quoted(told[field])}", soft_wrap=True)


def quoted(text: str | None) -> str:
    """What a stranger has said, so that no line of it passes for one of ours."""
    return indent(ERASED if text is None else text, "  ", lambda line: True)


def state_of(line: ObjectionLine) -> str:
    """What became of an objection, in words."""
    marks = [mark for mark, is_so in (("appeal", line.instance == "appeal"), ("late", line.late)) if is_so]
    return ", ".join([line.state, *marks])


def corrected(line: ObjectionLine) -> str:
    """How long it took until nobody was blocked any more, or who still is."""
    if line.minutes_to_correct is not None:
        return f"in {line.minutes_to_correct} min"
    if line.correction.waiting:
        return f"not measured open: {', '.join(line.correction.waiting)}"
    return ""


def text_of(path: Path) -> str:
    """The text of a file.

    Raises:
        BadInput: It cannot be read, is no UTF-8, or is too long.
    """
    from precinto.domain.errors import BadInput
    from precinto.domain.objections import LONGEST_TEXT

    try:
        with path.open("rb") as opened:
            content = opened.read(4 * LONGEST_TEXT + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8, or too long") from error
    if not 0 < len(text.strip()) <= LONGEST_TEXT:
        raise BadInput(f"{path}: a text of 1 to {LONGEST_TEXT} characters is needed")
    return text


def _protest(**said: Any) -> Protest:
    from pydantic import ValidationError

    from precinto.domain.errors import BadInput
    from precinto.domain.objections import Protest

    try:
        return Protest.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadInput(f"{first['loc'][0]}: {first['msg']}") from None  # its words could quote what is personal


def _store(here: Opened) -> ObjectionStore:
    from precinto.store.objections import ObjectionStore

    return ObjectionStore(here.store.database, here.subjects)
