"""Intake: cases, their targets, the referrals that brought them, and what the guards found."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Text
from sqlmodel import Field, SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.case import Stage, advance
from precinto.domain.errors import NotFound
from precinto.domain.evidence import Finding
from precinto.domain.intake import Referral, Service, Target, TargetKind, case_id
from precinto.domain.procedures import Snapshot
from precinto.ports import Registered, Subject
from precinto.store import ledger
from precinto.store.database import Database, now

_NAMESPACE = uuid.UUID("b5d0c1de-8a52-5c3b-a7d9-3f3a0c7be8f4")


class CaseRow(SQLModel, table=True):
    """A case: where it stands. ``due_at`` is the end of the term that runs now."""

    __tablename__ = "cases"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=40)
    target_key: str = Field(max_length=2100, index=True)
    ordinal: int
    service: str = Field(max_length=20)
    stage: str = Field(max_length=20, index=True)
    hold: bool = False
    opened_by: str = Field(max_length=64)
    terms: str = Field(sa_type=Text)
    round: int = 1
    opened_at: datetime
    stage_at: datetime
    due_at: datetime | None = None
    bundle: str | None = Field(default=None, max_length=64)
    closure: str | None = Field(default=None, max_length=20)
    closed_at: datetime | None = None

    def snapshot(self) -> Snapshot:
        """The procedure that this case runs under, as it was when the case was opened."""
        return _snapshot(self.terms)

    def advance(self, to: Stage) -> None:
        """Step to the next stage, if the law allows it.

        Raises:
            IllegalTransition: It does not.
        """
        if advance(Stage(self.stage), to) != self.stage:
            self.stage = to.value
            self.stage_at = now()


class TargetRow(SQLModel, table=True):
    """A target of a case, in normal form."""

    __tablename__ = "targets"  # pyright: ignore[reportAssignmentType]

    case: str = Field(foreign_key="cases.id", primary_key=True, max_length=40)
    kind: str = Field(primary_key=True, max_length=20)
    value: str = Field(primary_key=True, max_length=2000)
    host: str | None = Field(default=None, max_length=253, index=True)
    registrable: str | None = Field(default=None, max_length=253, index=True)

    def target(self) -> Target:
        """The domain's value."""
        return Target(kind=TargetKind(self.kind), value=self.value, host=self.host, registrable=self.registrable)


class ReferralRow(SQLModel, table=True):
    """What a partner sent; its id is derived from partner, reference and target, so it is filed once."""

    __tablename__ = "referrals"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=36)
    case: str = Field(foreign_key="cases.id", index=True, max_length=40)
    partner: str = Field(max_length=64)
    reference: str = Field(max_length=128)
    work: str = Field(max_length=500)
    page: str | None = Field(default=None, max_length=2000)
    registered_by: str = Field(max_length=64)
    received_at: datetime


class FindingRow(SQLModel, table=True):
    """What was found about a target: by the guard lists at intake, by the rules of proportionality with evidence."""

    __tablename__ = "findings"  # pyright: ignore[reportAssignmentType]

    case: str = Field(foreign_key="cases.id", primary_key=True, max_length=40)
    kind: str = Field(primary_key=True, max_length=30)
    detail: str = Field(primary_key=True, max_length=1000)
    source: str = Field(max_length=500)
    weight: str = Field(max_length=10)


@lru_cache(maxsize=64)
def _snapshot(text: str) -> Snapshot:
    """Read once for all cases that share it; it is never changed."""
    return Snapshot.model_validate_json(text)


async def load_case(session: AsyncSession, case: str) -> CaseRow:
    """The row of a case.

    Raises:
        NotFound: No such case.
    """
    row = await session.get(CaseRow, case)
    if row is None:
        raise NotFound(f"there is no case {case!r}")
    return row


async def note_findings(session: AsyncSession, case: CaseRow, findings: Sequence[Finding]) -> None:
    """File findings, each once. They can put the case on hold; nothing here takes a hold away."""
    for finding in findings:
        if await session.get(FindingRow, (case.id, finding.kind.value, finding.detail)) is None:
            session.add(FindingRow(case=case.id, **finding.model_dump(mode="json")))
    case.hold = case.hold or any(finding.holds for finding in findings)


