"""The watch: what was not done in time, found in the database alone, and the second net under every end.

A case's own run reminds, escalates and ends. What is here needs no run: an order whose armed end did not fire is
ended all the same, and a case that no run carries is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import or_
from sqlalchemy.orm import defer
from sqlmodel import Field, SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.contracts import EndTask
from precinto.domain.case import Stage
from precinto.domain.escalations import REVIEW_REMINDER, graced, reminder_due
from precinto.domain.intake import Service
from precinto.domain.notification import Action
from precinto.ports import OpenCase
from precinto.store import objections
from precinto.store.database import Database
from precinto.store.intake import CaseRow, TargetRow, load_case
from precinto.store.orders import NoticeRow, NoticeState, OrderRow, end_order, load_order
from precinto.store.releases import end_to_come
from precinto.store.review import EscalationRow, raise_escalation

SLACK = timedelta(minutes=1)
"""How much later than at every third tick of its schedule the watch may go round, before it counts as away."""


def away_after(every: timedelta) -> timedelta:
    """Time without a round after which the watch was away, and with it the engine."""
    return 3 * every + SLACK


class WatchRow(SQLModel, table=True):
    """The watch's rounds; there is one row. ``since``: when the rounds began that have followed in time ever since."""

    __tablename__ = "watch"  # pyright: ignore[reportAssignmentType]

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    since: datetime
    began_at: datetime
    done_at: datetime | None = None


