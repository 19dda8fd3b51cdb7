"""Verification: every observation with its verdict, the standing of each measure at each ISP, and the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Text, or_
from sqlmodel import Field, SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.contracts import EndTask
from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound
from precinto.domain.model import canonical_json, digest
from precinto.domain.notification import Action
from precinto.domain.procedures import Snapshot
from precinto.domain.verification import Ruling, Standing, standing
from precinto.ports import Due, Ending, Round
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.intake import CaseRow, load_case
from precinto.store.orders import (
    SETTLED,
    MeasureRow,
    NoticeRow,
    NoticeState,
    OrderRow,
    StandingRow,
    carry_on,
    end_order,
    load_order,
    standings_of,
)
from precinto.store.releases import end_to_come
from precinto.store.review import raise_escalation


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
                    col(StandingRow.standing).not_in(SETTLED),
                    # An ISP that never confirmed the order may have blocked all the same.
                    or_(
                        col(MeasureRow.order).in_(delivered),
                        col(OrderRow.ended_at).is_not(None),
                        col(OrderRow.stayed_at).is_not(None),
                    ),
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

    async def end(self, task: EndTask, moment: datetime) -> Ending:
        """End an order whose time has come: from then on the block must be gone. Idempotent.

        Also an ISP that never confirmed its block is told, for it may have blocked all the same; and so is one that
        the registry no longer has: a human must then reach it.
        """
        async with self._database.write() as session:
            order = await load_order(session, task.order)
            if order.case != task.case:
                raise NotFound(f"case {task.case!r} has no order {task.order!r}")
            case = await load_case(session, task.case)
            if order.ended_at is None:
                end = await end_to_come(session, order)
                if moment < end.at:
                    return Ending(ends_at=end.at, ended=False, release_until=None, recheck=_recheck(case))
                await end_order(session, order, case, end)
            else:
                await carry_on(session, order, now())
            assert order.ended_at is not None  # noqa: S101 - either it was ended or it just has been
            return Ending(ends_at=order.ended_at, ended=True, release_until=case.due_at, recheck=_recheck(case))

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

    async def untold(self, order: str) -> set[str]:
        """ISPs that have taken the block of an ended order, and still have to be told of its end.

        One that was measured open may act on the block all the same, some other day.
        """
        async with self._database.read() as session:
            return await _untold(session, order)

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
                    untold, left = await _untold(session, order), await standings_of(session, order)
                    for isp in sorted(untold | {s.isp for s in left if s.standing not in SETTLED}):
                        await raise_escalation(session, case, "block_not_lifted", isp)
            await ledger.append(session, "case_closed", {"closure": closure.value}, case=case)


async def _untold(session: AsyncSession, order: str) -> set[str]:
    taken = select(NoticeRow.isp).where(
        NoticeRow.order == order, NoticeRow.action == Action.BLOCK, NoticeRow.state == NoticeState.DELIVERED
    )
    queued = select(NoticeRow.isp).where(
        NoticeRow.order == order, NoticeRow.state == NoticeState.QUEUED, col(NoticeRow.isp).in_(taken)
    )
    return set(await session.exec(queued))


def _recheck(case: CaseRow) -> timedelta:
    return case.snapshot().span("recheck")


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
    terms: Snapshot
    told_at: datetime | None

    @property
    def due_at(self) -> datetime | None:
        """When the ISP must have done what is asked; None where it was not told yet."""
        return None if self.told_at is None else self.terms.due("comply", self.told_at)

    def overdue(self, one: Round) -> bool:
        """Whether the ISP's term had run out at this round, and the round proves anything."""
        if one.verdict.ruling in {Ruling.VANTAGE_FAULT, Ruling.INCONCLUSIVE, Ruling.SITE_DOWN}:
            return False
        return self.due_at is not None and self.due_at <= one.at

    def late_seconds(self, at: datetime | None) -> int:
        """Whole seconds from the end of the ISP's term to a moment."""
        if at is None or self.due_at is None:
            return 0
        return max(0, int((at - self.due_at).total_seconds()))


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
        at = told.get((order.id, row.isp))
        places[row.measure, row.isp] = _Place(row=row, order=order, terms=terms[case.id], told_at=at)
    return places


async def _first_told(session: AsyncSession, orders: set[str], isps: set[str]) -> dict[tuple[str, str], datetime]:
    """When each ISP was first told what each order asks now."""
    found = await session.exec(
        select(NoticeRow.order, NoticeRow.isp, func.min(NoticeRow.delivered_at))
        .join(OrderRow, col(OrderRow.id) == NoticeRow.order)
        .where(
            col(NoticeRow.order).in_(orders),
            col(NoticeRow.isp).in_(isps),
            NoticeRow.version >= OrderRow.asked_version,
        )
        .group_by(NoticeRow.order, NoticeRow.isp)
    )
    return {
        (order, isp): at.replace(tzinfo=at.tzinfo or UTC)  # SQLite's min() forgets the zone
        for order, isp, at in found
        if at is not None
    }


async def _move(session: AsyncSession, one: Round, place: _Place) -> bool:
    """Move one standing by one round; True where the case must hear of a lapse."""
    row, order, terms = place.row, place.order, place.terms
    if order.is_lifted and one.at <= order.asked_at:
        return False  # measured while the block was still asked for: says nothing about its end
    if row.measured_at is not None and one.at < row.measured_at:
        return False  # two sweeps overlapped, and the newer one was recorded first
    before, last = Standing(row.standing), row.measured_at
    row.ruling, row.measured_at = one.verdict.ruling.value, one.at
    after = standing(one.verdict.ruling, lifted=order.is_lifted, overdue=place.overdue(one), before=before)
    if after is not before:
        row.standing, row.since = after.value, one.at
        body = {"measure": one.measure, "isp": one.isp, "from": before.value, "to": after.value}
        if before is Standing.OVERSTAYING:
            body["overstay_seconds"] = str(place.late_seconds(one.at))
        await ledger.append(session, "standing_changed", body, case=order.case, actor=f"vantage:{one.vantage}")
    if Standing.OVERSTAYING in {before, after}:
        # Round by round: an ISP that never lifts, or is asked to block again meanwhile, has overstayed all the same.
        row.overstay_seconds += place.late_seconds(one.at) - place.late_seconds(last)
    silent = row.signalled_at is None or row.signalled_at + terms.span("remind") <= one.at
    lapsed = after is Standing.LAPSED and silent
    if lapsed:
        row.signalled_at = one.at
    elif after is Standing.COMPLIANT:
        row.signalled_at = None
    session.add(row)
    return lapsed
