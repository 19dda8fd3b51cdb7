"""The notices: one for each ISP and thing asked, delivered once, given up never silently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound
from precinto.domain.notification import Acknowledgement, Action, Claim, Delivery, Method, measure_id, notice_id
from precinto.domain.review import Outcome
from precinto.domain.verification import Ruling, Standing
from precinto.store import Store, ledger
from precinto.store.intake import CaseRow
from precinto.store.orders import AcknowledgementRow, NoticeRow, StandingRow
from precinto.store.review import EscalationRow
from tests.store.steps import ISPS, TERMS, decide, deliver, end, issue, measured, open_case

COMPLY, REMIND, ORDER = (TERMS.span(name) for name in ("comply", "remind", "order"))


@pytest.fixture
async def case(store: Store) -> str:
    """A case in evidence."""
    return await open_case(store)


async def stage(store: Store, case: str) -> str:
    """The stage of a case."""
    async with store.database.read() as session:
        return (await session.get_one(CaseRow, case)).stage


async def notice(store: Store, id: str) -> NoticeRow:
    """The row of a notice."""
    async with store.database.read() as session:
        return await session.get_one(NoticeRow, id)


class TestNotices:
    """One notice per order, version, ISP and reminder."""

    async def test_a_delivered_notice_is_not_offered_again(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        (first, second) = await store.notification.undelivered(order)
        await store.notification.delivered(first.notice.id, Delivery(receipt="1"), datetime.now(UTC))
        left = await store.notification.undelivered(order)
        assert [one.notice.id for one in left] == [second.notice.id]
        assert await store.notification.notified(order) == (2, 1, 0)

    async def test_recording_a_delivery_again_keeps_the_first_receipt(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        said = Acknowledgement(measure=measure_id_of(order), claim=Claim.ENFORCED)
        id = notice_id(order, 1, "isp0", 0)
        delivery = Delivery(receipt="first", acknowledgements=(said,))
        await store.notification.delivered(id, delivery, datetime.now(UTC))
        before = await ledger.verify(store.database)
        await store.notification.delivered(id, delivery.model_copy(update={"receipt": "2"}), datetime.now(UTC))
        assert (await notice(store, id)).receipt == "first"
        assert await ledger.verify(store.database) == before
        async with store.database.read() as session:
            assert [row.claim for row in await session.exec(select(AcknowledgementRow))] == ["enforced"]

    async def test_once_every_isp_was_told_the_case_is_under_verification(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        first, second = (notice_id(order, 1, isp, 0) for isp in ISPS)
        await store.notification.delivered(first, Delivery(receipt="1"), datetime.now(UTC))
        assert await stage(store, case) == Stage.NOTIFICATION
        await store.notification.failed(second, "away", final=False)
        assert await stage(store, case) == Stage.NOTIFICATION
        await store.notification.delivered(second, Delivery(receipt="2"), datetime.now(UTC))
        assert await stage(store, case) == Stage.VERIFICATION

    async def test_an_isp_that_cannot_be_reached_is_put_before_a_human(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        first, second = (notice_id(order, 1, isp, 0) for isp in ISPS)
        await store.notification.delivered(first, Delivery(receipt="1"), datetime.now(UTC))
        for _ in range(2):
            await store.notification.failed(second, "no route", final=True)
        assert await store.notification.notified(order) == (2, 1, 1)
        assert await stage(store, case) == Stage.VERIFICATION
        async with store.database.read() as session:
            (row,) = await session.exec(select(EscalationRow))
        assert (row.what, row.subject) == ("notice_undeliverable", f"isp1:{second}")

    async def test_a_block_that_was_not_delivered_in_time_is_void(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        await end(store, case, order, datetime.now(UTC) + ORDER)
        assert {one.notice.action for one in await store.notification.undelivered(order)} == {Action.RELEASE}
        assert (await notice(store, notice_id(order, 1, "isp0", 0))).state == "void"

    async def test_no_block_is_offered_once_the_order_is_over_though_nothing_has_ended_it(
        self, store: Store, case: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The engine was away when the order ended, and the notices are the first that it comes back to."""
        order = await issue(store, case)
        (first, _) = await store.notification.undelivered(order)
        assert await store.notification.is_open(first.notice.id)
        over = datetime.now(UTC) + ORDER
        monkeypatch.setattr("precinto.store.notification.now", lambda: over)
        assert await store.notification.undelivered(order) == []
        assert not await store.notification.is_open(first.notice.id)
        await end(store, case, order, over)
        release, _ = await store.notification.undelivered(order)
        assert release.notice.action is Action.RELEASE
        assert await store.notification.is_open(release.notice.id)

    async def test_what_was_looked_up_is_open_until_it_is_void(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        (first, _) = await store.notification.undelivered(order)
        assert await store.notification.is_open(first.notice.id)
        await decide(store, case, "reviewer-2", Outcome.STAY)
        assert not await store.notification.is_open(first.notice.id)

    async def test_a_block_that_arrives_after_the_end_is_released_again(self, store: Store, case: str) -> None:
        """The block was on its way when the order ended, and the ISP took it after it had taken the release."""
        order = await issue(store, case)
        moment = datetime.now(UTC) + ORDER
        await end(store, case, order, moment)
        await deliver(store, order, moment)
        late = notice_id(order, 1, "isp0", 0)
        await store.notification.delivered(late, Delivery(receipt="late"), moment)
        (again,) = await store.notification.undelivered(order)
        assert (again.notice.isp, again.notice.action, again.notice.reminder) == ("isp0", Action.RELEASE, 1)
        assert again.notice.reminds_of == notice_id(order, 2, "isp0", 0)

    async def test_one_that_arrives_after_the_case_was_closed_is_put_before_a_human(
        self, store: Store, case: str
    ) -> None:
        order = await issue(store, case)
        moment = datetime.now(UTC) + ORDER
        await end(store, case, order, moment)
        await store.verification.close(case, Closure.UNBLOCKED, moment)
        await store.notification.delivered(notice_id(order, 1, "isp0", 0), Delivery(receipt="late"), moment)
        async with store.database.read() as session:
            assert [(row.what, row.subject) for row in await session.exec(select(EscalationRow))] == [
                ("block_after_end", "isp0")
            ]

    async def test_only_what_is_asked_now_waits_for_an_isp(self, store: Store, case: str) -> None:
        """An order that was stayed and resumed while no ISP could be reached: each is told the newest, and no more."""
        order = await issue(store, case)
        moment = datetime.now(UTC)
        await decide(store, case, "duty-1", Outcome.STAY, at=moment)
        assert {one.notice.action for one in await store.notification.undelivered(order)} == {Action.RELEASE}
        await decide(store, case, "reviewer-1", Outcome.RESUME, at=moment)
        waiting = await store.notification.undelivered(order)
        assert [(one.notice.action, one.notice.version) for one in waiting] == [(Action.BLOCK, 3)] * 2

    async def test_a_renewal_goes_out_after_the_block_that_it_renews(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        await decide(store, case, "reviewer-1", Outcome.RENEW)
        waiting = await store.notification.undelivered(order)
        assert [one.notice.version for one in waiting] == [1, 1, 2, 2]
        assert await store.notification.notified(order) == (2, 0, 0)
        await deliver(store, order, datetime.now(UTC))
        assert await store.notification.notified(order) == (2, 2, 0)
        assert await stage(store, case) == Stage.VERIFICATION

    async def test_a_block_that_arrives_after_its_renewal_asks_for_nothing_more(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        await decide(store, case, "reviewer-1", Outcome.RENEW)
        for version in (2, 1):
            for isp in ISPS:
                await store.notification.delivered(
                    notice_id(order, version, isp, 0), Delivery(receipt="ok"), datetime.now(UTC)
                )
        assert await store.notification.undelivered(order) == []

    async def test_there_are_none_of_an_order_that_does_not_exist(self, store: Store) -> None:
        for asked in (store.notification.undelivered, store.notification.notified):
            with pytest.raises(NotFound):
                await asked("no-order")
        with pytest.raises(NotFound):
            await store.notification.delivered("no-notice", Delivery(receipt="ok"), datetime.now(UTC))


def measure_id_of(order: str) -> str:
    """The id of the one measure of a test's order."""
    return measure_id(order, "y2mate.com", Method.DNS)


class TestReminders:
    """An ISP whose measure does not hold is reminded, at most once within the term for reminders."""

    async def lapse(self, store: Store, case: str, isp: str = "isp0") -> tuple[str, datetime]:
        """An order that one ISP got and does not carry out."""
        order = await issue(store, case)
        moment = datetime.now(UTC)
        await deliver(store, order, moment)
        found = moment + COMPLY * 2
        await store.verification.observe([measured(measure_id_of(order), isp, Ruling.NOT_BLOCKED, found)])
        return order, found

    async def test_only_the_isp_that_does_not_hold_is_reminded(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        assert await store.notification.remind(order, found) == 1
        (reminder,) = await store.notification.undelivered(order)
        assert (reminder.notice.isp, reminder.notice.reminder) == ("isp0", 1)

    async def test_not_again_while_the_last_reminder_is_on_its_way(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        await store.notification.remind(order, found)
        assert await store.notification.remind(order, found + REMIND * 9) == 0

    async def test_at_most_one_within_a_term(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        await store.notification.remind(order, found)
        await deliver(store, order, found)
        just_before = found + REMIND - timedelta(microseconds=1)
        assert await store.notification.remind(order, just_before) == 0
        assert await store.notification.remind(order, found + REMIND) == 1
        (second,) = await store.notification.undelivered(order)
        assert second.notice.reminder == 2

    async def test_an_isp_that_holds_again_is_left_alone(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        later = found + COMPLY
        await store.verification.observe([measured(measure_id_of(order), "isp0", Ruling.BLOCKED, later)])
        assert await store.notification.remind(order, later) == 0

    async def test_no_block_is_reminded_after_the_end(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        await end(store, case, order, found + ORDER)
        assert await store.notification.remind(order, found + ORDER + REMIND) == 0
        async with store.database.read() as session:
            standings = await session.exec(select(StandingRow.standing))
        assert set(standings) == {Standing.PENDING}