class WatchStore:
    """Port ``WatchRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --------------------------------------------------------------------------------------------- the watch itself

    async def begin(self, moment: datetime, every: timedelta) -> datetime:
        """Begin a round; returns since when rounds have followed in time. Before that, the engine was away."""
        async with self._database.write() as session:
            row = await session.get(WatchRow, 1)
            if row is None:
                row = WatchRow(since=moment, began_at=moment)
            elif moment - max(row.began_at, row.done_at or row.began_at) > away_after(every):
                row.since = moment
            row.began_at = moment
            session.add(row)
            return row.since

    async def done(self, moment: datetime) -> None:
        """Note that a whole round is over."""
        async with self._database.write() as session:
            row = await session.get_one(WatchRow, 1)
            row.done_at = moment
            session.add(row)

    async def last_round(self) -> datetime | None:
        """When the last whole round was over."""
        async with self._database.read() as session:
            row = await session.get(WatchRow, 1)
            return row.done_at if row else None

    # --------------------------------------------------------------------------------------------- the end of orders

    async def missed(self, moment: datetime, since: datetime) -> Sequence[EndTask]:
        """Orders beyond their end that nothing has ended in the time that it takes, oldest end first."""
        found: list[tuple[datetime, EndTask]] = []
        async with self._database.read() as session:
            candidates = await session.exec(
                select(OrderRow)
                .where(
                    col(OrderRow.ended_at).is_(None),
                    or_(
                        col(OrderRow.valid_until) <= moment,
                        col(OrderRow.lapses_at) <= moment,
                        col(OrderRow.standing_order).is_not(None),
                    ),
                )
                .order_by(col(OrderRow.id))
            )
            for order in candidates:
                case, end = await load_case(session, order.case), await end_to_come(session, order)
                if max(end.at, since) + graced(case.snapshot().span("recheck")) <= moment:
                    found.append((end.at, EndTask(case=case.id, order=order.id)))
        return [task for _, task in sorted(found, key=lambda one: one[0])]

    async def end(self, task: EndTask, moment: datetime) -> bool:
        """End an order whose armed end did not fire; False where it has been ended, or lengthened, meanwhile.

        Raises:
            NotFound: No such order.
            IllegalTransition: The case stands where no order can end: somebody wrote into the database.
        """
        async with self._database.write() as session:
            order, case = await load_order(session, task.order), await load_case(session, task.case)
            end = await end_to_come(session, order)
            if order.ended_at is not None or moment < end.at:
                return False
            await end_order(session, order, case, end)
            await raise_escalation(session, case.id, "end_missed", order.number)
            return True

    async def untold(self) -> Sequence[EndTask]:
        """Orders that the watch has ended and of which an ISP still has to be told, those never tried first."""
        ended = select(EscalationRow.subject).where(EscalationRow.what == "end_missed")
        async with self._database.read() as session:
            found = await session.exec(
                select(OrderRow.case, OrderRow.id, func.min(NoticeRow.tries))
                .join(NoticeRow, col(NoticeRow.order) == OrderRow.id)
                .join(CaseRow, col(CaseRow.id) == OrderRow.case)
                .where(
                    col(OrderRow.number).in_(ended),
                    NoticeRow.state == NoticeState.QUEUED,
                    CaseRow.stage != Stage.CLOSED,
                )
                .group_by(col(OrderRow.case), col(OrderRow.id))
                .order_by(func.min(NoticeRow.tries), col(OrderRow.id))
            )
            return [EndTask(case=case, order=order) for case, order, _ in found]

    async def unclosed(self, moment: datetime, since: datetime) -> int:
        """Put cases before a human whose release is beyond its term and that nothing has closed; how many are new."""
        late: set[tuple[str, str]] = set()
        async with self._database.read() as session:
            unblocking = select(CaseRow).where(CaseRow.stage == Stage.UNBLOCKING, col(CaseRow.due_at) <= moment)
            for case in await session.exec(unblocking):
                assert case.due_at is not None  # noqa: S101 - the query asked for it
                if max(case.due_at, since) + graced(case.snapshot().span("recheck")) <= moment:
                    late.add((case.id, _at(case.due_at)))
        return await self._put_forward("close_missed", late)

    async def unheard(self, moment: datetime, since: datetime) -> Sequence[EndTask]:
        """Orders whose block is to be lifted, and no ISP has been tried in the time that it takes.

        Their cases were to be told to look at their files, and that was lost; each is named until :meth:`woken`.
        """
        async with self._database.read() as session:
            woken = await _said(session, "change_missed")
            found = await session.exec(
                select(OrderRow, CaseRow, NoticeRow.queued_at)
                .join(CaseRow, col(CaseRow.id) == OrderRow.case)
                .join(NoticeRow, col(NoticeRow.order) == OrderRow.id)
                .where(
                    CaseRow.stage != Stage.CLOSED,
                    NoticeRow.version == OrderRow.version,
                    NoticeRow.action == Action.RELEASE,
                    NoticeRow.state == NoticeState.QUEUED,
                    NoticeRow.tries == 0,
                )
                .order_by(col(OrderRow.id))
            )
            late = {
                order.id: case.id
                for order, case, queued_at in found
                if max(queued_at, since) + graced(case.snapshot().span("recheck")) <= moment
                and (case.id, _version(order)) not in woken
            }
            return [EndTask(case=case, order=order) for order, case in late.items()]

    async def woken(self, task: EndTask) -> None:
        """Note that a case was told once more to look at its files, and put that before a human."""
        async with self._database.write() as session:
            order = await load_order(session, task.order)
            await raise_escalation(session, task.case, "change_missed", _version(order))

    # ------------------------------------------------------------------------------------------------ terms and waits

    async def remind(self, moment: datetime) -> int:
        """Remind the reviewers of each case at the parts of its term that its procedure names; how many reminders."""
        wanted: set[tuple[str, str]] = set()
        async with self._database.read() as session:
            began: dict[str, datetime] = {}
            for case, at in await session.exec(
                select(EscalationRow.case, EscalationRow.at)
                .join(CaseRow, col(CaseRow.id) == EscalationRow.case)
                .where(CaseRow.stage == Stage.REVIEW, EscalationRow.what == "review_overdue")
            ):
                began[case] = max(at, began.get(case, at))
            under_review = select(CaseRow).where(CaseRow.stage == Stage.REVIEW, col(CaseRow.due_at) > moment)
            for case in await session.exec(under_review):
                assert case.due_at is not None  # noqa: S101 - the query asked for it
                # The first term begins with the review, each further one with the escalation of the one before.
                since = max(case.stage_at, began.get(case.id, case.stage_at))
                percents = case.snapshot().procedure.reminders
                if percent := reminder_due(since, case.due_at, percents, moment):
                    wanted.add((case.id, f"{percent} % of the term until {_at(case.due_at)}"))
        return await self._put_forward(REVIEW_REMINDER, wanted)

    async def overdue(self, moment: datetime) -> int:
        """Put objections and stays before a human whose term to be decided has passed; how many have."""
        async with self._database.write() as session:
            return await objections.overdue(session, moment)

    async def unreached(self, moment: datetime) -> int:
        """Put ISPs before a human that could not be told, in the time they have to comply, what an order asks of them.

        Each once in a case; how many.
        """
        late: set[tuple[str, str]] = set()
        async with self._database.read() as session:
            for isp, queued_at, case in await session.exec(
                select(NoticeRow.isp, NoticeRow.queued_at, CaseRow)
                .join(OrderRow, col(OrderRow.id) == NoticeRow.order)
                .join(CaseRow, col(CaseRow.id) == OrderRow.case)
                .where(
                    NoticeRow.state == NoticeState.QUEUED,
                    # After the end, the case itself waits for each release, and escalates.
                    col(OrderRow.ended_at).is_(None),
                    CaseRow.stage != Stage.CLOSED,
                )
            ):
                if case.snapshot().due("comply", queued_at) <= moment:
                    late.add((case.id, isp))
        return await self._put_forward("isp_unreached", late)

    async def _put_forward(self, what: str, found: set[tuple[str, str]]) -> int:
        """Put what was found, by case and subject, before a human, each once; how many are new."""
        if not found:
            return 0
        async with self._database.read() as session:
            new = found - await _said(session, what)
        if not new:
            return 0
        async with self._database.write() as session:
            return sum([await raise_escalation(session, case, what, subject) for case, subject in sorted(new)])

    # ------------------------------------------------------------------------------------------------------- the runs

    async def open_cases(self, opened_before: datetime) -> Sequence[OpenCase]:
        """Every case that is not closed and has been open for a while, oldest first."""
        async with self._database.read() as session:
            found = await session.exec(
                select(CaseRow, TargetRow.value)
                .options(defer(CaseRow.terms))  # pyright: ignore[reportArgumentType] - a column, as SQLModel has it
                .join(TargetRow, col(TargetRow.case) == CaseRow.id)
                .where(CaseRow.stage != Stage.CLOSED, CaseRow.opened_at <= opened_before)
                .order_by(col(CaseRow.opened_at), col(CaseRow.id))
            )
            return [
                OpenCase(
                    case=row.id, service=Service(row.service), stage=Stage(row.stage), due=row.due_at, target=target
                )
                for row, target in found
            ]

    async def lost(self, case: str, run: str) -> bool:
        """Note that a case had lost its run, once for each run; False where the case was closed meanwhile."""
        async with self._database.write() as session:
            if (await load_case(session, case)).stage == Stage.CLOSED:
                return False
            await raise_escalation(session, case, "run_lost", run)
            return True


def _version(order: OrderRow) -> str:
    return f"{order.number} v{order.version}"


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


async def _said(session: AsyncSession, what: str) -> set[tuple[str, str]]:
    """Case and subject of every escalation of a kind: a round in which nothing is new must not wait for writers."""
    return set(await session.exec(select(EscalationRow.case, EscalationRow.subject).where(EscalationRow.what == what)))
