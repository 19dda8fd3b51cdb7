"""The client process of one subject: ``python -m bench.client <subject> <address> <folder>``.

Reads a :class:`bench.plan.Load` as a line of JSON, carries it, answers with a :class:`bench.plan.Carried`, and so on
until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from bench.answers import answers
from bench.mailbox import Inbox
from bench.plan import Carried, Load, Wrong
from bench.subjects import Desk, subject

LOOKED_AT = 5
"""Cases of a load whose history is read back, after the clock has stopped."""


PATIENCE, PATIENCE_EACH = 120, 0.5
"""Seconds after which a case that has not ended is lost, or was put back before its reviewers; more where it shares
the machine, for each of the others."""


class Carrier:
    """Carries one load."""

    def __init__(self, desk: Desk, inbox: Inbox, load: Load) -> None:
        self._desk, self._inbox, self._load = desk, inbox, load
        self._handles: list[WorkflowHandle[Any, Any]] = []
        self._results: dict[str, Any] = {}
        self._rounds = 0

    async def carry(self) -> Carried:
        """Open, decide and sweep until every case has ended, or waits for its review."""
        heard = self._inbox.heard
        places = asyncio.Semaphore(self._load.at_once)
        started = time.monotonic()
        sweeping = asyncio.create_task(self._sweeps()) if self._load.decide else None
        await asyncio.gather(*(self._one(name, places) for name in self._load.names()))
        if not self._load.decide:
            await self._inbox.hears(heard + self._load.cases)
        seconds = time.monotonic() - started
        if sweeping:
            sweeping.cancel()
        if doubled := self._inbox.doubled:
            raise Wrong(f"was done twice: {', '.join(doubled[:5])}")
        await self._desk.audit(self._results)
        return await self._looked_at(seconds)

    async def _one(self, name: str, places: asyncio.Semaphore) -> None:
        async with places:
            handle = await self._desk.open(name, self._load)
            if len(self._handles) < LOOKED_AT:
                self._handles.append(handle)
            if self._load.decide:
                await self._desk.decide(name, handle)
                patience = PATIENCE + PATIENCE_EACH * self._load.at_once
                try:
                    self._results[name] = await asyncio.wait_for(handle.result(), patience)
                except TimeoutError as late:
                    raise Wrong(f"case {name} ({handle.id}) has not ended within {patience} s") from late
                self._inbox.forget(name)

    async def _sweeps(self) -> None:
        while True:
            due = time.monotonic() + self._load.tick
            await self._desk.sweep(f"{self._load.name}/{self._rounds}")
            self._rounds += 1
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _looked_at(self, seconds: float) -> Carried:
        infos = [(await h.describe()).raw_description.workflow_execution_info for h in self._handles]
        histories = [await h.fetch_history() for h in self._handles]
        return Carried(
            seconds=seconds,
            rounds=self._rounds,
            events=[info.history_length for info in infos],
            history_bytes=[info.history_size_bytes for info in infos],
            shapes=[
                [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events]
                for history in histories
            ],
        )


async def main(name: str, address: str, folder: str) -> None:
    """Carry loads until standard input ends."""
    stage = answers()
    one = subject(name)
    client = await one.connect(address)
    inbox = Inbox()
    await inbox.listen(Path(folder))
    async with one.desk(client, Path(folder), inbox) as desk:
        stage.write("ready\n")
        while line := await asyncio.to_thread(sys.stdin.readline):
            carried = await Carrier(desk, inbox, Load(**json.loads(line))).carry()
            stage.write(json.dumps(asdict(carried)) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)  # the SDK may crash an interpreter that takes itself apart (sdk-python#300)
