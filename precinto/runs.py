"""The runs that carry the cases: which open cases have lost theirs, and another one for each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from precinto import engine, stubs
from precinto.domain.errors import Unavailable
from precinto.ports import OpenCase

AT_ONCE = 20
"""Cases that are asked for together."""

NEVER_STARTED = "none"
"""In place of the id of a run."""

_RUNNING = "WorkflowType = 'EnforcementCase' AND ExecutionStatus = 'Running'"
_PAGE = 1000


class TemporalRuns:
    """Port ``CaseRuns``."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def lost(self, cases: Sequence[OpenCase]) -> Sequence[tuple[OpenCase, str]]:
        """Those of these cases that no run carries, each with the id of the run that it had, or ``none``.

        Temporal's list of what runs lags behind, so each case that it lacks is asked for before it counts as lost.

        Raises:
            Unavailable: Temporal does not answer.
        """
        at_once = asyncio.Semaphore(AT_ONCE)

        async def one(case: OpenCase) -> tuple[OpenCase, str] | None:
            async with at_once:
                run = await self._lost_run(case.case)
                return None if run is None else (case, run)

        try:
            running = {run.id async for run in self._client.list_workflows(_RUNNING, page_size=_PAGE)}
            doubtful = [case for case in cases if stubs.case_workflow(case.case) not in running]
            found = await asyncio.gather(*map(one, doubtful))
        except RPCError as error:
            raise Unavailable(f"Temporal does not say which cases have a run: {error.message}") from error
        return [pair for pair in found if pair is not None]

    async def resume(self, case: OpenCase) -> None:
        """Give a case a new run, which goes on where its files say it stands.

        Raises:
            Unavailable: Temporal does not answer.
        """
        try:
            await engine.resume_case(self._client, case)
        except RPCError as error:
            raise Unavailable(f"Temporal gives case {case.case} no new run: {error.message}") from error

    async def _lost_run(self, case: str) -> str | None:
        """The id of the run that a case has lost; None where one carries it."""
        try:
            found = await self._client.get_workflow_handle(stubs.case_workflow(case)).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return NEVER_STARTED
            raise
        return None if found.status is WorkflowExecutionStatus.RUNNING else found.run_id
