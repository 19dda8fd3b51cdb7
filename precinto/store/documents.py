"""The documents of orders: what each version of an order says, from the files, and what was made of it.

A document is made once. Whatever a retry makes is set aside for what is recorded, because a signature can differ
each time, and every ISP must get the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.errors import NotFound
from precinto.domain.evidence import Weight
from precinto.domain.intake import Service
from precinto.domain.model import Instant, Value
from precinto.domain.order_document import (
    AuthorityCard,
    CaseFacts,
    DecisionTaken,
    DocumentKind,
    GroundText,
    OrderDocument,
    OrderedTarget,
    Paper,
)
from precinto.domain.orders import EndReason
from precinto.domain.procedures import Procedure
from precinto.domain.review import Outcome, Role
from precinto.ports import Documented, Draft
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.evidence import BundleRow, StampRow
from precinto.store.intake import CaseRow, FindingRow, load_case
from precinto.store.orders import MeasureRow, OrderRow, OrderVersionRow, load_order
from precinto.store.review import DecisionRow, raise_escalation


class OrderDocumentRow(SQLModel, table=True):
    """A document of one version of an order in one language; the blob store holds it under these digests."""

    __tablename__ = "order_documents"  # pyright: ignore[reportAssignmentType]

    order: str = Field(foreign_key="orders.id", primary_key=True, max_length=36)
    version: int = Field(primary_key=True)
    language: str = Field(primary_key=True, max_length=2)
    content: str = Field(max_length=64)
    jws: str = Field(max_length=64)
    pdf: str = Field(max_length=64)
    made_at: datetime


class VersionFile(Value):
    """One version of an order, as it is on file.

    Attributes:
        version: 1 for the order itself, then one more for each change.
        kind: What it does.
        valid_from: When it takes effect.
        valid_until: When the order ends by its date.
        end_reason: Why an order that is over ended.
        stated_at: When it was put on file.
        undocumented_at: Since when its notices go without a document; None where they do not.
        documents: Its documents, by language.
    """

    version: int
    kind: DocumentKind
    valid_from: Instant
    valid_until: Instant
    end_reason: EndReason | None
    stated_at: Instant
    undocumented_at: Instant | None
    documents: tuple[OrderDocument, ...]


class OrderFile(Value):
    """An order with its versions, oldest first."""

    id: str
    number: str
    case: str
    basis: str
    standing_order: str | None
    targets: tuple[str, ...]
    versions: tuple[VersionFile, ...]

    @property
    def newest(self) -> VersionFile:
        """What the order says now."""
        return self.versions[-1]


class DocumentStore:
    """Port ``DocumentRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, order: str, version: int) -> Documented:
        """What was made of a version of an order.

        Raises:
            NotFound: No such order, or it never had this version.
        """
        async with self._database.read() as session:
            stated = await _stated(session, order, version)
            found = await _made(session, order, version)
            return Documented(documents=found, without=stated.undocumented_at is not None)

    async def draft(self, order: str, version: int, card: AuthorityCard) -> Draft:
        """What the documents of a version of an order say if they are made now, and in which languages they are.

        Args:
            order: The order.
            version: Its version.
            card: The authority, as its orders name it.

        Raises:
            NotFound: No such order, or it never had this version.
        """
        async with self._database.read() as session:
            stated = await _stated(session, order, version)
            row = await load_order(session, order)
            case = await load_case(session, row.case)
            procedure = case.snapshot().procedure
            decisions = await _decisions(session, stated)
            measures = await session.exec(
                select(MeasureRow).where(MeasureRow.order == order).order_by(col(MeasureRow.target))
            )
            paper = Paper(
                number=row.number,
                version=version,
                kind=DocumentKind(stated.kind),
                authority=card,
                procedure=procedure.name,
                basis=row.basis,
                basis_text=procedure.basis_text,
                grounds=_grounds(procedure, decisions),
                facts=await _facts(session, case, row),
                targets=tuple(OrderedTarget(target=m.target, method=m.method, measure=m.id) for m in measures),
                territory=card.country,
                valid_from=stated.valid_from,
                valid_until=stated.valid_until,
                end_reason=EndReason(stated.end_reason) if stated.end_reason else None,
                replaces=f"{row.number} v{version - 1}" if version > 1 else None,
                standing_order=row.standing_order,
                redress=procedure.redress,
                decisions=tuple(_taken(one) for one in decisions),
                issued_at=now(),  # not the version's moment: by then the key may not have been valid yet
            )
            return Draft(paper=paper, languages=procedure.documents)

    async def record(self, order: str, version: int, documents: Sequence[OrderDocument]) -> tuple[OrderDocument, ...]:
        """Record what was made of a version of an order, and return what counts: what was recorded first."""
        async with self._database.write() as session:
            if found := await _made(session, order, version):
                return found
            row = await load_order(session, order)
            for one in documents:
                session.add(OrderDocumentRow(order=order, version=version, made_at=now(), **one.model_dump()))
            digests = {one.language: {"content": one.content, "jws": one.jws, "pdf": one.pdf} for one in documents}
            body = {"order": order, "version": version, "documents": digests}
            await ledger.append(session, "order_documented", body, case=row.case)
            await session.flush()
            return await _made(session, order, version)

    async def missing(self, order: str, version: int) -> None:
        """Put before a human that a document could not be made; idempotent.

        What lifts a block goes without one from now on: all notices of this version, so that none comes twice with
        different contents.
        """
        async with self._database.write() as session:
            stated = await _stated(session, order, version)
            row = await load_order(session, order)
            await raise_escalation(session, row.case, "document_missing", f"{row.number} v{version}")
            if DocumentKind(stated.kind).lifts and stated.undocumented_at is None:
                stated.undocumented_at = now()
                session.add(stated)


