"""Notification: the notices to each ISP, what came of each, and what the ISPs said."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.case import Stage
from precinto.domain.errors import NotFound
from precinto.domain.notification import Action, Delivery, Measure, Method, Notice, notice_id
from precinto.domain.verification import Standing
from precinto.ports import OpenNotice
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.intake import CaseRow, load_case
from precinto.store.orders import (
    AcknowledgementRow,
    MeasureRow,
    NoticeRow,
    NoticeState,
    OrderRow,
    OrderVersionRow,
    StandingRow,
    load_order,
    newest_notice,
    queue_notices,
    still_blocked,
)
from precinto.store.releases import end_to_come
from precinto.store.review import raise_escalation
from precinto.store.together import Together

R = TypeVar("R", "NoticeRow", "OrderRow", "CaseRow")


class NotificationStore:
    """Port ``NotificationRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._deliveries = Together(self._record_deliveries)

    async def undelivered(self, order: str) -> Sequence[OpenNotice]:
        """Notices of this order that are still to be delivered; what lifts a block comes first."""
        async with self._database.read() as session:
            row = await load_order(session, order)
            queued = select(NoticeRow).where(NoticeRow.order == order, NoticeRow.state == NoticeState.QUEUED)
            if await _is_over(session, row):
                queued = queued.where(NoticeRow.action == Action.RELEASE)
            found = sorted(await session.exec(queued), key=lambda n: (n.action != Action.RELEASE, n.version))
            measures = await session.exec(select(MeasureRow).where(MeasureRow.order == order))
            others = await still_blocked(session, order) if row.is_lifted else {}
            items = tuple(
                Measure(id=m.id, target=m.target, method=Method(m.method), also_under=others.get(m.target))
                for m in measures
            )
            stated = await session.exec(select(OrderVersionRow).where(OrderVersionRow.order == order))
            until = {version.version: version.valid_until for version in stated}
            return [
                OpenNotice(notice=_notice(row, n, until.get(n.version, row.valid_until), items), queued_at=n.queued_at)
                for n in found
            ]

    async def is_open(self, notice: str) -> bool:
        """Whether a notice that was looked up some time ago is still to be delivered."""
        async with self._database.read() as session:
            row = await session.get_one(NoticeRow, notice)
            if row.state != NoticeState.QUEUED:
                return False
            return row.action == Action.RELEASE or not await _is_over(session, await load_order(session, row.order))

    async def delivered(self, notice: str, delivery: Delivery, at: datetime) -> None:
        """Record that a notice was delivered, and what the ISP said; idempotent.

        Returns once it is on disk. What is recorded at the same time goes into one transaction.
        """
        await self._deliveries.add(_Delivered(notice, delivery, at))

    async def failed(self, notice: str, reason: str, *, final: bool) -> None:
        """Record a failed try; ``final`` escalates the notice to a human."""
        async with self._database.write() as session:
            row = await session.get_one(NoticeRow, notice)
            if row.state != NoticeState.QUEUED:
                return
            row.tries, row.problem = row.tries + 1, reason[:500]
            order = await load_order(session, row.order)
            if final:
                row.state = NoticeState.FAILED.value
                await raise_escalation(session, order.case, "notice_undeliverable", f"{row.isp}:{notice}")
            session.add(row)
            await session.flush()
            await _all_told(session, order)

    async def notified(self, order: str) -> tuple[int, int, int]:
        """ISPs of an order, of these delivered to what it asks now, of these given up for a human to reach."""
        async with self._database.read() as session:
            row = await load_order(session, order)
            counts = await session.exec(
                select(NoticeRow.state, func.count())
                .where(NoticeRow.order == order, NoticeRow.version == row.version, NoticeRow.reminder == 0)
                .group_by(NoticeRow.state)
            )
            by_state = dict(counts.all())
            return sum(by_state.values()), by_state.get("delivered", 0), by_state.get("failed", 0)

    async def remind(self, order: str, now: datetime) -> int:
        """Write a reminder for each ISP that does not do what the order asks now, after its term to comply."""
        async with self._database.write() as session:
            row = await load_order(session, order)
            wrong = Standing.OVERSTAYING if row.is_lifted else Standing.LAPSED
            term = (await load_case(session, row.case)).snapshot().span("remind")
            found = await session.exec(
                select(StandingRow.isp)
                .join(MeasureRow, col(MeasureRow.id) == StandingRow.measure)
                .where(MeasureRow.order == order, StandingRow.standing == wrong)
                .distinct()
            )
            reminded: list[str] = []
            for isp in sorted(found):
                newest = await newest_notice(session, row, isp)
                if newest is None or newest.delivered_at is None:
                    continue
                if newest.reminder and newest.delivered_at + term > now:
                    continue
                queue_notices(session, row, [isp], newest.reminder + 1)
                reminded.append(isp)
            if reminded:
                body = {"order": order, "action": row.asks.value, "isps": reminded}
                await ledger.append(session, "reminders_queued", body, case=row.case)
            return len(reminded)

    async def _record_deliveries(self, deliveries: Sequence[_Delivered]) -> None:
        async with self._database.write() as session:
            notices = await _by_id(session, NoticeRow, {one.notice for one in deliveries})
            orders = await _by_id(session, OrderRow, {row.order for row in notices.values()})
            await _by_id(session, CaseRow, {order.case for order in orders.values()})  # for load_case
            for one in deliveries:
                row = notices[one.notice]
                if row.state != NoticeState.DELIVERED:
                    await _record_delivery(session, row, orders[row.order], one)
            for order in orders.values():
                await _all_told(session, order)


