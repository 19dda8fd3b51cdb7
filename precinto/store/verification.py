"""Verification: every observation with its verdict, the standing of each measure at each ISP, and the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Text, or_
from sqlmodel import Field, SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.contracts import EndTask
from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound, NotVerified, Refused
from precinto.domain.model import canonical_json, digest
from precinto.domain.notification import Action
from precinto.domain.review import Officer, Outcome, reviewer
from precinto.domain.terms import Terms
from precinto.domain.verification import Ruling, Standing, standing
from precinto.ports import Due, Ending, Round
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.intake import CaseRow, load_case
from precinto.store.notification import (
    MeasureRow,
    NoticeRow,
    NoticeState,
    OrderRow,
    StandingRow,
    load_order,
    queue_notices,
    void_blocks,
)
from precinto.store.review import on_file, raise_escalation


class ObservationRow(SQLModel, table=True):
    """One round of measurement; ``facts`` is canonical JSON, from which the verdict can be recomputed."""

    __tablename__ = "observations"  # pyright: ignore[reportAssignmentType]

    digest: str = Field(primary_key=True, max_length=64)
    measure: str = Field(foreign_key="measures.id", index=True, max_length=36)
    isp: str = Field(max_length=64)
    vantage: str = Field(max_length=64)
    at: datetime
    facts: str = Field(sa_type=Text)
    ruling: str = Field(max_length=20)
    rule: str = Field(max_length=40)
    rules: str = Field(max_length=20)


class VerificationStore:
    """Port ``VerificationRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, isp: str, after: str, limit: int) -> Sequence[Due]:
        """Measures to verify at an ISP: its notice was delivered or the order has ended; no closed cases."""
        delivered = (
            select(NoticeRow.order).where(NoticeRow.isp == isp, NoticeRow.state == NoticeState.DELIVERED).distinct()
        )
        async with self._database.read() as session:
            found = await session.exec(
                select(StandingRow.measure, StandingRow.isp, MeasureRow.target, OrderRow.case)
                .join(MeasureRow, col(MeasureRow.id) == StandingRow.measure)
                .join(OrderRow, col(OrderRow.id) == MeasureRow.order)
                .join(CaseRow, col(CaseRow.id) == OrderRow.case)
                .where(
                    CaseRow.stage != Stage.CLOSED,
                    StandingRow.isp == isp,
                    StandingRow.measure > after,
                    StandingRow.standing != Standing.RELEASED,
                    # An ISP that never confirmed the order may have blocked all the same.
                    or_(col(MeasureRow.order).in_(delivered), col(OrderRow.ended_at).is_not(None)),
                )
                .order_by(col(StandingRow.measure))
                .limit(limit)
            )
            return [Due(measure=m, isp=i, target=t, case=c) for m, i, t, c in found]

    async def observe(self, rounds: Sequence[Round]) -> dict[str, int]:
        """Record rounds and move the standings; returns case id to number of measures that lapsed anew."""
        lapses: dict[str, int] = {}
        async with self._database.write() as session:
            seen: list[str] = []
            for one in rounds:
                seen.append(await _record(session, one))
                order = await _order_of(session, one.measure)
                if await _move(session, one, order):
                    lapses[order.case] = lapses.get(order.case, 0) + 1
            if seen:
                await ledger.append(
                    session, "observed", {"rounds": len(seen), "digest": digest("".join(seen).encode())}
                )
        return lapses

    async def end(self, task: EndTask, officers: Sequence[Officer], isps: Sequence[str]) -> Ending:
        """End an order: from now on the block must be gone. Writes the release notices; idempotent."""
        async with self._database.write() as session:
            order = await load_order(session, task.order)
            if order.case != task.case:
                raise NotFound(f"case {task.case!r} has no order {task.order!r}")
            case = await load_case(session, task.case)
            terms = case.snapshot()
            if order.ended_at is not None:
                return _ending(case, order.ended_at, terms)
            actor = "engine"
            if task.revocation is not None:
                actor = await _revoker(session, task.case, task.revocation, officers)
            order.ended_at, order.revoked = task.at, task.revocation is not None
            session.add(order)
            await void_blocks(session, order.id)
            # Also to an ISP that never confirmed its block: it may have blocked all the same.
            queue_notices(session, order, isps, Action.RELEASE)
            for row in await _standings(session, order.id):
                row.standing, row.since, row.signalled_at = Standing.PENDING.value, task.at, None
                session.add(row)
            case.advance(Stage.UNBLOCKING)
            # From the moment when the ISPs can be told: an outage of ours must not run against them.
            case.due_at = max(task.at, now()) + terms.release
            session.add(case)
            body = {"order": order.id, "revoked": order.revoked, "at": task.at.astimezone(UTC).isoformat()}
            await ledger.append(session, "order_ended", body, case=case.id, actor=actor)
            return _ending(case, task.at, terms)

    async def release(self, order: str) -> dict[Standing, int]:
        """How many measures x ISPs of an ended order stand where."""
        async with self._database.read() as session:
            counts = await session.exec(
                select(StandingRow.standing, func.count())
                .join(MeasureRow, col(MeasureRow.id) == StandingRow.measure)
                .where(MeasureRow.order == order)
                .group_by(StandingRow.standing)
            )
            return {Standing(name): count for name, count in counts}

    async def close(self, case: str, closure: Closure, at: datetime) -> None:
        """Close a case; idempotent. A closure by escalation names the ISPs to the legal head."""
        async with self._database.write() as session:
            row = await load_case(session, case)
            if row.stage == Stage.CLOSED:
                return
            row.advance(Stage.CLOSED)
            row.closure, row.closed_at, row.due_at = closure.value, at, None
            session.add(row)
            if closure is Closure.ESCALATED:
                orders = await session.exec(select(OrderRow.id).where(OrderRow.case == case))
                for order in orders:
                    left = await _standings(session, order)
                    for isp in sorted({s.isp for s in left if s.standing != Standing.RELEASED}):
                        await raise_escalation(session, case, "block_not_lifted", isp)
            await ledger.append(session, "case_closed", {"closure": closure.value}, case=case)


