"""One round of stamping: bundles whose time stamp could not be had when they were sealed get it later.

It lives outside the cases, on a Schedule, so that an authority that is down costs no case an event.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from precinto import stubs
    from precinto.contracts import Stamped, StampTask


@workflow.defn(name="EvidenceStamping")
class EvidenceStamping:
    """One tick of the schedule."""

    @workflow.run
    async def run(self, task: StampTask) -> Stamped:
        """Stamp what still waits."""
        return await stubs.STAMP.start(task, summary="Get the time stamps that bundles lack")
