"""The watch: a round ends what should have ended, reminds who is waited for, and finds cases that nothing carries.

It is the second net. The first is the case's own run and the end that it armed; while they hold, a round ends nothing.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import structlog
from temporalio import activity

from activities.heartbeat import beating
from activities.notification import Courier
from precinto import stubs
from precinto.contracts import EndTask, Watched, WatchTask
from precinto.domain.errors import PrecintoError, Unavailable
from precinto.ports import Ports

JUST_OPENED = timedelta(minutes=1)
"""A case this young may not have been started yet by the desk that opened it."""

TELLING_SECONDS = 300.0
"""Of a round, for telling ISPs: those that do not answer must not keep all else waiting."""

log = structlog.get_logger(__name__)


class WatchActivities:
    """Activities of the watch."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._courier = Courier(ports)

    @activity.defn(name=stubs.WATCH.name)
    async def round(self, task: WatchTask) -> Watched:
        """Go round once. Idempotent: what one round has found, the next does not find again.

        What goes wrong with one case keeps no other waiting; but such a round is not counted as a whole one.

        Raises:
            Unavailable: The engine cannot say which cases have a run.
            PrecintoError: Whatever else went wrong first.
        """
        # The time is the server's, as every term is, never this machine's.
        moment, began = activity.info().started_time, datetime.now(UTC)
        watch, faults = self._ports.watch, list[PrecintoError]()
        async with beating():
            since = await watch.begin(moment, task.every)
            ended = await self._end(moment, since, faults)
            woken = await self._wake(moment, since, faults)
            unclosed = await watch.unclosed(moment, since)
            reminders = await watch.remind(moment)
            overdue = await watch.overdue(moment)
            unreached = await watch.unreached(moment)
            resumed = await self._resume(moment, faults)
            addressed = await self._ports.escalations.address(self._ports.registry.officers, moment)
        if faults:
            raise faults[0]
        await watch.done(moment + (datetime.now(UTC) - began))
        return Watched(
            ended=ended,
            reminders=reminders,
            overdue=overdue,
            unreached=unreached,
            resumed=resumed,
            addressed=addressed,
            woken=woken,
            unclosed=unclosed,
        )

    async def _end(self, moment: datetime, since: datetime, faults: list[PrecintoError]) -> int:
        """End what is beyond its end, tell the ISPs, then wake the case's run, which follows up the release."""
        ended: list[EndTask] = []
        for task in await self._ports.watch.missed(moment, since):
            try:
                if await self._ports.watch.end(task, moment):
                    ended.append(task)
                    log.error("end_missed", case=task.case, order=task.order)
            except PrecintoError as error:
                log.error("end_impossible", case=task.case, order=task.order, reason=str(error))
                faults.append(error)
        until = time.monotonic() + TELLING_SECONDS
        for task in await self._ports.watch.untold():
            if time.monotonic() > until:
                log.warning("releases_left_to_the_next_round")
                break
            try:
                await self._courier.deliver(task.order)
            except Unavailable as away:  # the next round tries again
                log.warning("release_undelivered", case=task.case, order=task.order, reason=str(away))
        for task in ended:
            try:
                await self._ports.signals.changed(task.case)
            except Unavailable as error:
                faults.append(error)
        return len(ended)

    async def _wake(self, moment: datetime, since: datetime, faults: list[PrecintoError]) -> int:
        """Tell cases again to look at their files, which lift a block that no ISP has been told to lift."""
        woken = 0
        for task in await self._ports.watch.unheard(moment, since):
            try:
                await self._ports.signals.changed(task.case)
            except Unavailable as error:
                faults.append(error)
                continue
            await self._ports.watch.woken(task)
            log.error("change_missed", case=task.case, order=task.order)
            woken += 1
        return woken

    async def _resume(self, moment: datetime, faults: list[PrecintoError]) -> int:
        """Give each open case a run that has lost its own, or never had one."""
        resumed, runs = 0, self._ports.runs
        try:
            for case, run in await runs.lost(await self._ports.watch.open_cases(moment - JUST_OPENED)):
                if await self._ports.watch.lost(case.case, run):
                    log.error("run_lost", case=case.case, run=run)
                    await runs.resume(case)
                    resumed += 1
        except Unavailable as error:
            faults.append(error)
        return resumed
