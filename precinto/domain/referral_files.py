"""Referral files: CSV or JSON from a partner, read row by row. A bad row is named; the others go on.

Columns (CSV) or keys (JSON, a list of objects): ``partner, reference, kind, target, service, work``, and ``page``
where an app is referred: the web page that offers it. A place is given as file, line (CSV: line in the file, header
is 1; JSON: index from 1) and column.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from precinto.domain.errors import BadInput, BadTarget
from precinto.domain.intake import Referral, Service, Target, TargetKind, normalise, unwritable
from precinto.domain.model import Value

COLUMNS = ("partner", "reference", "kind", "target", "service", "work")
PAGE = "page"
"""The one column that may be left out, or empty."""
MAX_BYTES = 20_000_000
MAX_ROWS = 50_000


class BadRow(Value):
    """A row that was refused: where, and why."""

    file: str
    line: int
    column: str
    reason: str


class GoodRow(Value):
    """A row that became a referral."""

    file: str
    line: int
    referral: Referral


Row = GoodRow | BadRow


def read(content: bytes, file: str) -> list[Row]:
    """Every row of a referral file, good or bad.

    Args:
        content: The file's bytes: UTF-8, with or without a byte order mark.
        file: Its name, for messages; ``.json`` makes it JSON, anything else CSV (``,`` ``;`` or tab).

    Raises:
        BadInput: The file as a whole cannot be read: too large, not UTF-8, no header, not a list.
    """
    if len(content) > MAX_BYTES:
        raise BadInput(f"{file}: {len(content)} bytes; at most {MAX_BYTES} are taken")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: byte {error.start}: not UTF-8") from error
    if "\0" in text:
        raise BadInput(f"{file}: character {text.index(chr(0))}: a NUL byte")
    records = _json(text, file) if file.lower().endswith(".json") else _csv(text, file)
    rows: list[Row] = []
    for line, record in records:
        if len(rows) == MAX_ROWS:
            raise BadInput(f"{file}: more than {MAX_ROWS} rows; split the file")
        rows.append(record if isinstance(record, BadRow) else _row(file, line, record))
    return rows


def _csv(text: str, file: str) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader)]
    except StopIteration:
        raise BadInput(f"{file}: line 1: the file is empty") from None
    except csv.Error as error:
        raise BadInput(f"{file}: line 1: {error}") from error
    if missing := [name for name in COLUMNS if name not in names]:
        raise BadInput(f"{file}: line 1: column {', '.join(missing)} is missing; needed are {', '.join(COLUMNS)}")
    if twice := sorted({name for name in (*COLUMNS, PAGE) if names.count(name) > 1}):
        raise BadInput(f"{file}: line 1: column {', '.join(twice)} stands there twice")
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A quote that never closes swallows what follows it: say how far.
            swallowed = f"; lines {line} to {reader.line_num} were not read" if reader.line_num > line else ""
            reason = f"{error}{swallowed}"
            yield line, BadRow(file=file, line=line, column="*", reason=reason)
            continue
        if not fields:
            continue
        if len(fields) != len(names):
            reason = f"{len(fields)} fields, the header has {len(names)}"
            yield line, BadRow(file=file, line=line, column="*", reason=reason)
            continue
        yield line, dict(zip(names, fields, strict=True))


def _json(text: str, file: str) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"{file}: line {error.lineno} column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise BadInput(f"{file}: nested too deeply") from error
    except ValueError as error:
        raise BadInput(f"{file}: not JSON that can be read: {error}") from error
    if not isinstance(rows, list):
        raise BadInput(f"{file}: a list of objects is needed")
    for index, row in enumerate(rows, 1):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if isinstance(row, dict):
            yield index, row
        else:
            yield index, BadRow(file=file, line=index, column="*", reason="not an object")


def _row(file: str, line: int, record: dict[str, Any]) -> Row:
    def bad(column: str, reason: str) -> BadRow:
        return BadRow(file=file, line=line, column=column, reason=reason)

    values: dict[str, str] = {}
    for column in COLUMNS:
        value = record.get(column)
        if not isinstance(value, str) or not value.strip():
            return bad(column, "is missing or empty")
        if unwritable(value):
            return bad(column, "holds control characters")
        values[column] = value.strip()
    try:
        kind = TargetKind(values["kind"])
    except ValueError:
        return bad("kind", f"{values['kind']!r} is none of {', '.join(TargetKind)}")
    try:
        service = Service(values["service"])
    except ValueError:
        return bad("service", f"{values['service']!r} is none of {', '.join(Service)}")
    try:
        target: Target = normalise(kind, values["target"])
    except BadTarget as error:
        return bad("target", str(error))
    try:
        page = _page(record.get(PAGE))
    except BadTarget as error:
        return bad(PAGE, str(error))
    try:
        referral = Referral(
            partner=values["partner"],
            reference=values["reference"],
            target=target,
            service=service,
            work=values["work"],
            page=page,
        )
    except ValidationError as error:
        first = error.errors()[0]
        return bad(str(first["loc"][0]), first["msg"])
    return GoodRow(file=file, line=line, referral=referral)


def _page(value: object) -> str | None:
    """The normal form of the page's address, which is read as that of a target is."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise BadTarget("is not a text")
    return normalise(TargetKind.URL, value).value
