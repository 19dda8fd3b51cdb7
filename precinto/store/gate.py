"""The gate of the whole system: where decisions are admitted, and carried out in the same transaction.

Nothing is asked of an ISP, nothing is closed and no order lives longer but by what is admitted here. The gate believes
only what officers signed and filed, whatever a workflow may claim.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.contracts import Admission, Admissions, AdmitTask, Place
from precinto.domain.case import Closure, Stage
from precinto.domain.errors import Refused
from precinto.domain.model import digest
from precinto.domain.notification import Method, measure_id
from precinto.domain.objections import ObjectionState
from precinto.domain.order_document import DocumentKind
from precinto.domain.orders import End, EndReason, OrderKind, order_id
from precinto.domain.review import Docket, Officer, Outcome, admit
from precinto.domain.statements import statement_id
from precinto.domain.verification import Standing
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.docket import ObjectionRow, close_objection, end_stay
from precinto.store.intake import CaseRow, TargetRow, load_case
from precinto.store.orders import (
    MeasureRow,
    OrderRow,
    StandingRow,
    ask,
    end_order,
    order_of,
    queue_notices,
    state_version,
    stay_order,
)
from precinto.store.releases import StandingOrderRow, end_to_come, permitted
from precinto.store.review import DecisionRow, DecisionState, docket_of, examined, refuse


class GateStore:
    """Port ``Gate``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def admit(self, task: AdmitTask, officers: Sequence[Officer], isps: Sequence[str]) -> Admissions:
        """Admit decisions and carry them out, each in its own right: a bad one takes no other with it. Idempotent.

        Args:
            task: What a case was told, and when.
            officers: The registry's officers.
            isps: Ids of the ISPs that an order issued now goes to.

        Raises:
            NotFound: No such case.
        """
        if task.dropped:
            async with self._database.write() as session:
                await ledger.append(session, "signals_dropped", {"count": task.dropped}, case=task.case)
        each: list[Admission] = []
        for decision in task.decisions:
            each.append(await self._one(task, decision, None, officers, isps))
        for envelope in task.envelopes:
            each.append(await self._one(task, statement_id(envelope), envelope, officers, isps))
        return Admissions(each=tuple(each), place=await self.place(task.case))

    async def place(self, case: str, *, bundle: bool = False) -> Place:
        """Where a case stands; with ``bundle``, which is its newest too.

        Raises:
            NotFound: No such case.
        """
        async with self._database.read() as session:
            row = await load_case(session, case)
            order = await order_of(session, row)
            return Place(
                stage=Stage(row.stage),
                round=row.round,
                closure=Closure(row.closure) if row.closure else None,
                due=row.due_at,
                order=order.id if order else None,
                version=order.version if order else 0,
                over=order is not None and order.ended_at is not None,
                bundle=row.bundle if bundle else None,
            )

    async def _one(
        self,
        task: AdmitTask,
        decision: str,
        envelope: str | None,
        officers: Sequence[Officer],
        isps: Sequence[str],
    ) -> Admission:
        try:
            async with self._database.write() as session:
                case = await load_case(session, task.case)
                row = await _on_file(session, case, decision, envelope, officers)
                if row.state == DecisionState.ADMITTED:
                    if envelope is not None:
                        raise Refused("replayed", f"decision {row.id} was admitted before: again, it says nothing")
                else:
                    before = await _admit(session, case, row, officers)
                    await _carry_out(session, case, row, task.at, before, officers, isps)
                await session.flush()
                docket = await docket_of(session, case)
                # A renewal that was carried out leaves none behind: the next one is another.
                renewing = row.outcome == Outcome.RENEW and docket.renewals
                missing = docket.approvals_needed - len(docket.renewals) if renewing else docket.still_needed
                return Admission(needed=missing)
        except Refused as refused:
            async with self._database.write() as session:
                await refuse(session, task.case, decision[:64], refused.code)
            return Admission(code=refused.code, reason=refused.reason[:300])


