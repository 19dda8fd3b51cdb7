"""Evidence: bundles, one for each attempt to capture, failed ones too, and the files in them."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel, select

from precinto.contracts import Sealed
from precinto.domain.case import Stage
from precinto.domain.evidence import Manifest
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.intake import load_case


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

    def sealed(self) -> Sealed:
        """The contract's value."""
        return Sealed(bundle=self.digest, items=self.items)


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

    async def sealed(self, case: str, attempt: int) -> Sealed | None:
        """The bundle of this attempt, if it was sealed already."""
        async with self._database.read() as session:
            row = await session.get(BundleRow, (case, attempt))
            return row.sealed() if row else None

    async def seal(self, manifest: Manifest, bundle: str, review_until: datetime) -> Sealed:
        """Record a sealed bundle and put the case under review; idempotent."""
        async with self._database.write() as session:
            if known := await session.get(BundleRow, (manifest.case, manifest.attempt)):
                return known.sealed()
            row = BundleRow(
                case=manifest.case,
                attempt=manifest.attempt,
                digest=bundle,
                items=len(manifest.items),
                bytes=sum(item.size for item in manifest.items),
                failure=manifest.failure[:1000] if manifest.failure else None,
                sealed_at=now(),
            )
            session.add(row)
            for item in manifest.items:
                session.add(EvidenceItemRow(bundle=bundle, **item.model_dump()))
            case = await load_case(session, manifest.case)
            case.advance(Stage.REVIEW)
            case.bundle, case.due_at = bundle, review_until
            session.add(case)
            body = {"bundle": bundle, "attempt": row.attempt, "items": row.items, "complete": row.failure is None}
            await ledger.append(session, "evidence_sealed", body, case=case.id)
            return row.sealed()


async def bundles(database: Database, case: str) -> list[BundleRow]:
    """Every bundle of a case, oldest first."""
    async with database.read() as session:
        found = await session.exec(select(BundleRow).where(BundleRow.case == case).order_by(BundleRow.attempt))  # pyright: ignore[reportArgumentType]
        return list(found)
