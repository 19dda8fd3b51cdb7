"""Review: decisions with their reasons and signatures, and the escalations of terms that have passed.

A decision is filed under its officer's signature, and admitted when its case is told of it. Both ask the same rules:
filing, so that an officer is told at once what is wrong; admitting, because only then it is known to be so still.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Text
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.case import Stage
from precinto.domain.errors import BadInput, NotFound, Refused
from precinto.domain.model import digest
from precinto.domain.objections import Instance
from precinto.domain.policy import entitled
from precinto.domain.procedures import Snapshot
from precinto.domain.review import OF_REVIEW, Docket, Officer, Outcome, Said, admit
from precinto.domain.statements import Statement, read, statement_id, verify
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.docket import heard, open_objections
from precinto.store.evidence import is_stamped
from precinto.store.intake import CaseRow, barred_officers, load_case
from precinto.store.officer_keys import key_in_force
from precinto.store.orders import order_of
from precinto.store.releases import StandingDecisionRow, permitted

FRESH = timedelta(minutes=10)
"""How far the time that a statement gives may be from the moment at which it is filed."""

LONGEST_REASONS = 20_000
"""Characters."""

_AGAIN = frozenset({Outcome.STAY, Outcome.RESUME, Outcome.RENEW})
"""What may be decided of one order more than once."""

_NAMESPACE = uuid.UUID("2f0a7f86-17a9-5b3e-9a3a-52b1a9a3fd0e")


class DecisionState(StrEnum):
    """What became of a decision."""

    SUBMITTED = "submitted"
    ADMITTED = "admitted"
    REFUSED = "refused"
    """For good: its officer may sign another."""


def _new_ticket() -> str:
    """96 random bits: not to be guessed, and short, because history holds the id of an update four times."""
    return secrets.token_urlsafe(12)


class DecisionRow(SQLModel, table=True):
    """A decision as its officer signed and filed it; history holds only its id.

    ``round``: of a bundle under review, the review's; of an order, how often it had been renewed. ``envelope`` is None
    for what was decided before decisions were signed; such a decision carries nothing any more.
    """

    __tablename__ = "decisions"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    case: str = Field(foreign_key="cases.id", index=True, max_length=40)
    officer: str = Field(max_length=64)
    role: str = Field(max_length=20)
    outcome: str = Field(max_length=10)
    bundle: str = Field(max_length=64)
    about: str | None = Field(default=None, max_length=64)
    grounds: str = Field(sa_type=Text)
    reasons: str = Field(sa_type=Text)
    envelope: str | None = Field(default=None, sa_type=Text)
    key: str | None = Field(default=None, max_length=43)
    nonce: str | None = Field(default=None, max_length=43, unique=True)
    signed_at: datetime | None = None
    submitted_at: datetime
    round: int = 1
    state: str = Field(max_length=10)
    refusal: str | None = Field(default=None, max_length=60)
    ticket: str = Field(max_length=36)

    def said(self) -> Said:
        """What the rules look at."""
        return Said(outcome=Outcome(self.outcome), subject=self.bundle, officer=self.officer, about=self.about)


class EscalationRow(SQLModel, table=True):
    """A term that has passed, for a human to act on; recorded as the system's, never as a person's act.

    ``addressees`` is a JSON list of officers; None while nobody who is there was found, which the watch tries again.
    """

    __tablename__ = "escalations"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    case: str = Field(foreign_key="cases.id", index=True, max_length=40)
    what: str = Field(max_length=30)
    subject: str = Field(max_length=200)
    at: datetime
    addressees: str | None = Field(default=None, sa_type=Text)
    seen_at: datetime | None = None
    seen_by: str | None = Field(default=None, max_length=64)


async def raise_escalation(session: AsyncSession, case: str, what: str, subject: str) -> bool:
    """Put something before a human, once; whether it was new."""
    name = str(uuid.uuid5(_NAMESPACE, f"{case}|{what}|{subject}"))
    if await session.get(EscalationRow, name) is not None:
        return False
    session.add(EscalationRow(id=name, case=case, what=what, subject=subject, at=now()))
    await ledger.append(session, "escalated", {"what": what, "subject": subject}, case=case)
    return True


async def refuse(session: AsyncSession, case: str, decision: str, code: str) -> None:
    """Put on file that a decision was refused, and why; also one that nobody filed."""
    row = await session.get(DecisionRow, decision)
    if row is not None and row.case == case and row.state == DecisionState.REFUSED and row.refusal == code:
        return
    if row is not None and row.case == case and row.state == DecisionState.SUBMITTED:
        row.state, row.refusal = DecisionState.REFUSED.value, code
        session.add(row)
    await ledger.append(session, "decision_refused", {"decision": decision, "code": code}, case=case)


async def docket_of(session: AsyncSession, case: CaseRow) -> Docket:
    """What the rules need to know of a case."""
    admitted = list(
        await session.exec(
            select(DecisionRow).where(
                DecisionRow.case == case.id,
                DecisionRow.bundle == case.bundle,
                DecisionRow.state == DecisionState.ADMITTED,
            )
        )
    )
    order = await order_of(session, case)
    waiting = await open_objections(session, order.id) if order else []
    approved = [d for d in admitted if d.outcome in {Outcome.APPROVE, Outcome.RELEASE}]
    renewed = [d for d in admitted if d.outcome == Outcome.RENEW and order and d.round == order.renewals]
    # Whoever gave the order its life, or more of it. What was approved before decisions were signed carries nothing
    # any more, but its officer did decide it.
    gave = {Outcome.APPROVE, Outcome.RELEASE, Outcome.RENEW, Outcome.RESUME}
    deciding = [d for d in admitted if d.outcome in gave] if order and order.bundle == case.bundle else []
    return Docket(
        stage=Stage(case.stage),
        bundle=case.bundle,
        barred=await barred_officers(session, case),
        hold=case.hold,
        stamped=case.bundle is None or await is_stamped(session, case.bundle),
        approvals=_officers(d for d in approved if d.envelope is not None),
        renewals=_officers(d for d in renewed if d.envelope is not None),
        deciders=_officers(deciding),
        heard=await heard(session, case.id, case.snapshot().procedure.hearing),
        objections=tuple(one.id for one in waiting),
        appeals=tuple(one.id for one in waiting if one.instance == Instance.APPEAL),
        suspending=tuple(one.id for one in waiting if one.suspends),
        dismissers=_officers(d for d in admitted if d.outcome == Outcome.DISMISS),
    )


def _officers(decisions: Iterable[DecisionRow]) -> tuple[str, ...]:
    return tuple(sorted({one.officer for one in decisions}))


async def examined(
    session: AsyncSession, case: CaseRow, envelope: str, officers: Sequence[Officer], at: datetime
) -> tuple[Statement, str]:
    """The statement of an envelope about a case, and the id of its key; args and errors as :func:`signed_on`."""
    return await signed_on(session, case.id, case.snapshot(), envelope, officers, at)


async def signed_on(
    session: AsyncSession, name: str, snapshot: Snapshot, envelope: str, officers: Sequence[Officer], at: datetime
) -> tuple[Statement, str]:
    """The statement of an envelope, and the id of its key, if it is what it claims to be.

    Args:
        session: The transaction.
        name: The case, or the standing order, that it must be about.
        snapshot: The procedure that this runs under.
        envelope: The envelope.
        officers: The registry's officers.
        at: When it was filed: its key and its officer's role must have been in force then.

    Raises:
        Refused: ``malformed``, ``other_case``, ``forged``, ``unknown_officer``, ``not_entitled``,
            ``unknown_ground``, or what :func:`key_in_force` refuses by.
    """
    try:
        statement, kid = read(envelope)
    except BadInput as error:
        raise Refused("malformed", str(error)) from error
    verify(envelope, await key_in_force(session, kid, statement.actor, at))
    if statement.case != name:
        raise Refused("other_case", f"the decision is on {statement.case}, not on {name}")
    entitled(officers, statement.actor, statement.outcome, at, statement.role, snapshot.procedure)
    for code in statement.grounds:
        try:
            ground = snapshot.ground(code)
        except NotFound as error:
            raise Refused("unknown_ground", str(error)) from error
        if statement.outcome not in ground.outcomes:
            raise Refused("unknown_ground", f"{code} is not a ground to {statement.outcome.value}")
    return statement, kid


async def said_now(
    session: AsyncSession,
    table: type[DecisionRow | StandingDecisionRow],
    statement: Statement,
    reasons: str,
    moment: datetime,
) -> None:
    """Whether a statement was signed just now, for these very reasons, and never before.

    Raises:
        Refused: ``reasons_missing``, ``other_reasons``, ``stale`` or ``replayed``.
    """
    if not reasons.strip() or len(reasons) > LONGEST_REASONS:
        reason = f"a decision states its reasons, in {LONGEST_REASONS} characters at most"
        raise Refused("reasons_missing", reason)
    if digest(reasons.encode()) != statement.reasons:
        raise Refused("other_reasons", "the reasons are not those that were signed")
    if abs(moment - statement.at) > FRESH:
        raise Refused("stale", f"signed at {statement.at.isoformat()}: more than {FRESH} from now")
    if (await session.exec(select(table.id).where(table.nonce == statement.nonce))).first() is not None:
        raise Refused("replayed", "another decision has this nonce: nothing is signed twice alike")


class ReviewStore:
    """Port ``ReviewRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def docket(self, case: str) -> Docket:
        """What the rules need to know of a case."""
        async with self._database.read() as session:
            return await docket_of(session, await load_case(session, case))

    async def snapshot(self, case: str) -> Snapshot:
        """The procedure that a case runs under."""
        async with self._database.read() as session:
            return (await load_case(session, case)).snapshot()

    async def said(
        self, case: str, officer: str, outcome: Outcome, reasons: str, about: str | None = None
    ) -> DecisionRow | None:
        """The decision that an officer repeats by saying just this of the newest bundle; None where it is another."""
        async with self._database.read() as session:
            row = await load_case(session, case)
            found = await session.exec(
                select(DecisionRow)
                .where(
                    DecisionRow.case == case,
                    DecisionRow.officer == officer,
                    DecisionRow.outcome == outcome,
                    DecisionRow.bundle == row.bundle,
                    DecisionRow.state != DecisionState.REFUSED,
                )
                .order_by(col(DecisionRow.submitted_at).desc())
            )
            known = next((one for one in found if (one.reasons, one.about) == (reasons, about)), None)
            return known if known and await _is_repeated(session, row, known) else None

    async def file(self, case: str, envelope: str, reasons: str, officers: Sequence[Officer]) -> DecisionRow:
        """File a signed decision with its reasons, before the case is told of it; again is the same.

        Its ``ticket`` is what to tell the case with (the id of the Temporal update): the same each time, so that a
        repeated telling is one, and random, so that nobody can take it in advance.

        Raises:
            NotFound: No such case.
            Refused: As :func:`examined`, :func:`said_now`, :func:`precinto.domain.review.admit` and, of a release,
                :func:`permitted`.
        """
        async with self._database.write() as session:
            row = await load_case(session, case)
            known = await session.get(DecisionRow, statement_id(envelope))
            if known is not None and known.case == case:
                return known
            moment = now()
            statement, kid = await examined(session, row, envelope, officers, moment)
            await said_now(session, DecisionRow, statement, reasons, moment)
            order = await order_of(session, row)
            renewal = statement.outcome is Outcome.RENEW and order is not None
            filed = DecisionRow(
                id=statement_id(envelope),
                case=case,
                officer=statement.actor,
                role=statement.role.value,
                outcome=statement.outcome.value,
                bundle=statement.subject,
                about=statement.about,
                grounds=json.dumps(statement.grounds),
                reasons=reasons,
                envelope=envelope,
                key=kid,
                nonce=statement.nonce,
                signed_at=statement.at,
                submitted_at=moment,
                round=order.renewals if renewal and order else row.round,
                state=DecisionState.SUBMITTED.value,
                ticket=_new_ticket(),
            )
            admit(filed.said(), await docket_of(session, row))
            if statement.outcome is Outcome.RELEASE:
                await permitted(session, row, filed.about, moment)
            await _supersede(session, filed)
            session.add(filed)
            body = {
                "decision": filed.id,
                "outcome": filed.outcome,
                "bundle": filed.bundle,
                "grounds": list(statement.grounds),
                "reasons": statement.reasons,
                "role": filed.role,
                "key": kid,
            }
            await ledger.append(session, "decision_submitted", body, case=case, actor=filed.officer)
            return filed

    async def refuse(self, case: str, decision: str, code: str) -> None:
        """Note that a decision was refused, and why; also one that nobody filed."""
        async with self._database.write() as session:
            await load_case(session, case)
            await refuse(session, case, decision, code)

    async def escalate(self, case: str, due: datetime, at: datetime) -> datetime:
        """Note that a review's term has passed, and begin the next; returns its end. Idempotent."""
        async with self._database.write() as session:
            row = await load_case(session, case)
            if row.stage == Stage.REVIEW and row.due_at is not None and row.due_at <= due:
                await raise_escalation(session, case, "review_overdue", due.astimezone(UTC).isoformat())
                row.due_at = row.snapshot().due("review", at)
                session.add(row)
            return row.due_at or due


