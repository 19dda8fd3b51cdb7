"""A run can be full, or lost. The case goes on in another, where its files say it stands, and nobody is told twice."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.testing import WorkflowEnvironment

from precinto import stubs
from precinto.domain.case import Closure, Stage
from precinto.domain.intake import Service
from precinto.domain.notification import Action, Delivery, Notice
from precinto.domain.review import Outcome
from precinto.embedded import take_up
from precinto.store import Database, Store
from tests.authority import REASONS, SECOND, Authority, enrol, envelope, open_authority, terms, until
from tests.fakes import OFFICERS, FakeIsp
from tests.store.steps import ISPS
from tests.store.test_migrations import BUNDLES, TERMS, Old, rows_of_old
from tests.temporal import SOON_FULL, temporal_server
from tests.workflows.cases import LONG, PROTECTED, refused

RELEASE_0_1 = {"v": 1, "review": "PT60S", "order": "PT600S"}
"""What a run of release 0.1 was started with, beside its case."""


class SlowIsp(FakeIsp):
    """An ISP that takes its time over every notice, and minds being told the same while it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reading: Counter[str] = Counter()

    async def deliver(self, notice: Notice) -> Delivery:
        """Take a notice, in a second and a half."""
        self.reading[notice.id] += 1
        assert self.reading[notice.id] == 1, f"{notice.action} told twice at once"
        try:
            await asyncio.sleep(1.5)
        finally:
            self.reading[notice.id] -= 1
        return await super().deliver(notice)


def told(authority: Authority) -> dict[str, list[Action]]:
    """What each ISP was told, reminders aside."""
    return {name: [n.action for n in isp.received if not n.reminder] for name, isp in authority.isps.items()}


async def run_of(authority: Authority, case: str) -> str | None:
    """The run that carries a case now."""
    return (await authority.handle(case).describe()).run_id


