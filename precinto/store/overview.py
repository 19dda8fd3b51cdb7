"""What people look at: the list of cases, and everything on file about one. Reads only.

Facts come from here, never from Temporal's visibility, which lags and holds less.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.case import Stage
from precinto.domain.model import Instant, Value
from precinto.store.database import Database
from precinto.store.docket import StayRow
from precinto.store.evidence import BundleRow, EvidenceItemRow
from precinto.store.hearings import HearingLine, hearing_lines
from precinto.store.intake import CaseRow, FindingRow, ReferralRow, TargetRow, load_case
from precinto.store.ledger import LedgerRow
from precinto.store.objections import ObjectionLine, objection_lines
from precinto.store.orders import AcknowledgementRow, MeasureRow, NoticeRow, OrderRow, StandingRow
from precinto.store.review import DecisionRow, EscalationRow

T = TypeVar("T")


class CaseLine(Value):
    """One case in a list.

    Attributes:
        id: Case id.
        target: The target in normal form.
        service: What the service does.
        stage: Where the case is.
        hold: Whether two different reviewers must approve.
        due_at: End of the term that runs now.
        closure: Why a closed case is closed.
        opened_at: When it was opened.
        standings: ISP to standing of the newest order's measures there (the worst, where there are several).
    """

    id: str
    target: str
    service: str
    stage: Stage
    hold: bool
    due_at: Instant | None
    closure: str | None
    opened_at: Instant
    standings: dict[str, str]


class LedgerLine(Value):
    """One row of the ledger, for people."""

    seq: int
    at: Instant
    case: str | None
    action: str
    actor: str
    body: dict[str, Any]


class Placement(Value):
    """One measure at one ISP: what the ISP says, beside what was measured.

    Attributes:
        target: Host under order.
        isp: Id of the ISP.
        notices: Every notice as ``v1 block: delivered``, with the order's version; a reminder says so.
        claim: The ISP's last word on it (a claim), or None.
        standing: What the measurements say (the fact).
        ruling: The newest verdict.
        measured_at: When it was measured last.
        differs: True where claim and fact differ.
        overstay_seconds: How long it was blocked after it had to be open, as measured, in all.
    """

    target: str
    isp: str
    notices: tuple[str, ...]
    claim: str | None
    standing: str
    ruling: str | None
    measured_at: Instant | None
    differs: bool
    overstay_seconds: int


class CaseFile(Value):
    """Everything on file about one case; the parts are rows as the database holds them."""

    case: CaseLine
    opened_by: str
    bundle: str | None
    terms: dict[str, Any]
    referrals: tuple[dict[str, Any], ...]
    findings: tuple[dict[str, Any], ...]
    bundles: tuple[dict[str, Any], ...]
    items: tuple[dict[str, Any], ...]
    decisions: tuple[dict[str, Any], ...]
    hearing: tuple[HearingLine, ...]
    orders: tuple[dict[str, Any], ...]
    objections: tuple[ObjectionLine, ...]
    stays: tuple[dict[str, Any], ...]
    placements: tuple[Placement, ...]
    escalations: tuple[dict[str, Any], ...]
    ledger: tuple[LedgerLine, ...]


_WORST = ("lapsed", "overstaying", "pending", "compliant", "carried_on", "released")


async def case_lines(database: Database, *, closed: bool = True, cases: Sequence[str] | None = None) -> list[CaseLine]:
    """The cases, oldest first; without ``closed`` only the open ones, with ``cases`` only these."""
    query = select(CaseRow, TargetRow.value).join(TargetRow, col(TargetRow.case) == CaseRow.id)
    if not closed:
        query = query.where(CaseRow.stage != Stage.CLOSED)
    if cases is not None:
        query = query.where(col(CaseRow.id).in_(cases))
    async with database.read() as session:
        found = (await session.exec(query.order_by(col(CaseRow.opened_at), col(CaseRow.id)))).all()
        standings = await _standings(session, [case.id for case, _ in found])
    return [_line(case, target, standings.get(case.id, {})) for case, target in found]


async def case_file(database: Database, case: str) -> CaseFile:
    """Everything on file about a case.

    Raises:
        NotFound: No such case.
    """
    async with database.read() as session:
        row = await load_case(session, case)
        target = (await session.exec(select(TargetRow.value).where(TargetRow.case == case))).one()
        standings = (await _standings(session, [case])).get(case, {})
        bundles = await _rows(session, BundleRow, col(BundleRow.case) == case)
        orders = await _rows(session, OrderRow, col(OrderRow.case) == case)
        decisions = await _rows(session, DecisionRow, col(DecisionRow.case) == case)
        stays = await _rows(session, StayRow, col(StayRow.order).in_([order.id for order in orders]))
        return CaseFile(
            case=_line(row, target, standings),
            opened_by=row.opened_by,
            bundle=row.bundle,
            terms=row.snapshot().model_dump(mode="json"),
            referrals=_plain(await _rows(session, ReferralRow, col(ReferralRow.case) == case)),
            findings=_plain(await _rows(session, FindingRow, col(FindingRow.case) == case)),
            bundles=_plain(sorted(bundles, key=lambda b: b.attempt)),
            items=_plain(
                await _rows(session, EvidenceItemRow, col(EvidenceItemRow.bundle).in_([b.digest for b in bundles]))
            ),
            decisions=_plain(sorted(decisions, key=lambda d: d.submitted_at)),
            hearing=tuple(await hearing_lines(session, case)),
            orders=_plain(sorted(orders, key=lambda o: o.valid_from)),
            objections=tuple(await objection_lines(session, case)),
            stays=_plain(sorted(stays, key=lambda stay: stay.version)),
            placements=await _placements(session, [order.id for order in orders]),
            escalations=_plain(await _rows(session, EscalationRow, col(EscalationRow.case) == case)),
            ledger=tuple(_ledger_line(r) for r in await _rows(session, LedgerRow, col(LedgerRow.case) == case)),
        )


async def ledger_since(database: Database, seq: int) -> list[LedgerLine]:
    """The rows of the ledger after ``seq``, in order."""
    async with database.read() as session:
        rows = await session.exec(select(LedgerRow).where(LedgerRow.seq > seq).order_by(col(LedgerRow.seq)))
        return [_ledger_line(row) for row in rows]


async def _rows(session: AsyncSession, table: type[T], where: Any) -> list[T]:
    return list(await session.exec(select(table).where(where)))


async def _standings(session: AsyncSession, cases: Sequence[str]) -> dict[str, dict[str, str]]:
    """Case to ISP to the worst standing there."""
    query = (
        select(OrderRow.case, StandingRow.isp, StandingRow.standing)
        .join(MeasureRow, col(MeasureRow.order) == OrderRow.id)
        .join(StandingRow, col(StandingRow.measure) == MeasureRow.id)
        .where(col(OrderRow.case).in_(cases))
        .order_by(col(StandingRow.isp))
    )
    found: dict[str, dict[str, str]] = {}
    for case, isp, standing in await session.exec(query):
        known = found.setdefault(case, {})
        known[isp] = min(standing, known.get(isp, standing), key=_WORST.index)
    return found


async def _placements(session: AsyncSession, orders: Sequence[str]) -> tuple[Placement, ...]:
    measures = await _rows(session, MeasureRow, col(MeasureRow.order).in_(orders))
    notices = await _rows(session, NoticeRow, col(NoticeRow.order).in_(orders))
    notices.sort(key=lambda n: (n.version, n.reminder))
    claims = await _rows(session, AcknowledgementRow, col(AcknowledgementRow.notice).in_([n.id for n in notices]))
    claims.sort(key=lambda claim: claim.at)
    placed: list[Placement] = []
    for measure in measures:
        for row in await _rows(session, StandingRow, col(StandingRow.measure) == measure.id):
            mine = [n for n in notices if n.order == measure.order and n.isp == row.isp]
            said = [c.claim for c in claims if c.measure == measure.id and c.notice in {n.id for n in mine}]
            claim = said[-1] if said else None
            placed.append(
                Placement(
                    target=measure.target,
                    isp=row.isp,
                    notices=tuple(_said(notice) for notice in mine),
                    claim=claim,
                    standing=row.standing,
                    ruling=row.ruling,
                    measured_at=row.measured_at,
                    differs=claim == "enforced" and row.standing in {"lapsed", "overstaying"},
                    overstay_seconds=row.overstay_seconds,
                )
            )
    return tuple(sorted(placed, key=lambda p: (p.target, p.isp)))


def _said(notice: NoticeRow) -> str:
    reminder = f", reminder {notice.reminder}" if notice.reminder else ""
    return f"v{notice.version} {notice.action}{reminder}: {notice.state}"


def _line(case: CaseRow, target: str, standings: dict[str, str]) -> CaseLine:
    return CaseLine(
        id=case.id,
        target=target,
        service=case.service,
        stage=Stage(case.stage),
        hold=case.hold,
        due_at=case.due_at,
        closure=case.closure,
        opened_at=case.opened_at,
        standings=standings,
    )


def _ledger_line(row: LedgerRow) -> LedgerLine:
    return LedgerLine(
        seq=row.seq, at=row.at, case=row.case, action=row.action, actor=row.actor, body=json.loads(row.body)
    )


def _plain(rows: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """Rows as JSON has them; times as ISO 8601."""
    return tuple(
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.model_dump().items()}
        for row in rows
    )
