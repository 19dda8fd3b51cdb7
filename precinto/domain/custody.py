"""The chain of custody of a case: who did what to its evidence, and when, from the first attempt at a capture on.

Each record holds the hash of the one before, so a changed, removed or inserted record shows. A tail that was cut off
does not show in the chain itself: whoever hands it on signs it, and its last record says to that end.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field, ValidationError

from precinto.domain.errors import BadInput, Refused
from precinto.domain.model import Digest, Instant, Value, canonical_json, digest, first_wrong

GENESIS = "0" * 64
"""What the first record of a case follows."""


class Act(StrEnum):
    """What was done. ``subject`` of a record is the digest of what it was done to."""

    ATTEMPT_BEGUN = "attempt_begun"
    """A capture began."""
    ATTEMPT_INTERRUPTED = "attempt_interrupted"
    """A capture was left open by a worker that is gone; found by the next one."""
    ATTEMPT_ABANDONED = "attempt_abandoned"
    """A capture brought nothing; the detail says why."""
    SEALED = "sealed"
    """The manifest was signed; the subject is the bundle, the SHA-256 of ``manifest.json``."""
    STAMPED = "stamped"
    """A time-stamp authority, named in the detail, stamped the signature; the subject is the token."""
    OPENED = "opened"
    """A person opened the bundle, or one item of it, which the detail names then; the subject is the bundle."""
    EXPORTED = "exported"
    """The bundle was written out, with this chain up to this record; the subject is the bundle."""


class CustodyRecord(Value):
    """One act on the evidence of a case.

    Attributes:
        v: Version of this format.
        case: The case.
        attempt: The attempt at a capture that the act is about.
        seq: 1, 2, 3, ... within the case.
        at: When.
        actor: Id of the officer, ``engine``, or ``vantage:ID``.
        act: What was done.
        subject: Digest of what it was done to; None where nothing exists yet.
        detail: What else is to be known of this act, in words.
        prev: ``hash`` of the record before; 64 zeros for the first.
        hash: SHA-256 of the canonical JSON of all other fields.
    """

    v: Literal[1] = 1
    case: str = Field(min_length=1, max_length=40)
    attempt: int = Field(ge=1)
    seq: int = Field(ge=1)
    at: Instant
    actor: str = Field(min_length=1, max_length=64)
    act: Act
    subject: Digest | None = None
    detail: str = Field(default="", max_length=500)
    prev: Digest
    hash: Digest

    def canonical(self) -> bytes:
        """The line, without its end, that stands for this record in ``custody.jsonl``."""
        return canonical_json(self.model_dump(mode="json"))

    def expected(self) -> str:
        """The hash that this record must have."""
        return digest(canonical_json(self.model_dump(mode="json", exclude={"hash"})))


def next_record(
    last: CustodyRecord | None,
    *,
    case: str,
    attempt: int,
    at: datetime,
    actor: str,
    act: Act,
    subject: str | None = None,
    detail: str = "",
) -> CustodyRecord:
    """The record that follows ``last``, or the first of a case."""
    record = CustodyRecord(
        case=case, attempt=attempt, seq=last.seq + 1 if last else 1, at=at, actor=actor, act=act,
        subject=subject, detail=detail, prev=last.hash if last else GENESIS, hash=GENESIS,
    )  # fmt: skip
    return record.model_copy(update={"hash": record.expected()})


def check_chain(records: Iterable[CustodyRecord]) -> None:
    """Recompute a chain from the first record of its case on.

    Raises:
        Refused: ``broken_custody``: names the first bad record and what is wrong with it.
    """
    last: CustodyRecord | None = None
    for number, record in enumerate(records, start=1):
        if record.seq != number:
            raise Refused("broken_custody", f"record {number} is missing: the next one is {record.seq}")
        if record.prev != (last.hash if last else GENESIS):
            raise Refused("broken_custody", f"record {number} does not follow the record before it")
        if record.hash != record.expected():
            raise Refused("broken_custody", f"record {number} was changed after it was written")
        if last and record.case != last.case:
            raise Refused("broken_custody", f"record {number} is of another case: {record.case}")
        last = record


def write_chain(records: Iterable[CustodyRecord]) -> bytes:
    """The bytes of ``custody.jsonl``: one record a line."""
    return b"".join(record.canonical() + b"\n" for record in records)


def read_chain(content: bytes) -> tuple[CustodyRecord, ...]:
    """The records of a ``custody.jsonl``; whether they are a chain is for ``check_chain`` to say.

    Raises:
        BadInput: A line is no record, or not in its one form; names the line.
    """
    *lines, rest = content.split(b"\n")
    if rest or not lines:
        raise BadInput("the last line is not whole")
    return tuple(_read(number, line) for number, line in enumerate(lines, start=1))


def _read(number: int, line: bytes) -> CustodyRecord:
    try:
        record = CustodyRecord.model_validate_json(line)
    except ValidationError as error:
        place, reason = first_wrong(error)
        raise BadInput(f"line {number}: {place or 'not a record'}: {reason}") from error
    if record.canonical() != line:
        raise BadInput(f"line {number}: not in its canonical form")
    return record
