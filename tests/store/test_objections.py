"""Objections: filed by an officer, sealed for a person, clocked, decided, and corrected as measured."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from precinto.domain.case import Stage
from precinto.domain.errors import NotFound
from precinto.domain.model import digest
from precinto.domain.notification import Method, measure_id
from precinto.domain.objections import Capacity, Instance, Protest
from precinto.domain.procedures import Snapshot
from precinto.domain.review import Officer, Outcome, Role
from precinto.domain.verification import Ruling
from precinto.store import Store, Subjects, Vault, ledger
from precinto.store.database import now
from precinto.store.docket import ObjectionRow, StayRow
from precinto.store.objections import ObjectionLine, ObjectionStore, objection_lines, overdue
from precinto.store.orders import NoticeRow, OrderRow
from precinto.store.overview import case_file
from precinto.store.review import EscalationRow
from precinto.store.subjects import erase
from tests.authority import terms
from tests.fakes import OFFICERS
from tests.store.steps import ISPS, MINUTE, decide, deliver, end, issue, measured, open_case, refusal

HOUR = 60 * MINUTE
NAME, CONTACT, TEXT = "Lucía Ñandú", "lucia@ejemplo.test", "Mi tienda está en el mismo servidor."


def with_terms(*, appeal_suspends: bool = False, **changed: timedelta | None) -> Snapshot:
    """Terms of hours; an appeal suspends where the test says so."""
    lengths: dict[str, timedelta | None] = {"order": 600 * HOUR, "comply": MINUTE, "remind": 10 * MINUTE}
    lengths |= {"objection_decision": 10 * HOUR, "stay": HOUR, "appeal": 5 * HOUR, **changed}
    made = terms(**lengths)
    procedure = made.procedure.model_copy(update={"appeal_suspends": appeal_suspends})
    return made.model_copy(update={"procedure": procedure})


@pytest.fixture
def objections(store: Store, tmp_path: Path) -> ObjectionStore:
    """Where objections are filed, with a vault of its own."""
    return ObjectionStore(store.database, Subjects(Vault(tmp_path / "vault.key")))


async def in_force(store: Store, snapshot: Snapshot | None = None, target: str = "y2mate.com") -> tuple[str, str]:
    """A case whose order, approved by reviewer-1, is blocked at every ISP; case and order."""
    case = await open_case(store, target, terms=snapshot or with_terms())
    order = await issue(store, case)
    await deliver(store, order, now())
    return case, order


def protest(**changed: Any) -> Protest:
    """What a shop on the same server says."""
    said: dict[str, Any] = {"capacity": Capacity.THIRD_PARTY, "name": NAME, "contact": CONTACT, "text": TEXT}
    return Protest.model_validate(said | changed)


async def file(objections: ObjectionStore, case: str, **changed: Any) -> ObjectionLine:
    """The operator takes it in."""
    return await objections.file(case, protest(**changed), "operator-1", OFFICERS)


async def state(store: Store, objection: str) -> ObjectionLine:
    """The objection as the database has it now."""
    async with store.database.read() as session:
        return next(line for line in await objection_lines(session) if line.id == objection)


async def order_row(store: Store, order: str) -> OrderRow:
    """The order as the database has it now."""
    async with store.database.read() as session:
        return await session.get_one(OrderRow, order)


async def entries(store: Store, action: str) -> list[ledger.LedgerRow]:
    """The ledger's rows of one kind."""
    async with store.database.read() as session:
        rows = select(ledger.LedgerRow).where(ledger.LedgerRow.action == action)
        return list(await session.exec(rows.order_by(col(ledger.LedgerRow.seq))))


async def escalated(store: Store, at: datetime) -> set[tuple[str, str]]:
    """What is before a human after the watch has looked at a moment."""
    async with store.database.write() as session:
        await overdue(session, at)
    async with store.database.read() as session:
        return {(row.what, row.subject) for row in await session.exec(select(EscalationRow))}


async def lifted(store: Store, order: str, at: datetime, *isps: str) -> None:
    """The target is measured open at these ISPs."""
    measure = measure_id(order, "y2mate.com", Method.DNS)
    rounds = [measured(measure, isp, Ruling.NOT_BLOCKED, at) for isp in isps or ISPS]
    await store.verification.observe(rounds)


