"""What workflows and workers must agree on: activity names, queues, time limits, retries, search attributes.

Workflow files call activities through these stubs alone, so they import no code that does input or output. The
names are wire names: they do not follow module paths and must not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, SearchAttributeUpdate
from temporalio.workflow import ActivityCancellationType, ActivityHandle

from precinto.contracts import (
    Admissions,
    AdmitTask,
    Anchored,
    AnchorTask,
    CaptureTask,
    CaseRef,
    Ended,
    EndTask,
    Escalated,
    Escalation,
    Notified,
    OrderTask,
    Place,
    Sealed,
    Stamped,
    StampTask,
    SweepTask,
    Swept,
    Watched,
    WatchTask,
)
from precinto.domain.model import Value

CASES = "cases"
CAPTURE = "capture"
NOTICES = "notify"

STAGE = SearchAttributeKey.for_keyword("CaseStage")
DUE = SearchAttributeKey.for_datetime("CaseDue")
SERVICE = SearchAttributeKey.for_keyword("CaseService")

SEARCH_ATTRIBUTES: dict[str, str] = {STAGE.name: "Keyword", DUE.name: "Datetime", SERVICE.name: "Keyword"}
"""Name to type. A server that does not know one wedges every case: workers refuse to start then."""

INVESTIGATION = "investigation"
IN_FORCE = "in force"
"""Values of ``CaseStage``. Two, because each change costs an event; the database knows the exact stage."""

RETRIES: dict[str, RetryPolicy] = {
    # The database is ours: it comes back soon, and nothing else can be done meanwhile.
    "database": RetryPolicy(
        initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_interval=timedelta(seconds=10)
    ),
    # A browser that failed needs a moment; a site that is down is a result, not a failure.
    "capture": RetryPolicy(
        initial_interval=timedelta(seconds=2), backoff_coefficient=2, maximum_interval=timedelta(minutes=5)
    ),
    # An ISP may be away for days; only undelivered notices are tried again.
    "isp": RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=15)
    ),
    # The next tick of the schedule is the retry.
    "sweep": RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3),
}
"""Every retry policy by name. Legal work never fails on a count: attempts are unlimited but for what a schedule
starts again anyway."""


def upsert(*updates: SearchAttributeUpdate[Any]) -> None:
    """Change search attributes from a workflow: one event, whatever their number."""
    workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType]


_TRY, _WAIT = ActivityCancellationType.TRY_CANCEL, ActivityCancellationType.WAIT_CANCELLATION_COMPLETED

I = TypeVar("I", bound=Value)  # noqa: E741
O = TypeVar("O")  # noqa: E741


def case_workflow(case: str) -> str:
    """Workflow id of a case."""
    return f"case/{case}"


def probe_queue(vantage: str) -> str:
    """Task queue of a vantage: a prober inside an ISP's network is just a worker on it."""
    return f"probe.{vantage}"


@dataclass(frozen=True)
class Stub(Generic[I, O]):
    """One activity as workflows see it.

    Attributes:
        name: Its wire name, ``stage.verb``.
        result: Its result type.
        queue: Its task queue; None for the workflow's own.
        retry: Name of its retry policy.
        limit: Time limit of one attempt.
        heartbeat: Silence after which an attempt is given to another worker; None for short ones.
        outlasts: Whether its cancellation is over only when the running attempt is.
    """

    name: str
    result: type[O]
    retry: str
    limit: timedelta
    queue: str | None = None
    heartbeat: timedelta | None = None
    outlasts: bool = False

    def start(self, task: I, summary: str, queue: str | None = None) -> ActivityHandle[O]:
        """Schedule it; ``summary`` is shown in Temporal's UI, so it names nobody."""
        return workflow.start_activity(
            self.name,
            task,
            result_type=self.result,
            task_queue=queue or self.queue,
            start_to_close_timeout=self.limit,
            heartbeat_timeout=self.heartbeat,
            retry_policy=RETRIES[self.retry],
            cancellation_type=_WAIT if self.outlasts else _TRY,
            summary=summary,
        )

    async def local(self, task: I) -> O:
        """Run it inside the workflow task: one event. For database work under a second only.

        It has no summary: Temporal's UI would not show it, and it would be stored for years.
        """
        return await workflow.execute_local_activity(
            self.name,
            task,
            result_type=self.result,
            start_to_close_timeout=self.limit,
            retry_policy=RETRIES[self.retry],
        )


_SECOND = timedelta(seconds=1)
_SILENCE = 15 * _SECOND
"""A worker that is silent this long is taken for dead, and its work is given to another."""


RESUME: Stub[CaseRef, Place] = Stub("intake.resume", Place, "database", 10 * _SECOND)
SEAL: Stub[CaptureTask, Sealed] = Stub(
    "evidence.capture", Sealed, "capture", timedelta(minutes=15), queue=CAPTURE, heartbeat=_SILENCE
)
STAMP: Stub[StampTask, Stamped] = Stub(
    "evidence.stamp", Stamped, "sweep", timedelta(minutes=15), queue=CAPTURE, heartbeat=_SILENCE
)
ANCHOR: Stub[AnchorTask, Anchored] = Stub(
    "ledger.anchor", Anchored, "sweep", timedelta(minutes=15), heartbeat=_SILENCE
)
WATCH: Stub[WatchTask, Watched] = Stub(
    "watch.round", Watched, "sweep", timedelta(minutes=15), queue=NOTICES, heartbeat=_SILENCE
)
ESCALATE: Stub[Escalation, Escalated] = Stub("review.escalate", Escalated, "database", 10 * _SECOND)
ADMIT: Stub[AdmitTask, Admissions] = Stub("review.admit", Admissions, "database", 10 * _SECOND)
NOTIFY: Stub[OrderTask, Notified] = Stub(
    "notification.notify", Notified, "isp", timedelta(minutes=10), queue=NOTICES, heartbeat=_SILENCE, outlasts=True
)
END: Stub[EndTask, Ended] = Stub(
    "verification.end", Ended, "isp", timedelta(minutes=10), queue=NOTICES, heartbeat=_SILENCE, outlasts=True
)
SWEEP: Stub[SweepTask, Swept] = Stub("verification.sweep", Swept, "sweep", timedelta(hours=2), heartbeat=_SILENCE)
