"""The gate and the notices: no ISP hears of an order that named humans have not decided on exactly this evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from precinto.contracts import OrderTask
from precinto.domain.case import Stage
from precinto.domain.errors import NotFound, NotVerified
from precinto.domain.evidence import Finding, FindingKind
from precinto.domain.model import digest
from precinto.domain.notification import Acknowledgement, Action, Claim, Delivery, measure_id, notice_id, order_id
from precinto.domain.review import Outcome, decision_id
from precinto.domain.verification import Ruling, Standing
from precinto.store import Store, ledger
from precinto.store.intake import CaseRow
from precinto.store.orders import AcknowledgementRow, NoticeRow, OrderRow, StandingRow
from precinto.store.review import EscalationRow
from tests.fakes import OFFICERS
from tests.store.steps import ISPS, TERMS, deliver, end, file, issue, measured, open_case, order_task, seal

HOLD = (Finding(kind=FindingKind.PROTECTED_NAME, detail="gob.pe", source="test list"),)


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


async def refused_by_the_gate(store: Store, task: OrderTask) -> NotVerified:
    """Ask for an order that the gate must refuse, and see that nothing at all was issued."""
    before = await ledger.verify(store.database)
    with pytest.raises(NotVerified) as refused:
        await store.notification.issue(task, OFFICERS, ISPS)
    async with store.database.read() as session:
        assert (await session.exec(select(OrderRow))).all() == []
        assert (await session.exec(select(NoticeRow))).all() == []
    assert await ledger.verify(store.database) == before
    return refused.value


class TestTheGate:
    """``issue`` believes only what officers filed, whatever a workflow claims."""

    async def test_one_approval_of_this_bundle_issues_the_order(self, store: Store, case: str) -> None:
        order = await issue(store, case, "reviewer-1")
        async with store.database.read() as session:
            row = await session.get_one(OrderRow, order)
        assert row.valid_until == row.valid_from + TERMS.order
        assert await stage(store, case) == Stage.NOTIFICATION
        assert {n.notice.isp for n in await store.notification.undelivered(order, Action.BLOCK)} == set(ISPS)

    async def test_issuing_again_is_the_same_order(self, store: Store, case: str) -> None:
        bundle = await seal(store, case)
        task = order_task(case, bundle, await file(store, case, bundle, "reviewer-1"))
        first = await store.notification.issue(task, OFFICERS, ISPS)
        before = await ledger.verify(store.database)
        assert await store.notification.issue(task, OFFICERS, ISPS) == first
        assert await ledger.verify(store.database) == before

    async def test_not_without_any_decision(self, store: Store, case: str) -> None:
        task = order_task(case, await seal(store, case))
        assert (await refused_by_the_gate(store, task)).code == "approvals_missing"

    async def test_not_on_a_decision_that_nobody_filed(self, store: Store, case: str) -> None:
        """The id is the right one for this officer and bundle, so it can be forged; being on file cannot."""
        bundle = await seal(store, case)
        forged = decision_id(case, bundle, "reviewer-1", Outcome.APPROVE)
        task = order_task(case, bundle).model_copy(update={"decisions": (forged,)})
        refused = await refused_by_the_gate(store, task)
        assert (refused.code, refused.decision) == ("decision_not_on_file", forged)

    async def test_not_on_a_decision_of_another_case(self, store: Store, case: str) -> None:
        other = await open_case(store, "flvto.biz")
        elsewhere = await file(store, other, await seal(store, other), "reviewer-1")
        task = order_task(case, await seal(store, case), elsewhere)
        assert (await refused_by_the_gate(store, task)).code == "decision_not_on_file"

    @pytest.mark.parametrize(("officer", "code"), [("operator-1", "not_a_reviewer"), ("stranger", "unknown_officer")])
    async def test_not_by_an_officer_without_the_role(self, store: Store, case: str, officer: str, code: str) -> None:
        bundle = await seal(store, case)
        filed = await file(store, case, bundle, officer)
        refused = await refused_by_the_gate(store, order_task(case, bundle, filed))
        assert (refused.code, refused.decision) == (code, filed.id)

    async def test_not_by_who_opened_the_case(self, store: Store) -> None:
        case = await open_case(store, opened_by="reviewer-1")
        bundle = await seal(store, case)
        task = order_task(case, bundle, await file(store, case, bundle, "reviewer-1"))
        assert (await refused_by_the_gate(store, task)).code == "referrer_may_not_decide"

    async def test_on_hold_not_on_one_approval(self, store: Store) -> None:
        case = await open_case(store, findings=HOLD)
        bundle = await seal(store, case)
        task = order_task(case, bundle, await file(store, case, bundle, "reviewer-1"))
        assert (await refused_by_the_gate(store, task)).code == "approvals_missing"

    async def test_on_hold_not_on_the_same_officer_twice(self, store: Store) -> None:
        case = await open_case(store, findings=HOLD)
        bundle = await seal(store, case)
        one = await file(store, case, bundle, "reviewer-1")
        assert (await refused_by_the_gate(store, order_task(case, bundle, one, one))).code == "same_officer_twice"

    async def test_on_hold_two_officers_carry_the_order(self, store: Store) -> None:
        case = await open_case(store, findings=HOLD)
        assert await issue(store, case, "reviewer-1", "legal-head")

    @pytest.mark.parametrize("outcome", [Outcome.REJECT, Outcome.RETURN, Outcome.REVOKE])
    async def test_not_on_a_decision_that_does_not_approve(self, store: Store, case: str, outcome: Outcome) -> None:
        bundle = await seal(store, case)
        task = order_task(case, bundle, await file(store, case, bundle, "reviewer-1", outcome))
        assert (await refused_by_the_gate(store, task)).code == "not_an_approval"

    async def test_not_on_an_approval_of_an_earlier_bundle(self, store: Store, case: str) -> None:
        first = await seal(store, case)
        stale = await file(store, case, first, "reviewer-1")
        returned = await file(store, case, first, "reviewer-2", Outcome.RETURN)
        await store.review.conclude(case, returned.id, OFFICERS)
        second = await seal(store, case, round=2)
        assert (await refused_by_the_gate(store, order_task(case, second, stale))).code == "other_bundle"

    async def test_not_under_an_order_number_of_ones_own(self, store: Store, case: str) -> None:
        bundle = await seal(store, case)
        task = order_task(case, bundle, await file(store, case, bundle, "reviewer-1"))
        other = task.model_copy(update={"order": order_id(case, digest(b"another bundle"))})
        assert (await refused_by_the_gate(store, other)).code == "other_order"

    async def test_not_while_the_case_is_not_under_review(self, store: Store, case: str) -> None:
        bundle = await seal(store, case)
        approval = await file(store, case, bundle, "reviewer-1")
        rejection = await file(store, case, bundle, "reviewer-2", Outcome.REJECT)
        await store.review.conclude(case, rejection.id, OFFICERS)
        assert (await refused_by_the_gate(store, order_task(case, bundle, approval))).code == "not_under_review"

    async def test_not_when_the_order_would_be_over_already(self, store: Store, case: str) -> None:
        """After a long outage: nobody is told to block under an order whose end has passed."""
        bundle = await seal(store, case)
        approval = await file(store, case, bundle, "reviewer-1")
        late = order_task(case, bundle, approval, valid_from=datetime.now(UTC) - TERMS.order)
        refused = await refused_by_the_gate(store, late)
        assert (refused.code, refused.decision) == ("order_over", None)

    async def test_not_in_a_case_that_does_not_exist(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.notification.issue(order_task("nobody-1", digest(b"x")), OFFICERS, ISPS)

    async def test_another_case_cannot_ride_on_an_order(self, store: Store, case: str) -> None:
        """The order's id is known to anyone who saw a notice; naming it in another case must not pass."""
        order = await issue(store, case, "reviewer-1")
        other = await open_case(store, "flvto.biz")
        task = order_task(other, await seal(store, other)).model_copy(update={"order": order})
        with pytest.raises(NotVerified) as refused:
            await store.notification.issue(task, OFFICERS, ISPS)
        assert refused.value.code == "other_order"

    async def test_orders_are_numbered_by_year(self, store: Store) -> None:
        numbers: list[str] = []
        for n in range(3):
            order = await issue(store, await open_case(store, f"site{n}.example.com"))
            async with store.database.read() as session:
                numbers.append((await session.get_one(OrderRow, order)).number)
        year = datetime.now(UTC).year
        assert numbers == [f"{year}-000001", f"{year}-000002", f"{year}-000003"]