async def order_files(database: Database, number: str | None = None) -> list[OrderFile]:
    """Orders with their versions and documents, by number: all, or the one with this number or id.

    Raises:
        NotFound: No order has this number or id.
    """
    async with database.read() as session:
        query = select(OrderRow).order_by(col(OrderRow.number))
        if number is not None:
            query = query.where((col(OrderRow.number) == number) | (col(OrderRow.id) == number))
        orders = list(await session.exec(query))
        if number is not None and not orders:
            raise NotFound(f"there is no order {number!r}")
        ids = [order.id for order in orders]
        versions = await session.exec(
            select(OrderVersionRow).where(col(OrderVersionRow.order).in_(ids)).order_by(col(OrderVersionRow.version))
        )
        documents = await session.exec(
            select(OrderDocumentRow)
            .where(col(OrderDocumentRow.order).in_(ids))
            .order_by(col(OrderDocumentRow.language))
        )
        measures = await session.exec(
            select(MeasureRow).where(col(MeasureRow.order).in_(ids)).order_by(col(MeasureRow.target))
        )
        made: dict[tuple[str, int], list[OrderDocument]] = {}
        for one in documents:
            made.setdefault((one.order, one.version), []).append(_document(one))
        stated: dict[str, list[VersionFile]] = {}
        for one in versions:
            stated.setdefault(one.order, []).append(_version(one, made.get((one.order, one.version), ())))
        targets: dict[str, list[str]] = {}
        for one in measures:
            targets.setdefault(one.order, []).append(one.target)
        return [
            OrderFile(
                id=order.id,
                number=order.number,
                case=order.case,
                basis=order.basis,
                standing_order=order.standing_order,
                targets=tuple(targets.get(order.id, ())),
                versions=tuple(stated.get(order.id, ())),
            )
            for order in orders
        ]


def _version(row: OrderVersionRow, documents: Sequence[OrderDocument]) -> VersionFile:
    return VersionFile(documents=tuple(documents), **row.model_dump(exclude={"order", "decisions"}))


async def _stated(session: AsyncSession, order: str, version: int) -> OrderVersionRow:
    row = await session.get(OrderVersionRow, (order, version))
    if row is None:
        raise NotFound(f"there is no version {version} of an order {order!r}")
    return row


async def _made(session: AsyncSession, order: str, version: int) -> tuple[OrderDocument, ...]:
    found = await session.exec(
        select(OrderDocumentRow)
        .where(OrderDocumentRow.order == order, OrderDocumentRow.version == version)
        .order_by(col(OrderDocumentRow.language))
    )
    return tuple(_document(row) for row in found)


def _document(row: OrderDocumentRow) -> OrderDocument:
    return OrderDocument.model_validate(row.model_dump(include=set(OrderDocument.model_fields)))


async def _decisions(session: AsyncSession, stated: OrderVersionRow) -> list[DecisionRow]:
    """The decisions that carry a version, oldest first."""
    ids: list[str] = json.loads(stated.decisions)
    found = await session.exec(select(DecisionRow).where(col(DecisionRow.id).in_(ids)))
    return sorted(found, key=lambda row: (row.submitted_at, row.id))


def _taken(row: DecisionRow) -> DecisionTaken:
    return DecisionTaken(
        officer=row.officer,
        role=Role(row.role),
        outcome=Outcome(row.outcome),
        at=row.signed_at or row.submitted_at,
        statement=row.id,
        kid=row.key,
    )


def _grounds(procedure: Procedure, decisions: Sequence[DecisionRow]) -> tuple[GroundText, ...]:
    """The grounds that the decisions name, in the procedure's words and order."""
    named = {code for row in decisions for code in json.loads(row.grounds)}
    return tuple(
        GroundText(code=one.code, es=one.es, en=one.en, source=one.source)
        for one in procedure.grounds
        if one.code in named
    )


async def _facts(session: AsyncSession, case: CaseRow, order: OrderRow) -> CaseFacts:
    bundle = (
        await session.exec(select(BundleRow).where(BundleRow.case == case.id, BundleRow.digest == order.bundle))
    ).one()
    stamps = await session.exec(select(StampRow.at).where(StampRow.bundle == order.bundle))
    weights = list(await session.exec(select(FindingRow.weight).where(FindingRow.case == case.id)))
    return CaseFacts(
        case=case.id,
        service=Service(case.service),
        bundle=order.bundle,
        sealed_at=bundle.sealed_at,
        stamped_at=tuple(sorted(stamps)),
        files=bundle.items,
        holds=weights.count(Weight.HOLD),
        notes=weights.count(Weight.NOTE),
    )