async def _is_repeated(session: AsyncSession, case: CaseRow, known: DecisionRow) -> bool:
    """Whether to say the same again is to repeat a decision: a stay or a renewal may be meant a second time."""
    outcome = Outcome(known.outcome)
    if known.state == DecisionState.SUBMITTED:
        return True
    if outcome in OF_REVIEW:
        return case.stage != Stage.REVIEW  # as long as it is only counted, the rules say that nobody counts twice
    if outcome not in _AGAIN:
        return True
    order = await order_of(session, case)
    if outcome is Outcome.RENEW and order is not None and known.round == order.renewals:
        return False  # counted, as above
    later = select(DecisionRow.id).where(
        DecisionRow.case == case.id,
        DecisionRow.state == DecisionState.ADMITTED,
        col(DecisionRow.outcome).in_(_AGAIN),
        DecisionRow.submitted_at > known.submitted_at,
    )
    return now() - known.submitted_at <= FRESH and (await session.exec(later)).first() is None


async def _supersede(session: AsyncSession, filed: DecisionRow) -> None:
    """What an officer signed before on the same bundle, and no case was told of, must not come up later."""
    if Outcome(filed.outcome) not in OF_REVIEW:
        return
    before = await session.exec(
        select(DecisionRow).where(
            DecisionRow.case == filed.case,
            DecisionRow.officer == filed.officer,
            DecisionRow.bundle == filed.bundle,
            DecisionRow.state == DecisionState.SUBMITTED,
        )
    )
    for row in before:
        if Outcome(row.outcome) in OF_REVIEW:
            await refuse(session, filed.case, row.id, "superseded")
