"""The watch on a real server: runs that were lost, ends that are held up, and what a round costs the cases."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import PauseActivityRequest
from temporalio.client import WorkflowExecutionStatus

from precinto import engine, stubs
from precinto.contracts import Watched, WatchTask
from precinto.domain.case import Closure, Stage
from precinto.domain.evidence import guard
from precinto.domain.review import Outcome
from precinto.store import watch
from precinto.store.intake import CaseRow
from precinto.store.orders import OrderRow
from tests.authority import SECOND, Authority, enrol, referral, terms, until
from tests.workflows.cases import LONG


async def in_force(authority: Authority, **changed: timedelta) -> tuple[str, OrderRow]:
    """A case with its order in force, and every ISP told."""
    case = await authority.refer("y2mate.com", terms(**changed) if changed else LONG)
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    order = await authority.order(case)
    assert order is not None
    return case, order


async def opened_long_ago(authority: Authority, case: str) -> None:
    """Make a case an old one: the watch leaves young ones to the desk that is just starting them."""
    async with authority.store.database.write() as session:
        row = await session.get_one(CaseRow, case)
        row.opened_at -= timedelta(hours=1)
        session.add(row)


async def go_round(authority: Authority) -> Watched:
    """One round of the watch."""
    return await authority.client.execute_workflow(
        "CaseWatch",
        WatchTask(every=timedelta(hours=1)),
        id=f"watch/{uuid.uuid4()}",
        task_queue=stubs.CASES,
        result_type=Watched,
    )


class TestLostRuns:
    async def test_a_case_whose_run_was_terminated_goes_on_and_its_order_ends_in_time(
        self, authority: Authority
    ) -> None:
        case, order = await in_force(authority, order=5 * SECOND)
        await opened_long_ago(authority, case)
        await authority.handle(case).terminate("by mistake")

        async def taken_up() -> bool:  # at once, or when Temporal's list has caught up with what was terminated
            return (await go_round(authority)).resumed == 1

        await until(taken_up, "the case taken up again")
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        ended = (await authority.rows(OrderRow, col(OrderRow.id) == order.id))[0]
        assert (ended.ended_at, ended.end_reason) == (order.valid_until, "expired")
        assert [what for what, _ in await authority.escalations(case)] == ["run_lost"]

    async def test_a_case_that_was_registered_and_never_started_is_started(self, authority: Authority) -> None:
        """The desk was killed between the two."""
        await enrol(authority.store)
        one = referral("y2mate.com")
        findings = guard(one.target, authority.ports.guardlists)
        case = (await authority.store.intake.register(one, findings, "operator-1", LONG)).case
        assert (await go_round(authority)).resumed == 0, "the desk may be just about to start it"
        await opened_long_ago(authority, case)
        assert (await go_round(authority)).resumed == 1
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1", Outcome.REJECT)
        assert (await authority.closed(case)).closure is Closure.REJECTED

    async def test_cases_that_run_or_are_closed_are_left_alone_and_a_round_costs_them_no_event(
        self, authority: Authority
    ) -> None:
        case, _ = await in_force(authority)
        await opened_long_ago(authority, case)
        other = await authority.refer("other.example.com", LONG)
        await authority.under_review(other)
        await authority.decide(other, "reviewer-1", Outcome.REJECT)
        await authority.closed(other)
        await opened_long_ago(authority, other)
        before = await authority.events(case), await authority.events(other)
        for _ in range(3):
            assert (await go_round(authority)).resumed == 0
        assert (await authority.events(case), await authority.events(other)) == before


async def test_an_end_that_is_held_up_is_made_up_for_and_the_case_goes_on_to_its_close(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has paused the armed end in Temporal's UI. The time it is given to fire is shortened for the test."""
    monkeypatch.setattr(watch, "graced", lambda recheck: 0.5 * SECOND)
    case, order = await in_force(authority, order=3 * SECOND)
    await go_round(authority)
    await authority.client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace=authority.client.namespace,
            execution=WorkflowExecution(workflow_id=stubs.case_workflow(case)),
            type=stubs.END.name,
        )
    )

    async def over() -> bool:
        return datetime.now(UTC) > order.valid_until + SECOND

    await until(over, "the end of the order")
    assert all(isp.blocked for isp in authority.isps.values()), "held up indeed"
    assert (await go_round(authority)).ended == 1
    assert not any(isp.blocked for isp in authority.isps.values())
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
    assert [what for what, _ in await authority.escalations(case)] == ["end_missed"]
    assert all(len(isp.received) == 2 for isp in authority.isps.values()), "no ISP is told twice"


async def test_the_schedule_goes_round_by_itself(authority: Authority) -> None:
    await engine.schedule_watch(authority.client, timedelta(hours=1))
    await engine.schedule_watch(authority.client, SECOND)
    first = await until(authority.store.watch.last_round, "the first round")

    async def again() -> bool:
        last = await authority.store.watch.last_round()
        return last is not None and last > first

    await until(again, "another round")
    runs = [run async for run in authority.client.list_workflows("WorkflowType = 'CaseWatch'")]
    assert all(run.status is not WorkflowExecutionStatus.FAILED for run in runs)
    await authority.client.get_schedule_handle("watch").delete()