class TestNotices:
    """One notice per order, ISP, action and reminder; delivered once, given up never silently."""

    async def test_a_delivered_notice_is_not_offered_again(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        (first, second) = await store.notification.undelivered(order, Action.BLOCK)
        await store.notification.delivered(first.notice.id, Delivery(receipt="1"), datetime.now(UTC))
        left = await store.notification.undelivered(order, Action.BLOCK)
        assert [one.notice.id for one in left] == [second.notice.id]
        assert await store.notification.notified(order) == (2, 1, 0)

    async def test_recording_a_delivery_again_keeps_the_first_receipt(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        said = Acknowledgement(measure=measure_id_of(order), claim=Claim.ENFORCED)
        id = notice_id(order, "isp0", Action.BLOCK, 0)
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
        first, second = (notice_id(order, isp, Action.BLOCK, 0) for isp in ISPS)
        await store.notification.delivered(first, Delivery(receipt="1"), datetime.now(UTC))
        assert await stage(store, case) == Stage.NOTIFICATION
        await store.notification.failed(second, "away", final=False)
        assert await stage(store, case) == Stage.NOTIFICATION
        await store.notification.delivered(second, Delivery(receipt="2"), datetime.now(UTC))
        assert await stage(store, case) == Stage.VERIFICATION

    async def test_an_isp_that_cannot_be_reached_is_put_before_a_human(self, store: Store, case: str) -> None:
        order = await issue(store, case)
        first, second = (notice_id(order, isp, Action.BLOCK, 0) for isp in ISPS)
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
        await end(store, case, order, datetime.now(UTC))
        assert await store.notification.undelivered(order, Action.BLOCK) == ()
        assert (await notice(store, notice_id(order, "isp0", Action.BLOCK, 0))).state == "void"

    async def test_a_block_that_arrives_after_the_end_is_released_again(self, store: Store, case: str) -> None:
        """The block was on its way when the order ended, and the ISP took it after it had taken the release."""
        order = await issue(store, case)
        moment = datetime.now(UTC)
        await end(store, case, order, moment)
        await deliver(store, order, Action.RELEASE, moment)
        late = notice_id(order, "isp0", Action.BLOCK, 0)
        await store.notification.delivered(late, Delivery(receipt="late"), moment)
        (again,) = await store.notification.undelivered(order, Action.RELEASE)
        assert (again.notice.isp, again.notice.reminder) == ("isp0", 1)


def measure_id_of(order: str) -> str:
    """The id of the one measure of a test's order."""
    from precinto.domain.notification import Method

    return measure_id(order, "y2mate.com", Method.DNS)


class TestReminders:
    """An ISP whose measure does not hold is reminded, at most once within the term for reminders."""

    async def lapse(self, store: Store, case: str, isp: str = "isp0") -> tuple[str, datetime]:
        """An order that one ISP got and does not carry out."""
        order = await issue(store, case)
        moment = datetime.now(UTC)
        await deliver(store, order, Action.BLOCK, moment)
        found = moment + TERMS.comply * 2
        await store.verification.observe([measured(measure_id_of(order), isp, Ruling.NOT_BLOCKED, found)])
        return order, found

    async def test_only_the_isp_that_does_not_hold_is_reminded(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        assert await store.notification.remind(order, Standing.LAPSED, found) == 1
        (reminder,) = await store.notification.undelivered(order, Action.BLOCK)
        assert (reminder.notice.isp, reminder.notice.reminder) == ("isp0", 1)

    async def test_not_again_while_the_last_reminder_is_on_its_way(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        await store.notification.remind(order, Standing.LAPSED, found)
        assert await store.notification.remind(order, Standing.LAPSED, found + TERMS.remind * 9) == 0

    async def test_at_most_one_within_a_term(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        await store.notification.remind(order, Standing.LAPSED, found)
        await deliver(store, order, Action.BLOCK, found)
        just_before = found + TERMS.remind - timedelta(microseconds=1)
        assert await store.notification.remind(order, Standing.LAPSED, just_before) == 0
        assert await store.notification.remind(order, Standing.LAPSED, found + TERMS.remind) == 1
        (second,) = await store.notification.undelivered(order, Action.BLOCK)
        assert second.notice.reminder == 2

    async def test_an_isp_that_holds_again_is_left_alone(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        later = found + TERMS.comply
        await store.verification.observe([measured(measure_id_of(order), "isp0", Ruling.BLOCKED, later)])
        assert await store.notification.remind(order, Standing.LAPSED, later) == 0

    async def test_no_block_is_reminded_after_the_end(self, store: Store, case: str) -> None:
        order, found = await self.lapse(store, case)
        await end(store, case, order, found)
        assert await store.notification.remind(order, Standing.LAPSED, found + TERMS.remind) == 0
        async with store.database.read() as session:
            standings = await session.exec(select(StandingRow.standing))
        assert set(standings) == {Standing.PENDING}
