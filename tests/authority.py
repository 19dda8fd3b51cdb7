"""A whole authority in one process: the real engine and a real database, with ISPs that do as a test tells them.

The tests of the workflows and the recorder of histories both drive cases through it, in the words of the field.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from sqlmodel import col, select
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

import activities
import workflows
from precinto import engine, stubs
from precinto.contracts import Admission, CaseEnd, CaseStatus, SweepTask, Swept
from precinto.domain.case import Stage
from precinto.domain.evidence import guard
from precinto.domain.intake import Referral, Service, TargetKind, normalise
from precinto.domain.model import digest
from precinto.domain.review import Decision, Docket, Outcome, decision_id
from precinto.domain.terms import Terms
from precinto.ports import Ports
from precinto.store import Store
from precinto.store.intake import CaseRow
from precinto.store.ledger import LedgerRow
from precinto.store.orders import NoticeRow, OrderRow, StandingRow
from precinto.store.review import DecisionRow, EscalationRow
from tests.fakes import (
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

TERMS = Terms(
    procedure="test",
    basis="art-1",
    review=60 * SECOND,
    order=2 * SECOND,
    comply=0.05 * SECOND,
    remind=0.2 * SECOND,
    release=30 * SECOND,
    recheck=0.1 * SECOND,
)
"""Legal terms in seconds: everything runs on real clocks, only sooner."""

REASONS = "The service copies recordings at request; the bundle shows it."


def terms(**changed: timedelta) -> Terms:
    """The test terms, with some changed."""
    return TERMS.model_copy(update=changed)


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


def decision(case: str, bundle: str, officer: str, outcome: Outcome = Outcome.APPROVE) -> Decision:
    """What ``officer`` says of a bundle, with the usual reasons."""
    return Decision(
        id=decision_id(case, bundle, officer, outcome),
        officer=officer,
        outcome=outcome,
        bundle=bundle,
        basis="art-1",
        reasons=digest(REASONS.encode()),
    )


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
            intake=store.intake,
            evidence=store.evidence,
            review=store.review,
            notification=store.notification,
            verification=store.verification,
            anchors=store.anchors,
        )
        self._cases: list[str] = []

    # ----------------------------------------------------------------------------------------- what people do

    async def refer(self, target: str, terms: Terms = TERMS, opened_by: str = "operator-1") -> str:
        """An operator takes in a referral and starts its case; returns the case."""
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

    async def file(self, case: str, officer: str, outcome: Outcome = Outcome.APPROVE) -> Decision:
        """An officer files a decision on the bundle under review; the case is not told of it yet."""
        bundle = (await self.status(case)).bundle
        assert bundle is not None, "there is nothing to decide on"
        one = decision(case, bundle, officer, outcome)
        await self.store.review.submit(case, one, "reviewer", REASONS)
        return one

    async def tell(self, case: str, one: Decision) -> Admission:
        """Tell the case of a decision by Update, under an id that is new each time."""
        return await self.handle(case).execute_update("decide", one, id=str(uuid.uuid4()), result_type=Admission)

    async def ticket(self, one: Decision) -> str:
        """The ticket of a filed decision."""
        [row] = await self.rows(DecisionRow, col(DecisionRow.id) == one.id)
        return row.ticket

    async def decide(self, case: str, officer: str, outcome: Outcome = Outcome.APPROVE) -> Admission:
        """What a reviewer's desk does: file the decision, tell the case, note that it was taken."""
        one = await self.file(case, officer, outcome)
        admission = await self.tell(case, one)
        await self.store.review.admitted(one.id, await self.ticket(one))
        return admission

    async def revoke(self, case: str, officer: str) -> None:
        """An officer files a revocation and tells the case of it."""
        one = await self.file(case, officer, Outcome.REVOKE)
        await self.handle(case).execute_update("revoke", one, id=str(uuid.uuid4()))

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
