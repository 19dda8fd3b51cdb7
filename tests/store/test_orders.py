"""Orders in force: revoked, stayed, resumed, renewed, lapsed. Each asks the ISPs something, and every order ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select, update

from precinto.contracts import Place
from precinto.domain.case import Stage
from precinto.domain.evidence import Finding, FindingKind
from precinto.domain.notification import Action, Delivery, Method, measure_id, notice_id
from precinto.domain.review import Outcome
from precinto.domain.verification import Ruling, Standing
from precinto.store import Store, ledger
from precinto.store.intake import CaseRow
from precinto.store.orders import NoticeRow, OrderRow, StandingRow
from precinto.store.review import DecisionRow
from tests.authority import terms
from tests.store.steps import ISPS, TERMS, admit, decide, deliver, end, file, issue, measured, open_case, refusal, tell

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
HOUR = TERMS.span("order")
RENEWAL = TERMS.span("renewal")
HOLD = (Finding(kind=FindingKind.PROTECTED_NAME, detail="gob.pe", source="test list"),)


@pytest.fixture
async def case(store: Store) -> str:
    """A case in evidence."""
    return await open_case(store)


@pytest.fixture
async def order(store: Store, case: str) -> str:
    """Its order, from ``NOW`` for an hour, delivered to every ISP at ``NOW``."""
    issued = await issue(store, case, valid_from=NOW)
    await deliver(store, issued, NOW)
    return issued


async def row_of(store: Store, order: str) -> OrderRow:
    """The row of an order."""
    async with store.database.read() as session:
        return await session.get_one(OrderRow, order)


async def notices(store: Store, order: str) -> list[tuple[int, str, int, str, str]]:
    """Every notice of an order as ``(version, action, reminder, isp, state)``, sorted."""
    async with store.database.read() as session:
        rows = await session.exec(select(NoticeRow).where(NoticeRow.order == order))
        return sorted((row.version, row.action, row.reminder, row.isp, row.state) for row in rows)


async def standings(store: Store, order: str) -> dict[str, str]:
    """Where the order's one measure stands at each ISP."""
    async with store.database.read() as session:
        rows = select(StandingRow).where(StandingRow.measure == measure_id(order, "y2mate.com", Method.DNS))
        return {row.isp: row.standing for row in await session.exec(rows)}


async def look(store: Store, order: str, isp: str, ruling: Ruling, at: datetime) -> dict[str, int]:
    """Measure the order's one measure at an ISP."""
    return await store.verification.observe([measured(measure_id(order, "y2mate.com", Method.DNS), isp, ruling, at)])


async def written(store: Store, action: str) -> list[ledger.LedgerRow]:
    """The ledger's rows of one kind."""
    async with store.database.read() as session:
        rows = select(ledger.LedgerRow).where(ledger.LedgerRow.action == action)
        return list(await session.exec(rows.order_by(col(ledger.LedgerRow.seq))))