def _ending(case: CaseRow, ended_at: datetime, terms: Terms) -> Ending:
    return Ending(release_until=case.due_at or ended_at + terms.release, recheck=terms.recheck)


async def _revoker(session: AsyncSession, case: str, revocation: str, officers: Sequence[Officer]) -> str:
    decision = await on_file(session, case, revocation)
    if decision.outcome is not Outcome.REVOKE:
        raise NotVerified("not_a_revocation", "the decision does not revoke the order")
    try:
        return reviewer(officers, decision.officer).id
    except Refused as refused:
        raise NotVerified(refused.code, refused.reason) from refused


async def _record(session: AsyncSession, one: Round) -> str:
    facts = canonical_json(one.facts.model_dump(mode="json"))
    at = one.at.astimezone(UTC)
    name = digest(canonical_json([one.measure, one.isp, one.vantage, at.isoformat()]) + facts)
    if await session.get(ObservationRow, name) is None:
        session.add(
            ObservationRow(
                digest=name,
                measure=one.measure,
                isp=one.isp,
                vantage=one.vantage,
                at=at,
                facts=facts.decode(),
                ruling=one.verdict.ruling.value,
                rule=one.verdict.rule,
                rules=one.verdict.rules,
            )
        )
    return name


async def _order_of(session: AsyncSession, measure: str) -> OrderRow:
    row = await session.get_one(MeasureRow, measure)
    return await load_order(session, row.order)


async def _move(session: AsyncSession, one: Round, order: OrderRow) -> bool:
    """Move one standing by one round; True where the case must hear of a lapse."""
    row = await session.get_one(StandingRow, (one.measure, one.isp))
    if order.ended_at is not None and one.at <= order.ended_at:
        return False  # measured while the order was still in force: says nothing about its end
    if row.measured_at is not None and one.at < row.measured_at:
        return False  # two sweeps overlapped, and the newer one was recorded first
    before = Standing(row.standing)
    terms = (await load_case(session, order.case)).snapshot()
    row.ruling, row.measured_at = one.verdict.ruling.value, one.at
    after = standing(
        one.verdict.ruling,
        ended=order.ended_at is not None,
        overdue=await _overdue(session, order, one, terms.comply),
        before=before,
    )
    if after is not before:
        row.standing, row.since = after.value, one.at
        body = {"measure": one.measure, "isp": one.isp, "from": before.value, "to": after.value}
        await ledger.append(session, "standing_changed", body, case=order.case, actor=f"vantage:{one.vantage}")
    silent = row.signalled_at is None or row.signalled_at + terms.remind <= one.at
    lapsed = after is Standing.LAPSED and silent
    if lapsed:
        row.signalled_at = one.at
    elif after is Standing.COMPLIANT:
        row.signalled_at = None
    session.add(row)
    return lapsed


async def _overdue(session: AsyncSession, order: OrderRow, one: Round, comply: timedelta) -> bool:
    """Whether the ISP's term has run out since the first notice of what is now asked was delivered."""
    if one.verdict.ruling in {Ruling.VANTAGE_FAULT, Ruling.INCONCLUSIVE, Ruling.SITE_DOWN}:
        return False
    action = Action.RELEASE if order.ended_at is not None else Action.BLOCK
    first = await session.exec(
        select(func.min(NoticeRow.delivered_at)).where(
            col(NoticeRow.order) == order.id, col(NoticeRow.isp) == one.isp, col(NoticeRow.action) == action
        )
    )
    delivered = first.one()
    if delivered is None:
        return False
    return delivered.replace(tzinfo=delivered.tzinfo or UTC) + comply <= one.at


async def _standings(session: AsyncSession, order: str) -> list[StandingRow]:
    found = await session.exec(
        select(StandingRow)
        .join(MeasureRow, col(MeasureRow.id) == StandingRow.measure)
        .where(MeasureRow.order == order)
    )
    return list(found)
