"""How Precinto meets Temporal: the client, the errors, the workers of each queue, the schedules, the attributes."""

from __future__ import annotations

import dataclasses
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError
from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.failure.v1 import Failure
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowExecutionStatus,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkerDeploymentVersion,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, WorkflowAlreadyStartedError
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    Worker,
    WorkerDeploymentConfig,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from precinto import stubs
from precinto.contracts import Anchored, AnchorTask, CaseStart, Lapse, Stamped, StampTask, SweepTask, Swept, WatchTask
from precinto.domain.case import BEFORE_ORDER
from precinto.domain.errors import BadInput, CannotHere, NotYet, PrecintoError, Refused, Throttled, Unavailable
from precinto.domain.intake import Service
from precinto.domain.model import Value
from precinto.domain.procedures import Snapshot
from precinto.ports import OpenCase

log = structlog.get_logger(__name__)

R = TypeVar("R", Swept, Stamped, Anchored)

PASSED_THROUGH = ("precinto", "pydantic", "pydantic_core", "annotated_types", "idna", "tldextract", "temporalio")
"""Modules that workflows share with the worker instead of loading them once per case (0.4 MB against 16 MB)."""

MAX_MESSAGE = 2_000
"""Characters of an error message that go to the server, which cuts failures at 4 KB."""

MAX_FAILURE_TEXT, MAX_CAUSES = 2_000, 2
"""Bytes of each text of a failure, and causes that it keeps: with them it fits into one payload
(``precinto.devserver.LIMITS``). The server takes a larger failure for one that is not to be tried again."""


def sandbox() -> SandboxedWorkflowRunner:
    """The runner of workflow code: sandboxed, with our deterministic modules passed through."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    return SandboxedWorkflowRunner(restrictions=restrictions)


def to_application_error(error: PrecintoError) -> ApplicationError:
    """Map the one tree of errors to Temporal's, once: what is retried, when, and what is benign."""
    message, name = str(error)[:MAX_MESSAGE], type(error).__name__
    match error:
        case NotYet(wait=wait):
            benign = ApplicationErrorCategory.BENIGN
            return ApplicationError(message, type=name, next_retry_delay=wait, category=benign)
        case Throttled(retry_after=wait):
            return ApplicationError(message, type=name, next_retry_delay=wait)
        case Unavailable() | CannotHere():
            # A browser that is missing may be installed: the case waits, it does not die.
            return ApplicationError(message, type=name)
        case Refused(code=code):
            return ApplicationError(message, code, type=name, non_retryable=True)
        case _:
            return ApplicationError(message, type=name, non_retryable=True)