class TestRevocation:
    """One officer on duty ends an order before its time."""

    @pytest.mark.parametrize("officer", ["duty-1", "reviewer-1", "legal-head"])
    async def test_it_ends_and_every_isp_is_asked_to_release(
        self, store: Store, case: str, order: str, officer: str
    ) -> None:
        assert (await decide(store, case, officer, Outcome.REVOKE, at=NOW + MINUTE)).code is None
        row = await row_of(store, order)
        assert (row.ended_at, row.end_reason) == (NOW + MINUTE, "revoked")
        assert (row.version, row.asked_version, row.asked_at) == (2, 2, NOW + MINUTE)
        assert [n[:3] for n in await notices(store, order) if n[4] == "queued"] == [(2, "release", 0)] * 2
        place = await store.gate.place(case)
        assert (place.stage, place.version, place.over) == (Stage.UNBLOCKING, 2, True)
        (body,) = await written(store, "order_ended")
        assert body.actor == officer
        assert '"reason":"revoked"' in body.body

    async def test_told_again_it_is_the_same(self, store: Store, case: str, order: str) -> None:
        bundle = (await row_of(store, order)).bundle
        revocation = await file(store, case, bundle, "duty-1", Outcome.REVOKE)
        await admit(store, case, revocation, at=NOW + MINUTE)
        before = await ledger.verify(store.database)
        assert (await admit(store, case, revocation, at=NOW + 2 * MINUTE)).code is None
        assert await ledger.verify(store.database) == before

    @pytest.mark.parametrize("outcome", [Outcome.REVOKE, Outcome.STAY, Outcome.RENEW])
    async def test_after_the_end_nothing_is_decided_on_it(
        self, store: Store, case: str, order: str, outcome: Outcome
    ) -> None:
        """Filed before the end, told after it."""
        late = await file(store, case, (await row_of(store, order)).bundle, "reviewer-2", outcome)
        await end(store, case, order, NOW + HOUR)
        before = await row_of(store, order)
        assert (await admit(store, case, late)).code == "not_in_force"
        assert await row_of(store, order) == before

    async def test_it_cannot_end_later_than_its_date(self, store: Store, case: str, order: str) -> None:
        """The engine was away at the end; whoever revokes it then finds it over, and the file says when it was."""
        assert (await decide(store, case, "duty-1", Outcome.REVOKE, at=NOW + 2 * HOUR)).code is None
        row = await row_of(store, order)
        assert (row.ended_at, row.end_reason) == (NOW + HOUR, "expired")

    async def test_an_isp_that_was_not_told_yet_gets_the_release_all_the_same(self, store: Store, case: str) -> None:
        """A block that did not arrive, as far as we know, may still have been acted upon."""
        order = await issue(store, case, valid_from=NOW)
        await decide(store, case, "duty-1", Outcome.REVOKE, at=NOW + MINUTE)
        assert await notices(store, order) == [
            (1, "block", 0, "isp0", "void"),
            (1, "block", 0, "isp1", "void"),
            (2, "release", 0, "isp0", "queued"),
            (2, "release", 0, "isp1", "queued"),
        ]


