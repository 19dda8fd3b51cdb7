"""Standing orders: drafted, enacted under two signatures, and revoked, which ends everything that rests on them.

No case has to be told before a signature counts, so filing a decision and admitting it are one transaction here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.case import TRANSITIONS, Stage
from precinto.domain.errors import NotFound, Refused
from precinto.domain.model import Digest, Instant, Value
from precinto.domain.orders import EndReason
from precinto.domain.policy import Deed, can
from precinto.domain.review import Officer, Outcome, Role
from precinto.domain.standing_orders import Released, StandingOrder, StandingState, state_of, still_needed
from precinto.domain.statements import Statement, statement_id
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.intake import CaseRow, load_case
from precinto.store.orders import OrderRow, end_order
from precinto.store.releases import StandingDecisionRow, StandingOrderRow, enacting, end_to_come, released
from precinto.store.review import said_now, signed_on

_PAGE = 20
"""Orders that are ended in one transaction."""


class Signature(Value):
    """That an officer enacted or revoked it; ``refusal``: why that does not count any more."""

    id: str
    officer: str
    role: Role
    outcome: Outcome
    subject: Digest
    grounds: tuple[str, ...]
    reasons: str
    envelope: str
    key: str
    signed_at: Instant
    submitted_at: Instant
    refusal: str | None


class Resting(Value):
    """An order that rests on it: in force from a moment until its end, the one to come where it has not ended."""

    order: str
    case: str
    since: Instant
    until: Instant
    end_reason: EndReason | None


class StandingFile(Value):
    """Everything on file about a standing order.

    Attributes:
        number: Its number.
        order: What its officers sign.
        digest: SHA-256 of that in canonical JSON.
        state: Where it is.
        drafted_by: Everyone who has written at its draft.
        drafted_at: When these terms were drafted.
        enacted_at: When its last officer signed.
        revoked_at: When it was revoked.
        needed: Officers who must still enact.
        released: How many cases were released under it: in all, and today.
        signatures: Who has signed what, in the order in which they did.
        orders: The orders that rest on it, by number.
    """

    number: str
    order: StandingOrder
    digest: str
    state: StandingState
    drafted_by: tuple[str, ...]
    drafted_at: Instant
    enacted_at: Instant | None
    revoked_at: Instant | None
    needed: int
    released: Released
    signatures: tuple[Signature, ...]
    orders: tuple[Resting, ...]


class StandingOrderStore:
    """Drafts, enacts, revokes and shows standing orders."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def draft(
        self, order: StandingOrder, officer: str, officers: Sequence[Officer], number: str | None = None
    ) -> StandingFile:
        """Put a draft on file under the next number, or in the place of the draft with this one.

        What was signed on the draft before does not count for this one, unless they are the same.

        Raises:
            NotFound: No standing order has this number.
            Refused: ``unknown_officer``, ``not_entitled``, ``enacted``, or ``outside_window``: revoked, or the window
                is over.
        """
        moment = now()
        can(officers, officer, Deed.DRAFT, moment, order.snapshot.procedure)
        content, until = order.canonical().decode(), order.terms.window.until
        if until <= moment:
            raise Refused("outside_window", f"the window was over at {until.isoformat()}")
        async with self._database.write() as session:
            if number is None:
                row = StandingOrderRow(
                    number=await _next_number(session, moment.year),
                    content=content,
                    drafters=json.dumps([officer]),
                    drafted_at=moment,
                    until=until,
                )
            else:
                row = await _load(session, number)
                _may_change(row)
                row.drafters = json.dumps(sorted({*row.drafted_by(), officer}))
                row.content, row.until, row.drafted_at = content, until, moment
            session.add(row)
            body = {"standing_order": row.number, "digest": row.digest}
            await ledger.append(session, "standing_order_drafted", body, actor=officer)
            await session.flush()
            return await _file(session, row)

    async def enact(self, number: str, envelope: str, reasons: str, officers: Sequence[Officer]) -> int:
        """File that an officer enacts a standing order; returns how many officers must still do so.

        Raises:
            NotFound: No standing order has this number.
            Refused: As :func:`signed_on` and :func:`said_now`; ``other_terms``, ``not_an_enactment``,
                ``enacted``, ``outside_window``, ``drafter_may_not_enact``, ``same_officer_twice``.
        """
        async with self._noting(number, envelope), self._database.write() as session:
            row = await _load(session, number)
            statement, filed = await _signed(session, row, envelope, reasons, officers)
            if statement.outcome is not Outcome.ENACT:
                raise Refused("not_an_enactment", f"a standing order is not decided by {statement.outcome.value!r}")
            _may_change(row)
            if row.until <= filed.submitted_at:
                raise Refused("outside_window", f"the window was over at {row.until.isoformat()}")
            if statement.actor in row.drafted_by():
                raise Refused("drafter_may_not_enact", f"{statement.actor} drafted {number} and may not enact it")
            if statement.actor in {officer for officer, _ in await enacting(session, row)}:
                reason = f"{statement.actor} has enacted these terms already; a different officer must"
                raise Refused("same_officer_twice", reason)
            await _note(session, filed)
            await _recount(session, row, officers)
            enacted_by = await enacting(session, row)
            needed = still_needed(enacted_by)
            if needed == 0:
                row.enacted_at = filed.submitted_at
                session.add(row)
                body = {"standing_order": number, "digest": row.digest, "officers": [one for one, _ in enacted_by]}
                await ledger.append(session, "standing_order_enacted", body)
            return needed

    async def revoke(self, number: str, envelope: str, reasons: str, officers: Sequence[Officer]) -> tuple[str, ...]:
        """File that an officer revokes a standing order: from that moment on every order that rests on it is over.

        Returns:
            The cases that must look at their files now, as :meth:`end_releases`.

        Raises:
            NotFound: No standing order has this number.
            Refused: As :func:`signed_on` and :func:`said_now`; ``other_terms``, ``not_a_revocation``,
                ``outside_window``: revoked before, or its window is over.
        """
        async with self._noting(number, envelope), self._database.write() as session:
            row = await _load(session, number)
            statement, filed = await _signed(session, row, envelope, reasons, officers)
            if statement.outcome is not Outcome.REVOKE:
                raise Refused("not_a_revocation", f"{statement.outcome.value!r} does not revoke a standing order")
            if row.ends_at() <= filed.submitted_at:
                raise Refused("outside_window", f"{number} was over at {row.ends_at().isoformat()}")
            await _note(session, filed)
            row.revoked_at = filed.submitted_at
            session.add(row)
            in_force = select(func.count()).where(
                col(OrderRow.standing_order) == number, col(OrderRow.ended_at).is_(None)
            )
            orders = (await session.exec(in_force)).one()
            body = {"standing_order": number, "decision": filed.id, "orders": orders}
            await ledger.append(session, "standing_order_revoked", body, actor=filed.officer)
        return await self.end_releases(number)

    async def end_releases(self, number: str) -> tuple[str, ...]:
        """End the orders that are over with their standing order; again, those that are left.

        Whatever looks at one reads that it is over, ended or not. So this need not be one transaction, and is not: no
        other writer waits for a thousand of them.

        Returns:
            The cases released under it that are not closed.
        """
        after: str | None = ""
        while after is not None:
            async with self._database.write() as session:
                after = await _end_page(session, number, after)
        async with self._database.read() as session:
            return await _at_work(session, number)

    async def file(self, number: str) -> StandingFile:
        """Everything on file about one.

        Raises:
            NotFound: No standing order has this number.
        """
        async with self._database.read() as session:
            return await _file(session, await _load(session, number))

    async def files(self) -> list[StandingFile]:
        """All of them, in the order of their numbers."""
        async with self._database.read() as session:
            rows = await session.exec(select(StandingOrderRow).order_by(col(StandingOrderRow.number)))
            return [await _file(session, row) for row in rows]

    @asynccontextmanager
    async def _noting(self, number: str, envelope: str) -> AsyncGenerator[None]:
        """Put on record what is refused, and why."""
        try:
            yield
        except Refused as refused:
            body = {"standing_order": number, "decision": statement_id(envelope), "code": refused.code}
            async with self._database.write() as session:
                await ledger.append(session, "decision_refused", body)
            raise


