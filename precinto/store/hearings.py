"""Hearings: that whoever runs a service was told and could answer, before anybody approves an order."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.case import Stage
from precinto.domain.errors import BadInput, Refused
from precinto.domain.hearings import HearingStep, may_record
from precinto.domain.model import Instant, Value, digest
from precinto.domain.objections import Prose
from precinto.domain.policy import Deed, can
from precinto.domain.procedures import Skip
from precinto.domain.review import Officer
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.docket import HearingRow
from precinto.store.intake import barred_officers, load_case
from precinto.store.subjects import Place, SubjectRow, Subjects


class HearingLine(Value):
    """A step of a hearing, without anything personal.

    Attributes:
        id: Its id.
        case: The case.
        step: What happened.
        reason: Why nobody was heard, where the hearing was skipped.
        subject: Whose its sealed text is.
        officer: Who recorded it.
        at: When.
        due_at: Until when an answer is in time, once the operator was served.
    """

    id: str
    case: str
    step: str
    reason: str | None
    subject: str | None
    officer: str
    at: Instant
    due_at: Instant | None


class HearingStore:
    """Records hearings and shows them.

    Args:
        database: The database.
        subjects: What seals the operator's texts; each case has one subject for them.
    """

    def __init__(self, database: Database, subjects: Subjects) -> None:
        self._database = database
        self._subjects = subjects

    async def record(
        self,
        case: str,
        step: HearingStep,
        officer: str,
        officers: Sequence[Officer],
        *,
        text: str | None = None,
        skip: Skip | None = None,
    ) -> HearingLine:
        """Record a step.

        Args:
            case: The case.
            step: What happened.
            officer: Who records it.
            officers: The registry's officers.
            text: How the operator was served, or what the operator said; sealed.
            skip: Why nobody is heard, where the step is that.

        Raises:
            NotFound: No such case.
            BadInput: The text is empty, too long, or holds control characters.
            Refused: ``unknown_officer``, ``not_entitled``; ``no_hearing``, ``hearing_over``, ``skip_not_allowed``,
                ``referrer_may_not_decide``: whoever referred or opened a case takes nobody's right to be heard.
            CannotHere: The vault cannot be used.
        """
        moment = now()
        skips = step is HearingStep.SKIPPED
        can(officers, officer, Deed.SKIP if skips else Deed.HEAR, moment)
        said = None if text is None else _prose(text)
        async with self._database.write() as session:
            found = await load_case(session, case)
            if skips and officer in await barred_officers(session, found):
                raise Refused("referrer_may_not_decide", f"{officer} referred or opened the case: another one says so")
            snapshot = found.snapshot()
            may_record(snapshot.procedure.hearing, step, Stage(found.stage), skip)
            row = HearingRow(
                id=str(uuid.uuid4()),
                case=case,
                step=step.value,
                reason=skip.value if skip else None,
                officer=officer,
                at=moment,
                due_at=snapshot.due("hearing", moment) if step is HearingStep.SERVED else None,
            )
            if said is not None:
                row.subject = await _subject(session, case)
                row.text = await self._subjects.seal_text(session, row.subject, _place(row), said)
            session.add(row)
            body = {"hearing": row.id, "step": row.step, "reason": row.reason}
            if row.due_at is not None:
                body["due"] = row.due_at.isoformat()
            if row.text is not None:
                body["text"] = digest(row.text.encode())
            await ledger.append(session, "hearing_recorded", body, case=case, actor=officer)
            return _line(row)

    async def read(self, case: str) -> list[tuple[HearingLine, str | None]]:
        """The steps of a case's hearing, oldest first, each with its text; None where it has none or was erased.

        Raises:
            NotFound: No such case.
            Refused: ``sealed_text``: a sealed text was altered.
            CannotHere: The vault cannot be used.
        """
        async with self._database.read() as session:
            await load_case(session, case)
            rows = await _rows(session, case)
            return [
                (_line(row), await self._subjects.open_text(session, row.text, _place(row)) if row.text else None)
                for row in rows
            ]


async def hearing_lines(session: AsyncSession, case: str) -> list[HearingLine]:
    """The steps of a case's hearing, oldest first."""
    return [_line(row) for row in await _rows(session, case)]


async def _rows(session: AsyncSession, case: str) -> list[HearingRow]:
    query = select(HearingRow).where(HearingRow.case == case).order_by(col(HearingRow.at), col(HearingRow.id))
    return list(await session.exec(query))


async def _subject(session: AsyncSession, case: str) -> str:
    """The subject of the case's operator: to erase it is to erase every text of theirs in the case."""
    for row in reversed(await _rows(session, case)):
        known = await session.get(SubjectRow, row.subject) if row.subject else None
        if known is not None and known.erased_at is None:
            return known.id
    return f"op-{secrets.token_hex(8)}"  # the first, or the first since an erasure: what is said later is kept


def _prose(text: str) -> str:
    try:
        return TypeAdapter[str](Prose).validate_python(text)
    except ValidationError as error:
        raise BadInput(f"text: {error.errors(include_url=False)[0]['msg']}") from None  # it would quote the text


def _place(row: HearingRow) -> Place:
    return Place("hearings", row.id, "text")


def _line(row: HearingRow) -> HearingLine:
    return HearingLine.model_validate(row.model_dump(exclude={"text"}))
