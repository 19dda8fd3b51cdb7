"""The naive shape with the SDK's defaults; its sweeps are its own, 10 ms apart whatever the load says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from bench.mailbox import Inbox, Outbox
from bench.plan import SWEEPS, VANTAGES, Load
from bench.subjects import naive_workflow as naive
from bench.subjects.desks import READ, expect

PAGE = "<h1>convert any video</h1>" * 40


class _Activities:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    @activity.defn(name="naive.capture")
    async def capture(self, case: str) -> str:
        self._outbox.tell(case, "captured")
        return PAGE

    @activity.defn(name="naive.notify")
    async def notify(self, case: str, isp: str) -> None:
        self._outbox.tell(case, isp)

    @activity.defn(name="naive.sweep")
    async def sweep(self, case: str) -> None:
        pass


class _Desk:
    def __init__(self, client: Client, inbox: Inbox) -> None:
        self._client, self._inbox = client, inbox

    async def open(self, name: str, load: Load) -> WorkflowHandle[Any, Any]:
        return await self._client.start_workflow(
            "NaiveCase",
            args=[name, list(VANTAGES), SWEEPS],
            id=f"naive/{name}",
            task_queue=naive.QUEUE,
            result_type=int,
        )

    async def decide(self, name: str, handle: WorkflowHandle[Any, Any]) -> None:
        """Approve once there is something to read; then each ISP acknowledges what it was told."""
        await self._inbox.next(name)
        await asyncio.sleep(READ)
        await handle.signal("approve")
        for _ in VANTAGES:
            await handle.signal("acknowledge", await self._inbox.next(name))

    async def sweep(self, tick: str) -> None:
        """Nothing: sweeps are the workflow's own."""

    async def audit(self, results: Mapping[str, Any]) -> None:
        expect(results, lambda _: len(PAGE))


class Naive:
    """The peer that costs what a first attempt costs."""

    async def connect(self, address: str) -> Client:
        """A client as the SDK makes it."""
        return await Client.connect(address)

    @asynccontextmanager
    async def worker(self, client: Client, folder: Path) -> AsyncGenerator[None]:
        """One worker with the SDK's defaults, and a cache that no load overflows."""
        does = _Activities(Outbox(folder))
        async with Worker(
            client,
            task_queue=naive.QUEUE,
            workflows=[naive.NaiveCase],
            activities=[does.capture, does.notify, does.sweep],
            max_cached_workflows=2000,
        ):
            yield

    @asynccontextmanager
    async def desk(self, client: Client, folder: Path, inbox: Inbox) -> AsyncGenerator[_Desk]:
        """Its people."""
        yield _Desk(client, inbox)


SUBJECT = Naive()
