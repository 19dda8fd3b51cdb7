"""Orders and what hangs on them: measures, notices, acknowledgements, and where each measure stands at each ISP.

The tables of notification and of verification, and the few steps that both take on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Text
from sqlmodel import Field, SQLModel, col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.case import Stage
from precinto.domain.errors import NotFound
from precinto.domain.notification import Action, notice_id
from precinto.domain.order_document import DocumentKind
from precinto.domain.orders import End, OrderKind
from precinto.domain.verification import Standing
from precinto.store import ledger
from precinto.store.database import now
from precinto.store.docket import StayRow, end_objections
from precinto.store.intake import CaseRow

SETTLED = (Standing.RELEASED.value, Standing.CARRIED_ON.value)
"""Standings at which nothing more is asked of an ISP."""


class NoticeState(StrEnum):
    """How far a notice has come. Delivered is not obeyed: that is measured."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    FAILED = "failed"
    VOID = "void"
    """What its ISP never got before something else was asked."""


class OrderRow(SQLModel, table=True):
    """An order: in force from ``valid_from`` until ``ended_at``, which ``valid_until`` bounds.

    Each thing that is asked of the ISPs under it is a version: the block, a stay, its end, a renewal, the release.
    ``asked_version`` and ``asked_at`` are those of what is asked now: a renewal goes on asking the same.
    ``proceeding`` is the number of the main proceeding, once it was opened: from then on the order does not lapse.
    """

    __tablename__ = "orders"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    number: str = Field(max_length=20, unique=True)
    case: str = Field(foreign_key="cases.id", index=True, max_length=40)
    kind: str = Field(default=OrderKind.ORDER.value, max_length=10)
    standing_order: str | None = Field(default=None, index=True, max_length=40)
    basis: str = Field(max_length=100)
    bundle: str = Field(max_length=64)
    valid_from: datetime
    valid_until: datetime
    renewals: int = 0
    lapses_at: datetime | None = None
    proceeding: str | None = Field(default=None, max_length=64)
    stayed_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = Field(default=None, max_length=16)
    version: int = 1
    asked_version: int = 1
    asked_at: datetime

    @property
    def is_lifted(self) -> bool:
        """Whether its block must be gone now: it has ended, or is stayed."""
        return self.ended_at is not None or self.stayed_at is not None

    @property
    def asks(self) -> Action:
        """What it asks of the ISPs now."""
        return Action.RELEASE if self.is_lifted else Action.BLOCK


class OrderVersionRow(SQLModel, table=True):
    """What one version of an order says: its documents are made after it, when the order may have moved on already.

    ``decisions``: ids of those that carry it, JSON. ``undocumented_at``: since when its notices, which lift a block,
    go out without a document, because none could be made.
    """

    __tablename__ = "order_versions"  # pyright: ignore[reportAssignmentType]

    order: str = Field(foreign_key="orders.id", primary_key=True, max_length=36)
    version: int = Field(primary_key=True)
    kind: str = Field(max_length=12)
    valid_from: datetime
    valid_until: datetime
    end_reason: str | None = Field(default=None, max_length=16)
    decisions: str = Field(sa_type=Text)
    stated_at: datetime
    undocumented_at: datetime | None = None


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
    version: int = 1
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
    overstay_seconds: int = 0
    """How long it was blocked after it had to be open, as measured, in all."""


async def load_order(session: AsyncSession, order: str) -> OrderRow:
    """The row of an order.

    Raises:
        NotFound: No such order.
    """
    row = await session.get(OrderRow, order)
    if row is None:
        raise NotFound(f"there is no order {order!r}")
    return row


def state_version(
    session: AsyncSession, order: OrderRow, kind: DocumentKind, since: datetime, decisions: Sequence[str]
) -> None:
    """Put down what an order says from now on, and by whose decisions: its documents will say that."""
    session.add(
        OrderVersionRow(
            order=order.id,
            version=order.version,
            kind=kind.value,
            valid_from=since,
            valid_until=order.valid_until,
            end_reason=order.end_reason,
            decisions=json.dumps(list(decisions)),
            stated_at=now(),
        )
    )


def queue_notices(session: AsyncSession, order: OrderRow, isps: Iterable[str], reminder: int = 0) -> None:
    """Write one notice of what the order asks now for each ISP, to be delivered."""
    for isp in isps:
        session.add(
            NoticeRow(
                id=notice_id(order.id, order.version, isp, reminder),
                order=order.id,
                isp=isp,
                version=order.version,
                action=order.asks.value,
                reminder=reminder,
                state=NoticeState.QUEUED.value,
                queued_at=now(),
            )
        )


async def newest_notice(session: AsyncSession, order: OrderRow, isp: str) -> NoticeRow | None:
    """The last of the notices that tell an ISP what the order asks now: the notice itself, or its newest reminder."""
    found = await session.exec(
        select(NoticeRow)
        .where(NoticeRow.order == order.id, NoticeRow.isp == isp, NoticeRow.version == order.version)
        .order_by(col(NoticeRow.reminder).desc())
        .limit(1)
    )
    return found.first()