class _MapErrors(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except PrecintoError as error:
            raise to_application_error(error) from error


class _Errors(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return super().intercept_activity(_MapErrors(next))


class _LeanFailures(DefaultFailureConverter):
    """Keeps failures small, and leaves no stack trace in history where nothing is wrong: history is for years."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError) and exception.category is ApplicationErrorCategory.BENIGN:
            failure.stack_trace = ""
            failure.ClearField("cause")
        link = failure
        for _ in range(MAX_CAUSES):
            _shorten(link)
            if not link.HasField("cause"):
                return
            link = link.cause
        _shorten(link)
        link.ClearField("cause")


def _shorten(failure: Failure) -> None:
    """Keep the beginning of a failure's message, and the end of its stack trace."""
    failure.message = failure.message.encode()[:MAX_FAILURE_TEXT].decode(errors="ignore")
    failure.stack_trace = failure.stack_trace.encode()[-MAX_FAILURE_TEXT:].decode(errors="ignore")


def plugin() -> SimplePlugin:
    """Converter, error mapping and sandbox in one, so that client, worker and replayer never drift apart."""
    return SimplePlugin(
        "precinto",
        data_converter=dataclasses.replace(pydantic_data_converter, failure_converter_class=_LeanFailures),
        interceptors=[_Errors()],
        workflow_runner=sandbox(),
    )


def _identity() -> str:
    """Process and machine, short: it is written into ten events of every case."""
    return f"{os.getpid()}@{socket.gethostname()[:8]}"


async def connect(address: str, namespace: str = "default") -> Client:
    """A client with the plugin.

    Raises:
        BadInput: This is no address.
        Unavailable: Nothing answers at this address.
    """
    try:
        return await Client.connect(address, namespace=namespace, identity=_identity(), plugins=[plugin()])
    except ValueError as error:
        raise BadInput(f"Temporal's address {address!r} is not host:port: {error}") from error
    except RuntimeError as error:
        raise Unavailable(f"Temporal does not answer at {address}: {error}") from error


async def ready(address: str, namespace: str = "default") -> bool:
    """Whether a server answers there and knows every search attribute; one that has just started does not yet."""
    try:
        client = await connect(address, namespace)
        return set(stubs.SEARCH_ATTRIBUTES) <= await registered_attributes(client)
    except (Unavailable, RPCError):
        return False


# ------------------------------------------------------------------------------------------------------- the cases


async def start_case(client: Client, case: str, terms: Snapshot, service: Service, summary: str) -> None:
    """Start a case's workflow; again is the same, also after it has ended."""
    attributes = TypedSearchAttributes(
        [
            SearchAttributePair(stubs.STAGE, stubs.INVESTIGATION),
            # The review's term runs from the start; said here, it costs the case no event.
            SearchAttributePair(stubs.DUE, terms.due("review", datetime.now(UTC)).replace(microsecond=0)),
            SearchAttributePair(stubs.SERVICE, service.value),
        ]
    )
    try:
        await client.start_workflow(
            "EnforcementCase",
            CaseStart(case=case),
            id=stubs.case_workflow(case),
            task_queue=stubs.CASES,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=attributes,
            static_summary=summary,
        )
    except WorkflowAlreadyStartedError:
        log.info("case_already_ended", case=case)


async def is_at_work(client: Client, case: str) -> bool:
    """Whether a run carries a case that this release can go on with; one of release 0.1 it cannot."""
    handle = client.get_workflow_handle(stubs.case_workflow(case))
    try:
        if (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
            return False
        first = await anext(handle.fetch_history_events(page_size=1))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    payloads = first.workflow_execution_started_event_attributes.input.payloads
    try:
        return CaseStart.model_validate_json(payloads[0].data).case == case
    except (IndexError, ValidationError):
        return False


async def resume_case(client: Client, case: OpenCase) -> None:
    """Give a case a new run, which goes on where its files say it stands; a run that it has is terminated."""
    phase = stubs.INVESTIGATION if case.stage in BEFORE_ORDER else stubs.IN_FORCE
    attributes: list[SearchAttributePair[Any]] = [
        SearchAttributePair(stubs.STAGE, phase),
        SearchAttributePair(stubs.SERVICE, case.service.value),
    ]
    if case.due is not None:
        attributes.append(SearchAttributePair(stubs.DUE, case.due.replace(microsecond=0)))
    await client.start_workflow(
        "EnforcementCase",
        CaseStart(case=case.case, resumed=True),
        id=stubs.case_workflow(case.case),
        task_queue=stubs.CASES,
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        search_attributes=TypedSearchAttributes(attributes),
        static_summary=f"{case.target[:100]} ({case.service}, taken up again)",
    )


class TemporalSignals:
    """Port ``CaseSignals``.

    A case whose run takes no more signals goes on in another soon, which begins with its files and its lapses: what it
    was to be told is not lost. One that is flooded must not keep the others from being told.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def lapsed(self, case: str, measures: int) -> None:
        """Tell a case that measures have lapsed; one that has ended in the meantime, or is full, is no error."""
        handle = self._client.get_workflow_handle(stubs.case_workflow(case))
        try:
            await handle.signal("lapse", Lapse(case=case, measures=measures))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                log.info("lapse_after_end", case=case)
            elif error.status in _TAKES_NO_SIGNAL:
                log.warning("lapse_untold", case=case, reason=error.message)
            else:
                raise

    async def changed(self, case: str) -> None:
        """Have a case look at its files, which say something new by no decision of its own.

        One that has ended, or is full, is no error.

        Raises:
            Unavailable: Temporal does not answer. The files say it all the same; say it again.
        """
        try:
            await self._client.get_workflow_handle(stubs.case_workflow(case)).signal("changed")
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                log.info("change_after_end", case=case)
            elif error.status is RPCStatusCode.INVALID_ARGUMENT:
                log.warning("change_untold", case=case, reason=error.message)
            else:
                raise Unavailable(f"case {case} was not told to look at its files: {error.message}") from error


_TAKES_NO_SIGNAL = (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.RESOURCE_EXHAUSTED)
"""Answers to a signal, well-formed as ours are, for a run that has had as many as the server lets in, or is closing.

The second is said of a server that is too busy as well; a lapse that is untold for that is told by a later sweep.
"""


# ------------------------------------------------------------------------------------------------------ the server


async def registered_attributes(client: Client) -> set[str]:
    """Names of the search attributes that the server knows in this namespace."""
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return set(answer.custom_attributes)


async def register_attributes(client: Client) -> None:
    """Register the search attributes that are missing; idempotent."""
    missing = set(stubs.SEARCH_ATTRIBUTES) - await registered_attributes(client)
    if missing:
        types = {
            name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{stubs.SEARCH_ATTRIBUTES[name].upper()}")
            for name in missing
        }
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
        )


async def schedule_sweeps(client: Client, vantages: Sequence[str], every: timedelta) -> None:
    """One schedule per vantage, created or brought up to date; idempotent."""
    for vantage in vantages:
        summary = f"Verification sweep at {vantage}"
        await _schedule(client, f"sweep/{vantage}", "VerificationSweep", SweepTask(vantage=vantage), every, summary)


async def schedule_stamping(client: Client, every: timedelta) -> None:
    """The schedule that gets late time stamps, created or brought up to date; idempotent."""
    await _schedule(client, "stamping", "EvidenceStamping", StampTask(), every, "Late time stamps")


async def schedule_anchoring(client: Client, every: timedelta, ask_again: timedelta) -> None:
    """The schedule that anchors the ledger, created or brought up to date; idempotent.

    It runs more often than it anchors, because an authority that was down is to be asked again the same day.
    """
    task, often = AnchorTask(every=every), min(every, ask_again)
    await _schedule(client, "anchoring", "LedgerAnchoring", task, often, "Anchors of the ledger")


async def schedule_watch(client: Client, every: timedelta) -> None:
    """The schedule of the watch, created or brought up to date; idempotent."""
    await _schedule(client, "watch", "CaseWatch", WatchTask(every=every), every, "The watch")


async def _schedule(client: Client, name: str, workflow: str, task: Value, every: timedelta, summary: str) -> None:
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(workflow, task, id=name, task_queue=stubs.CASES, static_summary=summary),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)], jitter=every / 10),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(hours=1)),
    )
    try:
        await client.create_schedule(name, schedule)
    except ScheduleAlreadyRunningError:

        def replace(_: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(schedule=schedule)

        await client.get_schedule_handle(name).update(replace)


async def sweep_now(client: Client, vantage: str) -> Swept:
    """Run a round of verification at a vantage at once, beside its schedule's own ticks, and wait for it.

    Raises:
        Unavailable: No worker would do it.
    """
    queues = (stubs.CASES, stubs.probe_queue(vantage))
    summary = f"Verification sweep at {vantage}, on demand"
    return await _now(
        client, "VerificationSweep", SweepTask(vantage=vantage), Swept, f"sweep/{vantage}", summary, queues
    )


async def stamp_now(client: Client) -> Stamped:
    """Run a round of stamping at once, beside its schedule's own ticks, and wait for it; raises as ``sweep_now``."""
    queues = (stubs.CASES, stubs.CAPTURE)
    return await _now(
        client, "EvidenceStamping", StampTask(), Stamped, "stamping", "Late time stamps, on demand", queues
    )


async def anchor_now(client: Client) -> Anchored:
    """Anchor the ledger at once, beside its schedule's own ticks, and wait for it; raises as ``sweep_now``."""
    summary = "An anchor of the ledger, on demand"
    return await _now(client, "LedgerAnchoring", AnchorTask(), Anchored, "anchoring", summary, (stubs.CASES,))


async def _now(
    client: Client, workflow: str, task: Value, result: type[R], name: str, summary: str, queues: Sequence[str]
) -> R:
    for queue in queues:
        if not await polled(client, queue):
            raise Unavailable(f"no worker serves the queue {queue}: is 'up' or worker.py running?")
    return await client.execute_workflow(
        workflow,
        task,
        id=f"{name}/{uuid.uuid4()}",
        task_queue=stubs.CASES,
        static_summary=summary,
        result_type=result,
    )


async def polled(client: Client, queue: str, since: datetime | None = None) -> bool:
    """Whether a worker asks for work on a task queue; with ``since``, whether one has asked after that moment.

    The server remembers for five minutes who asked, also those that have died since.
    """
    kind = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind)
    )
    asked = [poller.last_access_time.ToDatetime(tzinfo=UTC) for poller in answer.pollers]
    return any(since is None or moment >= since for moment in asked)


# ----------------------------------------------------------------------------------------------------- the workers


@asynccontextmanager
async def workers(
    client: Client,
    workflows: Sequence[type],
    activities: Mapping[str, Sequence[Callable[..., Any]]],
    vantages: Sequence[str],
    *,
    cached_workflows: int = 2000,
    captures: int = 2,
    drain: timedelta = timedelta(seconds=30),
):
    """The workers of one process: cases, capture, notify and a queue for each vantage.

    Args:
        client: Connected client.
        workflows: Workflow classes.
        activities: Activities by queue; those of every vantage under ``probe``.
        vantages: Vantages to probe from.
        cached_workflows: Open cases kept in memory; a cache smaller than the cases at work costs 2.6 times the CPU.
        captures: Browsers at the same time; two on two cores gain nothing beyond.
        drain: Time that running activities get when the process is asked to stop.

    Raises:
        CannotHere: The server does not know a search attribute; a case would be stuck with its first task.
    """
    missing = sorted(set(stubs.SEARCH_ATTRIBUTES) - await registered_attributes(client))
    if missing:
        raise CannotHere(
            f"Temporal at {client.service_client.config.target_host} lacks the search attributes "
            f"{', '.join(missing)}: run 'python starter.py bootstrap'"
        )

    def worker(queue: str, at_once: int, group: str, **more: Any) -> Worker:
        return Worker(
            client,
            task_queue=queue,
            activities=activities[group],
            max_concurrent_activities=at_once,
            graceful_shutdown_timeout=drain,
            # Written into every event: the release says more than a hash of the code, and is shorter.
            deployment_config=WorkerDeploymentConfig(
                version=WorkerDeploymentVersion("precinto", version("precinto")), use_worker_versioning=False
            ),
            **more,
        )

    cases = worker(
        stubs.CASES,
        50,
        stubs.CASES,
        workflows=workflows,
        max_cached_workflows=cached_workflows,
        # A killed worker's cases are taken up by another after this time.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
    )
    few = {"max_concurrent_activity_task_polls": 1}
    running = [
        cases,
        worker(stubs.CAPTURE, captures, stubs.CAPTURE, **few),
        worker(stubs.NOTICES, 20, stubs.NOTICES),
        *(worker(stubs.probe_queue(vantage), 2, "probe", **few) for vantage in vantages),
    ]
    async with AsyncExitStack() as stack:
        for one in running:
            await stack.enter_async_context(one)
        yield running
