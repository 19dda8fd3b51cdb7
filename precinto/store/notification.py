"""Notification: orders, their measures, the notices to each ISP, and what the ISPs said.

``issue`` is the gate of the whole system: no notice exists that did not pass it, and it believes only what
officers filed, whatever a workflow may claim.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.contracts import OrderTask
from precinto.domain.case import Stage
from precinto.domain.errors import NotFound, NotVerified, Refused
from precinto.domain.notification import Action, Delivery, Measure, Method, Notice, measure_id, order_id
from precinto.domain.review import ORDER_OVER, Officer, carries_order
from precinto.domain.verification import Standing
from precinto.ports import OpenNotice
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.intake import CaseRow, TargetRow, load_case
from precinto.store.orders import (
    AcknowledgementRow,
    MeasureRow,
    NoticeRow,
    NoticeState,
    OrderRow,
    StandingRow,
    load_order,
    newest_notice,
    queue_notices,
    still_blocked,
)
from precinto.store.review import carried_out, docket_of, on_file, raise_escalation
from precinto.store.together import Together

R = TypeVar("R", "NoticeRow", "OrderRow", "CaseRow")


class NotificationStore:
    """Port ``NotificationRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._deliveries = Together(self._record_deliveries)

    async def issue(self, task: OrderTask, officers: Sequence[Officer], isps: Sequence[str]) -> str:
        """Issue the order that these decisions carry, with a notice for every ISP; idempotent."""
        async with self._database.write() as session:
            if (known := await session.get(OrderRow, task.order)) is not None:
                if known.case != task.case:
                    raise NotVerified("other_order", f"order {task.order} is that of another case")
                return task.order
            case = await load_case(session, task.case)
            docket = await docket_of(session, case)
            decisions = [await on_file(session, task.case, decision) for decision in task.decisions]
            try:
                # The gate counts the approvals itself.
                carries_order(decisions, docket.model_copy(update={"approvals": ()}), officers)
                if docket.bundle is None or task.order != order_id(task.case, docket.bundle):
                    raise Refused("other_order", "the order is not that of the bundle under review")
                if task.valid_from + case.snapshot().order <= now():
                    raise Refused(ORDER_OVER, "the order would be over before any ISP heard of it")
            except Refused as refused:
                raise NotVerified(refused.code, refused.reason, refused.decision) from refused
            await carried_out(session, *task.decisions)
            order = await _write_order(session, task, case)
            measures = await _write_measures(session, order)
            queue_notices(session, order, isps, Action.BLOCK)
            await session.flush()
            for measure in measures:
                for isp in isps:
                    session.add(StandingRow(measure=measure, isp=isp, standing=Standing.PENDING.value, since=now()))
            case.advance(Stage.NOTIFICATION)
            case.due_at = order.valid_until
            session.add(case)
            body = {
                "order": order.id,
                "number": order.number,
                "bundle": order.bundle,
                "decisions": list(task.decisions),
                "measures": measures,
                "isps": list(isps),
                "until": order.valid_until.isoformat(),
            }
            await ledger.append(session, "order_issued", body, case=case.id)
            return task.order

    async def undelivered(self, order: str, action: Action) -> Sequence[OpenNotice]:
        """Notices of this order that are still to be delivered; empty for blocks of an order that has ended."""
        async with self._database.read() as session:
            row = await load_order(session, order)
            if action is Action.BLOCK and row.ended_at is not None:
                return ()
            queued = await session.exec(
                select(NoticeRow).where(
                    NoticeRow.order == order,
                    NoticeRow.action == action,
                    NoticeRow.state == NoticeState.QUEUED,
                )
            )
            found = list(queued)
            measures = await session.exec(select(MeasureRow).where(MeasureRow.order == order))
            others = await still_blocked(session, order) if action is Action.RELEASE else {}
            items = tuple(
                Measure(id=m.id, target=m.target, method=Method(m.method), also_under=others.get(m.target))
                for m in measures
            )
            return [OpenNotice(notice=_notice(row, n, items), queued_at=n.queued_at) for n in found]

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
        """ISPs of an order, of these delivered to, of these given up for a human to reach."""
        async with self._database.read() as session:
            counts = await session.exec(
                select(NoticeRow.state, func.count())
                .where(NoticeRow.order == order, NoticeRow.action == Action.BLOCK, NoticeRow.reminder == 0)
                .group_by(NoticeRow.state)
            )
            by_state = dict(counts.all())
            return sum(by_state.values()), by_state.get("delivered", 0), by_state.get("failed", 0)

    async def remind(self, order: str, standing: Standing, now: datetime) -> int:
        """Write a reminder for each ISP at which a measure of the order has this standing."""
        async with self._database.write() as session:
            row = await load_order(session, order)
            action = Action.RELEASE if row.ended_at else Action.BLOCK
            term = (await load_case(session, row.case)).snapshot().remind
            lapsed = await session.exec(
                select(StandingRow.isp)
                .join(MeasureRow, col(MeasureRow.id) == StandingRow.measure)
                .where(MeasureRow.order == order, StandingRow.standing == standing)
                .distinct()
            )
            reminded: list[str] = []
            for isp in sorted(lapsed):
                newest = await newest_notice(session, order, isp, action)
                if newest is None or newest.delivered_at is None:
                    continue
                if newest.reminder and newest.delivered_at + term > now:
                    continue
                queue_notices(session, row, [isp], action, newest.reminder + 1)
                reminded.append(isp)
            if reminded:
                body = {"order": order, "action": action.value, "isps": reminded}
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
        "action": row.action,
        "reminder": row.reminder,
        "tries": row.tries,
        "claims": {said.measure: said.claim.value for said in one.delivery.acknowledgements},
    }
    await ledger.append(session, "notice_delivered", body, case=order.case)
    if row.action == Action.BLOCK and order.ended_at is not None:
        await _release_again(session, order, row.isp)