async def _is_over(session: AsyncSession, order: OrderRow) -> bool:
    """Nobody is told to block after the end, though the engine may not have got round to ending the order."""
    return order.ended_at is not None or (await end_to_come(session, order)).at <= now()


@dataclass(frozen=True)
class _Delivered:
    notice: str
    delivery: Delivery
    at: datetime


async def _record_delivery(session: AsyncSession, row: NoticeRow, order: OrderRow, one: _Delivered) -> None:
    row.state, row.delivered_at, row.receipt = NoticeState.DELIVERED.value, one.at, one.delivery.receipt[:200]
    row.tries, row.problem = row.tries + 1, None
    session.add(row)
    for said in one.delivery.acknowledgements:
        session.add(
            AcknowledgementRow(notice=row.id, measure=said.measure, claim=said.claim.value, code=said.code, at=one.at)
        )
    body = {
        "notice": row.id,
        "isp": row.isp,
        "version": row.version,
        "action": row.action,
        "reminder": row.reminder,
        "tries": row.tries,
        "claims": {said.measure: said.claim.value for said in one.delivery.acknowledgements},
    }
    await ledger.append(session, "notice_delivered", body, case=order.case)
    if row.action != order.asks:
        await _ask_again(session, order, row.isp)


async def _by_id(session: AsyncSession, kind: type[R], ids: Collection[str]) -> dict[str, R]:
    """Rows by id, read together.

    Raises:
        NotFound: One of them does not exist.
    """
    found = {row.id: row for row in await session.exec(select(kind).where(col(kind.id).in_(ids)))}
    if missing := set(ids) - set(found):
        raise NotFound(f"{kind.__name__} {min(missing)!r} does not exist")
    return found


async def _ask_again(session: AsyncSession, order: OrderRow, isp: str) -> None:
    """A notice was on its way when something else was asked, and the ISP took it: ask once more for what counts."""
    case = await load_case(session, order.case)
    if case.stage == Stage.CLOSED:
        await raise_escalation(session, case.id, "block_after_end", isp)
        return
    newest = await newest_notice(session, order, isp)
    if newest is None or newest.state != NoticeState.QUEUED:
        queue_notices(session, order, [isp], newest.reminder + 1 if newest else 0)
    await session.exec(
        update(StandingRow)
        .where(
            col(StandingRow.isp) == isp,
            col(StandingRow.measure).in_(select(MeasureRow.id).where(MeasureRow.order == order.id)),
        )
        .values(standing=Standing.PENDING.value, since=now())
    )


def _notice(order: OrderRow, row: NoticeRow, until: datetime, items: tuple[Measure, ...]) -> Notice:
    return Notice(
        id=row.id,
        order=order.number,
        version=row.version,
        isp=row.isp,
        action=Action(row.action),
        reminder=row.reminder,
        reminds_of=notice_id(order.id, row.version, row.isp, 0) if row.reminder else None,
        valid_from=order.valid_from,
        valid_until=until,  # of its version: sent again after a renewal, it must be the same
        items=items,
    )


async def _all_told(session: AsyncSession, order: OrderRow) -> None:
    """Once no notice waits any more, the case is under verification."""
    case = await load_case(session, order.case)
    if case.stage != Stage.NOTIFICATION:
        return
    await session.flush()
    waiting = select(func.count()).where(
        col(NoticeRow.order) == order.id,
        col(NoticeRow.version) == order.version,
        col(NoticeRow.state) == NoticeState.QUEUED,
    )
    if (await session.exec(waiting)).one() == 0:
        case.advance(Stage.VERIFICATION)
        session.add(case)
