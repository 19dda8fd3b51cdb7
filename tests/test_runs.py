"""Which cases a real server says have lost their run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from temporalio.client import Client

from precinto import stubs
from precinto.contracts import CaseStart
from precinto.domain.case import Stage
from precinto.domain.errors import Unavailable
from precinto.domain.intake import Service
from precinto.ports import OpenCase
from precinto.runs import NEVER_STARTED, TemporalRuns


def case(name: str) -> OpenCase:
    """An open case."""
    due = datetime(2026, 12, 1, 12, tzinfo=UTC)
    return OpenCase(case=name, service=Service.STREAM_RIPPER, stage=Stage.VERIFICATION, due=due, target="y2mate.com")


async def start(client: Client, name: str) -> str:
    """Start the run of a case, which no worker takes up; returns the id of the run."""
    handle = await client.start_workflow(
        "EnforcementCase", CaseStart(case=name), id=stubs.case_workflow(name), task_queue=stubs.CASES
    )
    assert handle.first_execution_run_id
    return handle.first_execution_run_id


async def test_a_case_that_was_never_started_and_one_that_was_terminated_have_no_run(client: Client) -> None:
    runs = {name: await start(client, name) for name in ("running", "terminated", "cancelled")}
    await client.get_workflow_handle(stubs.case_workflow("terminated")).terminate("by mistake")
    # A case does not follow a cancellation; until a worker has seen it, it is running at any rate.
    await client.get_workflow_handle(stubs.case_workflow("cancelled")).cancel()
    names = ("running", "terminated", "cancelled", "never-started")
    lost: dict[str, str] = {}
    for _ in range(100):  # Temporal's list of what runs lags behind, and says "running" for a moment longer
        lost = {one.case: run for one, run in await TemporalRuns(client).lost([case(name) for name in names])}
        if "terminated" in lost:
            break
    assert lost == {"terminated": runs["terminated"], "never-started": NEVER_STARTED}


async def test_a_case_that_was_just_started_is_not_lost_though_the_list_lacks_it_still(client: Client) -> None:
    for number in range(30):
        await start(client, f"case-{number}")
        assert await TemporalRuns(client).lost([case(f"case-{number}")]) == []


async def test_a_new_run_goes_on_where_the_files_say_and_is_listed_like_any(client: Client) -> None:
    one = case("terminated")
    first = await start(client, one.case)
    await client.get_workflow_handle(stubs.case_workflow(one.case)).terminate("by mistake")
    await TemporalRuns(client).resume(one)
    found = await client.get_workflow_handle(stubs.case_workflow(one.case)).describe()
    assert found.run_id != first
    attributes = found.typed_search_attributes
    assert attributes.get(stubs.STAGE) == stubs.IN_FORCE
    assert attributes.get(stubs.SERVICE) == "stream-ripper"
    assert attributes.get(stubs.DUE) == one.due
    assert await TemporalRuns(client).lost([one]) == []


async def test_a_namespace_that_is_not_there_is_unavailable_and_no_case_counts_as_lost(client: Client) -> None:
    config = client.config()
    config["namespace"] = "no-such-namespace"
    gone = TemporalRuns(Client(**config))
    with pytest.raises(Unavailable, match="which cases have a run"):
        await gone.lost([case("one")])
    with pytest.raises(Unavailable, match="no new run"):
        await gone.resume(case("one"))
