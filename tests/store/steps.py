"""Steps of a case, taken directly on the store: what the activities would write, without a workflow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from precinto.contracts import EndTask, OrderTask
from precinto.domain.evidence import Clock, EvidenceItem, Finding, Manifest
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.domain.model import digest
from precinto.domain.notification import Action, Delivery, order_id
from precinto.domain.review import Decision, Outcome
from precinto.domain.terms import Terms
from precinto.domain.verification import Answer, Facts, Ruling, Verdict
from precinto.ports import Ending, FiledStamp, Package, Round
from precinto.store import Store
from tests.authority import REASONS, decision, referral, terms
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
    assert isinstance(terms, Terms)
    findings = more.get("findings", ())
    case = (await store.intake.register(referral(target, kind=kind), findings, opened_by, terms)).case  # type: ignore[arg-type]
    await store.intake.accept(case)
    return case


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
        review_until=datetime.now(UTC) + TERMS.review,
    )


async def seal(store: Store, case: str, round: int = 1, authorities: Sequence[str] = AUTHORITIES) -> str:
    """Put a case under review; returns the bundle."""
    attempt = await store.evidence.begin(case, round)
    return (await store.evidence.seal(package(manifest(case, attempt), round, *authorities))).bundle


async def file(store: Store, case: str, bundle: str, officer: str, outcome: Outcome = Outcome.APPROVE) -> Decision:
    """File a decision."""
    return (await filed(store, case, bundle, officer, outcome))[0]


async def filed(
    store: Store, case: str, bundle: str, officer: str, outcome: Outcome = Outcome.APPROVE
) -> tuple[Decision, str]:
    """File a decision; it, and the ticket to tell the case with."""
    one = decision(case, bundle, officer, outcome)
    return one, await store.review.submit(case, one, "reviewer", REASONS)


def order_task(case: str, bundle: str, *decisions: Decision, valid_from: datetime | None = None) -> OrderTask:
    """The task that asks for the order on a bundle."""
    return OrderTask(
        case=case,
        order=order_id(case, bundle),
        decisions=tuple(d.id for d in decisions),
        valid_from=valid_from or datetime.now(UTC),
    )


async def issue(store: Store, case: str, *officers: str, valid_from: datetime | None = None) -> str:
    """Issue the order of a case under evidence with these approvals; returns the order."""
    bundle = await seal(store, case)
    filed = [await file(store, case, bundle, officer) for officer in officers or ("reviewer-1",)]
    return await store.notification.issue(order_task(case, bundle, *filed, valid_from=valid_from), OFFICERS, ISPS)


async def deliver(store: Store, order: str, action: Action, at: datetime) -> int:
    """Deliver every open notice; returns how many there were."""
    notices = await store.notification.undelivered(order, action)
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


async def end(store: Store, case: str, order: str, at: datetime, revocation: str | None = None) -> Ending:
    """End an order."""
    task = EndTask(case=case, order=order, at=at, revocation=revocation)
    return await store.verification.end(task, OFFICERS)


async def close_case(store: Store, case: str) -> None:
    """Carry an opened case to its end by a rejection."""
    await store.intake.accept(case)
    bundle = await seal(store, case)
    rejection = await file(store, case, bundle, "reviewer-1", Outcome.REJECT)
    await store.review.conclude(case, rejection.id, OFFICERS)
