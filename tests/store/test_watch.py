"""What the watch finds in the database, at moments that the tests choose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlmodel import select

from precinto.contracts import EndTask
from precinto.domain.case import Closure, Stage
from precinto.domain.errors import IllegalTransition
from precinto.domain.escalations import graced
from precinto.domain.intake import Service
from precinto.domain.notification import Action, Delivery
from precinto.domain.objections import Capacity, Protest
from precinto.domain.review import Outcome
from precinto.store import Store, Subjects, Vault
from precinto.store.intake import CaseRow
from precinto.store.ledger import LedgerRow
from precinto.store.objections import ObjectionStore
from precinto.store.orders import NoticeRow, OrderRow
from precinto.store.review import EscalationRow
from precinto.store.watch import away_after
from tests.authority import terms
from tests.fakes import OFFICERS
from tests.store.steps import ISPS, MINUTE, TERMS, close_case, decide, deliver, end, issue, open_case, seal

T = TypeVar("T")

EVERY = MINUTE
GRACE = graced(TERMS.span("recheck"))
ORDER = TERMS.span("order")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
"""Since when the watch has gone round in time."""

REMINDING = TERMS.model_copy(
    update={"procedure": terms(review=100 * MINUTE).procedure.model_copy(update={"reminders": (50, 80)})}
)


async def rows(store: Store, table: type[T], *where: Any) -> list[T]:
    """Rows of a table."""
    async with store.database.read() as session:
        return list(await session.exec(select(table).where(*where)))


async def escalations(store: Store, what: str) -> list[tuple[str, str]]:
    """What was escalated, as ``(case, subject)``."""
    return sorted((row.case, row.subject) for row in await rows(store, EscalationRow, EscalationRow.what == what))


async def change(store: Store, table: type[Any], key: str, **values: Any) -> None:
    """Write into the database by hand."""
    async with store.database.write() as session:
        row = await session.get_one(table, key)
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)


class TestRounds:
    """Since when the watch has gone round without a gap: before that, nothing could have fired either."""

    async def test_the_first_round_begins_the_time(self, store: Store) -> None:
        now = datetime.now(UTC)
        assert await store.watch.begin(now, EVERY) == now
        assert await store.watch.last_round() is None
        await store.watch.done(now + MINUTE)
        assert await store.watch.last_round() == now + MINUTE

    async def test_rounds_that_follow_in_time_leave_it_as_it_is(self, store: Store) -> None:
        first = datetime.now(UTC)
        for number in range(4):
            assert await store.watch.begin(first + number * away_after(EVERY), EVERY) == first

    async def test_after_a_gap_it_begins_anew(self, store: Store) -> None:
        first = datetime.now(UTC)
        await store.watch.begin(first, EVERY)
        await store.watch.done(first + MINUTE)
        late = first + MINUTE + away_after(EVERY)
        assert await store.watch.begin(late, EVERY) == first, "just in time"
        later = late + away_after(EVERY) + timedelta(seconds=1)
        assert await store.watch.begin(later, EVERY) == later

    async def test_a_round_that_takes_long_is_no_gap(self, store: Store) -> None:
        first = datetime.now(UTC)
        await store.watch.begin(first, EVERY)
        await store.watch.done(first + 60 * MINUTE)
        assert await store.watch.begin(first + 61 * MINUTE, EVERY) == first

    async def test_rounds_that_fail_half_way_are_rounds_too(self, store: Store) -> None:
        """Else a fault in one case would keep every missed end waiting for ever."""
        first = datetime.now(UTC)
        for number in range(10):
            assert await store.watch.begin(first + number * EVERY, EVERY) == first
        assert await store.watch.last_round() is None


class TestEnds:
    """The second net: an order that nothing has ended."""

    async def test_an_order_in_force_is_left_alone(self, store: Store) -> None:
        await issue(store, await open_case(store))
        assert await store.watch.missed(datetime.now(UTC), LONG_AGO) == []

    async def test_an_armed_end_has_time_to_fire(self, store: Store) -> None:
        order = await row_of(store, await issue(store, await open_case(store)))
        assert await store.watch.missed(order.valid_until + GRACE - timedelta(seconds=1), LONG_AGO) == []
        [task] = await store.watch.missed(order.valid_until + GRACE, LONG_AGO)
        assert task == EndTask(case=order.case, order=order.id)

    async def test_after_an_outage_of_the_engine_it_has_that_time_again(self, store: Store) -> None:
        order = await row_of(store, await issue(store, await open_case(store)))
        back = order.valid_until + 100 * GRACE
        assert await store.watch.missed(back, back) == []
        assert len(await store.watch.missed(back + GRACE, back)) == 1

    async def test_what_is_missed_is_ended_at_its_date_and_every_isp_is_to_be_told(self, store: Store) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        await deliver(store, order, datetime.now(UTC))
        until = (await row_of(store, order)).valid_until
        assert await store.watch.end(EndTask(case=case, order=order), until + GRACE)
        ended = await row_of(store, order)
        assert (ended.ended_at, ended.end_reason) == (until, "expired")
        assert (await rows(store, CaseRow, CaseRow.id == case))[0].stage == Stage.UNBLOCKING
        told = {notice.notice.isp: notice.notice.action for notice in await store.notification.undelivered(order)}
        assert told == dict.fromkeys(ISPS, Action.RELEASE)
        assert await escalations(store, "end_missed") == [(case, ended.number)]

    async def test_a_lapse_is_an_end_too(self, store: Store) -> None:
        lapsing = TERMS.model_copy(update={"procedure": terms(order=60 * MINUTE, lapse=10 * MINUTE).procedure})
        case = await open_case(store, terms=lapsing)
        order = await row_of(store, await issue(store, case))
        assert order.lapses_at is not None
        assert order.lapses_at < order.valid_until
        [task] = await store.watch.missed(order.lapses_at + GRACE, LONG_AGO)
        await store.watch.end(task, order.lapses_at + GRACE)
        ended = await row_of(store, order.id)
        assert (ended.ended_at, ended.end_reason) == (order.lapses_at, "lapsed")

    async def test_again_is_the_same_and_so_is_the_armed_end_that_fires_late(self, store: Store) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        moment = (await row_of(store, order)).valid_until + GRACE
        task = EndTask(case=case, order=order)
        assert await store.watch.end(task, moment)
        before = await rows(store, NoticeRow), await row_of(store, order)
        assert not await store.watch.end(task, moment)
        assert (await end(store, case, order, moment + MINUTE)).ended
        assert (await rows(store, NoticeRow), await row_of(store, order)) == before
        assert await store.watch.missed(moment + ORDER, LONG_AGO) == []

    async def test_what_the_armed_end_has_ended_is_not_missed(self, store: Store) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        until = (await row_of(store, order)).valid_until
        await end(store, case, order, until)
        assert not await store.watch.end(EndTask(case=case, order=order), until + GRACE)
        assert await store.watch.missed(until + GRACE, LONG_AGO) == []
        assert await escalations(store, "end_missed") == []

    async def test_one_that_was_renewed_in_between_is_not_ended(self, store: Store) -> None:
        case = await open_case(store, terms=terms(order=60 * MINUTE, renewal=60 * MINUTE))
        order = await issue(store, case)
        moment = (await row_of(store, order)).valid_until + GRACE
        [task] = await store.watch.missed(moment, LONG_AGO)
        await decide(store, case, "reviewer-2", Outcome.RENEW)
        assert not await store.watch.end(task, moment)
        assert (await row_of(store, order)).ended_at is None

    async def test_the_oldest_end_comes_first(self, store: Store) -> None:
        first, second = await open_case(store, "first.example.com"), await open_case(store, "second.example.com")
        begin = datetime.now(UTC)
        await issue(store, second, valid_from=begin + MINUTE)
        await issue(store, first, valid_from=begin)
        found = await store.watch.missed(begin + 2 * ORDER, LONG_AGO)
        assert [task.case for task in found] == [first, second]

    async def test_it_is_told_until_every_isp_is(self, store: Store) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        assert await store.watch.untold() == [], "a block that is still to be told is not the watch's"
        task = EndTask(case=case, order=order)
        await store.watch.end(task, (await row_of(store, order)).valid_until + GRACE)
        assert await store.watch.untold() == [task]
        await deliver(store, order, datetime.now(UTC))
        assert await store.watch.untold() == []

    async def test_those_that_nobody_has_tried_come_first(self, store: Store) -> None:
        """So that an ISP that is away does not keep the releases of other orders waiting."""
        for target in ("first.example.com", "second.example.com"):
            case = await open_case(store, target)
            task = EndTask(case=case, order=await issue(store, case))
            await store.watch.end(task, (await row_of(store, task.order)).valid_until)
        first, second = await store.watch.untold()
        for one in await store.notification.undelivered(first.order):
            await store.notification.failed(one.notice.id, "no answer", final=False)
        assert await store.watch.untold() == [second, first]

    async def test_a_release_beyond_its_term_that_nothing_closes_is_put_before_a_human_once(
        self, store: Store
    ) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        await end(store, case, order, (await row_of(store, order)).valid_until)
        [row] = await rows(store, CaseRow, CaseRow.id == case)
        assert row.due_at is not None
        late = row.due_at + GRACE
        assert await store.watch.unclosed(late - timedelta(seconds=1), LONG_AGO) == 0
        assert await store.watch.unclosed(late, late) == 0, "after an outage it has that time again"
        assert await store.watch.unclosed(late, LONG_AGO) == 1
        assert await store.watch.unclosed(late + MINUTE, LONG_AGO) == 0
        assert await escalations(store, "close_missed") == [(case, f"{row.due_at:%Y-%m-%d %H:%M:%S} UTC")]

    async def test_a_case_that_was_closed_in_time_is_not(self, store: Store) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        await end(store, case, order, (await row_of(store, order)).valid_until)
        await store.verification.close(case, Closure.ESCALATED, datetime.now(UTC))
        assert await store.watch.unclosed(datetime.now(UTC) + 60 * ORDER, LONG_AGO) == 0

    async def test_an_order_in_a_case_where_none_can_end_is_an_error_not_silence(self, store: Store) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        await change(store, CaseRow, case, stage=Stage.CLOSED.value)
        moment = (await row_of(store, order)).valid_until + GRACE
        [task] = await store.watch.missed(moment, LONG_AGO)
        with pytest.raises(IllegalTransition):
            await store.watch.end(task, moment)


class TestReminders:
    """Within a term, at the parts that the procedure names, once each."""

    async def test_each_part_once(self, store: Store) -> None:
        case = await open_case(store, terms=REMINDING)
        await seal(store, case)
        [row] = await rows(store, CaseRow, CaseRow.id == case)
        for after, new in ((49, 0), (51, 1), (52, 0), (79, 0), (81, 1), (99, 0), (101, 0)):
            assert await store.watch.remind(row.stage_at + after * MINUTE) == new, after
        until = f"{row.due_at:%Y-%m-%d %H:%M:%S} UTC"
        assert await escalations(store, "review_reminder") == [
            (case, f"{percent} % of the term until {until}") for percent in (50, 80)
        ]

    async def test_after_an_outage_the_last_part_only(self, store: Store) -> None:
        case = await open_case(store, terms=REMINDING)
        await seal(store, case)
        [row] = await rows(store, CaseRow, CaseRow.id == case)
        assert await store.watch.remind(row.stage_at + 90 * MINUTE) == 1
        [(_, subject)] = await escalations(store, "review_reminder")
        assert subject.startswith("80 %")

    async def test_the_next_term_after_an_overdue_review_has_reminders_of_its_own(self, store: Store) -> None:
        case = await open_case(store, terms=REMINDING)
        await seal(store, case)
        [row] = await rows(store, CaseRow, CaseRow.id == case)
        assert row.due_at is not None
        assert await store.watch.remind(row.stage_at + 60 * MINUTE) == 1
        await store.review.escalate(case, row.due_at, row.due_at)
        [overdue] = await rows(store, EscalationRow, EscalationRow.what == "review_overdue")
        # The escalation was written now, by this machine's clock; in the story it was at the end of the first term.
        await change(store, EscalationRow, overdue.id, at=row.due_at)
        assert await store.watch.remind(row.due_at + 49 * MINUTE) == 0
        assert await store.watch.remind(row.due_at + 51 * MINUTE) == 1

    async def test_a_case_that_is_decided_needs_no_reminder(self, store: Store) -> None:
        case = await open_case(store, terms=REMINDING)
        await close_case(store, case)
        assert await store.watch.remind(datetime.now(UTC) + 60 * MINUTE) == 0

    async def test_a_procedure_without_reminders_has_none(self, store: Store) -> None:
        await seal(store, await open_case(store))
        for seconds in range(0, 60, 5):
            assert await store.watch.remind(datetime.now(UTC) + timedelta(seconds=seconds)) == 0


class TestObjections:
    """What waits for a decision beyond its term."""

    async def test_an_objection_beyond_its_term_is_put_before_a_human(self, store: Store, tmp_path: Path) -> None:
        case = await open_case(store)
        await issue(store, case)
        objections = ObjectionStore(store.database, Subjects(Vault(tmp_path / "vault.key")))
        said = Protest(capacity=Capacity.USER, name="Lucía", contact="lucia@ejemplo.test", text="Es mi tienda.")
        filed = await objections.file(case, said, "operator-1", OFFICERS)
        assert await store.watch.overdue(filed.due_at) == 0
        assert await store.watch.overdue(filed.due_at + MINUTE) == 1
        assert await escalations(store, "objection_overdue") == [(case, filed.id)]


class TestIsps:
    """An ISP that could not be told in time what is asked of it."""

    async def test_an_isp_is_put_before_a_human_after_its_term_once(self, store: Store) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        first = next(iter(await store.notification.undelivered(order)))
        await store.notification.failed(first.notice.id, "no answer", final=False)
        queued = datetime.now(UTC)
        assert await store.watch.unreached(queued) == 0
        late = queued + TERMS.span("comply")
        assert await store.watch.unreached(late) == 2
        assert await store.watch.unreached(late + MINUTE) == 0
        assert await escalations(store, "isp_unreached") == [(case, isp) for isp in ISPS]

    async def test_one_that_was_told_is_not(self, store: Store) -> None:
        order = await issue(store, await open_case(store))
        told, _ = await store.notification.undelivered(order)
        await store.notification.delivered(told.notice.id, Delivery(receipt="ok"), datetime.now(UTC))
        assert await store.watch.unreached(datetime.now(UTC) + 2 * MINUTE) == 1

    async def test_one_that_does_not_hear_of_a_stay_is_put_before_a_human_too(self, store: Store) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        await deliver(store, order, datetime.now(UTC))
        await decide(store, case, "duty-1", Outcome.STAY)
        assert await store.watch.unreached(datetime.now(UTC) + 2 * MINUTE) == 2

    async def test_after_the_end_the_case_itself_escalates(self, store: Store) -> None:
        case = await open_case(store)
        order = await issue(store, case)
        await decide(store, case, "reviewer-2", Outcome.REVOKE)
        assert await store.notification.undelivered(order)
        assert await store.watch.unreached(datetime.now(UTC) + 60 * MINUTE) == 0


class TestRuns:
    """Open cases, and those that have lost their run."""

    async def test_open_cases_are_named_with_what_a_run_starts_with(self, store: Store) -> None:
        case, closed = await open_case(store), await open_case(store, "other.example.com")
        await seal(store, case)
        await close_case(store, closed)
        [one] = await store.watch.open_cases(datetime.now(UTC))
        assert (one.case, one.stage) == (case, Stage.REVIEW)
        assert (one.target, one.service) == ("y2mate.com", Service.STREAM_RIPPER)
        assert one.due == (await rows(store, CaseRow, CaseRow.id == case))[0].due_at

    async def test_one_that_was_just_opened_may_not_have_been_started_yet(self, store: Store) -> None:
        await open_case(store)
        assert await store.watch.open_cases(datetime.now(UTC) - MINUTE) == []

    async def test_each_lost_run_is_put_before_a_human_once(self, store: Store) -> None:
        case = await open_case(store)
        assert await store.watch.lost(case, "run-1")
        assert await store.watch.lost(case, "run-1"), "it still has none"
        assert await store.watch.lost(case, "run-2")
        assert await escalations(store, "run_lost") == [(case, "run-1"), (case, "run-2")]

    async def test_a_case_that_was_closed_meanwhile_has_lost_nothing(self, store: Store) -> None:
        case = await open_case(store)
        await close_case(store, case)
        assert not await store.watch.lost(case, "run-1")
        assert await escalations(store, "run_lost") == []


async def test_a_round_in_which_nothing_is_new_writes_nothing_into_the_ledger(store: Store) -> None:
    case = await open_case(store, terms=REMINDING)
    await seal(store, case)
    await issue(store, await open_case(store, "other.example.com"))
    moment = datetime.now(UTC) + 60 * MINUTE
    await one_round(store, moment)
    before = len(await rows(store, LedgerRow))
    await one_round(store, moment)
    assert len(await rows(store, LedgerRow)) == before


async def one_round(store: Store, moment: datetime) -> None:
    """What a round asks of the database."""
    for task in await store.watch.missed(moment, await store.watch.begin(moment, EVERY)):
        await store.watch.end(task, moment)
    await store.watch.remind(moment)
    await store.watch.overdue(moment)
    await store.watch.unreached(moment)
    await store.watch.done(moment)


async def row_of(store: Store, order: str) -> OrderRow:
    """The row of an order."""
    [row] = await rows(store, OrderRow, OrderRow.id == order)
    return row
