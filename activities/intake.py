"""Intake happens at the desk, before a case has a workflow; here is what a run asks that takes a case up."""

from __future__ import annotations

from temporalio import activity

from precinto import stubs
from precinto.contracts import CaseRef, Place
from precinto.ports import Ports


class IntakeActivities:
    """Activities of the intake stage."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name=stubs.RESUME.name)
    async def resume(self, case: CaseRef) -> Place:
        """Where a case stands, for a run that takes it up.

        Raises:
            NotFound: No such case.
        """
        return await self._ports.gate.place(case.case, bundle=True)
