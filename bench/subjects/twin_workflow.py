"""The twin's workflows: Precinto's events, one for one, and nothing else.

A reader who knows the SDK could write them in ten minutes; what Precinto costs beyond them is what it is for.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ApplicationError

CASES, CAPTURE, NOTIFY = "twin", "twin.capture", "twin.notify"
STAGE = SearchAttributeKey.for_keyword("CaseStage")
DUE = SearchAttributeKey.for_datetime("CaseDue")
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1))
LIMIT = timedelta(minutes=10)


def probe_queue(vantage: str) -> str:
    """The queue of a vantage."""
    return f"twin.probe.{vantage}"


@dataclass
class Start:
    """What a case is started with."""

    case: str
    order_seconds: float
    recheck_seconds: float


@dataclass
class Task:
    """What every activity gets: a case, what it is about, and a moment."""

    case: str
    about: str
    at: str


@dataclass
class Verdict:
    """A decision."""

    id: str
    case: str


@workflow.defn(name="TwinCase")
class TwinCase:
    """One case."""

    @workflow.init
    def __init__(self, start: Start) -> None:
        self._case = start.case
        self._bundle = ""
        self._verdict: Verdict | None = None

    @workflow.run
    async def run(self, start: Start) -> str:
        """The same waits and the same commands as ``EnforcementCase``."""
        until = workflow.now() + timedelta(hours=1)
        self._bundle = await workflow.execute_activity(
            "twin.capture",
            Task(start.case, "1", until.isoformat()),
            result_type=str,
            task_queue=CAPTURE,
            start_to_close_timeout=LIMIT,
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=RETRY,
        )
        await workflow.wait_condition(lambda: self._verdict is not None, timeout=until - workflow.now())
        end = workflow.now() + timedelta(seconds=start.order_seconds)
        changes = [STAGE.value_set("in force"), DUE.value_set(end.replace(microsecond=0))]
        workflow.upsert_search_attributes(changes)  # pyright: ignore[reportUnknownMemberType]
        ending = asyncio.create_task(self._end(start, end))
        await workflow.execute_activity(
            "twin.notify",
            Task(start.case, self._bundle, end.isoformat()),
            result_type=str,
            task_queue=NOTIFY,
            start_to_close_timeout=LIMIT,
            heartbeat_timeout=timedelta(seconds=60),
            retry_policy=RETRY,
        )
        result = await ending
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    async def _end(self, start: Start, end: datetime) -> str:
        return await workflow.execute_activity(
            "twin.end",
            Task(start.case, str(start.recheck_seconds), end.isoformat()),
            result_type=str,
            task_queue=NOTIFY,
            start_to_close_timeout=LIMIT,
            heartbeat_timeout=timedelta(seconds=60),
            retry_policy=RETRY,
        )

    @workflow.update(name="decide")
    async def decide(self, verdict: Verdict) -> int:
        """A decision."""
        await workflow.execute_local_activity(
            "twin.admit", Task(verdict.case, verdict.id, ""), result_type=str, start_to_close_timeout=LIMIT
        )
        self._verdict = verdict
        return 0

    @decide.validator
    def _may_decide(self, verdict: Verdict) -> None:
        if not self._bundle or verdict.case != self._case:
            raise ApplicationError("the case is not under review", type="not_under_review", non_retryable=True)


@workflow.defn(name="TwinSweep")
class TwinSweep:
    """One round at one vantage."""

    @workflow.run
    async def run(self, vantage: str) -> int:
        """One activity on the vantage's queue."""
        return await workflow.execute_activity(
            "twin.sweep",
            vantage,
            result_type=int,
            task_queue=probe_queue(vantage),
            start_to_close_timeout=LIMIT,
            heartbeat_timeout=timedelta(seconds=60),
            retry_policy=RETRY,
        )
