"""Measurements in the store: what moves a standing, what does not, and how an order ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import func, select

from precinto.domain.case import Closure, Stage
from precinto.domain.errors import IllegalTransition, NotFound
from precinto.domain.intake import TargetKind
from precinto.domain.notification import Delivery, Method, measure_id
from precinto.domain.review import Outcome
from precinto.domain.verification import Facts, Ruling, Standing, judge
from precinto.store import Store, ledger
from precinto.store.intake import CaseRow
from precinto.store.orders import OrderRow, StandingRow
from precinto.store.review import EscalationRow
from precinto.store.verification import ObservationRow
from tests.store.steps import ISPS, TERMS, decide, deliver, end, issue, measured, open_case

COMPLY, REMIND, ORDER, RELEASE = (TERMS.span(name) for name in ("comply", "remind", "order", "release"))

NOW = datetime.now(UTC).replace(microsecond=0)
OVERDUE = NOW + COMPLY

OVER = NOW + ORDER
"""The end of an order that was issued at ``NOW``; an ISP that was told of it then is overdue at ``TOO_LATE``."""

TOO_LATE = OVER + COMPLY


@pytest.fixture
async def case(store: Store) -> str:
    """A case in evidence."""
    return await open_case(store)


@pytest.fixture
async def order(store: Store, case: str) -> str:
    """Its order, delivered to every ISP at ``NOW``."""
    issued = await issue(store, case, valid_from=NOW)
    await deliver(store, issued, NOW)
    return issued


@pytest.fixture
def measure(order: str) -> str:
    """The order's one measure."""
    return measure_id(order, "y2mate.com", Method.DNS)


async def standing(store: Store, measure: str, isp: str = "isp0") -> str:
    """Where the measure stands at an ISP."""
    async with store.database.read() as session:
        return (await session.get_one(StandingRow, (measure, isp))).standing


class TestObserve:
    """A round of measurement is kept, and moves a standing where it proves something."""

    async def test_blocked_is_compliant(self, store: Store, measure: str) -> None:
        assert await store.verification.observe([measured(measure, "isp0", Ruling.BLOCKED, NOW)]) == {}
        assert await standing(store, measure) == Standing.COMPLIANT
        assert await standing(store, measure, "isp1") == Standing.PENDING

    async def test_open_is_a_lapse_only_after_the_term_to_comply(self, store: Store, case: str, measure: str) -> None:
        early = OVERDUE - timedelta(microseconds=1)
        assert await store.verification.observe([measured(measure, "isp0", Ruling.NOT_BLOCKED, early)]) == {}
        assert await standing(store, measure) == Standing.PENDING
        assert await store.verification.observe([measured(measure, "isp0", Ruling.NOT_BLOCKED, OVERDUE)]) == {case: 1}
        assert await standing(store, measure) == Standing.LAPSED

    async def test_a_lapse_is_told_once_a_term(self, store: Store, case: str, measure: str) -> None:
        async def told(at: datetime) -> dict[str, int]:
            return await store.verification.observe([measured(measure, "isp0", Ruling.NOT_BLOCKED, at)])

        assert await told(OVERDUE) == {case: 1}
        assert await told(OVERDUE + REMIND / 2) == {}
        assert await told(OVERDUE + REMIND) == {case: 1}

    async def test_a_new_lapse_after_compliance_is_told_at_once(self, store: Store, case: str, measure: str) -> None:
        tick = REMIND / 10
        for n, (ruling, told) in enumerate(
            [(Ruling.NOT_BLOCKED, {case: 1}), (Ruling.BLOCKED, {}), (Ruling.NOT_BLOCKED, {case: 1})]
        ):
            assert await store.verification.observe([measured(measure, "isp0", ruling, OVERDUE + n * tick)]) == told

    @pytest.mark.parametrize("ruling", [Ruling.VANTAGE_FAULT, Ruling.INCONCLUSIVE, Ruling.SITE_DOWN])
    async def test_a_round_that_proves_nothing_moves_nothing(self, store: Store, measure: str, ruling: Ruling) -> None:
        await store.verification.observe([measured(measure, "isp0", Ruling.BLOCKED, NOW)])
        assert await store.verification.observe([measured(measure, "isp0", ruling, OVERDUE)]) == {}
        assert await standing(store, measure) == Standing.COMPLIANT

    async def test_an_older_round_does_not_undo_a_newer_one(self, store: Store, measure: str) -> None:
        """Two sweeps can overlap; what is recorded last need not have been measured last."""
        later = OVERDUE + COMPLY
        await store.verification.observe([measured(measure, "isp0", Ruling.BLOCKED, later)])
        await store.verification.observe([measured(measure, "isp0", Ruling.NOT_BLOCKED, OVERDUE)])
        assert await standing(store, measure) == Standing.COMPLIANT

    async def test_the_same_round_again_is_kept_once(self, store: Store, measure: str) -> None:
        one = measured(measure, "isp0", Ruling.BLOCKED, NOW)
        for _ in range(2):
            await store.verification.observe([one])
        async with store.database.read() as session:
            assert (await session.exec(select(func.count()).select_from(ObservationRow))).one() == 1

    async def test_anyone_can_recompute_the_verdict_from_what_is_kept(self, store: Store, measure: str) -> None:
        one = measured(measure, "isp0", Ruling.NOT_BLOCKED, NOW)
        one = one.model_copy(update={"verdict": judge(one.facts)})
        await store.verification.observe([one])
        async with store.database.read() as session:
            (row,) = await session.exec(select(ObservationRow))
        again = judge(Facts.model_validate(json.loads(row.facts)))
        assert (again.ruling, again.rule, again.rules) == (row.ruling, row.rule, row.rules)

    async def test_nothing_measured_writes_nothing(self, store: Store, order: str) -> None:
        before = await ledger.verify(store.database)
        assert await store.verification.observe([]) == {}
        assert await ledger.verify(store.database) == before