class TestAFullHistory:
    """Thousands of events make a history slow to read. The server says so, and another run goes on."""

    @pytest.fixture(scope="class")
    @staticmethod
    async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[WorkflowEnvironment]:
        """A server that says so after 40 events."""
        async with temporal_server(tmp_path_factory.mktemp("temporal"), *SOON_FULL) as server:
            yield server

    async def grow(self, authority: Authority, case: str) -> None:
        """Say worthless things to a case until it goes on in another run."""
        before = await run_of(authority, case)

        async def another_run() -> bool:
            await authority.signal(case, "junk")
            await asyncio.sleep(0.25)
            return await run_of(authority, case) != before

        async def at_work() -> bool:
            return (await authority.status(case)).stage is not Stage.INTAKE

        await until(another_run, "another run")
        await until(at_work, "its first step")

    async def test_under_review_the_first_approval_still_counts(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, terms(order=2 * SECOND))
        await authority.under_review(case)
        due = (await authority.status(case)).due
        assert (await authority.decide(case, "reviewer-1")).needed == 1
        await self.grow(authority, case)
        status = await authority.status(case)
        assert (status.stage, status.due) == (Stage.REVIEW, due)
        await refused("decision_not_on_file", authority.tell(case, "0" * 32))
        assert (await authority.decide(case, "legal-head")).needed == 0
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        assert set(map(tuple, told(authority).values())) == {(Action.BLOCK, Action.RELEASE)}

    async def test_what_was_dropped_before_is_in_the_ledger(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        before = await run_of(authority, case)
        await asyncio.gather(*(authority.handle(case).signal("no_such_signal") for _ in range(50)))
        await self.grow(authority, case)
        assert await run_of(authority, case) != before

        async def recorded() -> list[int]:
            return [json.loads(row.body)["count"] for row in await authority.ledger(case, "signals_dropped")]

        counts = await until(recorded, "its record")
        assert sum(counts) >= 50
        assert len(counts) == 1

    async def test_under_review_silence_still_escalates(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", terms(review=4 * SECOND))
        await authority.under_review(case)
        await self.grow(authority, case)
        await until(lambda: authority.escalations(case), "the escalation")
        assert await authority.order(case) is None

    async def test_with_an_order_in_force_its_end_stays_armed_and_its_lapse_is_reminded_of(
        self, authority: Authority
    ) -> None:
        case = await authority.refer("y2mate.com", terms(order=6 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await self.grow(authority, case)
        assert await authority.stage(case) is Stage.VERIFICATION
        authority.isps["isp1"].blocked.clear()  # an old configuration came back

        async def blocked_again() -> bool:
            await authority.sweep()
            return bool(authority.isps["isp1"].blocked)

        await until(blocked_again, "the reminder")
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await authority.order(case)
        assert order is not None
        assert (order.ended_at, order.end_reason) == (order.valid_until, "expired")
        assert set(map(tuple, told(authority).values())) == {(Action.BLOCK, Action.RELEASE)}

    async def test_while_an_order_is_stayed_it_can_still_be_resumed(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.decide(case, "duty-1", Outcome.STAY)
        await self.grow(authority, case)
        assert (await authority.status(case)).stage is Stage.STAYED
        await authority.decide(case, "reviewer-2", Outcome.RESUME)

        async def blocked_again() -> bool:
            return all(isp.blocked for isp in authority.isps.values())

        await until(blocked_again, "the block")
        await authority.decide(case, "reviewer-1", Outcome.REVOKE)
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        assert set(map(tuple, told(authority).values())) == {
            (Action.BLOCK, Action.RELEASE, Action.BLOCK, Action.RELEASE)
        }

    async def test_while_isps_are_asked_to_unblock_they_still_are(self, authority: Authority) -> None:
        authority.isps["isp1"].ignores[Action.RELEASE] = 1
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.decide(case, "duty-1", Outcome.REVOKE)
        await authority.reached(case, Stage.UNBLOCKING)
        await self.grow(authority, case)
        assert authority.isps["isp1"].blocked
        assert (await authority.status(case)).stage is Stage.UNBLOCKING
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        assert set(map(tuple, told(authority).values())) == {(Action.BLOCK, Action.RELEASE)}
        assert not authority.isps["isp1"].blocked

    async def test_what_is_under_way_stops_first_so_that_no_isp_is_told_twice_at_once(
        self, client: Client, sqlite_store: Store
    ) -> None:
        async with open_authority(client, sqlite_store, {"isp0": SlowIsp(), "isp1": FakeIsp()}) as authority:
            case = await authority.refer("y2mate.com", terms(order=8 * SECOND))
            await authority.under_review(case)
            for _ in range(4):
                await authority.signal(case, "junk")
                await asyncio.sleep(0.25)
            await authority.decide(case, "reviewer-1")
            await self.grow(authority, case)
            assert (await authority.closed(case)).closure is Closure.UNBLOCKED
            assert set(map(tuple, told(authority).values())) == {(Action.BLOCK, Action.RELEASE)}


class TestALostRun:
    """Somebody terminates a run, or the server's data are lost: starting the installation takes the case up again."""

    async def take_up(self, authority: Authority) -> int:
        return await take_up(authority.client, authority.store.database)

    async def test_an_order_ends_in_time_though_its_run_was_terminated(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", terms(order=3 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.handle(case).terminate("by hand, in Temporal's UI")
        assert await self.take_up(authority) == 1
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await authority.order(case)
        assert order is not None
        assert (order.ended_at, order.end_reason) == (order.valid_until, "expired")
        assert not any(isp.blocked for isp in authority.isps.values())
        assert set(map(tuple, told(authority).values())) == {(Action.BLOCK, Action.RELEASE)}

    async def test_also_where_the_order_was_over_before(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", terms(order=3 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.handle(case).terminate("by hand")
        await asyncio.sleep(3)
        assert await self.take_up(authority) == 1
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await authority.order(case)
        assert order is not None
        assert order.ended_at == order.valid_until

    @pytest.mark.parametrize("rounds", [1, 2])
    async def test_an_investigation_goes_on_in_its_round(self, authority: Authority, rounds: int) -> None:
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        if rounds == 2:
            await authority.decide(case, "reviewer-1", Outcome.RETURN)
            bundle = await authority.under_review(case, other_than=bundle)
        await authority.handle(case).terminate("by hand")
        assert await self.take_up(authority) == 1
        assert await authority.under_review(case) == bundle
        assert len(authority.crawler.visits) == rounds
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)

    async def test_a_case_that_was_filed_but_never_started_begins(self, client: Client, sqlite_store: Store) -> None:
        """Its operator's machine died between the two."""
        async with open_authority(client, sqlite_store, {"isp0": FakeIsp()}) as authority:
            case = await authority.refer("y2mate.com", LONG)
            await authority.handle(case).terminate("before it had done anything")
        async with open_authority(client, sqlite_store, {"isp0": FakeIsp()}) as authority:
            assert await self.take_up(authority) == 1
            await authority.under_review(case)
            await authority.handle(case).terminate("the test is over")

    async def test_what_is_at_work_or_closed_is_left_alone(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        closed = await authority.refer("flvto.biz", LONG)
        await authority.under_review(closed)
        await authority.decide(closed, "reviewer-1", Outcome.REJECT)
        await authority.handle(closed).result()
        before = await run_of(authority, case)
        assert await self.take_up(authority) == 0
        assert await run_of(authority, case) == before
        assert (await authority.handle(closed).describe()).status is WorkflowExecutionStatus.COMPLETED

    async def test_a_run_of_release_0_1_gives_way(self, authority: Authority) -> None:
        """It was begun with terms that are in the database now, and its history cannot be replayed."""
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        await authority.handle(case).terminate("to put one of 0.1 in its place")
        await authority.client.start_workflow(
            "EnforcementCase",
            RELEASE_0_1 | {"case": case},
            id=stubs.case_workflow(case),
            task_queue=f"nobody-{uuid.uuid4()}",
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        )
        assert await self.take_up(authority) == 1
        assert await authority.under_review(case) == bundle
        assert await self.take_up(authority) == 0
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        listed = (await authority.handle(case).describe()).typed_search_attributes
        assert listed[stubs.SERVICE] == "stream-ripper"
        assert timedelta(0) < listed[stubs.DUE] - (await authority.order(case)).valid_from  # type: ignore[union-attr]


class TestAnInstallationOfRelease01:
    """Its database is brought to the new schema, its cases are taken up: no order outlives the upgrade."""

    @pytest.fixture
    async def upgraded(self, client: Client, tmp_path: Path) -> AsyncGenerator[Database]:
        """A case whose order ends in three seconds, one being unblocked, two under review, each with its old run."""
        old, tables = Old(f"sqlite+aiosqlite:///{tmp_path / 'old.db'}"), rows_of_old()
        await old.go(command.upgrade, "0001")
        for row in tables["cases"]:
            row["service"], row["due_at"] = Service.STREAM_RIPPER.value, datetime.now(UTC) + 60 * SECOND
            row["terms"] = json.dumps(json.loads(row["terms"]) | {"comply": "PT0.05S", "recheck": "PT0.1S"})
            await client.start_workflow(
                "EnforcementCase",
                RELEASE_0_1 | {"case": row["id"]},
                id=stubs.case_workflow(row["id"]),
                task_queue="workers-of-0.1",
            )
        for row in tables["orders"]:
            row["valid_until"] = datetime.now(UTC) + 3 * SECOND

        def fill(connection: Connection) -> None:
            metadata = MetaData()
            metadata.reflect(connection)
            for table in metadata.sorted_tables:
                if rows := tables.get(table.name):
                    connection.execute(table.insert(), rows)

        await old.run(fill)
        await old.database.migrate()
        yield old.database
        await old.database.close()

    async def test_its_orders_end_in_time_and_its_reviews_go_on(self, client: Client, upgraded: Database) -> None:
        assert await take_up(client, upgraded) == len(BUNDLES)
        isps = {name: FakeIsp(blocked={"forced-1.example", "ended-1.example"}) for name in ISPS}
        async with open_authority(client, Store(upgraded), isps) as authority:
            assert (await authority.closed("forced-1")).closure is Closure.UNBLOCKED
            assert (await authority.closed("ended-1")).closure is Closure.UNBLOCKED
            order = await authority.order("forced-1")
            assert order is not None
            assert (order.ended_at, order.end_reason) == (order.valid_until, "expired")
            assert not any(isp.blocked for isp in isps.values())
            assert all([n.action for n in isp.received if not n.reminder] == [Action.RELEASE] for isp in isps.values())

            await enrol(authority.store)
            bundle = await authority.under_review("review-1")
            assert (await authority.docket("review-1")).approvals == ()  # that of 0.1 was not signed
            signed = envelope("review-1", bundle, "reviewer-2", Outcome.RETURN, grounds=(TERMS["basis"],))
            one = await authority.store.review.file("review-1", signed, REASONS, OFFICERS)
            await authority.tell("review-1", one.id)
            await authority.under_review("review-1", other_than=bundle)
            assert authority.crawler.visits == ["review-1.example"]
            for case in ("review-1", "weird-1"):
                await authority.handle(case).terminate("the test is over")
