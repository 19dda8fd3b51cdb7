"""The shape that people write first: an activity for each ISP, a signal for each acknowledgement, sweeps by timer.

It is the case of the benchmark of the peers (docs/reference/benchmarks.md), and it does less than Precinto: it
neither ends an order nor sees the unblock measured.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow

QUEUE = "naive"
LIMIT = timedelta(minutes=10)
BETWEEN_SWEEPS = timedelta(milliseconds=10)


@workflow.defn(name="NaiveCase")
class NaiveCase:
    """One case."""

    def __init__(self) -> None:
        self._approved = False
        self._acknowledged: set[str] = set()

    @workflow.run
    async def run(self, case: str, isps: list[str], sweeps: int) -> int:
        """Capture, wait for a human, tell each ISP, wait for each, sweep."""
        page = await workflow.execute_activity("naive.capture", case, result_type=str, start_to_close_timeout=LIMIT)
        await workflow.wait_condition(lambda: self._approved)
        await asyncio.gather(
            *(
                workflow.execute_activity("naive.notify", args=[case, isp], start_to_close_timeout=LIMIT)
                for isp in isps
            )
        )
        await workflow.wait_condition(lambda: len(self._acknowledged) == len(isps))
        for _ in range(sweeps):
            await asyncio.sleep(BETWEEN_SWEEPS.total_seconds())
            await workflow.execute_activity("naive.sweep", case, start_to_close_timeout=LIMIT)
        return len(page)

    @workflow.signal
    def approve(self) -> None:
        """A human approves."""
        self._approved = True

    @workflow.signal
    def acknowledge(self, isp: str) -> None:
        """An ISP acknowledges."""
        self._acknowledged.add(isp)
