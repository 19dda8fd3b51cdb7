"""Precinto itself: the real workflow, activities, store and engine.

Fakes stand for the browser, the ISPs and their resolvers, and nothing else: what these cost is theirs, and differs
by orders of magnitude between installations. Here is measured what Precinto adds around them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlmodel import col, func, select
from temporalio.client import Client, WorkflowHandle

import activities
import workflows
from bench.mailbox import Inbox, Outbox
from bench.plan import VANTAGES, Load, Wrong
from bench.subjects.desks import persist
from precinto import engine, stubs
from precinto.contracts import Admitted, CaseEnd, Filed, Sealed, SweepTask
from precinto.domain.case import Closure, Stage
from precinto.domain.evidence import NO_LISTS, guard
from precinto.domain.intake import Referral, Service, TargetKind, normalise
from precinto.domain.verification import Standing
from precinto.ports import Capture, CapturedFile, Package, Ports, Subject
from precinto.runs import TemporalRuns
from precinto.store import Database, Store, ledger
from precinto.store.evidence import EvidenceStore
from precinto.store.intake import CaseRow
from precinto.store.orders import NoticeRow, NoticeState, OrderRow, StandingRow
from tests.authority import REASONS, enrol, envelope, terms
from tests.fakes import (
    OFFICERS,
    FakeIsp,
    FakeProber,
    FakeRegistry,
    FakeTimestamper,
    MemoryBlobs,
    around_a_capture,
)

PAGE = b"<h1>convert any video</h1>" * 40
"""About 1 KB, as the benchmark of the peers captures."""


class _Browser:
    """A fake crawler: a page of 1 KB, at once."""

    async def capture(self, subject: Subject, folder: Path) -> Capture:
        path = folder / "page.html"
        path.write_bytes(subject.target.value.encode() + PAGE)
        page = CapturedFile(name=path.name, media_type="text/html", path=path)
        addresses = {subject.target.value: ("127.0.1.1",)}
        return Capture(files=(page,), addresses=addresses, tools={"fake": "1"}, vantage="bench")


class _Isp(FakeIsp):
    """A fake ISP that remembers what it blocks, not every notice that it got."""

    async def deliver(self, notice: Any) -> Any:
        delivery = await super().deliver(notice)
        self.received.clear()
        return delivery


class _Evidence(EvidenceStore):
    """The real repository, which also tells the reviewer that there is something to read."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        super().__init__(database)
        self._outbox = outbox

    async def seal(self, package: Package) -> Sealed:
        """Seal, then tell."""
        sealed = await super().seal(package)
        self._outbox.tell(package.manifest.case, sealed.bundle)
        return sealed


def _database(folder: Path) -> Database:
    return Database(f"sqlite+aiosqlite:///{folder / 'precinto.db'}")


