"""Activities as a worker runs them, but one at a time: a real database, ISPs that do as they are told."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from precinto.domain.errors import Unavailable
from precinto.domain.intake import TargetKind
from precinto.ports import OpenCase, Ports
from precinto.store import Store
from tests.fakes import (
    FakeCrawler,
    FakeIsp,
    FakeProber,
    FakeRegistry,
    FakeTimestamper,
    MemoryBlobs,
    around_a_capture,
)
from tests.store.steps import ISPS


class Lapses:
    """Port ``CaseSignals``: remembers what running cases would have been told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    async def lapsed(self, case: str, measures: int) -> None:
        self.told.append((case, measures))

    async def changed(self, case: str) -> None:
        self.told.append((case, 0))


class Runs:
    """Port ``CaseRuns``: the cases of these tests have no run, so each is told which it has lost.

    A fake, because nothing here runs a workflow; the real one is tested on a real server in ``tests/test_runs.py``.
    """

    def __init__(self) -> None:
        self.without: dict[str, str] = {}
        self.resumed: list[OpenCase] = []
        self.down = False

    async def lost(self, cases: Sequence[OpenCase]) -> Sequence[tuple[OpenCase, str]]:
        if self.down:
            raise Unavailable("Temporal does not answer")
        return [(case, self.without[case.case]) for case in cases if case.case in self.without]

    async def resume(self, case: OpenCase) -> None:
        self.resumed.append(case)
        del self.without[case.case]


@dataclasses.dataclass
class World:
    """What the activities of a test see, and what the test tells of it.

    Attributes:
        ports: What activities are built from.
        store: The repositories.
        isps: The ISPs by id.
        crawler: The crawler of domains.
        blobs: The blob store.
        lapses: What cases were told.
        runs: Which cases have lost their run, and which were given another.
        timestampers: The time-stamp authorities.
    """

    ports: Ports
    store: Store
    isps: dict[str, FakeIsp]
    crawler: FakeCrawler
    blobs: MemoryBlobs
    lapses: Lapses
    runs: Runs
    timestampers: Sequence[FakeTimestamper]

    @staticmethod
    async def run(activity: Any, task: Any, **info: Any) -> Any:
        """Run one attempt of an activity, with some of its ``activity.info()`` given."""
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, **({"started_time": datetime.now(UTC)} | info))
        return await environment.run(activity, task)


@pytest.fixture
def world(sqlite_store: Store) -> World:
    """Two ISPs that obey."""
    isps = {name: FakeIsp() for name in ISPS}
    crawler, blobs, lapses, runs = FakeCrawler(), MemoryBlobs(), Lapses(), Runs()
    timestampers = (FakeTimestamper("uno"), FakeTimestamper("dos"))
    ports = Ports(
        registry=FakeRegistry(isps),
        crawlers={TargetKind.DOMAIN: crawler},
        **around_a_capture(timestampers),
        prober=FakeProber(isps),
        blobs=blobs,
        signals=lapses,
        runs=runs,
        intake=sqlite_store.intake,
        evidence=sqlite_store.evidence,
        review=sqlite_store.review,
        gate=sqlite_store.gate,
        documents=sqlite_store.documents,
        notification=sqlite_store.notification,
        verification=sqlite_store.verification,
        anchors=sqlite_store.anchors,
        watch=sqlite_store.watch,
        escalations=sqlite_store.escalations,
    )
    return World(
        ports=ports,
        store=sqlite_store,
        isps=isps,
        crawler=crawler,
        blobs=blobs,
        lapses=lapses,
        runs=runs,
        timestampers=timestampers,
    )
