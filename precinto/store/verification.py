"""Verification: every observation with its verdict, the standing of each measure at each ISP, and the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

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
from precinto.store.orders import (
    MeasureRow,
    NoticeRow,
    NoticeState,
    OrderRow,
    StandingRow,
    load_order,
    queue_notices,
    still_blocked,
    void_blocks,
)
from precinto.store.review import carried_out, on_file, raise_escalation


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


_SETTLED = (Standing.RELEASED.value, Standing.CARRIED_ON.value)
"""Standings at which nothing more is asked of an ISP."""


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
                    col(StandingRow.standing).not_in(_SETTLED),
                    # An ISP that never confirmed the order may have blocked all the same.
                    or_(col(MeasureRow.order).in_(delivered), col(OrderRow.ended_at).is_not(None)),
                )
                .order_by(col(StandingRow.measure))
                .limit(limit)
            )
            return [Due(measure=m, isp=i, target=t, case=c) for m, i, t, c in found]

    async def observe(self, rounds: Sequence[Round]) -> dict[str, int]:
        """Record rounds and move the standings; returns case id to number of measures that lapsed anew.

        A page of rounds costs as many queries as one round: this runs for every order, at every ISP, all day.

        Raises:
            NotFound: A measure was never asked of this ISP.
        """
        lapses: dict[str, int] = {}
        if not rounds:
            return lapses
        async with self._database.write() as session:
            places = await _places(session, rounds)
            seen = await _record(session, rounds)
            for one in rounds:
                place = places.get((one.measure, one.isp))
                if place is None:
                    raise NotFound(f"measure {one.measure!r} was never asked of {one.isp!r}")
                if await _move(session, one, place):
                    lapses[place.order.case] = lapses.get(place.order.case, 0) + 1
            await ledger.append(session, "observed", {"rounds": len(seen), "digest": digest("".join(seen).encode())})
        return lapses

    async def end(self, task: EndTask, officers: Sequence[Officer]) -> Ending:
        """End an order: from now on the block must be gone. Writes the release notices; idempotent."""
        async with self._database.write() as session:
            order = await load_order(session, task.order)
            if order.case != task.case:
                raise NotFound(f"case {task.case!r} has no order {task.order!r}")
            case = await load_case(session, task.case)
            terms = case.snapshot()
            if order.ended_at is not None:
                await _carry_on(session, order, now())
                return _ending(case, order.ended_at, terms)
            actor = "engine"
            if task.revocation is not None:
                actor = await _revoker(session, task.case, task.revocation, officers)
                await carried_out(session, task.revocation)
            order.ended_at, order.revoked = task.at, task.revocation is not None
            session.add(order)
            await void_blocks(session, order.id)
            # Also to an ISP that never confirmed its block: it may have blocked all the same.
            # And to one that the registry no longer has: a human must then reach it.
            standings = await _standings(session, order.id)
            queue_notices(session, order, sorted({row.isp for row in standings}), Action.RELEASE)
            for row in standings:
                row.standing, row.since, row.signalled_at = Standing.PENDING.value, task.at, None
                session.add(row)
            await _carry_on(session, order, task.at)
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
                    for isp in sorted({s.isp for s in left if s.standing not in _SETTLED}):
                        await raise_escalation(session, case, "block_not_lifted", isp)
            await ledger.append(session, "case_closed", {"closure": closure.value}, case=case)


async def _carry_on(session: AsyncSession, order: OrderRow, at: datetime) -> None:
    """What another order in force blocks too will not be measured open: say so, instead of blaming the ISPs."""
    others = await still_blocked(session, order.id)
    if not others:
        return
    measures = await session.exec(
        select(MeasureRow).where(MeasureRow.order == order.id, col(MeasureRow.target).in_(others))
    )
    under = {row.id: others[row.target] for row in measures}
    for row in await _standings(session, order.id):
        if row.measure in under and row.standing not in _SETTLED:
            body = {"measure": row.measure, "isp": row.isp, "from": row.standing, "to": Standing.CARRIED_ON.value}
            body["under"] = under[row.measure]
            row.standing, row.since = Standing.CARRIED_ON.value, at
            session.add(row)
            await ledger.append(session, "standing_changed", body, case=order.case)


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


async def _record(session: AsyncSession, rounds: Sequence[Round]) -> list[str]:
    """Keep every round once; returns the digest of each."""
    observations = [_observation(one) for one in rounds]
    names = [row.digest for row in observations]
    known = set(await session.exec(select(ObservationRow.digest).where(col(ObservationRow.digest).in_(names))))
    session.add_all({row.digest: row for row in observations if row.digest not in known}.values())
    return names


def _observation(one: Round) -> ObservationRow:
    facts = canonical_json(one.facts.model_dump(mode="json"))
    at = one.at.astimezone(UTC)
    return ObservationRow(
        digest=digest(canonical_json([one.measure, one.isp, one.vantage, at.isoformat()]) + facts),
        measure=one.measure,
        isp=one.isp,
        vantage=one.vantage,
        at=at,
        facts=facts.decode(),
        ruling=one.verdict.ruling.value,
        rule=one.verdict.rule,
        rules=one.verdict.rules,
    )


@dataclass(frozen=True)
class _Place:
    """The standing that a round may move, and what the rules need to know of its case.

    ``told_at`` is when the first notice of what is now asked was delivered to the ISP.
    """

    row: StandingRow
    order: OrderRow
    terms: Terms
    told_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether the order has ended, so that the block must be gone."""
        return self.order.ended_at is not None

    def overdue(self, one: Round) -> bool:
        """Whether the ISP's term had run out at this round, and the round proves anything."""
        if one.verdict.ruling in {Ruling.VANTAGE_FAULT, Ruling.INCONCLUSIVE, Ruling.SITE_DOWN}:
            return False
        return self.told_at is not None and self.told_at + self.terms.comply <= one.at


