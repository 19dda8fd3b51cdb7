"""Review: decisions with their reasons, and the escalations of terms that have passed."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Text
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotVerified, Refused
from precinto.domain.model import digest
from precinto.domain.review import Decision, Docket, Officer, Outcome, admit, decision_id, reviewer
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.evidence import is_stamped
from precinto.store.intake import CaseRow, barred_officers, load_case

_NAMESPACE = uuid.UUID("2f0a7f86-17a9-5b3e-9a3a-52b1a9a3fd0e")


class DecisionState(StrEnum):
    """What became of a decision."""

    SUBMITTED = "submitted"
    ADMITTED = "admitted"
    REFUSED = "refused"


def _new_ticket() -> str:
    """96 random bits: not to be guessed, and short, because history holds the id of an update four times."""
    return secrets.token_urlsafe(12)


class DecisionRow(SQLModel, table=True):
    """A decision as its officer filed it; history holds only its id and digests."""

    __tablename__ = "decisions"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    case: str = Field(foreign_key="cases.id", index=True, max_length=40)
    officer: str = Field(max_length=64)
    role: str = Field(max_length=20)
    outcome: str = Field(max_length=10)
    bundle: str = Field(max_length=64)
    basis: str = Field(max_length=100)
    reasons: str = Field(sa_type=Text)
    submitted_at: datetime
    state: str = Field(max_length=10)
    refusal: str | None = Field(default=None, max_length=60)
    ticket: str = Field(max_length=36)

    def decision(self) -> Decision:
        """What of it enters history."""
        return Decision(
            id=self.id,
            officer=self.officer,
            outcome=Outcome(self.outcome),
            bundle=self.bundle,
            basis=self.basis,
            reasons=digest(self.reasons.encode()),
        )


class EscalationRow(SQLModel, table=True):
    """A term that has passed, for a human to act on; recorded as the system's, never as a person's act."""

    __tablename__ = "escalations"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    case: str = Field(foreign_key="cases.id", index=True, max_length=40)
    what: str = Field(max_length=30)
    subject: str = Field(max_length=200)
    at: datetime


async def raise_escalation(session: AsyncSession, case: str, what: str, subject: str) -> None:
    """Put something before a human, once."""
    name = str(uuid.uuid5(_NAMESPACE, f"{case}|{what}|{subject}"))
    if await session.get(EscalationRow, name) is None:
        session.add(EscalationRow(id=name, case=case, what=what, subject=subject, at=now()))
        await ledger.append(session, "escalated", {"what": what, "subject": subject}, case=case)


async def on_file(session: AsyncSession, case: str, decision: str) -> Decision:
    """A decision as its officer filed it; what a workflow was told does not count.

    Raises:
        NotVerified: No officer has filed it in this case.
    """
    row = await session.get(DecisionRow, decision)
    if row is None or row.case != case:
        reason = f"no officer has filed decision {decision} in this case"
        raise NotVerified("decision_not_on_file", reason, decision)
    return row.decision()


async def carried_out(session: AsyncSession, *decisions: str) -> None:
    """Note that decisions count, because the gate has carried them out; whether or not the desk heard the case."""
    for decision in decisions:
        await _admit(session, await session.get_one(DecisionRow, decision))


async def _admit(session: AsyncSession, row: DecisionRow) -> None:
    if row.state != DecisionState.ADMITTED:
        row.state, row.refusal = DecisionState.ADMITTED.value, None
        session.add(row)
        body = {"decision": row.id, "outcome": row.outcome}
        await ledger.append(session, "decision_admitted", body, case=row.case, actor=row.officer)


async def docket_of(session: AsyncSession, case: CaseRow) -> Docket:
    """What the rules need to know of a case."""
    under_review = case.bundle if case.stage == Stage.REVIEW else None
    approvals = await session.exec(
        select(DecisionRow.officer).where(
            DecisionRow.case == case.id,
            DecisionRow.bundle == case.bundle,
            DecisionRow.outcome == Outcome.APPROVE,
            DecisionRow.state == DecisionState.ADMITTED,
        )
    )
    return Docket(
        bundle=under_review,
        barred=await barred_officers(session, case),
        hold=case.hold,
        approvals=tuple(sorted(set(approvals))),
        stamped=under_review is None or await is_stamped(session, under_review),
    )


class ReviewStore:
    """Port ``ReviewRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def docket(self, case: str) -> Docket:
        """What the rules need to know of a case."""
        async with self._database.read() as session:
            return await docket_of(session, await load_case(session, case))

    async def decided_bundle(self, case: str) -> str:
        """Digest of the bundle that the order in force of a case decides.

        Raises:
            Refused: ``not_in_force``: there is no such order.
        """
        async with self._database.read() as session:
            row = await load_case(session, case)
            if row.bundle is None or row.stage not in {Stage.NOTIFICATION, Stage.VERIFICATION}:
                raise Refused("not_in_force", "there is no order in force that could be revoked")
            return row.bundle

    async def taken(self, case: str, officer: str, outcome: Outcome) -> bool:
        """Whether the case has taken this very decision on its newest bundle: to say it again is the same."""
        async with self._database.read() as session:
            bundle = (await load_case(session, case)).bundle
            row = await session.get(DecisionRow, decision_id(case, bundle or "", officer, outcome))
            return row is not None and row.state == DecisionState.ADMITTED

    async def submit(self, case: str, decision: Decision, role: str, reasons: str) -> str:
        """File an officer's decision with its reasons, before the case is told of it; idempotent by id.

        Returns:
            The ticket to tell the case with (the id of the Temporal update): the same each time, so that a repeated
            telling is one, and random, so that nobody can take it in advance.

        Raises:
            Refused: ``reasons_digest`` or ``decision_changed`` (the same decision, on file with other reasons).
        """
        if digest(reasons.encode()) != decision.reasons:
            raise Refused("reasons_digest", "the reasons are not those that the decision names")
        async with self._database.write() as session:
            await load_case(session, case)
            if known := await session.get(DecisionRow, decision.id):
                if known.decision() != decision:
                    raise Refused("decision_changed", f"{decision.officer} has filed this decision with other reasons")
                return known.ticket
            fields = decision.model_dump(mode="json", exclude={"v", "reasons"})
            ticket = _new_ticket()
            session.add(
                DecisionRow(
                    **fields,
                    ticket=ticket,
                    case=case,
                    role=role,
                    reasons=reasons,
                    submitted_at=now(),
                    state=DecisionState.SUBMITTED.value,
                )
            )
            body = {**fields, "role": role, "reasons": decision.reasons}
            await ledger.append(session, "decision_submitted", body, case=case, actor=decision.officer)
            return ticket

    async def admitted(self, decision: str, ticket: str) -> None:
        """Note that the case has taken a decision that was told with this ticket; idempotent.

        A ticket that is no longer the decision's says nothing: the case has taken the decision back meanwhile.
        """
        async with self._database.write() as session:
            row = await session.get_one(DecisionRow, decision)
            if row.ticket == ticket:
                await _admit(session, row)

    async def refuse(self, case: str, decision: str, code: str, *, undone: bool = False) -> None:
        """Note that a decision was refused, and why; also one that nobody filed.

        Args:
            case: The case.
            decision: Id of the decision, as it was claimed.
            code: The rule that refused it.
            undone: The case had taken it and took it back. Its officer may decide anew, so it gets a new ticket.
        """
        async with self._database.write() as session:
            row = await session.get(DecisionRow, decision)
            if row is not None and row.case == case and (undone or row.state == DecisionState.SUBMITTED):
                row.state, row.refusal = DecisionState.REFUSED.value, code
                if undone:
                    row.ticket = _new_ticket()
                session.add(row)
            await ledger.append(session, "decision_refused", {"decision": decision, "code": code}, case=case)

    async def escalate(self, case: str, due: datetime) -> None:
        """Note that a review's term has passed; idempotent."""
        async with self._database.write() as session:
            await load_case(session, case)
            await raise_escalation(session, case, "review_overdue", due.astimezone(UTC).isoformat())

    async def conclude(self, case: str, decision: str, officers: Sequence[Officer]) -> Closure | None:
        """Carry out a rejection (returns the closure) or a return for more evidence (returns None)."""
        async with self._database.write() as session:
            last = await on_file(session, case, decision)
            row = await load_case(session, case)
            try:
                reviewer(officers, last.officer)
                if last.outcome not in {Outcome.REJECT, Outcome.RETURN}:
                    raise Refused("not_a_conclusion", f"decision {last.id} neither rejects nor returns the case")
                if row.stage == Stage.REVIEW:
                    # The gate counts for itself: what the docket says of approvals came from outside.
                    admit(last, (await docket_of(session, row)).model_copy(update={"approvals": ()}))
            except Refused as refused:
                raise NotVerified(refused.code, refused.reason, last.id) from refused
            rejected = last.outcome is Outcome.REJECT
            if row.stage == Stage.REVIEW:
                await carried_out(session, last.id)
                row.advance(Stage.CLOSED if rejected else Stage.EVIDENCE)
                row.due_at = None
                if rejected:
                    row.closure, row.closed_at = Closure.REJECTED.value, now()
                session.add(row)
                body = {"decision": last.id, "outcome": last.outcome.value}
                await ledger.append(session, "review_concluded", body, case=case, actor=last.officer)
            return Closure.REJECTED if rejected else None