async def standings_of(session: AsyncSession, order: str) -> list[StandingRow]:
    """Where every measure of an order stands, at every ISP."""
    found = await session.exec(
        select(StandingRow)
        .join(MeasureRow, col(MeasureRow.id) == StandingRow.measure)
        .where(MeasureRow.order == order)
    )
    return list(found)


async def still_blocked(session: AsyncSession, order: str) -> dict[str, str]:
    """Targets of an order that another order in force blocks too, each with that order's number."""
    own = select(MeasureRow.target).where(MeasureRow.order == order)
    found = await session.exec(
        select(MeasureRow.target, OrderRow.number)
        .join(OrderRow, col(OrderRow.id) == MeasureRow.order)
        .where(
            col(MeasureRow.target).in_(own),
            OrderRow.id != order,
            col(OrderRow.ended_at).is_(None),
            col(OrderRow.stayed_at).is_(None),
        )
        .order_by(col(OrderRow.number))
    )
    return dict(found.all())


async def ask(session: AsyncSession, order: OrderRow, at: datetime, decision: str | None = None) -> None:
    """Ask something else of every ISP from now on: a new version, and each measure is to be measured anew.

    ``decision`` is what carries it; None where it follows from the law or from the order's terms.

    What nobody was told yet of the version before is void: who never got the block gets the release all the same,
    for a notice that did not arrive may still have been acted upon.
    """
    order.version += 1
    order.asked_version, order.asked_at = order.version, at
    session.add(order)
    lifting = DocumentKind.END if order.ended_at is not None else DocumentKind.STAY
    kind = lifting if order.is_lifted else DocumentKind.RESUMPTION
    state_version(session, order, kind, at, [] if decision is None else [decision])
    await session.exec(
        update(NoticeRow)
        .where(col(NoticeRow.order) == order.id, col(NoticeRow.state) == NoticeState.QUEUED.value)
        .values(state=NoticeState.VOID.value)
    )
    standings = await standings_of(session, order.id)
    queue_notices(session, order, sorted({row.isp for row in standings}))
    for row in standings:
        row.standing, row.since, row.signalled_at = Standing.PENDING.value, at, None
        session.add(row)
    if order.is_lifted:
        await carry_on(session, order, at)


async def carry_on(session: AsyncSession, order: OrderRow, at: datetime) -> None:
    """What another order in force blocks too will not be measured open: say so, instead of blaming the ISPs."""
    others = await still_blocked(session, order.id)
    if not others:
        return
    measures = await session.exec(
        select(MeasureRow).where(MeasureRow.order == order.id, col(MeasureRow.target).in_(others))
    )
    under = {row.id: others[row.target] for row in measures}
    for row in await standings_of(session, order.id):
        if row.measure in under and row.standing not in SETTLED:
            body = {"measure": row.measure, "isp": row.isp, "from": row.standing, "to": Standing.CARRIED_ON.value}
            body["under"] = under[row.measure]
            row.standing, row.since = Standing.CARRIED_ON.value, at
            session.add(row)
            await ledger.append(session, "standing_changed", body, case=order.case)


async def stay_order(
    session: AsyncSession,
    order: OrderRow,
    case: CaseRow,
    at: datetime,
    *,
    about: str | None,
    decision: str | None = None,
    actor: str = "engine",
) -> None:
    """Suspend an order: its block must be gone until it is resumed. ``about``: the objection or appeal behind it."""
    order.stayed_at = at
    await ask(session, order, at, decision)
    session.add(StayRow(order=order.id, version=order.version, since=at, about=about, decision=decision))
    case.advance(Stage.STAYED)
    session.add(case)
    body = {"order": order.id, "decision": decision, "about": about, "version": order.version}
    await ledger.append(session, "order_stayed", body, case=case.id, actor=actor)


async def end_order(
    session: AsyncSession,
    order: OrderRow,
    case: CaseRow,
    end: End,
    *,
    upheld: str | None = None,
    decision: str | None = None,
    actor: str = "engine",
) -> None:
    """End an order: from now on the block must be gone. Writes the release notices.

    ``upheld`` is the objection that was right; whatever else was objected to the order is moot.
    """
    order.ended_at, order.end_reason = end.at, end.reason.value
    await ask(session, order, end.at, decision)
    case.advance(Stage.UNBLOCKING)
    # From the moment when the ISPs can be told: an outage of ours must not run against them.
    case.due_at = case.snapshot().due("release", max(end.at, now()))
    session.add(case)
    body = {"order": order.id, "reason": end.reason.value, "at": end.at.astimezone(UTC).isoformat()}
    if decision is not None:
        body["decision"] = decision
    await ledger.append(session, "order_ended", body, case=case.id, actor=actor)
    await end_objections(session, order.id, upheld, decision, actor)


async def order_of(session: AsyncSession, case: CaseRow) -> OrderRow | None:
    """The newest order of a case."""
    newest = select(OrderRow).where(OrderRow.case == case.id).order_by(col(OrderRow.valid_from).desc()).limit(1)
    return (await session.exec(newest)).first()