async def _load(session: AsyncSession, number: str) -> StandingOrderRow:
    row = await session.get(StandingOrderRow, number)
    if row is None:
        raise NotFound(f"there is no standing order {number!r}")
    return row


def _may_change(row: StandingOrderRow) -> None:
    if row.revoked_at is not None:
        raise Refused("outside_window", f"{row.number} was revoked at {row.revoked_at.isoformat()}")
    if row.enacted_at is not None:
        raise Refused("enacted", f"{row.number} was enacted at {row.enacted_at.isoformat()}: its terms never change")


async def _next_number(session: AsyncSession, year: int) -> str:
    series = f"S-{year}-"
    taken = await session.exec(select(StandingOrderRow.number).where(col(StandingOrderRow.number).startswith(series)))
    return f"{series}{max((int(number.rpartition('-')[2]) for number in taken), default=0) + 1:04}"


async def _signed(
    session: AsyncSession, row: StandingOrderRow, envelope: str, reasons: str, officers: Sequence[Officer]
) -> tuple[Statement, StandingDecisionRow]:
    """What an officer has signed of these very terms, just now; and the row to file it in."""
    moment = now()
    statement, kid = await signed_on(session, row.number, row.order().snapshot, envelope, officers, moment)
    if statement.subject != row.digest:
        reason = f"what was signed are the terms {statement.subject[:12]}, those of {row.number} are {row.digest[:12]}"
        raise Refused("other_terms", reason)
    await said_now(session, StandingDecisionRow, statement, reasons, moment)
    filed = StandingDecisionRow(
        id=statement_id(envelope),
        standing_order=row.number,
        officer=statement.actor,
        role=statement.role.value,
        outcome=statement.outcome.value,
        subject=statement.subject,
        grounds=json.dumps(statement.grounds),
        reasons=reasons,
        envelope=envelope,
        key=kid,
        nonce=statement.nonce,
        signed_at=statement.at,
        submitted_at=moment,
    )
    return statement, filed


