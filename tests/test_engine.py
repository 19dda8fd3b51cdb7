"""How Precinto meets Temporal, on a real server; what its workflows do there is in ``tests/workflows``."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

import workflows
from precinto import engine, stubs
from precinto.devserver import LIMITS
from precinto.domain.errors import BadInput, CannotHere, NotYet, Refused, Unavailable
from precinto.domain.intake import Service
from precinto.embedded import any_free_port
from tests.authority import TERMS, until
from tests.conftest import address

# ---------------------------------------------------------------------------------------------------- the connection


async def test_a_server_that_does_not_answer_is_named() -> None:
    nobody = f"127.0.0.1:{any_free_port()}"
    with pytest.raises(Unavailable, match=f"^Temporal does not answer at {nobody}: "):
        await engine.connect(nobody)
    assert not await engine.ready(nobody)


@pytest.mark.parametrize("wrong", ["", "127.0.0.1:99999", "no such host:7233"])
async def test_what_is_no_address_is_bad_input(wrong: str) -> None:
    with pytest.raises(BadInput, match=f"^Temporal's address '{wrong}' is not host:port"):
        await engine.connect(wrong)


async def test_a_server_is_ready_once_it_knows_every_search_attribute(
    temporal: WorkflowEnvironment, bare: Client
) -> None:
    assert not await engine.ready(address(temporal), bare.namespace)
    await engine.register_attributes(bare)
    assert await engine.ready(address(temporal), bare.namespace)
    assert not await engine.ready(address(temporal), "no-such-namespace")


@pytest.fixture
async def bare(temporal: WorkflowEnvironment) -> Client:
    """A client of a namespace that nobody has prepared."""
    name = f"bare-{uuid.uuid4()}"
    await temporal.client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86_400))
    )
    return await engine.connect(address(temporal), name)


# --------------------------------------------------------------------------------------------- what a server must know


async def test_search_attributes_are_registered_once_and_again_is_the_same(bare: Client) -> None:
    for _ in range(2):
        await engine.register_attributes(bare)
        assert set(stubs.SEARCH_ATTRIBUTES) <= await engine.registered_attributes(bare)


async def test_a_worker_refuses_a_server_that_would_leave_its_cases_stuck(bare: Client) -> None:
    with pytest.raises(
        CannotHere, match=r"lacks the search attributes CaseDue, CaseService, CaseStage: run .*bootstrap"
    ):
        async with engine.workers(bare, workflows.WORKFLOWS, {}, []):
            pass


async def test_each_vantage_has_a_schedule_that_follows_the_settings(client: Client) -> None:
    for every in (timedelta(minutes=15), timedelta(minutes=5)):
        await engine.schedule_sweeps(client, ["norte", "sur"], every)
        for vantage in ("norte", "sur"):
            schedule = (await client.get_schedule_handle(f"sweep/{vantage}").describe()).schedule
            assert [one.every for one in schedule.spec.intervals] == [every]
            assert schedule.spec.jitter == every / 10


async def test_a_queue_is_polled_while_a_worker_asks_for_work(client: Client) -> None:
    assert not await engine.polled(client, stubs.CASES)

    async def polled() -> bool:
        return await engine.polled(client, stubs.CASES)

    async def nothing() -> None:
        raise NotImplementedError

    from temporalio import activity

    async with Worker(client, task_queue=stubs.CASES, activities=[activity.defn(name="nothing")(nothing)]):
        await until(polled, "a worker on the queue")


# ------------------------------------------------------------------------------------------------------- the cases


async def test_a_case_is_started_once_and_the_lists_of_temporal_show_it(client: Client) -> None:
    for _ in range(2):
        await engine.start_case(client, "c-1", TERMS, Service.STREAM_RIPPER, "y2mate.com (stream-ripper)")
    handle = client.get_workflow_handle("case/c-1")
    described = await handle.describe()
    assert described.status is WorkflowExecutionStatus.RUNNING
    assert await described.static_summary() == "y2mate.com (stream-ripper)"
    shown = described.typed_search_attributes
    assert (shown[stubs.STAGE], shown[stubs.SERVICE]) == (stubs.INVESTIGATION, "stream-ripper")
    assert abs(shown[stubs.DUE] - datetime.now(UTC) - TERMS.span("review")) < timedelta(minutes=5)
    runs = [one.run_id async for one in client.list_workflows("WorkflowId = 'case/c-1'")]
    assert set(runs) <= {described.run_id}


async def test_a_case_that_has_ended_is_not_started_anew(client: Client) -> None:
    await engine.start_case(client, "c-1", TERMS, Service.STREAM_RIPPER, "first")
    handle = client.get_workflow_handle("case/c-1")
    run = (await handle.describe()).run_id
    await handle.terminate("the test ends it")
    await engine.start_case(client, "c-1", TERMS, Service.STREAM_RIPPER, "second")
    described = await handle.describe()
    assert (described.run_id, described.status) == (run, WorkflowExecutionStatus.TERMINATED)


async def test_a_lapse_reaches_its_case_and_one_that_has_ended_is_no_error(client: Client) -> None:
    signals = engine.TemporalSignals(client)
    await engine.start_case(client, "c-1", TERMS, Service.STREAM_RIPPER, "a case")
    await signals.lapsed("c-1", 2)
    handle = client.get_workflow_handle("case/c-1")
    history = json.loads((await handle.fetch_history()).to_json())
    [signal] = [one for one in history["events"] if one["eventType"].endswith("WORKFLOW_EXECUTION_SIGNALED")]
    assert signal["workflowExecutionSignaledEventAttributes"]["signalName"] == "lapse"
    await handle.terminate("the test ends it")
    await signals.lapsed("c-1", 2)
    await signals.lapsed("never-was", 1)


async def test_a_case_that_takes_no_more_signals_is_no_error_and_the_next_case_is_told(
    client: Client,
) -> None:
    signals = engine.TemporalSignals(client)
    for case in ("c-full", "c-2"):
        await engine.start_case(client, case, TERMS, Service.STREAM_RIPPER, "a case")
    full, other = (client.get_workflow_handle(stubs.case_workflow(case)) for case in ("c-full", "c-2"))
    for _ in range(LIMITS["history.maximumSignalsPerExecution"]):
        await full.signal("legal_review", "junk")
    with pytest.raises(RPCError, match="exceeded workflow execution limit for signal events") as refused:
        await full.signal("legal_review", "junk")
    assert refused.value.status is RPCStatusCode.INVALID_ARGUMENT
    for case in ("c-full", "c-2"):
        await signals.lapsed(case, 1)
        await signals.changed(case)
    history = (await other.fetch_history()).events
    named = [event.workflow_execution_signaled_event_attributes.signal_name for event in history]
    assert [name for name in named if name] == ["lapse", "changed"]


# -------------------------------------------------------------------------------------------- what history is told


def failure_of(error: Exception) -> Failure:
    """What history keeps of an error that an activity raised."""
    converter = engine.plugin().data_converter
    assert converter is not None
    assert not callable(converter)
    failure = Failure()
    try:
        raise error
    except Exception as raised:
        converter.failure_converter.to_failure(raised, converter.payload_converter, failure)
    return failure


def test_a_wait_leaves_no_stack_trace_in_history() -> None:
    error = engine.to_application_error(NotYet("in force", timedelta(hours=1)))
    error.__cause__ = NotYet("in force", timedelta(hours=1))
    failure = failure_of(error)
    assert failure.message == "in force"
    assert failure.stack_trace == ""
    assert not failure.HasField("cause")


@pytest.mark.parametrize("error", [Unavailable("no route"), Refused("order_over", "too late")])
def test_what_went_wrong_leaves_its_stack_trace(error: Unavailable | Refused) -> None:
    failure = failure_of(engine.to_application_error(error))
    assert "raise error" in failure.stack_trace
    assert isinstance(engine.to_application_error(error), ApplicationError)


def test_a_failure_fits_into_one_payload_whatever_was_raised() -> None:
    """A larger one is taken by the server for one that is not to be tried again: the case would be stuck."""
    error = RuntimeError("\N{SNOWMAN}" * 100_000)
    for depth in range(30):
        error, cause = RuntimeError(f"{depth}: " + "x" * 100_000), error
        error.__cause__ = cause
    failure = failure_of(error)
    assert failure.message.startswith("29: xxx")
    assert failure.cause.message.startswith("28: xxx")
    assert "raise error" in failure.stack_trace
    assert failure.ByteSize() < LIMITS["limit.blobSize.error"]