async def _by_id(session: AsyncSession, kind: type[R], ids: Collection[str]) -> dict[str, R]:
    """Rows by id, read together.

    Raises:
        NotFound: One of them does not exist.
    """
    found = {row.id: row for row in await session.exec(select(kind).where(col(kind.id).in_(ids)))}
    if missing := set(ids) - set(found):
        raise NotFound(f"{kind.__name__} {min(missing)!r} does not exist")
    return found


async def _release_again(session: AsyncSession, order: OrderRow, isp: str) -> None:
    """A block was on its way when its order ended, and the ISP took it: ask for the release once more."""
    case = await load_case(session, order.case)
    if case.stage == Stage.CLOSED:
        await raise_escalation(session, case.id, "block_after_end", isp)
        return
    newest = await newest_notice(session, order.id, isp, Action.RELEASE)
    if newest is None or newest.state != NoticeState.QUEUED:
        queue_notices(session, order, [isp], Action.RELEASE, newest.reminder + 1 if newest else 0)
    await session.exec(
        update(StandingRow)
        .where(
            col(StandingRow.isp) == isp,
            col(StandingRow.measure).in_(select(MeasureRow.id).where(MeasureRow.order == order.id)),
        )
        .values(standing=Standing.PENDING.value, since=now())
    )


async def _write_order(session: AsyncSession, task: OrderTask, case: CaseRow) -> OrderRow:
    year, terms = task.valid_from.year, case.snapshot()
    this_year = select(func.count()).select_from(OrderRow).where(col(OrderRow.number).startswith(f"{year}-"))
    order = OrderRow(
        id=task.order,
        number=f"{year}-{(await session.exec(this_year)).one() + 1:06}",
        case=task.case,
        basis=terms.basis,
        bundle=case.bundle or "",
        valid_from=task.valid_from,
        valid_until=task.valid_from + terms.order,
    )
    session.add(order)
    await session.flush()
    return order


async def _write_measures(session: AsyncSession, order: OrderRow) -> list[str]:
    targets = await session.exec(select(TargetRow).where(TargetRow.case == order.case))
    hosts = sorted({t.host for t in targets if t.host})
    if not hosts:
        raise NotVerified("no_measure", "no target of this case can be blocked by a method that there is yet")
    measures = [
        MeasureRow(id=measure_id(order.id, host, Method.DNS), order=order.id, target=host, method=Method.DNS.value)
        for host in hosts
    ]
    session.add_all(measures)
    await session.flush()
    return [m.id for m in measures]


def _notice(order: OrderRow, row: NoticeRow, items: tuple[Measure, ...]) -> Notice:
    return Notice(
        id=row.id,
        order=order.number,
        isp=row.isp,
        action=Action(row.action),
        reminder=row.reminder,
        valid_from=order.valid_from,
        valid_until=order.valid_until,
        items=items,
    )


async def _all_told(session: AsyncSession, order: OrderRow) -> None:
    """Once no block notice waits any more, the case is under verification."""
    case = await load_case(session, order.case)
    if case.stage != Stage.NOTIFICATION:
        return
    await session.flush()
    waiting = select(func.count()).where(
        col(NoticeRow.order) == order.id,
        col(NoticeRow.action) == Action.BLOCK,
        col(NoticeRow.state) == NoticeState.QUEUED,
    )
    if (await session.exec(waiting)).one() == 0:
        case.advance(Stage.VERIFICATION)
        session.add(case)
