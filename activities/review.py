"""Review: what of the reviewers' work is written down by the engine."""

from __future__ import annotations

from temporalio import activity

from precinto import stubs
from precinto.contracts import Conclusion, Escalation, Refusal
from precinto.ports import Ports


class ReviewActivities:
    """Activities of the review stage."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name=stubs.ESCALATE.name)
    async def escalate(self, escalation: Escalation) -> None:
        """Put an overdue review before the legal head; recorded as the system's act, never as a person's."""
        await self._ports.review.escalate(escalation.case, escalation.due)

    @activity.defn(name=stubs.REFUSE.name)
    async def refuse(self, refusal: Refusal) -> None:
        """Write down that a decision was refused."""
        await self._ports.review.refuse(refusal.case, refusal.decision, refusal.code, undone=refusal.undone)

    @activity.defn(name=stubs.CONCLUDE.name)
    async def conclude(self, conclusion: Conclusion) -> bool:
        """Carry out a rejection (True: the case is closed) or a return for more evidence (False).

        Raises:
            NotVerified: The decision is not on file as it is claimed.
        """
        officers = self._ports.registry.officers
        closure = await self._ports.review.conclude(conclusion.case, conclusion.decision, officers)
        return closure is not None