class TestDue:
    """What a vantage has to measure."""

    async def test_measures_at_this_isp_in_pages(self, store: Store, measure: str) -> None:
        assert [due.measure for due in await store.verification.due("isp0", "", 10)] == [measure]
        assert await store.verification.due("isp0", measure, 10) == []
        assert await store.verification.due("nobody", "", 10) == []

    async def test_not_before_the_isp_has_the_order(self, store: Store, case: str) -> None:
        await issue(store, case)
        assert await store.verification.due("isp0", "", 10) == []

    async def test_not_once_it_was_measured_open_after_the_end(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        await end(store, case, order, OVER)
        await store.verification.observe([measured(measure, "isp0", Ruling.NOT_BLOCKED, TOO_LATE)])
        assert await store.verification.due("isp0", "", 10) == []
        assert len(await store.verification.due("isp1", "", 10)) == 1

    async def test_after_the_end_also_at_an_isp_that_never_confirmed(self, store: Store, case: str) -> None:
        """It may have blocked all the same, and that it did not must be measured like everything else."""
        order = await issue(store, case, valid_from=NOW)
        await end(store, case, order, OVER)
        assert len(await store.verification.due("isp0", "", 10)) == 1

    async def test_while_it_is_stayed_too_and_again_once_it_is_resumed(
        self, store: Store, case: str, measure: str
    ) -> None:
        """Also at an ISP that never confirmed the block; one that was measured open is left alone until it is asked
        to block again."""
        await decide(store, case, "duty-1", Outcome.STAY, at=NOW)
        assert len(await store.verification.due("isp0", "", 10)) == 1
        await store.verification.observe([measured(measure, "isp0", Ruling.NOT_BLOCKED, OVERDUE)])
        assert await store.verification.due("isp0", "", 10) == []
        await decide(store, case, "reviewer-1", Outcome.RESUME, at=OVERDUE)
        assert len(await store.verification.due("isp0", "", 10)) == 1

    async def test_not_in_a_closed_case(self, store: Store, case: str, order: str) -> None:
        await end(store, case, order, OVER)
        await store.verification.close(case, Closure.ESCALATED, OVER)
        assert await store.verification.due("isp0", "", 10) == []


class TestEnd:
    """From the end of the order on, the block must be gone; only a measurement says that it is."""

    async def test_the_end_asks_every_isp_to_release(self, store: Store, case: str, order: str) -> None:
        await end(store, case, order, OVER)
        notices = await store.notification.undelivered(order)
        assert {one.notice.isp for one in notices} == set(ISPS)
        async with store.database.read() as session:
            assert (await session.get_one(CaseRow, case)).stage == Stage.UNBLOCKING
            row = await session.get_one(OrderRow, order)
        assert (row.ended_at, row.end_reason, row.version, row.asked_at) == (OVER, "expired", 2, OVER)

    async def test_not_before_its_time(self, store: Store, case: str, order: str) -> None:
        before = await ledger.verify(store.database)
        early = await end(store, case, order, OVER - timedelta(microseconds=1))
        assert (early.ended, early.ends_at, early.release_until) == (False, OVER, None)
        assert early.recheck == TERMS.span("recheck")
        assert await ledger.verify(store.database) == before

    async def test_when_it_was_over_is_its_date_and_not_the_moment_of_the_waking(
        self, store: Store, case: str, order: str
    ) -> None:
        assert (await end(store, case, order, OVER + timedelta(days=9))).ends_at == OVER

    async def test_ending_again_is_the_same(self, store: Store, case: str, order: str) -> None:
        await end(store, case, order, OVER)
        before = await ledger.verify(store.database)
        await end(store, case, order, OVER + timedelta(hours=1))
        assert await ledger.verify(store.database) == before

    async def test_a_measurement_from_before_the_end_is_no_release(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        """A sweep that began before the end and found the site open says nothing about the unblock."""
        await end(store, case, order, OVER)
        await store.verification.observe([measured(measure, "isp0", Ruling.NOT_BLOCKED, OVER)])
        assert await standing(store, measure) == Standing.PENDING
        await store.verification.observe(
            [measured(measure, "isp0", Ruling.NOT_BLOCKED, OVER + timedelta(microseconds=1))]
        )
        assert await standing(store, measure) == Standing.RELEASED
        assert await store.verification.release(order) == {Standing.RELEASED: 1, Standing.PENDING: 1}

    async def test_compliance_before_the_end_is_no_release(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        await store.verification.observe([measured(measure, isp, Ruling.BLOCKED, NOW) for isp in ISPS])
        await end(store, case, order, OVER)
        assert await store.verification.release(order) == {Standing.PENDING: 2}

    async def test_an_isp_that_keeps_blocking_overstays_after_its_term(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        await end(store, case, order, OVER)
        await deliver(store, order, OVER)
        await store.verification.observe(
            [measured(measure, "isp0", Ruling.BLOCKED, TOO_LATE - timedelta(microseconds=1))]
        )
        assert await standing(store, measure) == Standing.PENDING
        await store.verification.observe([measured(measure, "isp0", Ruling.BLOCKED, TOO_LATE)])
        assert await standing(store, measure) == Standing.OVERSTAYING
        assert await store.notification.remind(order, TOO_LATE) == 1

    async def test_one_that_was_revoked_goes_on_as_it_was_ended(self, store: Store, case: str, order: str) -> None:
        """The gate has ended it; the waking finds it so, and sees it measured."""
        await decide(store, case, "duty-1", Outcome.REVOKE, at=OVERDUE)
        before = await ledger.verify(store.database)
        ending = await end(store, case, order, OVERDUE)
        assert (ending.ended, ending.ends_at) == (True, OVERDUE)
        assert await ledger.verify(store.database) == before

    async def test_an_outage_of_the_engine_does_not_run_against_the_isps(
        self, store: Store, case: str, order: str
    ) -> None:
        """The engine was down when the order ended: the ISPs have their whole term from when they can be told."""
        async with store.database.write() as session:
            row = await session.get_one(OrderRow, order)
            row.valid_until = NOW - 10 * RELEASE
            session.add(row)
        before = datetime.now(UTC)
        ending = await end(store, case, order, NOW)
        assert ending.release_until is not None
        assert ending.release_until >= before + RELEASE
        assert await end(store, case, order, NOW) == ending

    async def test_a_name_that_another_order_blocks_too_stays_blocked_and_nobody_is_blamed(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        """Two cases, one about the domain and one about an address in it: one name at the resolvers."""
        other_case = await open_case(store, "https://y2mate.com/en", kind=TargetKind.URL)
        other = await issue(store, other_case, valid_from=NOW)
        await end(store, case, order, OVER)
        assert await standing(store, measure) == Standing.CARRIED_ON
        [notice] = [n.notice for n in await store.notification.undelivered(order)][:1]
        assert [item.also_under for item in notice.items] == [f"{NOW.year}-000002"]
        assert await store.verification.release(order) == {Standing.CARRIED_ON: 2}
        # The last order takes the block with it.
        await end(store, other_case, other, OVER)
        [notice] = [n.notice for n in await store.notification.undelivered(other)][:1]
        assert [item.also_under for item in notice.items] == [None]
        assert await store.verification.release(other) == {Standing.PENDING: 2}

    async def test_an_order_that_comes_while_the_unblock_is_awaited_carries_the_block_on(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        await end(store, case, order, OVER)
        assert await standing(store, measure) == Standing.PENDING
        await issue(store, await open_case(store, "https://y2mate.com/en", kind=TargetKind.URL), valid_from=NOW)
        await end(store, case, order, OVER)
        assert await standing(store, measure) == Standing.CARRIED_ON

    async def test_an_order_that_is_stayed_carries_no_block_on(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        other_case = await open_case(store, "https://y2mate.com/en", kind=TargetKind.URL)
        await issue(store, other_case, valid_from=NOW)
        await decide(store, other_case, "duty-1", Outcome.STAY, at=NOW)
        await end(store, case, order, OVER)
        assert await standing(store, measure) == Standing.PENDING

    async def test_a_stay_lifts_nothing_that_another_order_blocks_too(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        """The ISPs are told under which order the name stays blocked, and nobody is blamed; once it is resumed, the
        block is theirs to keep again."""
        await issue(store, await open_case(store, "https://y2mate.com/en", kind=TargetKind.URL), valid_from=NOW)
        await decide(store, case, "duty-1", Outcome.STAY, at=NOW)
        assert await standing(store, measure) == Standing.CARRIED_ON
        notices = await store.notification.undelivered(order)
        assert [item.also_under for one in notices for item in one.notice.items] == [f"{NOW.year}-000002"] * 2
        await decide(store, case, "reviewer-1", Outcome.RESUME, at=NOW)
        assert await standing(store, measure) == Standing.PENDING
        notices = await store.notification.undelivered(order)
        assert [item.also_under for one in notices for item in one.notice.items] == [None] * 2

    async def test_an_order_of_another_case_cannot_be_ended(self, store: Store, order: str) -> None:
        other = await open_case(store, "flvto.biz")
        with pytest.raises(NotFound):
            await end(store, other, order, OVER)

    async def test_there_is_no_end_without_an_order(self, store: Store, case: str) -> None:
        with pytest.raises(NotFound):
            await end(store, case, "no-order", NOW)


class TestClose:
    """A case closes once, and an escalated one says which ISPs still block."""

    async def test_measured_open_everywhere(self, store: Store, case: str, order: str) -> None:
        await end(store, case, order, OVER)
        await store.verification.close(case, Closure.UNBLOCKED, OVER)
        before = await ledger.verify(store.database)
        await store.verification.close(case, Closure.ESCALATED, OVER)
        assert await ledger.verify(store.database) == before
        async with store.database.read() as session:
            row = await session.get_one(CaseRow, case)
        assert (row.stage, row.closure, row.closed_at, row.due_at) == (Stage.CLOSED, Closure.UNBLOCKED, OVER, None)

    async def test_an_escalated_closure_names_the_isps(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        await end(store, case, order, OVER)
        await deliver(store, order, OVER)
        await store.verification.observe([measured(measure, "isp1", Ruling.NOT_BLOCKED, TOO_LATE)])
        await store.verification.close(case, Closure.ESCALATED, TOO_LATE)
        async with store.database.read() as session:
            rows = list(await session.exec(select(EscalationRow)))
        assert [(row.what, row.subject) for row in rows] == [("block_not_lifted", "isp0")]

    async def test_also_those_that_could_not_be_told_though_measured_open(
        self, store: Store, case: str, order: str, measure: str
    ) -> None:
        await end(store, case, order, OVER)
        open_at_all = [measured(measure, isp, Ruling.NOT_BLOCKED, TOO_LATE) for isp in ISPS]
        await store.verification.observe(open_at_all)
        (first, _) = await store.notification.undelivered(order)
        await store.notification.delivered(first.notice.id, Delivery(receipt="ok"), TOO_LATE)
        await store.verification.close(case, Closure.ESCALATED, TOO_LATE)
        async with store.database.read() as session:
            assert [row.subject for row in await session.exec(select(EscalationRow))] == ["isp1"]

    async def test_not_while_the_order_is_in_force(self, store: Store, case: str, order: str) -> None:
        with pytest.raises(IllegalTransition):
            await store.verification.close(case, Closure.UNBLOCKED, OVER)