class TestStay:
    """A stay lifts the block at once; it may come back, for what is left of the order."""

    async def stay(self, store: Store, case: str, at: datetime = NOW + MINUTE) -> None:
        """Stay the order of a case."""
        assert (await decide(store, case, "duty-1", Outcome.STAY, at=at)).code is None

    async def test_every_isp_is_asked_to_release_and_the_end_stays_where_it_was(
        self, store: Store, case: str, order: str
    ) -> None:
        await look(store, order, "isp0", Ruling.BLOCKED, NOW)
        await self.stay(store, case)
        row = await row_of(store, order)
        assert (row.stayed_at, row.ended_at, row.valid_until) == (NOW + MINUTE, None, NOW + HOUR)
        assert (row.version, row.asked_version, row.asked_at, row.asks) == (2, 2, NOW + MINUTE, Action.RELEASE)
        assert (await notices(store, order))[2:] == [(2, "release", 0, isp, "queued") for isp in ISPS]
        assert await standings(store, order) == dict.fromkeys(ISPS, "pending")
        place = await store.gate.place(case)
        assert (place.stage, place.version, place.over, place.due) == (Stage.STAYED, 2, False, NOW + HOUR)
        assert [line.actor for line in await written(store, "order_stayed")] == ["duty-1"]

    async def test_also_while_isps_still_wait_for_the_block(self, store: Store, case: str) -> None:
        order = await issue(store, case, valid_from=NOW)
        await self.stay(store, case)
        assert {n[4] for n in await notices(store, order) if n[0] == 1} == {"void"}
        await deliver(store, order, NOW + MINUTE)
        assert (await store.gate.place(case)).stage is Stage.STAYED

    async def test_what_is_stayed_is_not_stayed_again(self, store: Store, case: str, order: str) -> None:
        bundle = (await row_of(store, order)).bundle
        both = [await file(store, case, bundle, who, Outcome.STAY) for who in ("duty-1", "reviewer-1")]
        each = await tell(store, case, *(one.id for one in both), at=NOW + MINUTE)
        assert [one.code for one in each] == [None, "stayed"]
        assert (await row_of(store, order)).version == 2

    async def test_a_site_that_is_still_blocked_overstays_and_the_isp_is_reminded(
        self, store: Store, case: str, order: str
    ) -> None:
        await self.stay(store, case)
        await deliver(store, order, NOW + MINUTE)
        overdue = NOW + 2 * MINUTE
        assert await look(store, order, "isp0", Ruling.BLOCKED, overdue) == {}
        await look(store, order, "isp1", Ruling.NOT_BLOCKED, overdue)
        assert await standings(store, order) == {"isp0": "overstaying", "isp1": "released"}
        assert await store.notification.remind(order, overdue) == 1
        assert (await notices(store, order))[-1] == (2, "release", 1, "isp0", "queued")

    async def test_what_was_measured_before_it_says_nothing_about_the_lifting(
        self, store: Store, case: str, order: str
    ) -> None:
        await self.stay(store, case)
        await look(store, order, "isp0", Ruling.NOT_BLOCKED, NOW + MINUTE)
        assert (await standings(store, order))["isp0"] == "pending"
        await look(store, order, "isp0", Ruling.NOT_BLOCKED, NOW + MINUTE + timedelta(microseconds=1))
        assert (await standings(store, order))["isp0"] == "released"

    async def test_its_end_brings_the_block_back_for_what_is_left(self, store: Store, case: str, order: str) -> None:
        await self.stay(store, case)
        await deliver(store, order, NOW + MINUTE)
        resumed = NOW + 10 * MINUTE
        assert (await decide(store, case, "reviewer-2", Outcome.RESUME, at=resumed)).code is None
        row = await row_of(store, order)
        assert (row.stayed_at, row.valid_until, row.asks) == (None, NOW + HOUR, Action.BLOCK)
        assert (row.version, row.asked_version, row.asked_at) == (3, 3, resumed)
        assert [n[3:] for n in await notices(store, order) if n[:3] == (3, "block", 0)] == [
            (isp, "queued") for isp in ISPS
        ]
        assert (await store.gate.place(case)).stage is Stage.NOTIFICATION
        await deliver(store, order, resumed)
        assert (await store.gate.place(case)).stage is Stage.VERIFICATION

    async def test_after_it_an_isp_has_its_whole_term_again(self, store: Store, case: str, order: str) -> None:
        await self.stay(store, case)
        await decide(store, case, "reviewer-2", Outcome.RESUME, at=NOW + 10 * MINUTE)
        await deliver(store, order, NOW + 10 * MINUTE)
        assert await look(store, order, "isp0", Ruling.NOT_BLOCKED, NOW + 10.9 * MINUTE) == {}
        assert await look(store, order, "isp0", Ruling.NOT_BLOCKED, NOW + 11 * MINUTE) == {case: 1}

    @pytest.mark.parametrize("officer", ["duty-1", "operator-1"])
    async def test_not_everybody_who_may_stay_may_resume(
        self, store: Store, case: str, order: str, officer: str
    ) -> None:
        await self.stay(store, case)
        bundle = (await row_of(store, order)).bundle
        assert await refusal(file(store, case, bundle, officer, Outcome.RESUME)) == "not_entitled"

    async def test_what_is_over_is_not_resumed(self, store: Store, case: str, order: str) -> None:
        """The engine may not have got round to ending it; no block comes back after the order's date."""
        await self.stay(store, case)
        assert (await decide(store, case, "reviewer-2", Outcome.RESUME, at=NOW + HOUR)).code == "not_in_force"
        assert (await row_of(store, order)).stayed_at == NOW + MINUTE

    async def test_a_stayed_order_ends_at_its_date_as_any_other(self, store: Store, case: str, order: str) -> None:
        await self.stay(store, case)
        await deliver(store, order, NOW + MINUTE)
        assert not (await end(store, case, order, NOW + HOUR - timedelta(microseconds=1))).ended
        assert (await end(store, case, order, NOW + HOUR)).ended
        row = await row_of(store, order)
        assert (row.ended_at, row.end_reason, row.version) == (NOW + HOUR, "expired", 3)
        assert (await store.gate.place(case)).stage is Stage.UNBLOCKING

    async def test_a_stayed_order_can_be_revoked(self, store: Store, case: str, order: str) -> None:
        await self.stay(store, case)
        assert (await decide(store, case, "duty-1", Outcome.REVOKE, at=NOW + 2 * MINUTE)).code is None
        assert (await row_of(store, order)).end_reason == "revoked"

    async def test_a_notice_that_arrives_late_is_put_right(self, store: Store, case: str) -> None:
        """The block was on its way when the order was stayed, and the ISP took it after the release."""
        order = await issue(store, case, valid_from=NOW)
        await self.stay(store, case)
        await deliver(store, order, NOW + MINUTE)
        await store.notification.delivered(notice_id(order, 1, "isp0", 0), Delivery(receipt="late"), NOW + MINUTE)
        (again,) = await store.notification.undelivered(order)
        assert (again.notice.isp, again.notice.action, again.notice.version, again.notice.reminder) == (
            "isp0", Action.RELEASE, 2, 1,
        )  # fmt: skip
        assert (await standings(store, order))["isp0"] == "pending"