async def _on_file(
    session: AsyncSession, case: CaseRow, decision: str, envelope: str | None, officers: Sequence[Officer]
) -> DecisionRow:
    row = await session.get(DecisionRow, decision)
    if row is not None and row.case == case.id:
        return row
    if envelope is not None:
        await examined(session, case, envelope, officers, now())  # says first what else is wrong with it
    raise Refused("decision_not_on_file", f"no officer has filed decision {decision[:64]} in this case")


async def _admit(session: AsyncSession, case: CaseRow, row: DecisionRow, officers: Sequence[Officer]) -> Docket:
    """Note that a decision counts, and return the docket before it; all that was asked at filing is asked again.

    Raises:
        Refused: ``refused_before``, ``unsigned``, ``altered``, or as the rules.
    """
    if row.state == DecisionState.REFUSED:
        raise Refused("refused_before", f"decision {row.id} was refused ({row.refusal}): its officer signs another")
    await _borne_out(session, case, row, officers)
    docket = await docket_of(session, case)
    admit(row.said(), docket)
    row.state, row.refusal = DecisionState.ADMITTED.value, None
    session.add(row)
    body = {"decision": row.id, "outcome": row.outcome}
    await ledger.append(session, "decision_admitted", body, case=row.case, actor=row.officer)
    await session.flush()
    return docket


async def _borne_out(session: AsyncSession, case: CaseRow, row: DecisionRow, officers: Sequence[Officer]) -> None:
    """Whether a decision is on file as its officer signed it."""
    if row.envelope is None:
        raise Refused("unsigned", f"decision {row.id} is not signed")
    statement, kid = await examined(session, case, row.envelope, officers, row.submitted_at)
    signed = (
        (statement_id(row.envelope), statement.actor, statement.role.value, statement.outcome.value),
        (statement.subject, statement.about, json.dumps(statement.grounds), statement.reasons),
        (kid, statement.nonce, statement.at),
    )
    claimed = (
        (row.id, row.officer, row.role, row.outcome),
        (row.bundle, row.about, row.grounds, digest(row.reasons.encode())),
        (row.key, row.nonce, row.signed_at),
    )
    if claimed != signed:
        raise Refused("altered", f"decision {row.id} is not on file as its officer signed it")


async def _recount(
    session: AsyncSession, case: CaseRow, row: DecisionRow, docket: Docket, officers: Sequence[Officer]
) -> Docket:
    """The docket in which a decision counts beside those like it before, of each of which all is asked once more.

    ``docket`` is the one before it.

    Weeks may lie between two approvals, in which an officer leaves or refers the same target, or somebody writes into
    the database. What does not hold any more is refused in its turn; the others stay.
    """
    alike = {Outcome.RENEW} if row.outcome == Outcome.RENEW else {Outcome.APPROVE, Outcome.RELEASE}
    before = await session.exec(
        select(DecisionRow).where(
            DecisionRow.case == case.id,
            DecisionRow.bundle == case.bundle,
            col(DecisionRow.outcome).in_(alike),
            DecisionRow.state == DecisionState.ADMITTED,
            DecisionRow.id != row.id,
        )
    )
    for other in before:
        if other.envelope is None or (other.round != row.round and Outcome.RENEW in alike):
            continue  # it is not counted anyway
        try:
            await _borne_out(session, case, other, officers)
            admit(other.said(), docket.model_copy(update={"approvals": (), "renewals": ()}))
        except Refused as refused:
            other.state = DecisionState.SUBMITTED.value
            await refuse(session, case.id, other.id, refused.code)
    await session.flush()
    return await docket_of(session, case)


