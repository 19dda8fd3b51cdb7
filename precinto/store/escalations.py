"""Escalations as an inbox: whom each is put before, what still waits for whom, and who has seen it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.errors import BadInput, NotFound, Refused
from precinto.domain.escalations import REVIEW_REMINDER, addressees, reads_for
from precinto.domain.model import Instant, Value
from precinto.domain.policy import roles
from precinto.domain.review import Officer, Role
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.intake import TargetRow, load_case
from precinto.store.review import EscalationRow, docket_of


class EscalationLine(Value):
    """Something that was put before people.

    Attributes:
        id: Its id.
        at: When it was raised.
        case: The case.
        target: The case's target.
        what: Its kind (docs/reference/ledger.md).
        subject: What it is about: a term, an ISP, an order, an objection, a run.
        to: Officers it is put before; empty while none was there.
        seen_at: When one of them said that it is seen to.
        seen_by: Who.
    """

    id: str
    at: Instant
    case: str
    target: str
    what: str
    subject: str
    to: tuple[str, ...]
    seen_at: Instant | None
    seen_by: str | None


class EscalationStore:
    """Port ``EscalationRepository``, and what people ask of it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def address(self, officers: Sequence[Officer], moment: datetime) -> int:
        """Put each escalation before officers who are there, and note before whom; how many were.

        Where nobody is there it stays without, and is tried again at the next round.
        """
        without = col(EscalationRow.addressees).is_(None), col(EscalationRow.seen_at).is_(None)
        async with self._database.read() as session:
            if (await session.exec(select(EscalationRow.id).where(*without).limit(1))).first() is None:
                return 0
        addressed = 0
        async with self._database.write() as session:
            for row in await session.exec(select(EscalationRow).where(*without).order_by(col(EscalationRow.at))):
                to = await _addressees(session, row, officers, moment)
                if to:
                    row.addressees = json.dumps(to)
                    session.add(row)
                    body = {"escalation": row.id, "to": list(to)}
                    await ledger.append(session, "escalation_addressed", body, case=row.case)
                    addressed += 1
        return addressed

    async def lines(
        self, officers: Sequence[Officer] = (), officer: str | None = None, *, everything: bool = False
    ) -> list[EscalationLine]:
        """What waits, oldest first; with an officer, for that one or for whom that one stands in now.

        Args:
            officers: The registry's officers; asked for with ``officer`` only.
            officer: Whose inbox; None: everybody's.
            everything: Also what was seen.

        Raises:
            Refused: ``unknown_officer``.
        """
        query = select(EscalationRow, TargetRow.value).join(TargetRow, col(TargetRow.case) == EscalationRow.case)
        if not everything:
            query = query.where(col(EscalationRow.seen_at).is_(None))
        mine: frozenset[str] | None = None
        if officer is not None:
            roles(officers, officer, moment := now())
            mine = reads_for(officers, officer, moment)
        async with self._database.read() as session:
            rows = await session.exec(query.order_by(col(EscalationRow.at), col(EscalationRow.id)))
            lines = [_line(row, target) for row, target in rows]
        return [line for line in lines if mine is None or mine & set(line.to)]

    async def seen(self, escalation: str, officer: str, officers: Sequence[Officer]) -> EscalationLine:
        """An officer has seen to an escalation; who did so first stays on file.

        Args:
            escalation: Its id, or the beginning of it.
            officer: Who has: one it was put before, who stands in for one, or a legal head.
            officers: The registry's officers.

        Raises:
            NotFound: No such escalation.
            BadInput: Several begin so.
            Refused: ``unknown_officer``; ``not_addressed``: it was put before others.
        """
        moment = now()
        held = roles(officers, officer, moment)
        async with self._database.write() as session:
            row = await _begins(session, escalation)
            if row.seen_at is None:
                if Role.LEGAL_HEAD not in held and not reads_for(officers, officer, moment) & set(_to(row)):
                    before = ", ".join(_to(row)) or "nobody yet"
                    raise Refused("not_addressed", f"the escalation is put before {before}, not before {officer}")
                row.seen_at, row.seen_by = moment, officer
                session.add(row)
                body = {"escalation": row.id}
                await ledger.append(session, "escalation_seen", body, case=row.case, actor=officer)
            target = (await session.exec(select(TargetRow.value).where(TargetRow.case == row.case))).one()
            return _line(row, target)


async def _addressees(
    session: AsyncSession, row: EscalationRow, officers: Sequence[Officer], moment: datetime
) -> tuple[str, ...]:
    if row.what != REVIEW_REMINDER:
        return addressees(officers, row.what, moment)
    case = await load_case(session, row.case)
    docket = await docket_of(session, case)
    deciders = case.snapshot().procedure.deciders
    return addressees(officers, row.what, moment, deciders, {*docket.barred, *docket.approvals})


async def _begins(session: AsyncSession, escalation: str) -> EscalationRow:
    found = await session.exec(
        select(EscalationRow).where(col(EscalationRow.id).startswith(escalation, autoescape=True)).limit(2)
    )
    rows = list(found) if escalation else []
    if not rows:
        raise NotFound(f"there is no escalation {escalation!r}")
    if len(rows) > 1:
        raise BadInput(f"several escalations begin with {escalation!r}: give more of the id")
    return rows[0]


def _to(row: EscalationRow) -> tuple[str, ...]:
    return tuple(json.loads(row.addressees)) if row.addressees else ()


def _line(row: EscalationRow, target: str) -> EscalationLine:
    shown = row.model_dump(exclude={"addressees"})
    return EscalationLine(**shown, to=_to(row), target=target)