async def _places(session: AsyncSession, rounds: Sequence[Round]) -> dict[tuple[str, str], _Place]:
    """What each measure and ISP stands at."""
    isps = {one.isp for one in rounds}
    found = await session.exec(
        select(StandingRow, OrderRow, CaseRow)
        .join(MeasureRow, col(MeasureRow.id) == StandingRow.measure)
        .join(OrderRow, col(OrderRow.id) == MeasureRow.order)
        .join(CaseRow, col(CaseRow.id) == OrderRow.case)
        .where(col(StandingRow.measure).in_({one.measure for one in rounds}), col(StandingRow.isp).in_(isps))
    )
    rows = list(found)
    told = await _first_told(session, {order.id for _, order, _ in rows}, isps)
    terms = {case.id: case.snapshot() for _, _, case in rows}
    places: dict[tuple[str, str], _Place] = {}
    for row, order, case in rows:
        action = Action.BLOCK if order.ended_at is None else Action.RELEASE
        at = told.get((order.id, row.isp, action.value))
        places[row.measure, row.isp] = _Place(row=row, order=order, terms=terms[case.id], told_at=at)
    return places


async def _first_told(session: AsyncSession, orders: set[str], isps: set[str]) -> dict[tuple[str, str, str], datetime]:
    """When the first notice of each order, ISP and action was delivered."""
    found = await session.exec(
        select(NoticeRow.order, NoticeRow.isp, NoticeRow.action, func.min(NoticeRow.delivered_at))
        .where(col(NoticeRow.order).in_(orders), col(NoticeRow.isp).in_(isps))
        .group_by(NoticeRow.order, NoticeRow.isp, NoticeRow.action)
    )
    return {
        (order, isp, action): at.replace(tzinfo=at.tzinfo or UTC)  # SQLite's min() forgets the zone
        for order, isp, action, at in found
        if at is not None
    }


async def _move(session: AsyncSession, one: Round, place: _Place) -> bool:
    """Move one standing by one round; True where the case must hear of a lapse."""
    row, order, terms = place.row, place.order, place.terms
    if order.ended_at is not None and one.at <= order.ended_at:
        return False  # measured while the order was still in force: says nothing about its end
    if row.measured_at is not None and one.at < row.measured_at:
        return False  # two sweeps overlapped, and the newer one was recorded first
    before = Standing(row.standing)
    row.ruling, row.measured_at = one.verdict.ruling.value, one.at
    after = standing(one.verdict.ruling, ended=place.ended, overdue=place.overdue(one), before=before)
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


async def _standings(session: AsyncSession, order: str) -> list[StandingRow]:
    found = await session.exec(
        select(StandingRow)
        .join(MeasureRow, col(MeasureRow.id) == StandingRow.measure)
        .where(MeasureRow.order == order)
    )
    return list(found)