async def _carry_out(
    session: AsyncSession,
    case: CaseRow,
    row: DecisionRow,
    at: datetime,
    before: Docket,
    officers: Sequence[Officer],
    isps: Sequence[str],
) -> None:
    """Do what a decision that was just admitted amounts to; ``before`` is the docket without it."""
    order = await order_of(session, case)
    match Outcome(row.outcome):
        case Outcome.APPROVE:
            docket = await _recount(session, case, row, before, officers)
            if len(docket.approvals) >= docket.approvals_needed:
                await _issue(session, case, at, docket.approvals, isps)
        case Outcome.RELEASE:
            # One word suffices: of a case on hold it was not admitted.
            standing_order = await permitted(session, case, row.about, at)
            approvals = (await docket_of(session, case)).approvals
            await _issue(session, case, at, approvals, isps, under=standing_order)
        case Outcome.REJECT:
            await _conclude(session, case, row, Stage.CLOSED)
        case Outcome.RETURN:
            case.round += 1
            await _conclude(session, case, row, Stage.EVIDENCE)
        case Outcome.REVOKE | Outcome.UPHOLD if order is not None:
            reason = EndReason.REVOKED if row.outcome == Outcome.REVOKE else EndReason.UPHELD
            # Its own end may have come before, while the engine was away.
            first = min(End(at=at, reason=reason), await end_to_come(session, order), key=lambda end: end.at)
            upheld = row.about if row.outcome == Outcome.UPHOLD else None
            await end_order(session, order, case, first, upheld=upheld, decision=row.id, actor=row.officer)
        case Outcome.DISMISS:
            # A stay that the objection led to goes on: that a block may come back is a decision of its own, which
            # says why, is signed, and reaches the ISPs as one.
            objection = await session.get_one(ObjectionRow, row.about)
            await close_objection(session, objection, ObjectionState.DISMISSED, decision=row.id, actor=row.officer)
        case Outcome.STAY if order is not None:
            await stay_order(session, order, case, at, about=row.about, decision=row.id, actor=row.officer)
        case Outcome.RESUME if order is not None:
            await _not_over(session, order, at)
            await _resume(session, case, order, row, at)
        case Outcome.RENEW if order is not None:
            await _not_over(session, order, at)
            docket = await _recount(session, case, row, before, officers)
            if len(docket.renewals) >= docket.approvals_needed:
                await _renew(session, case, order, row, at)
        case other:
            raise Refused("not_under_review", f"a case cannot be decided by {other.value!r}")


async def _not_over(session: AsyncSession, order: OrderRow, at: datetime) -> None:
    """What has come to its end is not lengthened, though the engine may not have got round to ending it."""
    end = await end_to_come(session, order)
    if end.at <= at:
        raise Refused("not_in_force", f"the order was over at {end.at.isoformat()}")


async def _conclude(session: AsyncSession, case: CaseRow, row: DecisionRow, stage: Stage) -> None:
    case.advance(stage)
    case.due_at = None
    if stage is Stage.CLOSED:
        case.closure, case.closed_at = Closure.REJECTED.value, now()
    session.add(case)
    body = {"decision": row.id, "outcome": row.outcome}
    await ledger.append(session, "review_concluded", body, case=case.id, actor=row.officer)


async def _issue(
    session: AsyncSession,
    case: CaseRow,
    at: datetime,
    officers: Sequence[str],
    isps: Sequence[str],
    under: StandingOrderRow | None = None,
) -> None:
    """Issue the order of a case, which these officers have approved, with a notice for every ISP.

    ``under``: a standing order, which it cannot outlive.
    """
    snapshot, valid_from = case.snapshot(), at.astimezone(UTC).replace(microsecond=0)  # an order counts in seconds
    bundle = case.bundle or ""
    lapses = snapshot.due("lapse", valid_from) if snapshot.procedure.lapse else None
    due = snapshot.due("order", valid_from)
    order = OrderRow(
        id=order_id(case.id, bundle),
        number=await _next_number(session, valid_from.year),
        case=case.id,
        kind=(OrderKind.RELEASE if under else OrderKind.ORDER).value,
        standing_order=under.number if under else None,
        basis=snapshot.procedure.basis,
        bundle=bundle,
        valid_from=valid_from,
        valid_until=min(due, under.ends_at()) if under else due,
        lapses_at=lapses,
        asked_at=valid_from,
    )
    end = await end_to_come(session, order)
    if end.at <= now():
        # After a long outage: nobody is told to block under an order whose end has passed.
        raise Refused("order_over", f"the order would have been over at {end.at.isoformat()}")
    session.add(order)
    await session.flush()
    approvals = await _carrying(session, case, Outcome.APPROVE, Outcome.RELEASE)
    state_version(session, order, DocumentKind(order.kind), valid_from, approvals)
    measures = await _write_measures(session, order)
    queue_notices(session, order, isps)
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
        "kind": order.kind,
        "bundle": order.bundle,
        "officers": list(officers),
        "measures": measures,
        "isps": list(isps),
        "until": order.valid_until.isoformat(),
    }
    if under is not None:
        body["standing_order"] = under.number
    await ledger.append(session, "order_issued", body, case=case.id)