async def findings_of(database: Database, case: str) -> list[Finding]:
    """What was found about a case's target, what holds it first."""
    async with database.read() as session:
        rows = await session.exec(select(FindingRow).where(FindingRow.case == case))
        found = [Finding.model_validate(row.model_dump(exclude={"case"})) for row in rows]
        return sorted(found, key=lambda finding: (not finding.holds, finding.kind, finding.detail))


async def barred_officers(session: AsyncSession, case: CaseRow) -> tuple[str, ...]:
    """Who referred or opened the case, by id, sorted; also who took in a referral that joined it later."""
    found = await session.exec(
        select(ReferralRow.partner, ReferralRow.registered_by).where(ReferralRow.case == case.id)
    )
    return tuple(sorted({case.opened_by, *(name for row in found for name in row)}))


class IntakeStore:
    """Port ``IntakeRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(
        self, referral: Referral, findings: Sequence[Finding], opened_by: str, terms: Snapshot
    ) -> Registered:
        """Register a referral: it joins the open case about its target, or opens one. Idempotent."""
        target = referral.target
        name = str(uuid.uuid5(_NAMESPACE, f"{referral.partner}|{referral.reference}|{target.key}"))
        async with self._database.write() as session:
            if filed := await session.get(ReferralRow, name):
                return _registered(await load_case(session, filed.case), opened=False, known=True)
            same = select(CaseRow).where(CaseRow.target_key == target.key)
            case = (await session.exec(same.where(CaseRow.stage != Stage.CLOSED))).first()
            opened = case is None
            if case is None:
                case = await _open(session, referral, findings, opened_by, terms)
            session.add(
                ReferralRow(
                    id=name,
                    case=case.id,
                    partner=referral.partner,
                    reference=referral.reference,
                    work=referral.work,
                    page=referral.page,
                    registered_by=opened_by,
                    received_at=now(),
                )
            )
            body = {"referral": name, "partner": referral.partner, "opened": opened, "hold": case.hold}
            await ledger.append(session, "referral_registered", body, case=case.id, actor=opened_by)
            return _registered(case, opened=opened, known=False)

    async def place(self, target: Target) -> tuple[str, bool]:
        """The case that a referral of this target would belong to, and whether it would open it."""
        async with self._database.read() as session:
            found = await session.exec(select(CaseRow).where(CaseRow.target_key == target.key))
            cases = list(found)
            still_open = next((case.id for case in cases if case.stage != Stage.CLOSED), None)
            return (still_open, False) if still_open else (case_id(target, len(cases) + 1), True)

    async def subject(self, case: str) -> Subject:
        """What is to be captured for a case; of several referrals, the first that names a page."""
        async with self._database.read() as session:
            row = await load_case(session, case)
            target = (await session.exec(select(TargetRow).where(TargetRow.case == case))).one().target()
            pages = select(ReferralRow.page).where(ReferralRow.case == case, col(ReferralRow.page).is_not(None))
            page = (await session.exec(pages.order_by(col(ReferralRow.received_at), col(ReferralRow.id)))).first()
            return Subject(case=case, target=target, service=Service(row.service), page=page)


def _registered(case: CaseRow, *, opened: bool, known: bool) -> Registered:
    return Registered(case=case.id, opened=opened, known=known, hold=case.hold, start=case.stage == Stage.INTAKE)


async def _open(
    session: AsyncSession, referral: Referral, findings: Sequence[Finding], opened_by: str, terms: Snapshot
) -> CaseRow:
    target = referral.target
    earlier = select(func.count()).select_from(CaseRow).where(col(CaseRow.target_key) == target.key)
    ordinal = (await session.exec(earlier)).one() + 1
    moment = now()
    case = CaseRow(
        id=case_id(target, ordinal),
        target_key=target.key,
        ordinal=ordinal,
        service=referral.service.value,
        stage=Stage.INTAKE.value,
        opened_by=opened_by,
        terms=terms.model_dump_json(),
        opened_at=moment,
        stage_at=moment,
    )
    session.add(case)
    await session.flush()
    session.add(TargetRow(case=case.id, **target.model_dump(mode="json")))
    await note_findings(session, case, findings)
    await session.flush()
    return case
