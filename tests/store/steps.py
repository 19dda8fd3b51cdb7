"""Steps of a case, taken directly on the store: what the activities would write, without a workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from precinto.contracts import Admission, AdmitTask, EndTask
from precinto.domain.errors import Refused
from precinto.domain.evidence import Clock, EvidenceItem, Finding, Manifest
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.domain.model import digest
from precinto.domain.notification import Delivery
from precinto.domain.procedures import Snapshot
from precinto.domain.review import Officer, Outcome
from precinto.domain.verification import Answer, Facts, Ruling, Verdict
from precinto.ports import Ending, FiledStamp, Package, Round
from precinto.store import Store
from precinto.store.review import DecisionRow
from tests.authority import REASONS, enrol, envelope, referral, terms
from tests.fakes import OFFICERS

ISPS = ("isp0", "isp1")

MINUTE = timedelta(minutes=1)
TERMS = terms(order=60 * MINUTE, comply=MINUTE, remind=10 * MINUTE)
"""Terms long enough that none passes while a test runs: the store is told every moment, it waits for none."""


def manifest(case: str, attempt: int = 1) -> Manifest:
    """A manifest with one page."""
    moment = datetime(2026, 11, 24, 12, attempt, 0, 250_000, tzinfo=UTC)
    clock = Clock(synchronised=True, offset_us=0, error_us=500, source="test")
    return Manifest(
        case=case,
        attempt=attempt,
        target=normalise(TargetKind.DOMAIN, "y2mate.com"),
        service=Service.STREAM_RIPPER,
        recipe=None,
        clock=clock,
        started_at=moment,
        finished_at=moment,
        vantage="test",
        tools={"fake": "1"},
        addresses={},
        items=(EvidenceItem(name="page.html", media_type="text/html", size=4, sha256=digest(b"page")),),
    )


async def open_case(
    store: Store,
    target: str = "y2mate.com",
    opened_by: str = "operator-1",
    kind: TargetKind = TargetKind.DOMAIN,
    **more: object,
) -> str:
    """A case in evidence."""
    terms = more.get("terms", TERMS)
    assert isinstance(terms, Snapshot)
    findings = more.get("findings", ())
    await enrol(store)
    return (await store.intake.register(referral(target, kind=kind), findings, opened_by, terms)).case  # type: ignore[arg-type]


async def referred(store: Store, target: str = "y2mate.com") -> str:
    """A case that two referrals brought: two rows of the ledger, and no other."""
    for reference in ("1", "2"):
        registered = await store.intake.register(referral(target, reference), (), "operator-1", TERMS)
    return registered.case


AUTHORITIES = ("uno", "dos")
"""Time-stamp authorities."""


def filed_stamp(authority: str) -> FiledStamp:
    """A stamp of an authority."""
    return FiledStamp(authority=authority, token=digest(authority.encode()), at=datetime(2026, 11, 24, 13, tzinfo=UTC))


def package(one: Manifest, round: int, *authorities: str, findings: tuple[Finding, ...] = ()) -> Package:
    """A signed bundle with the stamps of these authorities."""
    return Package(
        manifest=one,
        round=round,
        signature=digest(b"signature of " + one.canonical()),
        stamps=tuple(filed_stamp(name) for name in authorities),
        findings=findings,
        sealed_at=datetime.now(UTC),
    )


async def seal(store: Store, case: str, round: int = 1, authorities: Sequence[str] = AUTHORITIES) -> str:
    """Put a case under review; returns the bundle."""
    attempt = await store.evidence.begin(case, round)
    return (await store.evidence.seal(package(manifest(case, attempt), round, *authorities))).bundle


async def file(
    store: Store, case: str, bundle: str, officer: str, outcome: Outcome = Outcome.APPROVE, **changed: Any
) -> DecisionRow:
    """Sign and file a decision."""
    return await store.review.file(case, envelope(case, bundle, officer, outcome, **changed), REASONS, OFFICERS)


async def tell(
    store: Store,
    case: str,
    *decisions: str,
    envelopes: Sequence[str] = (),
    officers: Sequence[Officer] = OFFICERS,
    at: datetime | None = None,
) -> tuple[Admission, ...]:
    """Tell a case of decisions, those on file by id and others as envelopes; what came of each."""
    task = AdmitTask(case=case, at=at or datetime.now(UTC), decisions=decisions, envelopes=tuple(envelopes))
    return (await store.gate.admit(task, officers, ISPS)).each


async def admit(store: Store, case: str, *decisions: DecisionRow, at: datetime | None = None) -> Admission:
    """Admit filed decisions as the case's workflow would; what came of the last."""
    return (await tell(store, case, *(one.id for one in decisions), at=at))[-1]


async def decide(
    store: Store,
    case: str,
    officer: str,
    outcome: Outcome = Outcome.APPROVE,
    about: str | None = None,
    at: datetime | None = None,
) -> Admission:
    """Sign, file and admit a decision on the newest bundle of a case."""
    bundle = (await store.review.docket(case)).bundle
    assert bundle is not None
    return await admit(store, case, await file(store, case, bundle, officer, outcome, about=about), at=at)


async def issue(store: Store, case: str, *officers: str, valid_from: datetime | None = None) -> str:
    """Issue the order of a case with these approvals; returns the order."""
    await seal(store, case)
    for officer in officers or ("reviewer-1",):
        admission = await decide(store, case, officer, at=valid_from)
        assert admission.code is None, admission
    order = (await store.gate.place(case)).order
    assert order is not None
    return order


async def deliver(store: Store, order: str, at: datetime) -> int:
    """Deliver every open notice; returns how many there were."""
    notices = await store.notification.undelivered(order)
    for one in notices:
        await store.notification.delivered(one.notice.id, Delivery(receipt="ok"), at)
    return len(notices)


def measured(measure: str, isp: str, ruling: Ruling, at: datetime) -> Round:
    """One round of measurement with this verdict."""
    answer = Answer(name="y2mate.com", rcode="NOERROR", addresses=("192.0.2.1",))
    facts = Facts(target="y2mate.com", probe=(answer,), control=(answer,), canary=True)
    return Round(
        measure=measure, isp=isp, vantage=isp, at=at, facts=facts, verdict=Verdict(ruling=ruling, rule="test")
    )


async def end(store: Store, case: str, order: str, moment: datetime) -> Ending:
    """See to the end of an order at a moment."""
    return await store.verification.end(EndTask(case=case, order=order), moment)


async def refusal(doing: Awaitable[object]) -> str | None:
    """The rule that refused something; None where none did."""
    try:
        await doing
    except Refused as refused:
        return refused.code
    return None


async def close_case(store: Store, case: str) -> None:
    """Carry an opened case to its end by a rejection."""
    await seal(store, case)
    await decide(store, case, "reviewer-1", Outcome.REJECT)