async def _carrying(
    session: AsyncSession, case: CaseRow, *outcomes: Outcome, round: int | None = None
) -> Sequence[str]:
    """Ids of the signed decisions on the newest bundle that were admitted with one of these outcomes, oldest first."""
    found = await session.exec(
        select(DecisionRow)
        .where(
            DecisionRow.case == case.id,
            DecisionRow.bundle == case.bundle,
            col(DecisionRow.outcome).in_(outcomes),
            DecisionRow.state == DecisionState.ADMITTED,
            col(DecisionRow.envelope).is_not(None),
        )
        .order_by(col(DecisionRow.submitted_at), col(DecisionRow.id))
    )
    return [row.id for row in found if round is None or row.round == round]


async def _next_number(session: AsyncSession, year: int) -> str:
    this_year = select(OrderRow.number).where(OrderRow.number >= f"{year}-", OrderRow.number < f"{year}.")
    last = (await session.exec(this_year.order_by(col(OrderRow.number).desc()).limit(1))).first()
    return f"{year}-{int(last.partition('-')[2]) + 1 if last else 1:06}"


async def _write_measures(session: AsyncSession, order: OrderRow) -> list[str]:
    targets = await session.exec(select(TargetRow).where(TargetRow.case == order.case))
    hosts = sorted({t.host for t in targets if t.host})
    if not hosts:
        raise Refused("no_measure", "no target of this case can be blocked by a method that there is yet")
    measures = [
        MeasureRow(id=measure_id(order.id, host, Method.DNS), order=order.id, target=host, method=Method.DNS.value)
        for host in hosts
    ]
    session.add_all(measures)
    await session.flush()
    return [m.id for m in measures]


async def _resume(session: AsyncSession, case: CaseRow, order: OrderRow, row: DecisionRow, at: datetime) -> None:
    order.stayed_at = None
    await end_stay(session, order.id, at)
    await ask(session, order, at, row.id)
    case.advance(Stage.NOTIFICATION)
    session.add(case)
    body = {"order": order.id, "decision": row.id, "version": order.version}
    await ledger.append(session, "order_resumed", body, case=case.id, actor=row.officer)


async def _renew(session: AsyncSession, case: CaseRow, order: OrderRow, row: DecisionRow, at: datetime) -> None:
    """Lengthen an order from its date on. The ISPs are told the new date; what is asked of them stays the same."""
    snapshot = case.snapshot()
    if order.renewals >= snapshot.procedure.renewals:
        raise Refused("no_more_renewals", f"the order was renewed {order.renewals} times: no more is allowed")
    carried = await _carrying(session, case, Outcome.RENEW, round=order.renewals)
    before, until = order.valid_until, snapshot.due("renewal", order.valid_until)
    if order.standing_order is not None:
        until = min(until, (await session.get_one(StandingOrderRow, order.standing_order)).ends_at())
        if until <= before:
            raise Refused("outside_window", f"{order.standing_order} ends then too, and no release outlives it")
    order.valid_until = until
    order.renewals, order.version = order.renewals + 1, order.version + 1
    session.add(order)
    state_version(session, order, DocumentKind.RENEWAL, at, carried)
    case.due_at = order.valid_until
    session.add(case)
    isps = await session.exec(
        select(StandingRow.isp).join(MeasureRow, col(MeasureRow.id) == StandingRow.measure)
        .where(MeasureRow.order == order.id).distinct()
    )  # fmt: skip
    queue_notices(session, order, sorted(isps))
    body = {
        "order": order.id,
        "decision": row.id,
        "version": order.version,
        "from": before.isoformat(),
        "until": order.valid_until.isoformat(),
    }
    await ledger.append(session, "order_renewed", body, case=case.id, actor=row.officer)
