"""What the ledger's rows and anchors must be like: the rules by which anybody recomputes them.

A row holds the hash of the row before it, and of the row before it of the same case: so one case's rows can leave the
house by themselves. An anchor states how far the ledger had come, for time-stamp authorities to sign.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from precinto.domain.merkle import TreeHead
from precinto.domain.model import Digest, Instant, Value, canonical_json, digest

GENESIS = "0" * 64

VERSION = 2
"""Version of a row. Those of version 1 have no place in their case's chain of their own; they keep their hash."""

ANCHORED = "ledger_anchored"
"""Action of the row that tells of an anchor."""


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no moment that there is in UTC") from error


Moment = Annotated[Instant, AfterValidator(_in_utc)]
"""An aware moment, in UTC: a row and an anchor write it so."""


class BrokenChain(Exception):
    """The ledger was changed; ``seq`` is the first bad row."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"ledger row {seq}: {reason}")
        self.seq = seq
        self.reason = reason


class BrokenAnchor(BrokenChain):
    """An anchor does not hold; ``seq`` is the first row that it covers."""

    def __init__(self, anchor: int, seq: int, reason: str) -> None:
        super().__init__(seq, f"is the first of anchor {anchor}, which {reason}")
        self.anchor = anchor


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger.

    Attributes:
        seq: 1, 2, 3, ... without a gap.
        at: When it was written.
        case: The case that it is about, if it is about one.
        action: What happened.
        actor: Who did it.
        body: Canonical JSON.
        prev: Hash of the row before.
        hash: Its own.
        v: Its version.
        case_seq: 1, 2, 3, ... within its case.
        case_prev: Hash of the row before of the same case.
    """

    seq: int
    at: datetime
    case: str | None
    action: str
    actor: str
    body: str
    prev: str
    hash: str
    v: int
    case_seq: int | None
    case_prev: str | None

    def content(self) -> dict[str, Any]:
        """What is hashed, as one JSON object.

        Raises:
            ValueError: The body is not canonical JSON, so it is not what was written.
        """
        body = json.loads(self.body)
        if canonical_json(body).decode() != self.body:
            raise ValueError("the body is not canonical JSON")
        content = {
            "seq": self.seq,
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "case": self.case,
            "action": self.action,
            "actor": self.actor,
            "body": body,
            "prev": self.prev,
        }
        if self.v == 1:
            return content
        return content | {"v": self.v, "case_seq": self.case_seq, "case_prev": self.case_prev}

    def expected(self) -> str:
        """The hash that it must have; errors as ``content``."""
        return digest(canonical_json(self.content()))

    def unchanged(self) -> bool:
        """Whether it has the hash that it must have."""
        try:
            return self.hash == self.expected()
        except (
            ValueError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ):  # it holds what a row never holds
            return False


class CaseChain:
    """The rows of one case, oldest first."""

    def __init__(self) -> None:
        self.rows: int = 0
        self.head: str = GENESIS
        self._version: int = 1

    def follow(self, entry: Entry) -> None:
        """Take the next row.

        Raises:
            BrokenChain: It is not the next one.
        """
        if not self._version <= entry.v <= VERSION:
            raise BrokenChain(entry.seq, f"is of version {entry.v}, which cannot follow version {self._version}")
        if entry.v == 1:
            if (entry.case_seq, entry.case_prev) != (None, None):
                raise BrokenChain(entry.seq, "has a place in its case's chain, which its version does not have")
        elif entry.case_seq != self.rows + 1:
            raise BrokenChain(
                entry.seq, f"is number {entry.case_seq} of its case; number {self.rows + 1} is missing or is not this"
            )
        elif entry.case_prev != self.head:
            raise BrokenChain(entry.seq, "does not follow the row before it of its case")
        self.rows, self.head, self._version = self.rows + 1, entry.hash, entry.v


class Anchor(Value):
    """How far the ledger had come at a moment.

    Attributes:
        v: Version of this form.
        anchor: 1, 2, 3, ...
        at: When it was written down; when it was there at the latest, its time stamps state.
        first: The first row that it covers: the one after those of the anchor before.
        last: The last row that it covers.
        head: Hash of that row.
        root: Root of the tree (RFC 6962, 2.1) whose leaves are the hashes, as 32 bytes each, of the rows covered.
        prev: SHA-256 of the statement of the anchor before; 64 zeros for the first.
    """

    v: Literal[1] = 1
    anchor: int
    at: Moment
    first: int
    last: int
    head: Digest
    root: Digest
    prev: Digest

    def statement(self) -> bytes:
        """What is stamped: its canonical JSON."""
        return canonical_json(self.model_dump() | {"at": self.at.isoformat(timespec="microseconds")})

    def digest(self) -> str:
        """SHA-256 of the statement."""
        return digest(self.statement())


