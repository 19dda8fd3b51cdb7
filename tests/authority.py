"""A whole authority in one process: the real engine and a real database, with ISPs that do as a test tells them.

The tests of the workflows and the recorder of histories both drive cases through it, in the words of the field.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import col, select
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

import activities
import workflows
from precinto import engine, stubs
from precinto.contracts import Admitted, CaseEnd, CaseStatus, Filed, Signed, SweepTask, Swept
from precinto.desk import Signatory
from precinto.domain.case import Stage
from precinto.domain.evidence import guard
from precinto.domain.intake import Referral, Service, TargetKind, normalise
from precinto.domain.model import digest
from precinto.domain.policy import MAY
from precinto.domain.procedures import Bilingual, Ground, Heard, Hearing, Kind, Procedure, Snapshot, Term
from precinto.domain.review import Docket, Officer, Outcome, Role
from precinto.domain.statements import Enrolment, Statement, new_nonce, public_text, sign, sign_enrolment
from precinto.ports import Ports
from precinto.runs import TemporalRuns
from precinto.store import Store
from precinto.store.intake import CaseRow
from precinto.store.ledger import LedgerRow
from precinto.store.orders import NoticeRow, OrderRow, StandingRow
from precinto.store.review import DecisionRow, EscalationRow
from tests.fakes import (
    OFFICERS,
    FakeCrawler,
    FakeIsp,
    FakeProber,
    FakeRegistry,
    FakeTimestamper,
    MemoryBlobs,
    around_a_capture,
)

T = TypeVar("T")
SECOND = timedelta(seconds=1)

GROUND = "art-1"
BILINGUAL = Bilingual(es="Para las pruebas.", en="For the tests.")


def _term(length: timedelta) -> Term:
    return Term(milliseconds=round(length.total_seconds() * 1000), source="the tests")


PROCEDURE = Procedure(
    v=1,
    name="test",
    title=BILINGUAL,
    kind=Kind.PRECAUTIONARY,
    country="PE",
    time_zone="America/Lima",
    basis=GROUND,
    basis_text=BILINGUAL,
    source="the tests",
    hearing=Hearing(when=Heard.NONE),
    review=_term(60 * SECOND),
    order=_term(2 * SECOND),
    renewals=2,
    renewal=_term(2 * SECOND),
    comply=_term(0.05 * SECOND),
    remind=_term(0.2 * SECOND),
    release=_term(30 * SECOND),
    recheck=_term(0.1 * SECOND),
    objection_decision=_term(60 * SECOND),
    stay=_term(60 * SECOND),
    appeal=_term(60 * SECOND),
    appeal_suspends=False,
    deciders=(Role.REVIEWER, Role.LEGAL_HEAD),
    revokers=(Role.REVIEWER, Role.LEGAL_HEAD, Role.DUTY_OFFICER),
    grounds=(Ground(code=GROUND, outcomes=tuple(Outcome), es="Uno.", en="One.", source="the tests"),),
    documents=("es", "en"),
    redress=BILINGUAL,
)
"""Legal terms in seconds: everything runs on real clocks, only sooner."""

HOLIDAYS = (date(2026, 12, 25), date(2027, 1, 1), date(2028, 1, 1))

REASONS = "The service copies recordings at request; the bundle shows it."


def terms(**changed: timedelta | None) -> Snapshot:
    """The test terms, with some changed; None takes one out."""
    stated = {name: None if length is None else _term(length) for name, length in changed.items()}
    return Snapshot(procedure=PROCEDURE.model_copy(update=stated), holidays=HOLIDAYS, holidays_source="the tests")


TERMS = terms()


@cache
def key_of(officer: str) -> Ed25519PrivateKey:
    """An officer's key, the same in every process of the tests."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"key of {officer}".encode()).digest())


def signatory(officer: str) -> Signatory:
    """An officer who decides."""
    return Signatory(officer, key_of(officer))


async def enrol(store: Store, officers: Sequence[Officer] = OFFICERS) -> None:
    """Enrol the key of every officer of the tests."""
    known = {row.officer for row in await store.officer_keys.keys()}
    for officer in officers:
        if officer.id not in known:
            key = key_of(officer.id)
            enrolment = Enrolment(officer=officer.id, public=public_text(key.public_key()), at=datetime.now(UTC))
            await store.officer_keys.enrol(
                officer.id,
                key.public_key().public_bytes_raw(),
                "test",
                sign_enrolment(enrolment, key),
                officers=officers,
            )


