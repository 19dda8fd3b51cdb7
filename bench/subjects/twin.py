"""The bare-SDK twin: Precinto's events and waits, default converter, no-op activities, no database.

Its queues, pollers and limits are Precinto's, so that the server has the same polls to answer. What the end of an
order waits for (a sweep of every vantage since) it keeps in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import Worker

from bench.mailbox import Inbox, Outbox
from bench.plan import VANTAGES, Load
from bench.subjects import twin_workflow as twin
from bench.subjects.desks import expect, persist
from precinto import engine


class _Activities:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._swept: dict[str, set[str]] = {}

    @activity.defn(name="twin.admit")
    async def admit(self, task: twin.Task) -> str:
        return task.about

    @activity.defn(name="twin.capture")
    async def capture(self, task: twin.Task) -> str:
        bundle = sha256(task.case.encode()).hexdigest()
        self._outbox.tell(task.case, bundle)
        return bundle

    @activity.defn(name="twin.notify")
    async def notify(self, task: twin.Task) -> str:
        return task.about

    @activity.defn(name="twin.end")
    async def end(self, task: twin.Task) -> str:
        wait = datetime.fromisoformat(task.at) - activity.info().started_time
        if wait <= timedelta(0):
            if len(self._swept.setdefault(task.case, set())) == len(VANTAGES):
                del self._swept[task.case]
                return task.case
            wait = timedelta(seconds=float(task.about))
        raise ApplicationError(
            "not yet", type="NotYet", next_retry_delay=wait, category=ApplicationErrorCategory.BENIGN
        )

    @activity.defn(name="twin.sweep")
    async def sweep(self, vantage: str) -> int:
        for swept in self._swept.values():
            swept.add(vantage)
        return len(self._swept)


class _Desk:
    def __init__(self, client: Client, inbox: Inbox) -> None:
        self._client, self._inbox = client, inbox

    async def open(self, name: str, load: Load) -> WorkflowHandle[Any, str]:
        return await self._client.start_workflow(
            "TwinCase",
            twin.Start(name, load.order.total_seconds(), load.recheck.total_seconds()),
            id=f"twin/{name}",
            task_queue=twin.CASES,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(twin.STAGE, "investigation"),
                    SearchAttributePair(SearchAttributeKey.for_keyword("CaseService"), "stream_ripper"),
                ]
            ),
            result_type=str,
        )

    async def decide(self, name: str, handle: WorkflowHandle[Any, Any]) -> None:
        await self._inbox.next(name)
        verdict = twin.Verdict(id=f"decision-{name}", case=name)
        await persist(
            lambda: handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                "decide", verdict, id=verdict.id, result_type=int
            )
        )

    async def sweep(self, tick: str) -> None:
        async def one(vantage: str) -> None:
            await self._client.execute_workflow(
                "TwinSweep", vantage, id=f"twin-sweep/{tick}/{vantage}", task_queue=twin.CASES, result_type=int
            )

        await asyncio.gather(*map(one, VANTAGES))

    async def audit(self, results: Mapping[str, Any]) -> None:
        expect(results, lambda name: name)


class Twin:
    """What the same history costs without Precinto."""

    async def connect(self, address: str) -> Client:
        """A client as the SDK makes it; the server needs to know the search attributes."""
        client = await Client.connect(address)
        await engine.register_attributes(client)
        return client

    @asynccontextmanager
    async def worker(self, client: Client, folder: Path) -> AsyncGenerator[None]:
        """The workers of :func:`precinto.engine.workers`, queue for queue."""
        does = _Activities(Outbox(folder))

        def worker(queue: str, at_once: int, activities: Sequence[Callable[..., Any]], **more: Any) -> Worker:
            return Worker(client, task_queue=queue, activities=activities, max_concurrent_activities=at_once, **more)

        few = {"max_concurrent_activity_task_polls": 1}
        workers = [
            worker(
                twin.CASES,
                50,
                [does.admit],
                workflows=[twin.TwinCase, twin.TwinSweep],
                max_cached_workflows=2000,
                sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
            ),
            worker(twin.CAPTURE, 2, [does.capture], **few),
            worker(twin.NOTIFY, 20, [does.notify, does.end]),
            *(worker(twin.probe_queue(vantage), 2, [does.sweep], **few) for vantage in VANTAGES),
        ]
        async with AsyncExitStack() as stack:
            for one in workers:
                await stack.enter_async_context(one)
            yield

    @asynccontextmanager
    async def desk(self, client: Client, folder: Path, inbox: Inbox) -> AsyncGenerator[_Desk]:
        """Its people."""
        yield _Desk(client, inbox)


SUBJECT = Twin()
