"""How commands answer: people get tables, programs get JSON, both get an exit code that says what happened.

Only the answer goes to standard output; progress, hints and errors go to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.table import Table

from precinto.domain.errors import BadInput, CannotHere, NotFound, PrecintoError, Refused, Unavailable


class Exit(IntEnum):
    """Exit codes; ``docs/reference/cli.md`` explains them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    PARTIAL = 6
    UNREACHABLE = 7
    MISMATCH = 8
    INTERRUPTED = 130


AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
Officer = Annotated[
    str, typer.Option("--as", envvar="PRECINTO_OFFICER", metavar="NAME", help="Id of the officer who acts.")
]


_PIPE_WIDTH = 240
"""Columns where nobody's terminal sets a width: what is piped elsewhere is never cut or folded."""


def stdout() -> Console:
    """Where answers for people go."""
    return _console(sys.stdout)


def stderr() -> Console:
    """Where progress, hints and errors go."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=width)


def emit(value: Any) -> None:
    """Answer with one JSON document; models are written as their JSON form."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=_plain) + "\n")


def exit_code(error: PrecintoError) -> Exit:
    """The exit code that belongs to an error."""
    match error:
        case BadInput():
            return Exit.USAGE
        case NotFound():
            return Exit.NOT_FOUND
        case Refused():
            return Exit.REFUSED
        case Unavailable():
            return Exit.UNREACHABLE
        case _:
            return Exit.FAILED


def report(error: PrecintoError, *, as_json: bool) -> None:
    """Say on standard error what went wrong, in one line or as JSON."""
    code = error.code if isinstance(error, Refused) else type(error).__name__
    if as_json:
        report_json(code, str(error))
        return
    word = {Refused: "refused", CannotHere: "cannot do that here", Unavailable: "not reachable"}
    kind = next((text for cls, text in word.items() if isinstance(error, cls)), "error")
    stderr().print(f"{kind}: {error}" + (f" [{code}]" if isinstance(error, Refused) else ""), soft_wrap=True)


def report_json(code: str, message: str) -> None:
    """Say on standard error, as JSON, what went wrong."""
    sys.stderr.write(json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False) + "\n")


def when(moment: datetime | None) -> str:
    """A moment for people, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def table(*columns: str, fixed: Collection[str] = ()) -> Table:
    """A plain table; the ``fixed`` columns hold names that are never cut or folded."""
    made = Table(box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, no_wrap=column in fixed, overflow="fold")
    return made


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)
