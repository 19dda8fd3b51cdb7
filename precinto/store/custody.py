"""The chain of custody: who did what to the evidence of a case, each record chained to the one before.

The ledger keeps every change of everything; this chain is one case's, so it can leave the house with its bundles.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.custody import Act, CustodyRecord, next_record
from precinto.store.database import Database, now


class CustodyRow(SQLModel, table=True):
    """One act on the evidence of a case; nothing of it is ever changed."""

    __tablename__ = "custody"  # pyright: ignore[reportAssignmentType]

    case: str = Field(foreign_key="cases.id", primary_key=True, max_length=40)
    seq: int = Field(primary_key=True)
    attempt: int
    at: datetime
    actor: str = Field(max_length=64)
    act: str = Field(max_length=30)
    subject: str | None = Field(default=None, max_length=64)
    detail: str = Field(max_length=500)
    prev: str = Field(max_length=64)
    hash: str = Field(max_length=64)

    def record(self) -> CustodyRecord:
        """The domain's value, exactly as it was chained."""
        return CustodyRecord.model_validate(self.model_dump())


async def append(
    session: AsyncSession,
    case: str,
    act: Act,
    *,
    attempt: int,
    subject: str | None = None,
    detail: str = "",
    actor: str = "engine",
) -> CustodyRecord:
    """Append an act within the transaction of what it records; the record."""
    newest = select(CustodyRow).where(CustodyRow.case == case).order_by(col(CustodyRow.seq).desc()).limit(1)
    last = (await session.exec(newest)).first()
    record = next_record(
        last.record() if last else None,
        case=case,
        attempt=attempt,
        at=now(),
        actor=actor,
        act=act,
        subject=subject,
        detail=detail[:500],
    )
    fields: dict[str, Any] = record.model_dump(exclude={"v", "act"})
    session.add(CustodyRow(**fields, act=record.act.value))
    await session.flush()  # the next act of this transaction follows this one
    return record


async def chain_of(database: Database, case: str, until: CustodyRecord | None = None) -> list[CustodyRecord]:
    """The chain of a case, oldest first; ``until``: up to this record."""
    chain = select(CustodyRow).where(CustodyRow.case == case).order_by(col(CustodyRow.seq))
    if until is not None:
        chain = chain.where(CustodyRow.seq <= until.seq)
    async with database.read() as session:
        return [row.record() for row in await session.exec(chain)]
