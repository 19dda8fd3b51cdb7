"""An excerpt of the ledger: the rows of one case, for somebody who checks them without us, and sees no others.

JSON lines, each in its canonical form: what it is about; the anchors that cover its rows, with their time stamps; the
rows, each with the path that leads from its hash to the root of its anchor. What an excerpt cannot show by itself is
that no later row was left out: its reader knows that the case had come this far, and when.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Base64Bytes, Field, ValidationError

from precinto.bundle.timestamp import check_token
from precinto.bundle.trust import AUTHORITY, Trust
from precinto.domain.errors import BadInput, Refused
from precinto.domain.ledger import Anchor, BrokenAnchor, BrokenChain, CaseChain, Entry, Moment
from precinto.domain.merkle import leads_to
from precinto.domain.model import Digest, Value, canonical_json, first_wrong

LONGEST_LINE = 2**20
"""Bytes."""

MOST_ANCHORS = 100_000
_MOST_STAMPS = 16
_LONGEST_PATH = 64


class Head(Value):
    """The first line."""

    kind: Literal["ledger_excerpt"] = "ledger_excerpt"
    v: Literal[1] = 1
    case: str
    anchors: int = Field(ge=0, le=MOST_ANCHORS)
    rows: int = Field(ge=0)


class AnchorLine(Value):
    """An anchor; ``tokens``: authority to TimeStampToken (DER) in base64, over the canonical JSON of the statement."""

    statement: Anchor
    tokens: dict[str, Base64Bytes] = Field(max_length=_MOST_STAMPS)


class Row(Value):
    """A row: what its hash is over, and the hash. A row of version 1 lacks the last three keys."""

    seq: int
    at: Moment
    case: str | None
    action: str
    actor: str
    body: dict[str, Any]
    prev: Digest
    hash: Digest
    v: int = 1
    case_seq: int | None = None
    case_prev: Digest | None = None


class RowLine(Value):
    """A row with the number of the anchor that covers it, and the path to its root; None where there is none yet."""

    row: Row
    anchor: int | None
    path: tuple[Digest, ...] = Field(max_length=_LONGEST_PATH)


def row_line(entry: Entry, anchor: int | None, path: Iterable[str]) -> bytes:
    """The line of a row."""
    return canonical_json({"row": entry.content() | {"hash": entry.hash}, "anchor": anchor, "path": list(path)})


def anchor_line(anchor: Anchor, tokens: Mapping[str, bytes]) -> bytes:
    """The line of an anchor."""
    written = {name: base64.b64encode(token).decode() for name, token in tokens.items()}
    return canonical_json({"statement": json.loads(anchor.statement()), "tokens": written})


@dataclass(frozen=True)
class Excerpt:
    """What a good excerpt shows.

    Attributes:
        case: The case.
        rows: How many rows it has.
        proved: How many of them were there when their anchors were stamped.
        head: Hash of the last row.
        stamps: Anchor to authority to the moment that its token states.
    """

    case: str
    rows: int
    proved: int
    head: str
    stamps: Mapping[int, Mapping[str, datetime]]


def check_excerpt(path: Path, trust: Trust) -> Excerpt:
    """Check an excerpt, offline.

    Args:
        path: The file.
        trust: Certificates of whoever checks.

    Raises:
        BadInput: It cannot be read, or is no excerpt; names the line.
        BrokenChain: A row was changed, is missing, or is not where its anchor has it; names the first.
        BrokenAnchor: An anchor has no time stamp, or one that is not good.
    """
    lines = _lines(path)
    head = _read(path, next(lines, (1, b"")), Head)
    anchors: dict[int, Anchor] = {}
    stamps: dict[int, dict[str, datetime]] = {}
    for _ in range(head.anchors):
        line = _read(path, next(lines, (0, b"")), AnchorLine)
        anchors[line.statement.anchor] = line.statement
        stamps[line.statement.anchor] = check_stamps(line.statement, line.tokens, trust)
    chain, proved = CaseChain(), 0
    for numbered in lines:
        line = _read(path, numbered, RowLine)
        entry = _entry(line.row)
        if entry.case != head.case or not entry.unchanged():
            raise BrokenChain(entry.seq, "was changed after it was written, or is of another case")
        chain.follow(entry)
        if line.anchor is None:
            continue
        if proved != chain.rows - 1:
            raise BrokenChain(entry.seq, "comes after one that no anchor covers")
        _check_place(entry, anchors.get(line.anchor), line.path)
        proved += 1
    if chain.rows != head.rows:
        raise BadInput(f"{path}: {head.rows} rows were to come, and {chain.rows} did")
    return Excerpt(head.case, chain.rows, proved, chain.head, stamps)


def check_stamps(anchor: Anchor, tokens: Mapping[str, bytes], trust: Trust) -> dict[str, datetime]:
    """Check the time stamps of an anchor; authority to the moment that it states.

    Raises:
        BrokenAnchor: There is none, or one is not good or of nobody who is trusted.
    """
    stated: dict[str, datetime] = {}
    for authority, token in tokens.items():
        try:
            if not AUTHORITY.fullmatch(authority) or not (known := trust.timestamps_at(authority, None)):
                raise Refused("bad_timestamp", f"no certificate of an authority {authority!a} is trusted")
            stamped = check_token(token, anchor.statement(), known)
            # The moment is known only now: what has led to it must have counted at it.
            if (counting := trust.timestamps_at(authority, stamped.at)) != known:
                check_token(token, anchor.statement(), counting)
        except Refused as error:
            reason = f"has a time stamp of {authority!a} that is not good: {error}"
            raise BrokenAnchor(anchor.anchor, anchor.first, reason) from error
        stated[authority] = stamped.at
    if not stated:
        raise BrokenAnchor(anchor.anchor, anchor.first, "has no time stamp")
    return stated


def _check_place(entry: Entry, anchor: Anchor | None, path: tuple[str, ...]) -> None:
    if anchor is None:
        raise BrokenChain(entry.seq, "names an anchor that did not come along")
    size = anchor.last - anchor.first + 1
    if not leads_to(anchor.root, bytes.fromhex(entry.hash), entry.seq - anchor.first, size, path):
        raise BrokenChain(entry.seq, f"is not among the rows of anchor {anchor.anchor}")


def _entry(row: Row) -> Entry:
    content = row.model_dump()
    try:
        body = canonical_json(content.pop("body")).decode()
    except TypeError:  # a float, which no row holds: it cannot have its hash
        body = ""
    return Entry(**content, body=body)


L = TypeVar("L", bound=Value)


def _read(path: Path, numbered: tuple[int, bytes], kind: type[L]) -> L:
    number, line = numbered
    try:
        # One form alone: a reader that takes the first of two equal keys must not see another row.
        if canonical_json(json.loads(line)) != line:
            raise ValueError("not in its canonical form")
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise BadInput(f"{path}, line {number}: {': '.join(first_wrong(error))}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInput(f"{path}, line {number}: not a line of an excerpt: {error}") from error


def _lines(path: Path) -> Generator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                if not line.endswith(b"\n"):
                    raise BadInput(f"{path}, line {number}: has no end within {LONGEST_LINE} bytes")
                yield number, line[:-1]
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from error
