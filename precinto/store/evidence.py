"""Evidence: attempts to capture, the bundle that each left, the files in it, and its time stamps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.contracts import Sealed
from precinto.domain.case import Stage
from precinto.domain.custody import Act, CustodyRecord
from precinto.domain.errors import NotFound
from precinto.domain.evidence import STAMPS_NEEDED
from precinto.ports import FiledStamp, Package, Unstamped
from precinto.store import custody, ledger
from precinto.store.database import Database, now
from precinto.store.intake import load_case, note_findings


class AttemptState(StrEnum):
    """What became of an attempt to capture."""

    BEGUN = "begun"
    SEALED = "sealed"
    ABANDONED = "abandoned"
    """It brought nothing: the crawler could not work."""
    INTERRUPTED = "interrupted"
    """The process that made it ended before it did."""


class AttemptRow(SQLModel, table=True):
    """An attempt to capture a case, numbered through its life; ``round`` is the review's that asked for it."""

    __tablename__ = "attempts"  # pyright: ignore[reportAssignmentType]

    case: str = Field(foreign_key="cases.id", primary_key=True, max_length=40)
    attempt: int = Field(primary_key=True)
    round: int
    state: str = Field(max_length=12)
    begun_at: datetime
    ended_at: datetime | None = None
    reason: str | None = Field(default=None, max_length=500)


class BundleRow(SQLModel, table=True):
    """A sealed bundle. ``digest`` is that of its manifest, which the blob store holds under it."""

    __tablename__ = "bundles"  # pyright: ignore[reportAssignmentType]

    case: str = Field(foreign_key="cases.id", primary_key=True, max_length=40)
    attempt: int = Field(primary_key=True)
    digest: str = Field(max_length=64, index=True)
    items: int
    bytes: int
    failure: str | None = Field(default=None, max_length=1000)
    sealed_at: datetime
    signature: str | None = Field(default=None, max_length=64)
    """None: sealed by a version that did not sign. Such a bundle gets no time, so nothing is ordered on it."""
    stamps: int = 0


class StampRow(SQLModel, table=True):
    """A time stamp over a bundle's signature; ``token`` is its digest in the blob store."""

    __tablename__ = "stamps"  # pyright: ignore[reportAssignmentType]

    bundle: str = Field(primary_key=True, max_length=64)
    authority: str = Field(primary_key=True, max_length=64)
    token: str = Field(max_length=64)
    at: datetime


class EvidenceItemRow(SQLModel, table=True):
    """A file of a bundle."""

    __tablename__ = "evidence_items"  # pyright: ignore[reportAssignmentType]

    bundle: str = Field(primary_key=True, max_length=64)
    name: str = Field(primary_key=True, max_length=100)
    media_type: str = Field(max_length=100)
    size: int
    sha256: str = Field(max_length=64)


