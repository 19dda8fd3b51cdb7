"""The ledger: an append-only row for every change, hash-chained as a whole and for each case.

:mod:`precinto.domain.ledger` says what is hashed, so that anyone can recompute it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Index, Table, Text
from sqlalchemy import select as select_columns
from sqlmodel import Field, SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.ledger import GENESIS, VERSION, Anchor, BrokenAnchor, BrokenChain, CaseChain, Chain, Entry
from precinto.domain.model import canonical_json
from precinto.store.database import Database, now

__all__ = [
    "GENESIS", "AnchorRow", "BrokenAnchor", "BrokenChain", "LedgerRow",
    "anchors_of", "append", "rows_of_case", "verify",
]  # fmt: skip

_HEAD = "precinto.ledger.head"
"""Key under which a session, which lives for one transaction, remembers the newest row of all and of each case."""

_PAGE = 1000


class LedgerRow(SQLModel, table=True):
    """One change.

    ``body`` is canonical JSON: ids, digests, counts. Free text stays in the tables; the ledger holds its digest, and
    where the text is personal, that of its sealed form.
    """

    __tablename__ = "ledger"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (Index("ix_ledger_case_seq", "case", "seq"),)

    seq: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime
    case: str | None = Field(default=None, max_length=40)
    action: str = Field(max_length=60)
    actor: str = Field(max_length=64)
    body: str = Field(sa_type=Text)
    prev: str = Field(max_length=64)
    hash: str = Field(max_length=64, unique=True)
    v: int = VERSION
    case_seq: int | None = None
    case_prev: str | None = Field(default=None, max_length=64)


class AnchorRow(SQLModel, table=True):
    """How far the ledger had come; nothing of it is ever changed. Its stamps come later, in ``anchor_stamps``."""

    __tablename__ = "anchors"  # pyright: ignore[reportAssignmentType]

    anchor: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    v: int = 1
    at: datetime
    first: int
    last: int
    head: str = Field(max_length=64)
    root: str = Field(max_length=64)
    prev: str = Field(max_length=64)


async def append(
    session: AsyncSession, action: str, body: Mapping[str, Any], *, case: str | None = None, actor: str = "engine"
) -> None:
    """Append a row within the transaction of the change that it records."""
    heads: dict[str | None, tuple[int, str]] = session.info.setdefault(_HEAD, {})
    seq, prev = heads[None] if None in heads else await _head(session)
    own = None
    if case is not None:
        own = heads[case] if case in heads else await _head_of_case(session, case)
    entry = Entry(
        seq=seq + 1,
        at=now(),
        case=case,
        action=action,
        actor=actor,
        body=canonical_json(dict(body)).decode(),
        prev=prev,
        hash="",
        v=VERSION,
        case_seq=own[0] + 1 if own else None,
        case_prev=own[1] if own else None,
    )
    row = LedgerRow(
        seq=entry.seq,
        at=entry.at,
        case=case,
        action=action,
        actor=actor,
        body=entry.body,
        prev=prev,
        hash=entry.expected(),
        case_seq=entry.case_seq,
        case_prev=entry.case_prev,
    )
    session.add(row)
    heads[None] = (row.seq, row.hash)
    if case is not None and entry.case_seq is not None:
        heads[case] = (entry.case_seq, row.hash)


async def _head(session: AsyncSession) -> tuple[int, str]:
    """The newest row, ``(seq, hash)``; read once in a transaction, because nobody else writes as long as it runs."""
    last = select(LedgerRow.seq, LedgerRow.hash).order_by(col(LedgerRow.seq).desc()).limit(1)
    return (await session.exec(last)).first() or (0, GENESIS)


async def _head_of_case(session: AsyncSession, case: str) -> tuple[int, str]:
    """The newest row of a case, ``(case_seq, hash)``; rows of before there were such chains are counted."""
    own = select(LedgerRow.case_seq, LedgerRow.hash).where(LedgerRow.case == case)
    found = (await session.exec(own.order_by(col(LedgerRow.seq).desc()).limit(1))).first()
    if found is None:
        return 0, GENESIS
    number, head = found
    if number is None:
        number = (await session.exec(select(func.count()).where(LedgerRow.case == case))).one()
    return number, head


async def verify(database: Database) -> tuple[int, str]:
    """Recompute every chain, and compare with the anchors; not with their time stamps, which are elsewhere.

    Returns:
        Number of rows, and the head's hash (keep it elsewhere: a cut-off end verifies too, up to the last anchor).

    Raises:
        BrokenChain: Names the first bad row and what is wrong with it (``BrokenAnchor``: which anchor says so).
    """
    async with database.read() as session:
        chain = Chain(await anchors_of(session))
        async for entry in _entries(session, chain):
            chain.follow(entry)
        chain.end()
    return chain.rows, chain.head


async def anchors_of(session: AsyncSession) -> list[Anchor]:
    """Every anchor, oldest first.

    Raises:
        BrokenAnchor: One cannot be read.
    """
    found: list[Anchor] = []
    for row in await session.exec(select(AnchorRow).order_by(col(AnchorRow.anchor))):
        try:
            found.append(Anchor.model_validate(row.model_dump()))
        except ValueError as error:
            first = found[-1].last + 1 if found else 1
            raise BrokenAnchor(len(found) + 1, first, "was changed after it was written") from error
    return found


async def rows_of_case(session: AsyncSession, case: str) -> AsyncGenerator[Entry]:
    """The rows of a case, oldest first.

    Raises:
        BrokenChain: They do not follow from one another, or one was changed.
    """
    chain = CaseChain()
    stream = await (await session.connection()).stream(
        select_columns(_LEDGER).where(_LEDGER.c.case == case).order_by(_LEDGER.c.seq),
        execution_options={"yield_per": _PAGE},
    )
    async for row in stream.mappings():
        entry = Entry(**row)
        if not entry.unchanged():
            raise BrokenChain(entry.seq, "was changed after it was written")
        chain.follow(entry)
        yield entry


_LEDGER: Table = SQLModel.metadata.tables["ledger"]


async def _entries(session: AsyncSession, chain: Chain) -> AsyncGenerator[Entry]:
    """The rows after those that the chain has, in pages: a value that is none of its column's kind spoils its page."""
    connection, size = await session.connection(), _PAGE
    while True:
        page = select_columns(_LEDGER).where(_LEDGER.c.seq > chain.rows).order_by(_LEDGER.c.seq).limit(size)
        try:
            entries = [Entry(**row) for row in (await connection.execute(page)).mappings()]
        except (ValueError, TypeError) as error:
            if size == 1:
                raise BrokenChain(chain.rows + 1, "cannot be read: a value is not of its column's kind") from error
            size = 1
            continue
        for entry in entries:
            yield entry
        if len(entries) < size:
            return