class TestRenewal:
    """An order in force is lengthened by another human decision, before its end."""

    async def test_it_lengthens_from_its_date_on_and_asks_the_same(self, store: Store, case: str, order: str) -> None:
        await look(store, order, "isp0", Ruling.BLOCKED, NOW)
        assert (await decide(store, case, "reviewer-1", Outcome.RENEW, at=NOW + MINUTE)).code is None
        row = await row_of(store, order)
        assert (row.valid_until, row.renewals) == (NOW + HOUR + RENEWAL, 1)
        assert (row.version, row.asked_version, row.asked_at) == (2, 1, NOW)
        assert (await notices(store, order))[2:] == [(2, "block", 0, isp, "queued") for isp in ISPS]
        assert (await standings(store, order))["isp0"] == "compliant"
        place = await store.gate.place(case)
        assert (place.stage, place.version, place.due) == (Stage.VERIFICATION, 2, NOW + HOUR + RENEWAL)
        assert [one.notice.valid_until for one in await store.notification.undelivered(order)] == [
            NOW + HOUR + RENEWAL
        ] * 2

    async def test_the_isps_term_to_comply_does_not_begin_anew(self, store: Store, case: str, order: str) -> None:
        await decide(store, case, "reviewer-1", Outcome.RENEW, at=NOW + MINUTE)
        await deliver(store, order, NOW + 5 * MINUTE)
        assert await look(store, order, "isp0", Ruling.NOT_BLOCKED, NOW + 5 * MINUTE) == {case: 1}

    async def test_the_end_waits_for_the_new_date(self, store: Store, case: str, order: str) -> None:
        await decide(store, case, "reviewer-1", Outcome.RENEW, at=NOW + MINUTE)
        ending = await end(store, case, order, NOW + HOUR)
        assert (ending.ended, ending.ends_at) == (False, NOW + HOUR + RENEWAL)
        assert (await end(store, case, order, NOW + HOUR + RENEWAL)).ended

    async def test_no_more_often_than_the_procedure_says(self, store: Store, case: str, order: str) -> None:
        codes = [
            (await decide(store, case, who, Outcome.RENEW, at=NOW + MINUTE)).code
            for who in ("reviewer-1", "reviewer-2", "legal-head")
        ]
        assert codes == [None, None, "no_more_renewals"]
        row = await row_of(store, order)
        assert (row.renewals, row.valid_until) == (2, NOW + HOUR + 2 * RENEWAL)

    @pytest.mark.parametrize("late", [HOUR, HOUR + MINUTE])
    async def test_not_once_it_is_over(self, store: Store, case: str, order: str, late: timedelta) -> None:
        """Also where the engine has not ended it yet."""
        assert (await decide(store, case, "reviewer-1", Outcome.RENEW, at=NOW + late)).code == "not_in_force"
        assert (await row_of(store, order)).valid_until == NOW + HOUR

    async def test_not_while_it_is_stayed(self, store: Store, case: str, order: str) -> None:
        renewal = await file(store, case, (await row_of(store, order)).bundle, "reviewer-1", Outcome.RENEW)
        await decide(store, case, "duty-1", Outcome.STAY, at=NOW + MINUTE)
        assert (await admit(store, case, renewal, at=NOW + MINUTE)).code == "stayed"

    async def test_two_that_were_signed_for_the_same_renewal_are_one(
        self, store: Store, case: str, order: str
    ) -> None:
        """Two officers renew at the same time: each meant the next renewal, not one after it."""
        bundle = (await row_of(store, order)).bundle
        both = [await file(store, case, bundle, who, Outcome.RENEW) for who in ("reviewer-1", "reviewer-2")]
        await tell(store, case, *(one.id for one in both), at=NOW + MINUTE)
        row = await row_of(store, order)
        assert (row.renewals, row.valid_until) == (1, NOW + HOUR + RENEWAL)

    async def test_a_case_on_hold_takes_two_different(self, store: Store) -> None:
        case = await open_case(store, "descargas.gob.pe", findings=HOLD)
        order = await issue(store, case, "reviewer-1", "reviewer-2", valid_from=NOW)
        await decide(store, case, "reviewer-1", Outcome.RENEW, at=NOW + MINUTE)
        assert (await row_of(store, order)).renewals == 0
        assert (await store.review.docket(case)).renewals == ("reviewer-1",)
        await decide(store, case, "legal-head", Outcome.RENEW, at=NOW + MINUTE)
        assert (await row_of(store, order)).renewals == 1
        assert (await store.review.docket(case)).renewals == ()

    async def test_on_hold_what_was_tampered_with_does_not_count(self, store: Store) -> None:
        case = await open_case(store, "descargas.gob.pe", findings=HOLD)
        order = await issue(store, case, "reviewer-1", "reviewer-2", valid_from=NOW)
        first = await file(store, case, (await row_of(store, order)).bundle, "reviewer-1", Outcome.RENEW)
        await admit(store, case, first, at=NOW + MINUTE)
        async with store.database.write() as session:
            change = update(DecisionRow).where(col(DecisionRow.id) == first.id)
            await session.exec(change.values(reasons="for reasons that nobody gave"))
        await decide(store, case, "legal-head", Outcome.RENEW, at=NOW + MINUTE)
        assert (await row_of(store, order)).renewals == 0
        assert (await store.review.docket(case)).renewals == ("legal-head",)