class EvidenceStore:
    """Port ``EvidenceRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sealed(self, case: str, round: int) -> Sealed | None:
        """The bundle of this round, if one was sealed already."""
        async with self._database.read() as session:
            return await _of_round(session, case, round)

    async def begin(self, case: str, round: int) -> int:
        """Begin an attempt and return its number; one that was left open is noted as interrupted."""
        async with self._database.write() as session:
            row = await load_case(session, case)
            if row.stage == Stage.INTAKE:
                row.advance(Stage.EVIDENCE)
                session.add(row)
                await ledger.append(session, "case_accepted", {"hold": row.hold}, case=case)
            attempts = list(await session.exec(select(AttemptRow).where(AttemptRow.case == case)))
            for left in attempts:
                if left.state == AttemptState.BEGUN:
                    reason = "the process that made it ended before it did"
                    await _end(session, left, AttemptState.INTERRUPTED, reason)
            number = len(attempts) + 1
            begun = AttemptState.BEGUN.value
            session.add(AttemptRow(case=case, attempt=number, round=round, state=begun, begun_at=now()))
            await custody.append(session, case, Act.ATTEMPT_BEGUN, attempt=number, detail=f"round {round}")
            return number

    async def abandon(self, case: str, attempt: int, reason: str) -> None:
        """Note that an attempt brought nothing, and why."""
        async with self._database.write() as session:
            row = await session.get_one(AttemptRow, (case, attempt))
            if row.state == AttemptState.BEGUN:
                await _end(session, row, AttemptState.ABANDONED, reason[:500])

    async def seal(self, package: Package) -> Sealed:
        """Record a sealed bundle and put the case under review; idempotent."""
        manifest = package.manifest
        async with self._database.write() as session:
            if await session.get(BundleRow, (manifest.case, manifest.attempt)) is None:
                first = await _of_round(session, manifest.case, package.round) is None
                await _write(session, package)
                if first:
                    await _put_under_review(session, package)
                await session.flush()
            sealed = await _of_round(session, manifest.case, package.round)
            assert sealed is not None  # noqa: S101 - it was just written
            return sealed

    async def unstamped(self) -> Sequence[Unstamped]:
        """The bundles that lack a time stamp, oldest first."""
        async with self._database.read() as session:
            waiting = select(BundleRow).where(
                col(BundleRow.stamps) < STAMPS_NEEDED, col(BundleRow.signature).is_not(None)
            )
            found: list[Unstamped] = []
            for row in await session.exec(waiting.order_by(col(BundleRow.sealed_at))):
                authorities = await session.exec(select(StampRow.authority).where(StampRow.bundle == row.digest))
                found.append(
                    Unstamped(bundle=row.digest, signature=row.signature or "", authorities=tuple(sorted(authorities)))
                )
            return found

    async def stamped(self, bundle: str, stamp: FiledStamp) -> None:
        """Record a time stamp of a bundle; idempotent."""
        async with self._database.write() as session:
            row = (await session.exec(select(BundleRow).where(BundleRow.digest == bundle))).one()
            if await session.get(StampRow, (bundle, stamp.authority)) is None:
                await _stamp(session, row, stamp)

    async def handed_out(self, case: str, attempt: int, act: Act, officer: str, detail: str) -> CustodyRecord:
        """Note on the chain of custody that an officer opened a bundle or took a copy of it, and what for.

        Raises:
            NotFound: The case has no such bundle.
        """
        async with self._database.write() as session:
            row = await session.get(BundleRow, (case, attempt))
            if row is None:
                raise NotFound(f"case {case} has no bundle of attempt {attempt}")
            return await custody.append(
                session, case, act, attempt=attempt, subject=row.digest, actor=officer, detail=detail
            )


async def _of_round(session: AsyncSession, case: str, round: int) -> Sealed | None:
    """The bundle that stands for a round: the first that was sealed in it."""
    query = (
        select(BundleRow)
        .join(AttemptRow, (col(AttemptRow.case) == BundleRow.case) & (col(AttemptRow.attempt) == BundleRow.attempt))
        .where(BundleRow.case == case, AttemptRow.round == round)
        .order_by(col(BundleRow.sealed_at), col(BundleRow.attempt))
    )
    row = (await session.exec(query)).first()
    if row is None:
        return None
    due = (await load_case(session, case)).due_at
    return Sealed(bundle=row.digest, items=row.items, due=due or row.sealed_at)


async def _write(session: AsyncSession, package: Package) -> None:
    manifest = package.manifest
    row = BundleRow(
        case=manifest.case,
        attempt=manifest.attempt,
        digest=manifest.bundle_digest(),
        items=len(manifest.items),
        bytes=sum(item.size for item in manifest.items),
        failure=manifest.failure[:1000] if manifest.failure else None,
        sealed_at=now(),
        signature=package.signature,
    )
    session.add(row)
    for item in manifest.items:
        session.add(EvidenceItemRow(bundle=row.digest, **item.model_dump()))
    await _end(session, await session.get_one(AttemptRow, (row.case, row.attempt)), AttemptState.SEALED)
    outcome = "the capture failed" if row.failure else ""
    await custody.append(session, row.case, Act.SEALED, attempt=row.attempt, subject=row.digest, detail=outcome)
    body = {"bundle": row.digest, "attempt": row.attempt, "items": row.items, "complete": row.failure is None}
    await ledger.append(session, "evidence_sealed", body, case=row.case)
    for stamp in package.stamps:
        await _stamp(session, row, stamp)


async def _put_under_review(session: AsyncSession, package: Package) -> None:
    case = await load_case(session, package.manifest.case)
    case.advance(Stage.REVIEW)
    case.bundle, case.due_at = package.manifest.bundle_digest(), case.snapshot().due("review", package.sealed_at)
    await note_findings(session, case, package.findings)
    session.add(case)


async def _stamp(session: AsyncSession, row: BundleRow, stamp: FiledStamp) -> None:
    session.add(StampRow(bundle=row.digest, authority=stamp.authority, token=stamp.token, at=stamp.at))
    row.stamps += 1
    session.add(row)
    detail = f"{stamp.authority}: {stamp.at.isoformat()}"
    await custody.append(session, row.case, Act.STAMPED, attempt=row.attempt, subject=stamp.token, detail=detail)
    body = {"bundle": row.digest, "authority": stamp.authority, "stamps": row.stamps}
    await ledger.append(session, "evidence_stamped", body, case=row.case)


async def _end(session: AsyncSession, row: AttemptRow, state: AttemptState, reason: str | None = None) -> None:
    row.state, row.ended_at, row.reason = state.value, now(), reason
    session.add(row)
    if state is not AttemptState.SEALED:
        act = Act.ATTEMPT_INTERRUPTED if state is AttemptState.INTERRUPTED else Act.ATTEMPT_ABANDONED
        await custody.append(session, row.case, act, attempt=row.attempt, detail=reason or "")
        body = {"attempt": row.attempt, "state": row.state}
        await ledger.append(session, "capture_failed", body, case=row.case)


async def is_stamped(session: AsyncSession, bundle: str) -> bool:
    """Whether a bundle has the time stamps that it needs."""
    stamps = await session.exec(select(BundleRow.stamps).where(BundleRow.digest == bundle))
    return max(stamps, default=0) >= STAMPS_NEEDED


async def bundles(database: Database, case: str) -> list[BundleRow]:
    """Every bundle of a case, oldest first."""
    async with database.read() as session:
        found = await session.exec(select(BundleRow).where(BundleRow.case == case).order_by(col(BundleRow.attempt)))
        return list(found)


async def stamps_of(database: Database, bundle: str) -> list[FiledStamp]:
    """The time stamps of a bundle, by authority."""
    async with database.read() as session:
        found = select(StampRow).where(StampRow.bundle == bundle).order_by(col(StampRow.authority))
        return [FiledStamp(authority=r.authority, token=r.token, at=r.at) for r in await session.exec(found)]
