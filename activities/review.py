"""Review: what people decide is admitted here, and what they let pass is put before others."""

from __future__ import annotations

from temporalio import activity

from precinto import stubs
from precinto.contracts import Admissions, AdmitTask, Escalated, Escalation
from precinto.ports import Ports


class ReviewActivities:
    """Activities of the review stage."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name=stubs.ADMIT.name)
    async def admit(self, task: AdmitTask) -> Admissions:
        """Verify decisions that a case was told of, admit them and carry them out; a refusal is a result, on file."""
        registry = self._ports.registry
        return await self._ports.gate.admit(task, registry.officers, [isp.id for isp in registry.isps])

    @activity.defn(name=stubs.ESCALATE.name)
    async def escalate(self, escalation: Escalation) -> Escalated:
        """Put an overdue review before the legal head; recorded as the system's act, never as a person's."""
        return Escalated(due=await self._ports.review.escalate(escalation.case, escalation.due, escalation.at))
