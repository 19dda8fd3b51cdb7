"""One round of verification from one vantage, for every case at once.

Sweeps live outside the cases, on a Schedule per vantage: however many cases and rounds there are, a case's history
does not grow by them. Only a lapse reaches a case.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from precinto import stubs
    from precinto.contracts import SweepTask, Swept


@workflow.defn(name="VerificationSweep")
class VerificationSweep:
    """One tick of a vantage's schedule."""

    @workflow.run
    async def run(self, task: SweepTask) -> Swept:
        """Measure everything that is due at this vantage, on its own queue."""
        return await stubs.SWEEP.start(
            task, summary=f"Measure every order at {task.vantage}", queue=stubs.probe_queue(task.vantage)
        )