class TestFiling:
    """Whoever is affected says it once, and it is there."""

    async def test_it_has_a_public_id_and_a_clock(self, store: Store, objections: ObjectionStore) -> None:
        case, order = await in_force(store)
        line = await file(objections, case)
        assert (line.case, line.order, line.state) == (case, (await order_row(store, order)).number, "open")
        assert (line.instance, line.capacity, line.filed_by) == ("objection", "third_party", "operator-1")
        assert (line.collateral, line.late, line.suspends, line.stay_due_at) == (False, False, False, None)
        assert line.due_at == line.filed_at + 10 * HOUR
        assert (await store.review.docket(case)).objections == (line.id,)
        assert await state(store, line.id) == line

    async def test_claimed_harm_beside_the_target_starts_the_shorter_clock(
        self, store: Store, objections: ObjectionStore
    ) -> None:
        case, _ = await in_force(store)
        line = await file(objections, case, collateral=True)
        assert line.stay_due_at == line.filed_at + HOUR

    async def test_what_is_personal_is_nowhere_but_sealed(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store)
        line = await file(objections, case)
        _, person = await objections.read(line.id)
        assert (person.name, person.contact, person.text) == (NAME, CONTACT, TEXT)
        async with store.database.read() as session:
            row = await session.get_one(ObjectionRow, line.id)
            bodies = list(await session.exec(select(ledger.LedgerRow.body)))
        (filed,) = await entries(store, "objection_filed")
        body = json.loads(filed.body)
        assert (filed.case, filed.actor, body["objection"]) == (case, "operator-1", line.id)
        for field, plain in (("name", NAME), ("contact", CONTACT), ("text", TEXT)):
            assert plain not in str(row)
            assert body[field] == digest(getattr(row, field).encode())
            assert not any(plain in one or digest(plain.encode()) in one for one in bodies)

    async def test_two_people_are_two_subjects(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store)
        first, second = await file(objections, case), await file(objections, case)
        assert first.id != second.id
        assert first.subject != second.subject
        assert (await store.review.docket(case)).objections == (first.id, second.id)

    @pytest.mark.parametrize(
        ("officer", "code"), [("nobody", "unknown_officer"), ("operator-1", None), ("duty-1", None)]
    )
    async def test_an_officer_takes_it_in(
        self, store: Store, objections: ObjectionStore, officer: str, code: str | None
    ) -> None:
        case, _ = await in_force(store)
        assert await refusal(objections.file(case, protest(), officer, OFFICERS)) == code

    async def test_an_auditor_does_not(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store)
        auditors = (*OFFICERS, Officer(id="auditor-1", roles=(Role.AUDITOR,)))
        assert await refusal(objections.file(case, protest(), "auditor-1", auditors)) == "not_entitled"
        assert await entries(store, "objection_filed") == []

    async def test_without_an_order_in_force_there_is_nothing_to_object_to(
        self, store: Store, objections: ObjectionStore
    ) -> None:
        fresh = await open_case(store, "flvto.biz")
        assert await refusal(file(objections, fresh)) == "not_in_force"
        case, order = await in_force(store)
        await end(store, case, order, now() + 601 * HOUR)
        assert await refusal(file(objections, case)) == "not_in_force"
        with pytest.raises(NotFound):
            await file(objections, "nobody-1")

    async def test_a_late_one_is_marked_and_taken_all_the_same(
        self, store: Store, objections: ObjectionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case, _ = await in_force(store, with_terms(objection=5 * HOUR))
        assert not (await file(objections, case)).late
        _at(monkeypatch, now() + 6 * HOUR)
        late = await file(objections, case)
        assert late.late
        assert late.id in (await store.review.docket(case)).objections

    async def test_where_the_law_gives_no_term_none_is_late(
        self, store: Store, objections: ObjectionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case, _ = await in_force(store)
        _at(monkeypatch, now() + 599 * HOUR)
        assert not (await file(objections, case)).late

    async def test_a_calendar_that_has_run_out_loses_nothing(
        self, store: Store, objections: ObjectionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Three years of holidays go with a case; an order that was renewed may be older."""
        made = with_terms()
        days = made.procedure.objection_decision.model_copy(update={"working_days": 10, "milliseconds": 0})
        updated = made.procedure.model_copy(update={"objection_decision": days})
        case, _ = await in_force(store, made.model_copy(update={"procedure": updated}))
        _at(monkeypatch, datetime(2031, 3, 3, 12, tzinfo=UTC))
        line = await file(objections, case)
        assert line.due_at == line.filed_at + timedelta(days=10)


class TestAppeal:
    """To the instance above; where the law says so, the block is gone meanwhile."""

    async def test_filing_it_suspends_where_the_law_says_so(self, store: Store, objections: ObjectionStore) -> None:
        case, order = await in_force(store, with_terms(appeal_suspends=True))
        line = await file(objections, case, instance=Instance.APPEAL)
        assert line.suspends
        place, row = await store.gate.place(case), await order_row(store, order)
        assert (place.stage, place.version, row.stayed_at) == (Stage.STAYED, 2, line.filed_at)
        assert {(n.notice.action.value, n.notice.version) for n in await store.notification.undelivered(order)} == {
            ("release", 2)
        }
        (stayed,) = await entries(store, "order_stayed")
        assert stayed.actor == "engine"
        assert json.loads(stayed.body) == {"order": order, "decision": None, "about": line.id, "version": 2}

    async def test_elsewhere_it_does_not(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store)
        line = await file(objections, case, instance=Instance.APPEAL)
        assert not line.suspends
        assert (await store.gate.place(case)).stage is Stage.VERIFICATION
        assert (await store.review.docket(case)).appeals == (line.id,)

    async def test_an_objection_never_does(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store, with_terms(appeal_suspends=True))
        assert not (await file(objections, case)).suspends
        assert (await store.gate.place(case)).stage is Stage.VERIFICATION

    async def test_a_late_one_has_no_effect_by_the_law_alone(
        self, store: Store, objections: ObjectionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case, _ = await in_force(store, with_terms(appeal_suspends=True))
        _at(monkeypatch, now() + 6 * HOUR)
        line = await file(objections, case, instance=Instance.APPEAL)
        assert (line.late, line.suspends) == (True, False)
        assert (await store.gate.place(case)).stage is Stage.VERIFICATION

    async def test_its_term_runs_from_the_dismissal_too(
        self, store: Store, objections: ObjectionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case, _ = await in_force(store, with_terms(appeal_suspends=True))
        objection = await file(objections, case)
        _at(monkeypatch, now() + 4 * HOUR)
        async with store.database.write() as session:
            row = await session.get_one(ObjectionRow, objection.id)
            row.state, row.closed_at = "dismissed", now() + 4 * HOUR
            session.add(row)
        _at(monkeypatch, now() + 8 * HOUR)
        assert not (await file(objections, case, instance=Instance.APPEAL)).late

    async def test_a_second_one_asks_nobody_for_anything_new(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store, with_terms(appeal_suspends=True))
        first = await file(objections, case, instance=Instance.APPEAL)
        second = await file(objections, case, instance=Instance.APPEAL)
        assert (await store.gate.place(case)).version == 2
        assert (await store.review.docket(case)).suspending == (first.id, second.id)

    async def test_while_it_waits_nobody_resumes(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store, with_terms(appeal_suspends=True))
        appeal = await file(objections, case, instance=Instance.APPEAL)
        assert await refusal(decide(store, case, "legal-head", Outcome.RESUME)) == "appeal_pending"
        assert (await decide(store, case, "legal-head", Outcome.DISMISS, about=appeal.id)).code is None
        assert (await store.gate.place(case)).stage is Stage.STAYED
        assert (await decide(store, case, "legal-head", Outcome.RESUME)).code is None
        assert (await store.gate.place(case)).stage is Stage.NOTIFICATION


class TestDeciding:
    """Suspend first, decide later; the end of an order leaves no objection open."""

    async def test_upheld_the_order_ends(self, store: Store, objections: ObjectionStore) -> None:
        case, order = await in_force(store)
        line, other = await file(objections, case), await file(objections, case)
        assert (await decide(store, case, "reviewer-2", Outcome.UPHOLD, about=line.id)).code is None
        row = await order_row(store, order)
        assert (row.end_reason, (await store.gate.place(case)).stage) == ("upheld", Stage.UNBLOCKING)
        upheld, moot = await state(store, line.id), await state(store, other.id)
        assert (upheld.state, moot.state) == ("upheld", "moot")
        assert upheld.decision is not None
        assert upheld.closed_at is not None
        assert moot.decision is None
        closed = [(json.loads(row.body)["objection"], row.actor) for row in await entries(store, "objection_closed")]
        assert sorted(closed) == sorted([(line.id, "reviewer-2"), (other.id, "engine")])

    async def test_dismissed_the_order_stands(self, store: Store, objections: ObjectionStore) -> None:
        case, order = await in_force(store)
        line = await file(objections, case)
        assert await refusal(decide(store, case, "reviewer-1", Outcome.DISMISS, about=line.id)) == "own_decision"
        assert (await decide(store, case, "reviewer-2", Outcome.DISMISS, about=line.id)).code is None
        assert (await order_row(store, order)).ended_at is None
        dismissed = await state(store, line.id)
        assert (dismissed.state, dismissed.minutes_to_correct) == ("dismissed", None)
        assert (await store.review.docket(case)).objections == ()
        again = decide(store, case, "legal-head", Outcome.UPHOLD, about=line.id)
        assert await refusal(again) == "no_such_objection"

    async def test_whoever_renewed_or_resumed_the_order_does_not_dismiss(
        self, store: Store, objections: ObjectionStore
    ) -> None:
        """They have decided that it goes on: that this was right, another must say."""
        case, _ = await in_force(store)
        await decide(store, case, "reviewer-2", Outcome.RENEW)
        line = await file(objections, case)
        assert await refusal(decide(store, case, "reviewer-2", Outcome.DISMISS, about=line.id)) == "own_decision"
        assert (await decide(store, case, "reviewer-2", Outcome.UPHOLD, about=line.id)).code is None

    async def test_a_dismissal_lifts_no_stay(self, store: Store, objections: ObjectionStore) -> None:
        case, order = await in_force(store)
        line = await file(objections, case, collateral=True)
        await decide(store, case, "duty-1", Outcome.STAY, about=line.id)
        await decide(store, case, "reviewer-2", Outcome.DISMISS, about=line.id)
        assert (await store.gate.place(case)).stage is Stage.STAYED
        await decide(store, case, "reviewer-2", Outcome.RESUME)
        assert (await store.gate.place(case)).stage is Stage.NOTIFICATION
        async with store.database.read() as session:
            (stay,) = await session.exec(select(StayRow))
        assert (stay.order, stay.version, stay.about) == (order, 2, line.id)
        assert stay.until is not None

    async def test_a_stay_about_what_does_not_wait(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store)
        assert await refusal(decide(store, case, "duty-1", Outcome.STAY, about="OB-22222222")) == "no_such_objection"
        assert (await decide(store, case, "duty-1", Outcome.STAY)).code is None

    @pytest.mark.parametrize("revoked", [True, False])
    async def test_an_order_that_ends_makes_it_moot(
        self, store: Store, objections: ObjectionStore, revoked: bool
    ) -> None:
        case, order = await in_force(store)
        line = await file(objections, case)
        if revoked:
            await decide(store, case, "duty-1", Outcome.REVOKE)
        else:
            await end(store, case, order, now() + 601 * HOUR)
        assert (await state(store, line.id)).state == "moot"
        assert await escalated(store, now() + 1000 * HOUR) == set()

    async def test_whoever_dismissed_an_objection_does_not_dismiss_the_appeal(
        self, store: Store, objections: ObjectionStore
    ) -> None:
        case, _ = await in_force(store)
        objection = await file(objections, case)
        await decide(store, case, "reviewer-2", Outcome.DISMISS, about=objection.id)
        appeal = await file(objections, case, instance=Instance.APPEAL)
        assert await refusal(decide(store, case, "reviewer-2", Outcome.DISMISS, about=appeal.id)) == "own_decision"
        assert (await decide(store, case, "legal-head", Outcome.DISMISS, about=appeal.id)).code is None


class TestTheClocks:
    """No term passes unseen, and each is put before a human once."""

    async def test_a_stay_that_nobody_decides_and_then_the_objection(
        self, store: Store, objections: ObjectionStore
    ) -> None:
        case, _ = await in_force(store)
        line, plain = await file(objections, case, collateral=True), await file(objections, case)
        assert await escalated(store, line.filed_at + HOUR) == set()
        assert await escalated(store, line.filed_at + 2 * HOUR) == {("stay_overdue", line.id)}
        everything = {("stay_overdue", line.id), ("objection_overdue", line.id), ("objection_overdue", plain.id)}
        for _ in range(2):
            assert await escalated(store, line.filed_at + 11 * HOUR) == everything
        assert len(await entries(store, "escalated")) == 3

    async def test_a_stay_that_was_given_is_not_overdue(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store)
        line = await file(objections, case, collateral=True)
        await decide(store, case, "duty-1", Outcome.STAY, about=line.id)
        assert await escalated(store, line.filed_at + 2 * HOUR) == set()
        await decide(store, case, "legal-head", Outcome.RESUME)
        assert await escalated(store, line.filed_at + 2 * HOUR) == set()

    async def test_a_stay_before_the_objection_and_resumed_before_it_is_none(
        self, store: Store, objections: ObjectionStore
    ) -> None:
        case, _ = await in_force(store)
        await decide(store, case, "duty-1", Outcome.STAY)
        await decide(store, case, "legal-head", Outcome.RESUME)
        line = await file(objections, case, collateral=True)
        assert await escalated(store, line.filed_at + 2 * HOUR) == {("stay_overdue", line.id)}


class TestMinutesToCorrect:
    """From the filing until the last ISP was measured open; an ISP's word is none."""

    async def test_under_a_stay(self, store: Store, objections: ObjectionStore) -> None:
        case, order = await in_force(store)
        line = await file(objections, case, collateral=True)
        stayed = line.filed_at + 2 * MINUTE
        await decide(store, case, "duty-1", Outcome.STAY, about=line.id, at=stayed)
        await deliver(store, order, stayed)
        await lifted(store, order, stayed + MINUTE, "isp0")
        half = await state(store, line.id)
        assert (half.correction.lifted_at, half.correction.waiting) == (stayed, ("isp1",))
        assert half.minutes_to_correct is None
        await lifted(store, order, stayed + 3 * MINUTE, "isp1")
        assert (await state(store, line.id)).minutes_to_correct == 5
        await decide(store, case, "reviewer-2", Outcome.DISMISS, about=line.id)
        await decide(store, case, "reviewer-2", Outcome.RESUME, at=stayed + 4 * MINUTE)
        assert (await state(store, line.id)).minutes_to_correct == 5

    async def test_by_upholding(self, store: Store, objections: ObjectionStore) -> None:
        case, order = await in_force(store)
        line = await file(objections, case)
        at = line.filed_at + 30 * MINUTE
        await decide(store, case, "reviewer-2", Outcome.UPHOLD, about=line.id, at=at)
        await lifted(store, order, at + 2 * MINUTE)
        assert (await state(store, line.id)).minutes_to_correct == 32
        assert (await case_file(store.database, case)).objections[0].minutes_to_correct == 32

    async def test_an_expiry_corrects_nothing(self, store: Store, objections: ObjectionStore) -> None:
        case, order = await in_force(store)
        line = await file(objections, case)
        over = now() + 601 * HOUR
        await end(store, case, order, over)
        await lifted(store, order, over + MINUTE)
        found = await state(store, line.id)
        assert (found.state, found.correction.lifted_at, found.minutes_to_correct) == ("moot", None, None)

    async def test_what_another_order_blocks_too_is_not_held_against_the_isps(
        self, store: Store, objections: ObjectionStore
    ) -> None:
        case, order = await in_force(store)
        async with store.database.write() as session:
            standing = {"measure": measure_id(order, "y2mate.com", Method.DNS), "isp": "isp0"}
            body = {**standing, "from": "pending", "to": "carried_on", "under": "2026-000009"}
            await ledger.append(session, "standing_changed", body, case=case)
        line = await file(objections, case)
        at = line.filed_at + MINUTE
        await decide(store, case, "duty-1", Outcome.STAY, at=at)
        await lifted(store, order, at + MINUTE, "isp1")
        assert (await state(store, line.id)).minutes_to_correct == 2


class TestErasure:
    """A person's texts go; the file, the chain and the figures stay."""

    async def test_it_shows_as_erased(self, store: Store, objections: ObjectionStore) -> None:
        case, order = await in_force(store)
        line = await file(objections, case)
        at = line.filed_at + MINUTE
        await decide(store, case, "reviewer-2", Outcome.UPHOLD, about=line.id, at=at)
        await lifted(store, order, at + MINUTE)
        before = await state(store, line.id)
        async with store.database.write() as session:
            await erase(session, line.subject, "legal-head", "request 17")
        after, person = await objections.read(line.id)
        assert person.model_dump() == {"name": None, "contact": None, "text": None}
        assert after == before
        assert after.minutes_to_correct == 2
        await ledger.verify(store.database)

    async def test_nobody_else_is_erased_with_them(self, store: Store, objections: ObjectionStore) -> None:
        case, _ = await in_force(store)
        first, second = await file(objections, case), await file(objections, case)
        async with store.database.write() as session:
            await erase(session, first.subject, "legal-head", "request 17")
        assert (await objections.read(second.id))[1].name == NAME

    async def test_there_is_no_such_objection(self, objections: ObjectionStore) -> None:
        with pytest.raises(NotFound):
            await objections.read("OB-22222222")


async def test_the_notices_of_the_first_block_are_told_apart_from_those_of_the_stay(
    store: Store, objections: ObjectionStore
) -> None:
    """A correction travels first: what lifts a block is delivered before what asks for one."""
    case, order = await in_force(store, with_terms(appeal_suspends=True))
    await file(objections, case, instance=Instance.APPEAL)
    async with store.database.read() as session:
        rows = await session.exec(select(NoticeRow).where(NoticeRow.order == order).order_by(col(NoticeRow.version)))
        assert [(row.version, row.action) for row in rows] == [(1, "block")] * 2 + [(2, "release")] * 2


def _at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Objections are filed at this moment from now on."""
    monkeypatch.setattr("precinto.store.objections.now", lambda: moment)
