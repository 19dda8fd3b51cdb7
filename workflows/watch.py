"""One round of the watch: what was not done in time, for every case at once.

It lives outside the cases, on a Schedule: it costs no case an event, and needs no case's run to be alive.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from precinto import stubs
    from precinto.contracts import Watched, WatchTask


@workflow.defn(name="CaseWatch")
class CaseWatch:
    """One tick of the schedule."""

    @workflow.run
    async def run(self, task: WatchTask) -> Watched:
        """Go round once."""
        return await stubs.WATCH.start(task, summary="Look for what was not done in time")
