"""Releases: the orders that rest on a standing order, and what it asks of them for as long as it stands."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Text
from sqlmodel import Field, SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.errors import BadInput, Refused
from precinto.domain.intake import Service, TargetKind
from precinto.domain.model import digest
from precinto.domain.orders import End, end_of
from precinto.domain.review import Outcome, Role
from precinto.domain.standing_orders import Candidate, Released, StandingOrder, day_of, permit, still_needed
from precinto.domain.statements import verify
from precinto.store.intake import CaseRow, ReferralRow, TargetRow
from precinto.store.officer_keys import key_in_force
from precinto.store.orders import OrderRow


class StandingOrderRow(SQLModel, table=True):
    """A standing order. ``content`` is its canonical JSON: what is signed is its digest."""

    __tablename__ = "standing_orders"  # pyright: ignore[reportAssignmentType]

    number: str = Field(primary_key=True, max_length=20)
    content: str = Field(sa_type=Text)
    drafters: str = Field(sa_type=Text)
    drafted_at: datetime
    until: datetime
    enacted_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def digest(self) -> str:
        """What an officer who enacts or revokes it signs as the subject."""
        return digest(self.content.encode())

    def order(self) -> StandingOrder:
        """Its terms and its procedure."""
        return _read(self.content)

    def drafted_by(self) -> tuple[str, ...]:
        """Everyone who has written at its draft."""
        return tuple(json.loads(self.drafters))

    def ends_at(self) -> datetime:
        """When everything that rests on it is over."""
        return self.until if self.revoked_at is None else min(self.until, self.revoked_at)


class StandingDecisionRow(SQLModel, table=True):
    """That an officer enacted or revoked a standing order, signed; ``refusal``: why it does not count any more."""

    __tablename__ = "standing_decisions"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    standing_order: str = Field(foreign_key="standing_orders.number", index=True, max_length=20)
    officer: str = Field(max_length=64)
    role: str = Field(max_length=20)
    outcome: str = Field(max_length=10)
    subject: str = Field(max_length=64)
    grounds: str = Field(sa_type=Text)
    reasons: str = Field(sa_type=Text)
    envelope: str = Field(sa_type=Text)
    key: str = Field(max_length=43)
    nonce: str = Field(max_length=43, unique=True)
    signed_at: datetime
    submitted_at: datetime
    refusal: str | None = Field(default=None, max_length=60)


@lru_cache(maxsize=64)
def _read(content: str) -> StandingOrder:
    """Read once for all releases under it; it is never changed."""
    return StandingOrder.model_validate_json(content)


async def permitted(session: AsyncSession, case: CaseRow, number: str | None, at: datetime) -> StandingOrderRow:
    """The standing order that a case may be released under at a moment.

    Raises:
        Refused: ``no_standing_order``, ``not_enacted``, ``outside_window``, ``outside_scope``, ``cap_reached``.
    """
    row = await session.get(StandingOrderRow, number) if number else None
    if row is None:
        raise Refused("no_standing_order", f"there is no standing order {number!r} to release the case under")
    if row.revoked_at is not None:
        raise Refused("outside_window", f"{row.number} was revoked at {row.revoked_at.isoformat()}")
    # Counted from the signatures each time: what somebody wrote into the database enacts nothing.
    if row.enacted_at is None or still_needed(await enacting(session, row)):
        raise Refused("not_enacted", f"{row.number} is a draft: its officers have not signed these terms")
    order = row.order()
    zone = order.snapshot.procedure.time_zone
    permit(order.terms, await _candidate(session, case), at, await released(session, row.number, at, zone))
    return row


async def enacting(session: AsyncSession, row: StandingOrderRow) -> tuple[tuple[str, Role], ...]:
    """Who has enacted these very terms, and in which role; each signature is verified once more."""
    found = await session.exec(
        select(StandingDecisionRow).where(
            StandingDecisionRow.standing_order == row.number,
            StandingDecisionRow.outcome == Outcome.ENACT,
            col(StandingDecisionRow.refusal).is_(None),
        )
    )
    subject, drafters = row.digest, row.drafted_by()
    signed: list[tuple[str, Role]] = []
    for one in found:
        try:
            said = verify(one.envelope, await key_in_force(session, one.key, one.officer, one.submitted_at))
        except (BadInput, Refused):
            continue
        if (said.case, said.subject, said.outcome, said.actor) != (row.number, subject, Outcome.ENACT, one.officer):
            continue
        if said.actor not in drafters:
            signed.append((said.actor, said.role))
    return tuple(sorted(signed))


async def released(session: AsyncSession, number: str, at: datetime, time_zone: str) -> Released:
    """How many cases were released under a standing order: ever, and on the day of a moment."""
    begin, end = day_of(at, time_zone)
    total = select(func.count()).where(col(OrderRow.standing_order) == number)
    on_day = total.where(col(OrderRow.valid_from) >= begin, col(OrderRow.valid_from) < end)
    return Released(total=(await session.exec(total)).one(), on_day=(await session.exec(on_day)).one())


async def end_to_come(session: AsyncSession, order: OrderRow) -> End:
    """When and why an order ends if nobody does anything; one that rests on a standing order ends with it."""
    under = await session.get(StandingOrderRow, order.standing_order) if order.standing_order else None
    return end_of(order.valid_until, order.lapses_at, under.ends_at() if under else None)


async def _candidate(session: AsyncSession, case: CaseRow) -> Candidate:
    target = (await session.exec(select(TargetRow).where(TargetRow.case == case.id))).one()
    partners = await session.exec(select(ReferralRow.partner).where(ReferralRow.case == case.id).distinct())
    return Candidate(
        procedure=case.snapshot().procedure.name,
        service=Service(case.service),
        kind=TargetKind(target.kind),
        registrable=target.registrable,
        partners=tuple(sorted(partners)),
    )
