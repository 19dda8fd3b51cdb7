"""Intake: what a referral opened becomes a case at work."""

from __future__ import annotations

from temporalio import activity

from precinto import stubs
from precinto.contracts import Accepted, CaseRef
from precinto.ports import Ports


class IntakeActivities:
    """Activities of the intake stage."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name=stubs.ACCEPT.name)
    async def accept(self, case: CaseRef) -> Accepted:
        """Take an opened case into evidence, and tell the workflow who may not decide it.

        Raises:
            NotFound: No such case: somebody started a workflow without a referral.
        """
        return await self._ports.intake.accept(case.case)