class TestLapse:
    """Where no proceeding was opened in the time that the procedure gives, the order ends before its date."""

    LAPSING = terms(order=HOUR, comply=MINUTE, remind=10 * MINUTE, lapse=20 * MINUTE)

    @pytest.fixture
    async def lapsing(self, store: Store) -> tuple[str, str]:
        """A case whose order lapses after 20 minutes, and the order."""
        case = await open_case(store, terms=self.LAPSING)
        order = await issue(store, case, valid_from=NOW)
        await deliver(store, order, NOW)
        return case, order

    async def test_it_ends_then_and_the_file_says_why(self, store: Store, lapsing: tuple[str, str]) -> None:
        case, order = lapsing
        early = await end(store, case, order, NOW + 20 * MINUTE - timedelta(microseconds=1))
        assert (early.ended, early.ends_at) == (False, NOW + 20 * MINUTE)
        assert (await end(store, case, order, NOW + 20 * MINUTE)).ended
        row = await row_of(store, order)
        assert (row.ended_at, row.end_reason) == (NOW + 20 * MINUTE, "lapsed")
        assert [n[:3] for n in await notices(store, order)][2:] == [(2, "release", 0)] * 2

    async def test_a_renewal_does_not_keep_it_from_lapsing(self, store: Store, lapsing: tuple[str, str]) -> None:
        case, order = lapsing
        await decide(store, case, "reviewer-1", Outcome.RENEW, at=NOW + MINUTE)
        assert (await end(store, case, order, NOW + 20 * MINUTE)).ended

    async def test_what_has_lapsed_is_not_renewed(self, store: Store, lapsing: tuple[str, str]) -> None:
        case, _ = lapsing
        renewed = await decide(store, case, "reviewer-1", Outcome.RENEW, at=NOW + 20 * MINUTE)
        assert renewed.code == "not_in_force"

    async def test_once_the_proceeding_is_on_file_it_runs_to_its_date(
        self, store: Store, lapsing: tuple[str, str]
    ) -> None:
        case, order = lapsing
        async with store.database.write() as session:  # what recording the proceeding amounts to
            row = await session.get_one(OrderRow, order)
            row.lapses_at = None
            session.add(row)
        assert (await end(store, case, order, NOW + 20 * MINUTE)).ends_at == NOW + HOUR