class _Desk:
    def __init__(self, client: Client, database: Database, inbox: Inbox) -> None:
        self._client, self._database, self._inbox = client, database, inbox
        self._store = Store(database)
        self._ended = 0

    async def open(self, name: str, load: Load) -> WorkflowHandle[Any, CaseEnd]:
        target = normalise(TargetKind.DOMAIN, f"{name}.example.org")
        service = Service.STREAM_RIPPER
        referral = Referral(partner="ifpi", reference=name, target=target, service=service, work="A recording")
        hour = timedelta(hours=1)
        law = terms(
            review=hour, order=load.order, comply=load.order / 2, remind=hour, release=hour, recheck=load.recheck
        )
        findings = guard(target, NO_LISTS.joined(FakeRegistry.protected))
        case = (await self._store.intake.register(referral, findings, "operator-1", law)).case
        await engine.start_case(self._client, case, law, service, "A case of the benchmark")
        return self._client.get_workflow_handle(stubs.case_workflow(case), result_type=CaseEnd)

    async def decide(self, name: str, handle: WorkflowHandle[Any, Any]) -> None:
        case = handle.id.partition("/")[2]
        await self._inbox.next(case)
        self._inbox.forget(case)
        bundle = (await self._store.review.docket(case)).bundle
        if bundle is None:
            raise AssertionError(f"{case} has no bundle after it was sealed")
        signed = envelope(case, bundle, OFFICERS[0].id)
        filed = await self._store.review.file(case, signed, REASONS, OFFICERS)
        await persist(
            lambda: handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                "decide", Filed(decision=filed.id), id=filed.ticket, result_type=Admitted
            )
        )

    async def sweep(self, tick: str) -> None:
        async def one(vantage: str) -> None:
            await self._client.execute_workflow(
                "VerificationSweep", SweepTask(vantage=vantage), id=f"sweep/{tick}/{vantage}", task_queue=stubs.CASES
            )

        await asyncio.gather(*map(one, VANTAGES))

    async def audit(self, results: Mapping[str, Any]) -> None:
        """Every case closed, each ISP told once to block and once to release, every unblock measured."""
        isps = len(VANTAGES)
        for name, end in results.items():
            if (end.closure, end.isps, end.overstaying) != (Closure.UNBLOCKED, isps, 0):
                raise Wrong(f"case {name} ended with {end!r}")
        self._ended += len(results)
        found = await _counts(self._database)
        wanted = {
            "cases closed": self._ended,
            "orders": self._ended,
            "notices": self._ended * isps * 2,
            "notices delivered": self._ended * isps * 2,
            "deliveries tried": self._ended * isps * 2,
            "unblocks measured": self._ended * isps,
        }
        if found != wanted:
            raise Wrong(f"the database says {found} instead of {wanted}")
        await ledger.verify(self._database)


async def _counts(database: Database) -> dict[str, int]:
    delivered = col(NoticeRow.state) == NoticeState.DELIVERED
    released = col(StandingRow.standing) == Standing.RELEASED
    queries = {
        "cases closed": select(func.count()).where(col(CaseRow.stage) == Stage.CLOSED),
        "orders": select(func.count()).select_from(OrderRow),
        "notices": select(func.count()).select_from(NoticeRow),
        "notices delivered": select(func.count()).where(delivered),
        "deliveries tried": select(func.coalesce(func.sum(NoticeRow.tries), 0)),
        "unblocks measured": select(func.count()).where(released),
    }
    async with database.read() as session:
        return {name: (await session.exec(query)).one() for name, query in queries.items()}


class Precinto:
    """The subject of all this."""

    async def connect(self, address: str) -> Client:
        """As an installation connects."""
        client = await engine.connect(address)
        await engine.register_attributes(client)
        return client

    @asynccontextmanager
    async def worker(self, client: Client, folder: Path) -> AsyncGenerator[None]:
        """One process with every queue, as an installation on one machine runs it."""
        database = _database(folder)
        await database.migrate()
        store = Store(database)
        await enrol(store)
        isps: dict[str, FakeIsp] = {vantage: _Isp() for vantage in VANTAGES}
        ports = Ports(
            registry=FakeRegistry(isps),
            crawlers={TargetKind.DOMAIN: _Browser()},
            **around_a_capture((FakeTimestamper("uno"), FakeTimestamper("dos"))),
            prober=FakeProber(isps),
            blobs=MemoryBlobs(),
            signals=engine.TemporalSignals(client),
            runs=TemporalRuns(client),
            intake=store.intake,
            evidence=_Evidence(database, Outbox(folder)),
            review=store.review,
            gate=store.gate,
            documents=store.documents,
            notification=store.notification,
            verification=store.verification,
            anchors=store.anchors,
            watch=store.watch,
            escalations=store.escalations,
        )
        async with engine.workers(
            client, workflows.WORKFLOWS, activities.build(ports), VANTAGES, drain=timedelta(seconds=1)
        ):
            yield
        await database.close()

    @asynccontextmanager
    async def desk(self, client: Client, folder: Path, inbox: Inbox) -> AsyncGenerator[_Desk]:
        """A desk beside the same database."""
        database = _database(folder)
        yield _Desk(client, database, inbox)
        await database.close()


SUBJECT = Precinto()