async def _note(session: AsyncSession, filed: StandingDecisionRow) -> None:
    session.add(filed)
    body = {
        "standing_order": filed.standing_order,
        "decision": filed.id,
        "outcome": filed.outcome,
        "digest": filed.subject,
        "role": filed.role,
        "key": filed.key,
    }
    await ledger.append(session, "standing_order_decided", body, actor=filed.officer)
    await session.flush()


async def _recount(session: AsyncSession, row: StandingOrderRow, officers: Sequence[Officer]) -> None:
    """Ask of each who has enacted these terms once more: weeks may lie between, in which an officer leaves."""
    found = await session.exec(
        select(StandingDecisionRow).where(
            StandingDecisionRow.standing_order == row.number,
            StandingDecisionRow.subject == row.digest,
            col(StandingDecisionRow.refusal).is_(None),
        )
    )
    for one in found:
        try:
            await signed_on(session, row.number, row.order().snapshot, one.envelope, officers, one.submitted_at)
        except Refused as refused:
            one.refusal = refused.code
            session.add(one)
            body = {"standing_order": row.number, "decision": one.id, "code": refused.code}
            await ledger.append(session, "decision_refused", body)
    await session.flush()


async def _end_page(session: AsyncSession, number: str, after: str) -> str | None:
    """End some of the orders that are over with a standing order; the last one looked at, or None after the last."""
    page = await session.exec(
        select(OrderRow)
        .where(OrderRow.standing_order == number, col(OrderRow.ended_at).is_(None), OrderRow.id > after)
        .order_by(col(OrderRow.id))
        .limit(_PAGE)
    )
    last = None
    for order in list(page):
        last, end, case = order.id, await end_to_come(session, order), await load_case(session, order.case)
        if end.at > now() or Stage.UNBLOCKING not in TRANSITIONS[Stage(case.stage)]:
            # The latter: somebody wrote into the database. That must keep no other order in force, and the watch comes
            # upon it in each round.
            continue
        await end_order(session, order, case, end)
    return last


async def _at_work(session: AsyncSession, number: str) -> tuple[str, ...]:
    found = await session.exec(
        select(CaseRow.id)
        .join(OrderRow, col(OrderRow.case) == CaseRow.id)
        .where(OrderRow.standing_order == number, CaseRow.stage != Stage.CLOSED)
        .distinct()
    )
    return tuple(sorted(found))


async def _file(session: AsyncSession, row: StandingOrderRow) -> StandingFile:
    moment, order = now(), row.order()
    decisions = await session.exec(
        select(StandingDecisionRow)
        .where(StandingDecisionRow.standing_order == row.number)
        .order_by(col(StandingDecisionRow.submitted_at))
    )
    orders = await session.exec(
        select(OrderRow).where(OrderRow.standing_order == row.number).order_by(col(OrderRow.number))
    )
    return StandingFile(
        number=row.number,
        order=order,
        digest=row.digest,
        state=state_of(order.terms.window, moment, row.enacted_at, row.revoked_at),
        drafted_by=row.drafted_by(),
        drafted_at=row.drafted_at,
        enacted_at=row.enacted_at,
        revoked_at=row.revoked_at,
        needed=still_needed(await enacting(session, row)),
        released=await released(session, row.number, moment, order.snapshot.procedure.time_zone),
        signatures=tuple(_signature(one) for one in decisions),
        orders=tuple(_resting(one) for one in orders),
    )


def _signature(row: StandingDecisionRow) -> Signature:
    kept = row.model_dump(exclude={"standing_order", "nonce", "grounds"})
    return Signature.model_validate({**kept, "grounds": json.loads(row.grounds)})


def _resting(row: OrderRow) -> Resting:
    return Resting(
        order=row.number,
        case=row.case,
        since=row.valid_from,
        until=row.ended_at or row.valid_until,
        end_reason=EndReason(row.end_reason) if row.end_reason else None,
    )