class TestOverstay:
    """How long each ISP went on blocking after it had to lift, as measured."""

    async def seconds(self, store: Store, order: str, isp: str = "isp0") -> int:
        """What is on file."""
        measure = measure_id(order, "y2mate.com", Method.DNS)
        async with store.database.read() as session:
            return (await session.get_one(StandingRow, (measure, isp))).overstay_seconds

    async def test_from_the_end_of_its_term_to_the_first_measurement_that_is_open(
        self, store: Store, case: str, order: str
    ) -> None:
        await decide(store, case, "duty-1", Outcome.REVOKE, at=NOW + MINUTE)
        await deliver(store, order, NOW + MINUTE)
        due = NOW + 2 * MINUTE
        for ruling, late, counted in (
            (Ruling.BLOCKED, -1, 0),
            (Ruling.BLOCKED, 30, 30),
            (Ruling.INCONCLUSIVE, 60, 60),
            (Ruling.PARTIAL, 90, 90),
            (Ruling.NOT_BLOCKED, 100, 100),
            (Ruling.NOT_BLOCKED, 200, 100),
        ):
            await look(store, order, "isp0", ruling, due + timedelta(seconds=late))
            assert await self.seconds(store, order) == counted
        assert '"overstay_seconds":"100"' in (await written(store, "standing_changed"))[-1].body
        assert await self.seconds(store, order, "isp1") == 0

    async def test_an_isp_that_lifts_in_time_has_none(self, store: Store, case: str, order: str) -> None:
        await decide(store, case, "duty-1", Outcome.REVOKE, at=NOW + MINUTE)
        await deliver(store, order, NOW + MINUTE)
        await look(store, order, "isp0", Ruling.NOT_BLOCKED, NOW + 30 * MINUTE)
        assert await self.seconds(store, order) == 0

    async def test_a_round_that_came_late_is_not_counted_twice(self, store: Store, case: str, order: str) -> None:
        await decide(store, case, "duty-1", Outcome.REVOKE, at=NOW + MINUTE)
        await deliver(store, order, NOW + MINUTE)
        due = NOW + 2 * MINUTE
        for late in (30, 20, 40):
            await look(store, order, "isp0", Ruling.BLOCKED, due + timedelta(seconds=late))
        assert await self.seconds(store, order) == 40

    async def test_those_of_a_stay_and_of_the_end_add_up(self, store: Store, case: str, order: str) -> None:
        """Also where the ISP still blocked when the stay was over, so that no measurement ever found it open."""
        await decide(store, case, "duty-1", Outcome.STAY, at=NOW + MINUTE)
        await deliver(store, order, NOW + MINUTE)
        await look(store, order, "isp0", Ruling.BLOCKED, NOW + 2.5 * MINUTE)
        await decide(store, case, "reviewer-1", Outcome.RESUME, at=NOW + 3 * MINUTE)
        await deliver(store, order, NOW + 3 * MINUTE)
        await look(store, order, "isp0", Ruling.BLOCKED, NOW + 10 * MINUTE)
        assert await self.seconds(store, order) == 30
        await end(store, case, order, NOW + HOUR)
        await deliver(store, order, NOW + HOUR)
        await look(store, order, "isp0", Ruling.BLOCKED, NOW + HOUR + 2 * MINUTE)
        assert await self.seconds(store, order) == 90


async def test_a_case_is_placed_by_its_files_alone(store: Store, case: str) -> None:
    """Through its whole life, as a run that takes it up finds it."""
    places = list[Place]()

    async def note() -> None:
        places.append(await store.gate.place(case))

    await note()
    order = await issue(store, case, valid_from=NOW)
    await note()
    await deliver(store, order, NOW)
    await note()
    await decide(store, case, "duty-1", Outcome.STAY, at=NOW + MINUTE)
    await note()
    await decide(store, case, "reviewer-1", Outcome.RESUME, at=NOW + MINUTE)
    await deliver(store, order, NOW + MINUTE)
    await note()
    await end(store, case, order, NOW + HOUR)
    await note()
    assert [(place.stage, place.version, place.over) for place in places] == [
        (Stage.INTAKE, 0, False),
        (Stage.NOTIFICATION, 1, False),
        (Stage.VERIFICATION, 1, False),
        (Stage.STAYED, 2, False),
        (Stage.VERIFICATION, 3, False),
        (Stage.UNBLOCKING, 4, True),
    ]
    async with store.database.read() as session:
        assert (await session.get_one(CaseRow, case)).stage == Stage.UNBLOCKING
    assert await store.verification.release(order) == {Standing.PENDING: 2}
