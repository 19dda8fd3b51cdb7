"""Orders and what hangs on them: measures, notices, acknowledgements, and where each measure stands at each ISP.

The tables of notification and of verification, and the few steps that both take on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel, col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.errors import NotFound
from precinto.domain.notification import Action, notice_id
from precinto.store.database import now


class NoticeState(StrEnum):
    """How far a notice has come. Delivered is not obeyed: that is measured."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    FAILED = "failed"
    VOID = "void"
    """A block that its ISP never got before the order ended."""


class OrderRow(SQLModel, table=True):
    """An order: in force from ``valid_from`` until ``ended_at``, which ``valid_until`` bounds."""

    __tablename__ = "orders"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    number: str = Field(max_length=20, unique=True)
    case: str = Field(foreign_key="cases.id", index=True, max_length=40)
    basis: str = Field(max_length=100)
    bundle: str = Field(max_length=64)
    valid_from: datetime
    valid_until: datetime
    ended_at: datetime | None = None
    revoked: bool = False


class MeasureRow(SQLModel, table=True):
    """One target by one method under an order."""

    __tablename__ = "measures"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    order: str = Field(foreign_key="orders.id", index=True, max_length=36)
    target: str = Field(max_length=253)
    method: str = Field(max_length=10)


class NoticeRow(SQLModel, table=True):
    """A notice to one ISP; its id is derived, so it exists once."""

    __tablename__ = "notices"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    order: str = Field(foreign_key="orders.id", index=True, max_length=36)
    isp: str = Field(max_length=64)
    action: str = Field(max_length=10)
    reminder: int
    state: str = Field(max_length=10, index=True)
    queued_at: datetime
    tries: int = 0
    delivered_at: datetime | None = None
    receipt: str | None = Field(default=None, max_length=200)
    problem: str | None = Field(default=None, max_length=500)


class AcknowledgementRow(SQLModel, table=True):
    """What an ISP says of one measure: a claim."""

    __tablename__ = "acknowledgements"  # pyright: ignore[reportAssignmentType]

    notice: str = Field(foreign_key="notices.id", primary_key=True, max_length=36)
    measure: str = Field(foreign_key="measures.id", primary_key=True, max_length=36)
    claim: str = Field(max_length=10)
    code: str | None = Field(default=None, max_length=64)
    at: datetime


class StandingRow(SQLModel, table=True):
    """Where one measure stands at one ISP, by what was measured."""

    __tablename__ = "standings"  # pyright: ignore[reportAssignmentType]

    measure: str = Field(foreign_key="measures.id", primary_key=True, max_length=36)
    isp: str = Field(primary_key=True, max_length=64, index=True)
    standing: str = Field(max_length=12)
    since: datetime
    ruling: str | None = Field(default=None, max_length=20)
    measured_at: datetime | None = None
    signalled_at: datetime | None = None


async def load_order(session: AsyncSession, order: str) -> OrderRow:
    """The row of an order.

    Raises:
        NotFound: No such order.
    """
    row = await session.get(OrderRow, order)
    if row is None:
        raise NotFound(f"there is no order {order!r}")
    return row


def queue_notices(
    session: AsyncSession, order: OrderRow, isps: Iterable[str], action: Action, reminder: int = 0
) -> None:
    """Write one notice for each ISP, to be delivered."""
    for isp in isps:
        session.add(
            NoticeRow(
                id=notice_id(order.id, isp, action, reminder),
                order=order.id,
                isp=isp,
                action=action.value,
                reminder=reminder,
                state=NoticeState.QUEUED.value,
                queued_at=now(),
            )
        )


async def newest_notice(session: AsyncSession, order: str, isp: str, action: Action) -> NoticeRow | None:
    """The last of the notices that ask an ISP for this: the notice itself, or its newest reminder."""
    found = await session.exec(
        select(NoticeRow)
        .where(NoticeRow.order == order, NoticeRow.isp == isp, NoticeRow.action == action)
        .order_by(col(NoticeRow.reminder).desc())
        .limit(1)
    )
    return found.first()


async def still_blocked(session: AsyncSession, order: str) -> dict[str, str]:
    """Targets of an order that another order in force blocks too, each with that order's number."""
    own = select(MeasureRow.target).where(MeasureRow.order == order)
    found = await session.exec(
        select(MeasureRow.target, OrderRow.number)
        .join(OrderRow, col(OrderRow.id) == MeasureRow.order)
        .where(col(MeasureRow.target).in_(own), OrderRow.id != order, col(OrderRow.ended_at).is_(None))
        .order_by(col(OrderRow.number))
    )
    return dict(found.all())


async def void_blocks(session: AsyncSession, order: str) -> None:
    """Take back the block notices that no ISP got: the order has ended."""
    await session.exec(
        update(NoticeRow)
        .where(
            col(NoticeRow.order) == order,
            col(NoticeRow.action) == Action.BLOCK.value,
            col(NoticeRow.state) == NoticeState.QUEUED.value,
        )
        .values(state=NoticeState.VOID.value)
    )