async def until(condition: Callable[[], Awaitable[T]], what: str, within: float = 20) -> T:
    """Wait until a condition holds and return what it gave; fail with ``what`` was waited for."""
    deadline = time.monotonic() + within
    while not (found := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {within} s still waiting for: {what}")
        await asyncio.sleep(0.02)
    return found


def referral(
    target: str, reference: str = "1", partner: str = "ifpi", kind: TargetKind = TargetKind.DOMAIN
) -> Referral:
    """A referral of a stream ripper."""
    return Referral(
        partner=partner,
        reference=reference,
        target=normalise(kind, target),
        service=Service.STREAM_RIPPER,
        work="A catalogue of recordings",
    )


def statement(case: str, bundle: str, officer: str, outcome: Outcome = Outcome.APPROVE, **changed: Any) -> Statement:
    """What ``officer`` says of a bundle, with the usual reasons."""
    roles = next((one.roles for one in OFFICERS if one.id == officer), ())
    role = next((role for role in MAY[outcome] if role in roles), Role.REVIEWER)
    said = Statement(
        case=case,
        subject=bundle,
        outcome=outcome,
        grounds=(GROUND,),
        reasons=digest(REASONS.encode()),
        actor=officer,
        role=role,
        at=datetime.now(UTC),
        nonce=new_nonce(),
    )
    return said.model_copy(update=changed)


def envelope(case: str, bundle: str, officer: str, outcome: Outcome = Outcome.APPROVE, **changed: Any) -> str:
    """The same, signed."""
    return sign(statement(case, bundle, officer, outcome, **changed), key_of(officer))


class Authority:
    """The authority at work: refer to it, decide for it, sweep, and look at what it wrote down.

    Attributes:
        client: The Temporal client of the engine.
        store: The repositories.
        isps: The fake ISPs by id; tell them to misbehave.
        ports: What the activities were built from.
    """

    def __init__(self, client: Client, store: Store, isps: dict[str, FakeIsp]) -> None:
        self.client = client
        self.store = store
        self.isps = isps
        self.registry = FakeRegistry(isps)
        self.crawler = FakeCrawler()
        self.prober = FakeProber(isps)
        self.timestampers = (FakeTimestamper("uno"), FakeTimestamper("dos"))
        self.ports = Ports(
            registry=self.registry,
            crawlers={TargetKind.DOMAIN: self.crawler},
            **around_a_capture(self.timestampers),
            prober=self.prober,
            blobs=MemoryBlobs(),
            signals=engine.TemporalSignals(client),
            runs=TemporalRuns(client),
            intake=store.intake,
            evidence=store.evidence,
            review=store.review,
            gate=store.gate,
            documents=store.documents,
            notification=store.notification,
            verification=store.verification,
            anchors=store.anchors,
            watch=store.watch,
            escalations=store.escalations,
        )
        self._cases: list[str] = []

    # ----------------------------------------------------------------------------------------- what people do

    async def refer(self, target: str, terms: Snapshot = TERMS, opened_by: str = "operator-1") -> str:
        """An operator takes in a referral and starts its case; returns the case."""
        await enrol(self.store)
        one = referral(target)
        findings = guard(one.target, self.ports.guardlists)
        case = (await self.store.intake.register(one, findings, opened_by, terms)).case
        await engine.start_case(self.client, case, terms, one.service, "A case of the tests")
        self._cases.append(case)
        return case

    async def under_review(self, case: str, other_than: str | None = None) -> str:
        """Wait until the workflow has a sealed bundle under review; returns its digest.

        The database is asked first: a query that meets the first task of a case costs the case three events.
        """

        async def sealed() -> bool:
            (row,) = await self.rows(CaseRow, col(CaseRow.id) == case)
            return row.stage == Stage.REVIEW and row.bundle != other_than

        async def bundle() -> str | None:
            status = await self.status(case)
            return status.bundle if status.stage is Stage.REVIEW and status.bundle != other_than else None

        await until(sealed, "a sealed bundle")
        return await until(bundle, "a bundle under review")

    async def file(
        self, case: str, officer: str, outcome: Outcome = Outcome.APPROVE, about: str | None = None
    ) -> DecisionRow:
        """An officer signs and files a decision on the case's bundle; the case is not told of it yet."""
        bundle = (await self.docket(case)).bundle
        assert bundle is not None, "there is nothing to decide on"
        signed = envelope(case, bundle, officer, outcome, about=about)
        return await self.store.review.file(case, signed, REASONS, OFFICERS)

    async def tell(self, case: str, decision: str) -> Admitted:
        """Tell the case of a decision by Update, under an id that is new each time."""
        return await self.handle(case).execute_update(
            "decide", Filed(decision=decision), id=str(uuid.uuid4()), result_type=Admitted
        )

    async def signal(self, case: str, signed: str) -> None:
        """Tell the case of a decision by signal, as its officer signed it."""
        await self.handle(case).signal("legal_review", Signed(envelope=signed))

    async def decide(
        self, case: str, officer: str, outcome: Outcome = Outcome.APPROVE, about: str | None = None
    ) -> Admitted:
        """What an officer's desk does: sign and file the decision, tell the case."""
        return await self.tell(case, (await self.file(case, officer, outcome, about)).id)

    # ------------------------------------------------------------------------------------ what the engine does

    async def sweep(self, vantages: Sequence[str] = ()) -> list[Swept]:
        """One round of verification from each vantage."""

        async def one(vantage: str) -> Swept:
            return await self.client.execute_workflow(
                "VerificationSweep",
                SweepTask(vantage=vantage),
                id=f"sweep/{vantage}/{uuid.uuid4()}",
                task_queue=stubs.CASES,
                result_type=Swept,
            )

        return list(await asyncio.gather(*map(one, vantages or self.isps)))

    async def closed(self, case: str, within: float = 30) -> CaseEnd:
        """Sweep again and again until the case's workflow has ended; returns its result."""

        async def ended() -> bool:
            await self.sweep()
            return (await self.handle(case).describe()).status is not WorkflowExecutionStatus.RUNNING

        await until(ended, "the end of the case", within)
        return await self.handle(case).result()

    # --------------------------------------------------------------------------------------- what there is to see

    def handle(self, case: str) -> WorkflowHandle[Any, CaseEnd]:
        """The workflow of a case."""
        return self.client.get_workflow_handle(stubs.case_workflow(case), result_type=CaseEnd)

    async def status(self, case: str) -> CaseStatus:
        """What the case's workflow says of itself."""
        return await self.handle(case).query("status", result_type=CaseStatus)

    async def docket(self, case: str) -> Docket:
        """What the database says of the case's review."""
        return await self.store.review.docket(case)

    async def reached(self, case: str, stage: Stage) -> None:
        """Wait until the database has the case in this stage."""

        async def there() -> bool:
            return await self.stage(case) is stage

        await until(there, f"stage {stage}")

    async def stage(self, case: str) -> Stage:
        """The stage of a case, in the database."""
        return Stage((await self.rows(CaseRow, col(CaseRow.id) == case))[0].stage)

    async def order(self, case: str) -> OrderRow | None:
        """The order of a case, if it was issued."""
        found = await self.rows(OrderRow, col(OrderRow.case) == case)
        return found[0] if found else None

    async def standings(self, case: str) -> dict[str, str]:
        """Where the case's measure stands at each ISP."""
        order = await self.order(case)
        assert order is not None
        return {row.isp: row.standing for row in await self.rows(StandingRow) if row.isp in self.isps}

    async def notices(self, case: str) -> list[tuple[str, str, int, str]]:
        """Every notice of a case as ``(isp, action, reminder, state)``, sorted."""
        order = await self.order(case)
        assert order is not None
        rows = await self.rows(NoticeRow, col(NoticeRow.order) == order.id)
        return sorted((row.isp, row.action, row.reminder, row.state) for row in rows)

    async def decisions(self, case: str) -> dict[str, tuple[str, str | None]]:
        """What became of each decision: id to state and code of the refusal."""
        return {
            row.id: (row.state, row.refusal) for row in await self.rows(DecisionRow, col(DecisionRow.case) == case)
        }

    async def escalations(self, case: str) -> list[tuple[str, str]]:
        """What was put before a human, as ``(what, subject)``, sorted."""
        rows = await self.rows(EscalationRow, col(EscalationRow.case) == case)
        return sorted((row.what, row.subject) for row in rows)

    async def ledger(self, case: str, action: str) -> list[LedgerRow]:
        """The ledger's rows of one kind about a case."""
        return await self.rows(LedgerRow, col(LedgerRow.case) == case, col(LedgerRow.action) == action)

    async def rows(self, table: type[T], *where: Any) -> list[T]:
        """Rows of a table, for what no repository answers."""
        async with self.store.database.read() as session:
            return list(await session.exec(select(table).where(*where)))

    async def events(self, case: str) -> list[str]:
        """The types of the events in the case's history."""
        history = await self.handle(case).fetch_history()
        return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events]

    async def leave(self) -> None:
        """Terminate what a test left running, so that the next test's workers do not take it up."""
        for case in self._cases:
            handle = self.handle(case)
            if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                await handle.terminate("the test is over")


@asynccontextmanager
async def open_authority(
    client: Client, store: Store, isps: dict[str, FakeIsp], cached_workflows: int = 200
) -> AsyncGenerator[Authority]:
    """An authority with its workers running."""
    authority = Authority(client, store, isps)
    async with engine.workers(
        client,
        workflows.WORKFLOWS,
        activities.build(authority.ports),
        list(isps),
        cached_workflows=cached_workflows,
        drain=timedelta(seconds=1),
    ):
        try:
            yield authority
        finally:
            await authority.leave()
