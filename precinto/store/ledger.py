"""The ledger: an append-only, hash-chained row for every change.

``hash = SHA-256(canonical JSON of seq, at, case, action, actor, body, prev)`` and ``prev`` is the hash of the row
before, so a changed, removed or inserted row breaks the chain at that place, and anyone can recompute it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Text
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.model import canonical_json, digest
from precinto.store.database import Database, now

GENESIS = "0" * 64

_HEAD = "precinto.ledger.head"
"""Key under which a session, which lives for one transaction, remembers the newest row."""


class LedgerRow(SQLModel, table=True):
    """One change.

    ``body`` is canonical JSON: ids, digests, counts. Free text stays in the tables; the ledger holds its digest.
    """

    __tablename__ = "ledger"  # pyright: ignore[reportAssignmentType]

    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime
    case: str | None = Field(default=None, index=True, max_length=40)
    action: str = Field(max_length=60)
    actor: str = Field(max_length=64)
    body: str = Field(sa_type=Text)
    prev: str = Field(max_length=64)
    hash: str = Field(max_length=64, unique=True)

    def expected(self) -> str:
        """The hash that this row must have.

        Raises:
            ValueError: The body is not canonical JSON, so it is not what was written.
        """
        body = json.loads(self.body)
        if canonical_json(body).decode() != self.body:
            raise ValueError("the body is not canonical JSON")
        return digest(
            canonical_json(
                {
                    "seq": self.seq,
                    "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
                    "case": self.case,
                    "action": self.action,
                    "actor": self.actor,
                    "body": body,
                    "prev": self.prev,
                }
            )
        )


async def append(
    session: AsyncSession, action: str, body: Mapping[str, Any], *, case: str | None = None, actor: str = "engine"
) -> None:
    """Append a row within the transaction of the change that it records."""
    seq, prev = await _head(session)
    row = LedgerRow(
        seq=seq + 1,
        at=now(),
        case=case,
        action=action,
        actor=actor,
        body=canonical_json(dict(body)).decode(),
        prev=prev,
        hash="",
    )
    row.hash = row.expected()
    session.add(row)
    session.info[_HEAD] = (row.seq, row.hash)


async def _head(session: AsyncSession) -> tuple[int, str]:
    """The newest row, ``(seq, hash)``; read once in a transaction, because nobody else writes as long as it runs."""
    if (known := session.info.get(_HEAD)) is not None:
        return known
    last = select(LedgerRow.seq, LedgerRow.hash).order_by(col(LedgerRow.seq).desc()).limit(1)
    return (await session.exec(last)).first() or (0, GENESIS)


class BrokenChain(Exception):
    """The ledger was changed; ``seq`` is the first bad row."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"ledger row {seq}: {reason}")
        self.seq = seq
        self.reason = reason


async def verify(database: Database) -> tuple[int, str]:
    """Recompute the whole chain.

    Returns:
        Number of rows, and the head's hash (keep it elsewhere: a cut-off end verifies too).

    Raises:
        BrokenChain: Names the first bad row and what is wrong with it.
    """
    head, expected_seq = GENESIS, 0
    async with database.read() as session:
        rows = await session.stream_scalars(
            select(LedgerRow).order_by(col(LedgerRow.seq)).execution_options(yield_per=500)
        )
        async for row in rows:
            expected_seq += 1
            if row.seq != expected_seq:
                raise BrokenChain(expected_seq, f"is missing; the next one is {row.seq}")
            if row.prev != head:
                raise BrokenChain(row.seq, "does not follow the row before it")
            if not _unchanged(row):
                raise BrokenChain(row.seq, "was changed after it was written")
            head = row.hash
    return expected_seq, head


def _unchanged(row: LedgerRow) -> bool:
    try:
        return row.hash == row.expected()
    except (ValueError, TypeError):  # the body is no JSON any more, or holds what a body never holds
        return False
