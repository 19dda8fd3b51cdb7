"""One round of anchoring: the ledger's newest row is put down for time-stamp authorities to sign.

It lives outside the cases, on a Schedule, as late time stamps do: an authority that is down costs no case an event.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from precinto import stubs
    from precinto.contracts import Anchored, AnchorTask


@workflow.defn(name="LedgerAnchoring")
class LedgerAnchoring:
    """One tick of the schedule."""

    @workflow.run
    async def run(self, task: AnchorTask) -> Anchored:
        """Anchor what is new, and stamp what still waits."""
        return await stubs.ANCHOR.start(task, summary="Anchor the ledger")