class Chain:
    """The whole ledger, row by row, beside its anchors.

    Memory: a few hundred bytes for each case, and the anchors.
    """

    def __init__(self, anchors: Iterable[Anchor] = ()) -> None:
        self.rows: int = 0
        self.head: str = GENESIS
        self._version: int = 1
        self._cases: dict[str, CaseChain] = {}
        self._anchors, self._fault = _in_order(anchors)
        self._tree = TreeHead()
        self._passed: int = 0
        self._told: int = 0

    def follow(self, entry: Entry) -> None:
        """Take the next row.

        Raises:
            BrokenChain: It is not the next one, was changed, or is not what an anchor states.
        """
        if entry.seq != self.rows + 1:
            raise BrokenChain(self.rows + 1, f"is missing; the next one is {entry.seq}")
        if entry.prev != self.head:
            raise BrokenChain(entry.seq, "does not follow the row before it")
        if not entry.unchanged():
            raise BrokenChain(entry.seq, "was changed after it was written")
        if not self._version <= entry.v <= VERSION:
            raise BrokenChain(entry.seq, f"is of version {entry.v}, which cannot follow version {self._version}")
        if self._fault is not None and entry.seq >= self._fault.seq:
            raise self._fault
        if entry.case is not None:
            self._cases.setdefault(entry.case, CaseChain()).follow(entry)
        self.rows, self.head, self._version = entry.seq, entry.hash, entry.v
        self._cover(entry)

    def end(self) -> None:
        """Look at what is left when there are no more rows.

        Raises:
            BrokenChain: The anchors tell of rows that are not there.
            BrokenAnchor: An anchor does not follow from the one before.
        """
        if self._fault is not None:
            raise self._fault
        if self._passed < len(self._anchors):
            left = self._anchors[self._passed]
            raise BrokenChain(
                self.rows + 1, f"is missing, and all after it: anchor {left.anchor} covers rows up to {left.last}"
            )
        if self._told < len(self._anchors):
            left = self._anchors[self._told]
            raise BrokenChain(self.rows + 1, f"is missing: it would tell of anchor {left.anchor}")

    def _cover(self, entry: Entry) -> None:
        if entry.action == ANCHORED:
            self._tell(entry)
        self._tree.add(leaf(entry.seq, entry.hash))
        if self._passed == len(self._anchors) or entry.seq != (anchor := self._anchors[self._passed]).last:
            return
        if (entry.hash, self._tree.root()) != (anchor.head, anchor.root):
            raise BrokenAnchor(anchor.anchor, anchor.first, "states other rows than these")
        self._passed += 1
        self._tree = TreeHead()

    def _tell(self, entry: Entry) -> None:
        told = json.loads(entry.body)
        if self._told == len(self._anchors):
            raise BrokenChain(entry.seq, f"tells of anchor {told.get('anchor')}, which is missing")
        anchor = self._anchors[self._told]
        if told != tell(anchor):
            raise BrokenAnchor(anchor.anchor, anchor.first, f"is not the one that row {entry.seq} tells of")
        self._told += 1


def leaf(seq: int, sha256: str) -> bytes:
    """What a row's hash is in the tree of its anchor.

    Raises:
        BrokenChain: It is no hash.
    """
    try:
        return bytes.fromhex(sha256)
    except (ValueError, TypeError) as error:
        raise BrokenChain(seq, "was changed after it was written") from error


def tell(anchor: Anchor) -> dict[str, Any]:
    """The body of the row that tells of an anchor."""
    return {"anchor": anchor.anchor, "last": anchor.last, "statement": anchor.digest()}


def _in_order(anchors: Iterable[Anchor]) -> tuple[list[Anchor], BrokenAnchor | None]:
    """The anchors up to the first that does not follow from the one before, and what is wrong with that one."""
    good: list[Anchor] = []
    last, prev = 0, GENESIS
    for number, anchor in enumerate(anchors, 1):
        if (anchor.anchor, anchor.first, anchor.prev) != (number, last + 1, prev) or anchor.last < anchor.first:
            reason = "is missing, was changed, or does not follow the one before"
            return good, BrokenAnchor(number, last + 1, reason)
        good.append(anchor)
        last, prev = anchor.last, anchor.digest()
    return good, None
