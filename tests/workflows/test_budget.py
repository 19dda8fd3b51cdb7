"""What a case costs the Temporal server: the same, whatever the number of ISPs and of sweeps."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

import activities
import workflows
from activities.verification import VerificationActivities
from precinto import engine, stubs
from precinto.contracts import SweepTask, Swept
from precinto.domain.case import Closure, Stage
from precinto.store import Store
from tests.authority import SECOND, Authority, open_authority, terms, until
from tests.conftest import address
from tests.fakes import FakeIsp

MAX_EVENTS, MAX_BYTES = 32, 5_120
"""Of a case that runs from its referral to its measured unblock without a lapse."""

SWEEP_EVENTS = 11
"""Of one round of verification from one vantage."""


@pytest.fixture
async def twenty(temporal: WorkflowEnvironment, namespace: str, sqlite_store: Store) -> AsyncGenerator[Authority]:
    """Twenty ISPs. The identity is given: this machine's host name would be written into ten events."""
    client = await Client.connect(address(temporal), namespace=namespace, identity="worker", plugins=[engine.plugin()])
    authority = Authority(client, sqlite_store, {f"isp{n}": FakeIsp() for n in range(20)})
    # Sweeps leave no event in a case, whoever runs them: here they are called, so no vantage needs a worker.
    async with engine.workers(client, workflows.WORKFLOWS, activities.build(authority.ports), []):
        yield authority
        await authority.leave()


async def sweep(authority: Authority) -> int:
    """One round of verification from every vantage; returns the measures that were measured."""
    activity, environment = VerificationActivities(authority.ports).sweep, ActivityEnvironment()
    rounds = [await environment.run(activity, SweepTask(vantage=isp)) for isp in authority.isps]
    return sum(one.measured for one in rounds)


async def cost(authority: Authority, case: str) -> tuple[int, int]:
    """Events and bytes of a case's history, as the server counts them."""
    info = (await authority.handle(case).describe()).raw_description.workflow_execution_info
    print(f"{info.history_length} events, {info.history_size_bytes} bytes")  # noqa: T201 - shown by pytest -s
    assert info.history_length == len(await authority.events(case))
    return info.history_length, info.history_size_bytes


async def test_twenty_isps_and_thirty_sweeps_cost_no_event(twenty: Authority) -> None:
    case = await twenty.refer("y2mate.com", terms(order=600 * SECOND))
    await twenty.under_review(case)
    await twenty.decide(case, "reviewer-1")
    await twenty.reached(case, Stage.VERIFICATION)

    async def in_force() -> bool:
        return (await twenty.status(case)).stage is Stage.VERIFICATION

    await until(in_force, "the order in force")
    before = await cost(twenty, case)
    for _ in range(30):
        assert await sweep(twenty) == 20
    assert set((await twenty.standings(case)).values()) == {"compliant"}
    assert await cost(twenty, case) == before


async def test_a_sweep_costs_the_same_for_any_number_of_cases(client: Client, sqlite_store: Store) -> None:
    async with open_authority(client, sqlite_store, {"isp0": FakeIsp()}) as authority:
        for target in ("y2mate.com", "flvto.biz", "yout.com"):
            case = await authority.refer(target, terms(order=600 * SECOND))
            await authority.under_review(case)
            await authority.decide(case, "reviewer-1")
            await authority.reached(case, Stage.VERIFICATION)
        handle = await client.start_workflow(
            "VerificationSweep", SweepTask(vantage="isp0"), id="sweep", task_queue=stubs.CASES, result_type=Swept
        )
        assert await handle.result() == Swept(vantage="isp0", measured=3, lapsed=0)
        assert (await handle.describe()).history_length == SWEEP_EVENTS


async def test_the_reference_case_to_its_end(twenty: Authority) -> None:
    case = await twenty.refer("y2mate.com", terms(order=2 * SECOND))
    await twenty.under_review(case)
    await twenty.decide(case, "reviewer-1")

    async def closed() -> bool:
        await sweep(twenty)
        return await twenty.stage(case) is Stage.CLOSED

    await until(closed, "the end of the case")
    assert (await twenty.handle(case).result()).closure is Closure.UNBLOCKED
    events, size = await cost(twenty, case)
    assert events <= MAX_EVENTS
    assert size <= MAX_BYTES
