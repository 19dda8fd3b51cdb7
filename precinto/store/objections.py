"""Objections and appeals: filed under a short public id, with what is personal sealed for the person who objects.

Whoever is affected says it once; from then on two clocks run, and neither runs out unseen. What the law ties to an
appeal happens in the same transaction in which it is filed.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.errors import BadInput, NotFound, Refused
from precinto.domain.model import Instant, Value, digest
from precinto.domain.objections import (
    Correction,
    Instance,
    Lifting,
    ObjectionState,
    Open,
    Protest,
    correction,
    new_objection_id,
)
from precinto.domain.orders import EndReason
from precinto.domain.policy import Deed, can
from precinto.domain.procedures import Snapshot
from precinto.domain.review import Officer
from precinto.domain.verification import Ruling, Standing
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.docket import ObjectionRow, StayRow
from precinto.store.intake import load_case
from precinto.store.ledger import LedgerRow
from precinto.store.orders import NoticeRow, OrderRow, load_order, order_of, standings_of, stay_order
from precinto.store.review import raise_escalation
from precinto.store.subjects import Place, Subjects
from precinto.store.verification import ObservationRow


class ObjectionLine(Value):
    """An objection without anything personal.

    Attributes:
        id: Its public id.
        case: The case.
        order: Number of the order that it is against.
        instance: Objection or appeal.
        capacity: In what capacity somebody objects.
        collateral: Whether harm beside the target is claimed.
        late: Whether it was filed after its term; it is decided all the same.
        suspends: Whether its filing alone suspends the order.
        subject: Whose its sealed texts are.
        filed_by: The officer who took it in.
        filed_at: When.
        due_at: By when it is to be decided.
        stay_due_at: By when a stay is to be decided; None where no harm beside the target is claimed.
        state: What became of it.
        closed_at: When.
        decision: The decision that upheld or dismissed it.
        correction: How it was answered at the ISPs, by what was measured.
        minutes_to_correct: From its filing until the last ISP was measured open; None: not yet, or never.
    """

    id: str
    case: str
    order: str
    instance: str
    capacity: str
    collateral: bool
    late: bool
    suspends: bool
    subject: str
    filed_by: str
    filed_at: Instant
    due_at: Instant
    stay_due_at: Instant | None
    state: str
    closed_at: Instant | None
    decision: str | None
    correction: Correction
    minutes_to_correct: int | None


class Person(Value):
    """What is personal of an objection; None, each, once it was erased."""

    name: str | None
    contact: str | None
    text: str | None


class ObjectionStore:
    """Takes in objections and shows them.

    Args:
        database: The database.
        subjects: What seals the personal texts.
    """

    def __init__(self, database: Database, subjects: Subjects) -> None:
        self._database = database
        self._subjects = subjects

    async def file(self, case: str, protest: Protest, officer: str, officers: Sequence[Officer]) -> ObjectionLine:
        """File an objection to the order in force of a case, under a new id.

        An appeal that suspends stays the order here and now: its case must then be told to look at its files
        (``TemporalSignals.changed``).

        Args:
            case: The case.
            protest: What is said.
            officer: Who takes it in.
            officers: The registry's officers.

        Raises:
            NotFound: No such case.
            Refused: ``unknown_officer``, ``not_entitled``; ``not_in_force``.
            CannotHere: The vault cannot be used.
        """
        moment = now()
        can(officers, officer, Deed.OBJECT, moment)
        async with self._database.write() as session:
            found = await load_case(session, case)
            order = await order_of(session, found)
            if order is None or order.ended_at is not None:
                raise Refused("not_in_force", f"there is no order in force: the case is in {found.stage}")
            row = await self._row(session, order, found.snapshot(), protest, officer, moment)
            session.add(row)
            await ledger.append(session, "objection_filed", _body(row), case=case, actor=officer)
            if row.suspends and order.stayed_at is None:
                await stay_order(session, order, found, moment, about=row.id)
            await session.flush()
            return await _line(session, row)

    async def read(self, objection: str) -> tuple[ObjectionLine, Person]:
        """An objection, with what is personal of it.

        Raises:
            NotFound: No such objection.
            Refused: ``sealed_text``: a sealed text was altered.
            CannotHere: The vault cannot be used.
        """
        async with self._database.read() as session:
            row = await session.get(ObjectionRow, objection)
            if row is None:
                raise NotFound(f"there is no objection {objection!r}")

            async def text(field: str) -> str | None:
                place = Place("objections", objection, field)
                return await self._subjects.open_text(session, getattr(row, field), place)

            person = Person(name=await text("name"), contact=await text("contact"), text=await text("text"))
            return await _line(session, row), person

    async def _row(
        self,
        session: AsyncSession,
        order: OrderRow,
        snapshot: Snapshot,
        protest: Protest,
        officer: str,
        moment: datetime,
    ) -> ObjectionRow:
        name, subject = new_objection_id(), f"ob-{secrets.token_hex(8)}"

        async def sealed(field: str, plain: str) -> str:
            return await self._subjects.seal_text(session, subject, Place("objections", name, field), plain)

        late = await _is_late(session, order, protest.instance, snapshot, moment)
        appeal_suspends = protest.instance is Instance.APPEAL and snapshot.procedure.appeal_suspends
        return ObjectionRow(
            id=name,
            case=order.case,
            order=order.id,
            instance=protest.instance.value,
            capacity=protest.capacity.value,
            collateral=protest.collateral,
            late=late,
            # What is not in time has no effect by the law alone; officers may stay the order all the same.
            suspends=appeal_suspends and not late,
            subject=subject,
            name=await sealed("name", protest.name),
            contact=await sealed("contact", protest.contact),
            text=await sealed("text", protest.text),
            filed_by=officer,
            filed_at=moment,
            due_at=_due(snapshot, "objection_decision", moment),
            stay_due_at=_due(snapshot, "stay", moment) if protest.collateral else None,
            state=ObjectionState.OPEN.value,
        )


async def objection_lines(
    session: AsyncSession, case: str | None = None, *, only_open: bool = False
) -> list[ObjectionLine]:
    """The objections of a case, or of all, oldest first."""
    query = select(ObjectionRow).order_by(col(ObjectionRow.filed_at), col(ObjectionRow.id))
    if case is not None:
        query = query.where(ObjectionRow.case == case)
    if only_open:
        query = query.where(ObjectionRow.state == ObjectionState.OPEN)
    return [await _line(session, row) for row in await session.exec(query)]


async def overdue(session: AsyncSession, at: datetime) -> int:
    """Put before a human what waits for a decision beyond its term; how many terms have passed. Idempotent.

    A decision on a stay is due until there is one, whatever led to it: a block that is lifted harms nobody meanwhile.
    """
    passed = 0
    for row in await session.exec(select(ObjectionRow).where(ObjectionRow.state == ObjectionState.OPEN)):
        if row.due_at < at:
            passed += 1
            await raise_escalation(session, row.case, "objection_overdue", row.id)
        if row.stay_due_at is not None and row.stay_due_at < at and not await _stays(session, row):
            passed += 1
            await raise_escalation(session, row.case, "stay_overdue", row.id)
    return passed


def _body(row: ObjectionRow) -> dict[str, Any]:
    """What the ledger says of a new objection: of what is personal, the digest of the sealed form."""
    sealed = {field: digest(getattr(row, field).encode()) for field in ("name", "contact", "text")}
    return sealed | {
        "objection": row.id,
        "order": row.order,
        "instance": row.instance,
        "capacity": row.capacity,
        "collateral": row.collateral,
        "late": row.late,
    }


def _due(snapshot: Snapshot, term: str, start: datetime) -> datetime:
    """When the authority must have decided."""
    try:
        return snapshot.due(term, start)
    except BadInput:
        # A case so old that its calendar has run out: the authority's own term is then counted short, nothing is lost.
        return start + snapshot.procedure.terms[term].span


async def _is_late(
    session: AsyncSession, order: OrderRow, instance: Instance, snapshot: Snapshot, at: datetime
) -> bool:
    """Whether its term has passed: it runs from the order's first notice; an appeal's, from the last dismissal too."""
    if instance is Instance.OBJECTION and snapshot.procedure.objection is None:
        return False
    told = select(NoticeRow.delivered_at).where(NoticeRow.order == order.id, col(NoticeRow.delivered_at).is_not(None))
    starts = list(await session.exec(told.order_by(col(NoticeRow.delivered_at)).limit(1)))
    if instance is Instance.APPEAL:
        dismissed = select(ObjectionRow.closed_at).where(
            ObjectionRow.order == order.id, ObjectionRow.state == ObjectionState.DISMISSED
        )
        starts += await session.exec(dismissed)
    known = [start for start in starts if start is not None]
    try:
        return bool(known) and snapshot.due(instance.value, max(known)) < at
    except BadInput:  # no calendar says that it is late
        return False


async def _stays(session: AsyncSession, row: ObjectionRow) -> list[StayRow]:
    """The stays under which an objection waited, or was answered."""
    rows = await session.exec(select(StayRow).where(StayRow.order == row.order).order_by(col(StayRow.version)))
    dismissed_at = row.closed_at if row.state == ObjectionState.DISMISSED else None
    return [
        stay
        for stay in rows
        if (stay.until is None or stay.until > row.filed_at)
        and (dismissed_at is None or stay.since <= dismissed_at or stay.about == row.id)
    ]


async def _line(session: AsyncSession, row: ObjectionRow) -> ObjectionLine:
    order = await load_order(session, row.order)
    corrected = await _correction(session, row, order)
    shown = row.model_dump(exclude={"name", "contact", "text"}) | {"order": order.number}
    return ObjectionLine.model_validate(shown | {"correction": corrected, "minutes_to_correct": corrected.minutes})


async def _correction(session: AsyncSession, row: ObjectionRow, order: OrderRow) -> Correction:
    liftings = [Lifting(stay.since, stay.until) for stay in await _stays(session, row)]
    answered = row.state == ObjectionState.UPHELD or order.end_reason in {EndReason.UPHELD, EndReason.REVOKED}
    if order.ended_at is not None and answered and row.state != ObjectionState.DISMISSED:
        liftings.append(Lifting(order.ended_at, None))
    if not liftings:
        return Correction()
    places = {(one.measure, one.isp) for one in await standings_of(session, order.id)}
    seen = await session.exec(
        select(ObservationRow).where(
            col(ObservationRow.measure).in_({measure for measure, _ in places}),
            ObservationRow.ruling == Ruling.NOT_BLOCKED,
        )
    )
    found = [Open(one.measure, one.isp, one.at) for one in seen]
    # What another order blocks too cannot be measured open, and no ISP is to blame for it.
    places -= await _carried_on(session, row.case) - {(one.measure, one.isp) for one in found}
    return correction(row.filed_at, liftings, places, found)


async def _carried_on(session: AsyncSession, case: str) -> set[tuple[str, str]]:
    changes = await session.exec(
        select(LedgerRow.body).where(LedgerRow.case == case, LedgerRow.action == "standing_changed")
    )
    bodies = [json.loads(body) for body in changes]
    return {(body["measure"], body["isp"]) for body in bodies if body["to"] == Standing.CARRIED_ON.value}
