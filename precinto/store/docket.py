"""What waits to be decided in a case beside its bundle: objections, stays and hearings, on file.

The tables, and the few steps that decisions and the end of an order take on them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel, col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.hearings import HearingRecord, HearingStep, is_heard
from precinto.domain.objections import ObjectionState
from precinto.domain.procedures import Hearing
from precinto.store import ledger
from precinto.store.database import now


class ObjectionRow(SQLModel, table=True):
    """An objection to an order, or an appeal against it.

    ``name``, ``contact`` and ``text`` are sealed for ``subject``. ``late``: filed after its term. ``suspends``: an
    appeal whose filing alone stays the order, by the case's procedure.
    """

    __tablename__ = "objections"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=16)
    case: str = Field(foreign_key="cases.id", index=True, max_length=40)
    order: str = Field(foreign_key="orders.id", index=True, max_length=36)
    instance: str = Field(max_length=10)
    capacity: str = Field(max_length=12)
    collateral: bool
    late: bool
    suspends: bool
    subject: str = Field(max_length=40)
    name: str = Field(sa_type=Text)
    contact: str = Field(sa_type=Text)
    text: str = Field(sa_type=Text)
    filed_by: str = Field(max_length=64)
    filed_at: datetime
    due_at: datetime
    stay_due_at: datetime | None = None
    state: str = Field(max_length=10, index=True)
    closed_at: datetime | None = None
    decision: str | None = Field(default=None, max_length=36)


class StayRow(SQLModel, table=True):
    """A time in which an order is suspended: ``version`` is that of the order from its beginning."""

    __tablename__ = "stays"  # pyright: ignore[reportAssignmentType]

    order: str = Field(foreign_key="orders.id", primary_key=True, max_length=36)
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    since: datetime
    until: datetime | None = None
    about: str | None = Field(default=None, max_length=64)
    decision: str | None = Field(default=None, max_length=36)


class HearingRow(SQLModel, table=True):
    """A step of the hearing of whoever runs the service; ``text`` is sealed for ``subject``, one for each case."""

    __tablename__ = "hearings"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    case: str = Field(foreign_key="cases.id", index=True, max_length=40)
    step: str = Field(max_length=10)
    reason: str | None = Field(default=None, max_length=20)
    subject: str | None = Field(default=None, max_length=40)
    text: str | None = Field(default=None, sa_type=Text)
    officer: str = Field(max_length=64)
    at: datetime
    due_at: datetime | None = None


async def open_objections(session: AsyncSession, order: str) -> list[ObjectionRow]:
    """The objections to an order that wait for a decision, oldest first."""
    found = await session.exec(
        select(ObjectionRow)
        .where(ObjectionRow.order == order, ObjectionRow.state == ObjectionState.OPEN)
        .order_by(col(ObjectionRow.filed_at), col(ObjectionRow.id))
    )
    return list(found)


async def close_objection(
    session: AsyncSession, row: ObjectionRow, state: ObjectionState, *, decision: str | None = None, actor: str
) -> None:
    """Note what became of an objection."""
    row.state, row.closed_at, row.decision = state.value, now(), decision
    session.add(row)
    body = {"objection": row.id, "state": state.value}
    if decision is not None:
        body["decision"] = decision
    await ledger.append(session, "objection_closed", body, case=row.case, actor=actor)


async def end_objections(
    session: AsyncSession, order: str, upheld: str | None, decision: str | None, actor: str
) -> None:
    """Close what was objected to an order that has just ended: one may have been upheld; moot are all the others."""
    for row in await open_objections(session, order):
        if row.id == upheld:
            await close_objection(session, row, ObjectionState.UPHELD, decision=decision, actor=actor)
        else:
            await close_objection(session, row, ObjectionState.MOOT, actor="engine")


async def end_stay(session: AsyncSession, order: str, at: datetime) -> None:
    """Note that an order is not suspended any more."""
    await session.exec(
        update(StayRow).where(col(StayRow.order) == order, col(StayRow.until).is_(None)).values(until=at)
    )


async def heard(session: AsyncSession, case: str, hearing: Hearing) -> bool:
    """Whether the right to be heard before an order has been given in a case."""
    rows = await session.exec(select(HearingRow).where(HearingRow.case == case))
    records = [HearingRecord(step=HearingStep(r.step), at=r.at, due_at=r.due_at) for r in rows]
    return is_heard(hearing, records, now().astimezone(UTC))
