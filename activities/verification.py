"""Verification: sweeps that measure every block, and the end of an order, which is over only when measured open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from temporalio import activity

from activities.heartbeat import beating
from activities.notification import Courier
from precinto import stubs
from precinto.contracts import Ended, EndTask, SweepTask, Swept
from precinto.domain.case import Closure
from precinto.domain.errors import NotFound, NotYet, Unavailable
from precinto.domain.verification import Standing, judge
from precinto.ports import Due, Ending, Isp, Ports, Round

PAGE = 200
"""Measures that are measured and recorded together; the cursor of a heartbeat stands between two pages."""

AT_ONCE = 50
"""Measurements in flight at the same time from one vantage."""

log = structlog.get_logger(__name__)


class VerificationActivities:
    """Activities of the verification stage."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._courier = Courier(ports)

    @activity.defn(name=stubs.SWEEP.name)
    async def sweep(self, task: SweepTask) -> Swept:
        """Measure everything that is due at a vantage; resumes at the page where another worker stopped.

        Raises:
            NotFound: The registry has no such vantage.
        """
        isp = next((i for i in self._ports.registry.isps if i.id == task.vantage), None)
        if isp is None:
            raise NotFound(f"the registry has no vantage {task.vantage!r}")
        details = activity.info().heartbeat_details
        cursor, measured, lapsed = (str(details[0]), int(details[1]), int(details[2])) if details else ("", 0, 0)
        async with beating() as pulse:
            pulse.details = (cursor, measured, lapsed)
            while page := await self._ports.verification.due(isp.id, cursor, PAGE):
                rounds = await self._measure(isp, page)
                lapses = await self._ports.verification.observe(rounds)
                for case, measures in lapses.items():
                    await self._ports.signals.lapsed(case, measures)
                cursor, measured, lapsed = page[-1].measure, measured + len(rounds), lapsed + sum(lapses.values())
                pulse.details = (cursor, measured, lapsed)
        return Swept(vantage=task.vantage, measured=measured, lapsed=lapsed)

    async def _measure(self, isp: Isp, page: Sequence[Due]) -> list[Round]:
        limit = asyncio.Semaphore(AT_ONCE)
        sinkholes = self._ports.registry.sinkholes

        async def one(due: Due) -> Round:
            async with limit:
                at = datetime.now(UTC)
                facts = await self._ports.prober.measure(due.target, isp.resolvers)
            return Round(
                measure=due.measure,
                isp=due.isp,
                vantage=isp.id,
                at=at,
                facts=facts,
                verdict=judge(facts, sinkholes),
            )

        return list(await asyncio.gather(*map(one, page)))

    @activity.defn(name=stubs.END.name)
    async def end(self, task: EndTask) -> Ended:
        """End an order: at its time tell every ISP, then come back until the unblock was measured everywhere.

        When its time is, is asked at each waking: it may have been renewed meanwhile, or have lapsed.

        The waiting is the server's: each ``NotYet`` asks it to run this again at a given moment, which survives
        workers and outages and adds no event. The time is the server's too, never this machine's.

        Raises:
            NotYet: The order is in force, or not every ISP was measured open yet.
            NotFound: No such order.
        """
        moment = activity.info().started_time
        ending = await self._ports.verification.end(task, moment)
        if not ending.ended:
            raise NotYet(f"the order is in force until {ending.ends_at.isoformat()}", ending.ends_at - moment)
        await self._ports.notification.remind(task.order, datetime.now(UTC))
        try:
            async with beating():
                await self._courier.deliver(task.order)
        except Unavailable as away:
            log.warning("release_undelivered", case=task.case, order=task.order, reason=str(away))
        return await self._closed(task, ending, moment)

    async def _closed(self, task: EndTask, ending: Ending, moment: datetime) -> Ended:
        standings = await self._ports.verification.release(task.order)
        total = sum(standings.values())
        left = total - standings.get(Standing.RELEASED, 0) - standings.get(Standing.CARRIED_ON, 0)
        left = max(left, len(await self._ports.verification.untold(task.order)))
        if left and ending.release_until is not None and moment < ending.release_until:
            raise NotYet(f"{left} of {total} unblocks are not measured yet", ending.recheck)
        closure = Closure.ESCALATED if left else Closure.UNBLOCKED
        await self._ports.verification.close(task.case, closure, moment)
        return Ended(closure=closure, isps=len(self._ports.registry.isps), overstaying=left)
