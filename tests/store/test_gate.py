"""The gate: nothing is ordered, closed or lengthened but by what appointed officers signed on this evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select, update

from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound
from precinto.domain.evidence import Finding, FindingKind
from precinto.domain.intake import TargetKind
from precinto.domain.model import digest
from precinto.domain.notification import Method, measure_id, notice_id
from precinto.domain.orders import order_id
from precinto.domain.review import Officer, Outcome, Role
from precinto.domain.statements import key_id, sign, statement_id
from precinto.store import Store, ledger
from precinto.store.intake import CaseRow
from precinto.store.orders import MeasureRow, NoticeRow, OrderRow, StandingRow
from precinto.store.review import DecisionRow
from tests.authority import GROUND, REASONS, envelope, key_of, referral, statement
from tests.fakes import OFFICERS
from tests.store.steps import ISPS, TERMS, admit, decide, file, issue, open_case, refusal, seal, tell

HOLD = (Finding(kind=FindingKind.PROTECTED_NAME, detail="gob.pe", source="test list"),)


@pytest.fixture
async def case(store: Store) -> str:
    """A case under review, which takes one approval."""
    opened = await open_case(store)
    await seal(store, opened)
    return opened


@pytest.fixture
async def held(store: Store) -> str:
    """A case under review and on hold, which takes two."""
    opened = await open_case(store, "descargas.gob.pe", findings=HOLD)
    await seal(store, opened)
    return opened


async def bundle_of(store: Store, case: str) -> str:
    """The newest bundle of a case."""
    found = (await store.review.docket(case)).bundle
    assert found is not None
    return found


async def filed(store: Store, case: str, officer: str, outcome: Outcome = Outcome.APPROVE) -> DecisionRow:
    """A decision on file that the case was not told of yet."""
    return await file(store, case, await bundle_of(store, case), officer, outcome)


async def orders(store: Store) -> list[OrderRow]:
    """Every order, by number."""
    async with store.database.read() as session:
        return list(await session.exec(select(OrderRow).order_by(col(OrderRow.number))))


async def states(store: Store) -> dict[str, tuple[str, str | None]]:
    """What became of each decision."""
    async with store.database.read() as session:
        return {row.id: (row.state, row.refusal) for row in await session.exec(select(DecisionRow))}


async def refusals(store: Store) -> list[str]:
    """The bodies of the ledger's refusals."""
    rows = select(ledger.LedgerRow.body).where(ledger.LedgerRow.action == "decision_refused")
    async with store.database.read() as session:
        return list(await session.exec(rows.order_by(col(ledger.LedgerRow.seq))))


async def tampered(store: Store, decision: DecisionRow, **columns: Any) -> None:
    """Whoever can write into the database writes into a decision."""
    async with store.database.write() as session:
        await session.exec(update(DecisionRow).where(col(DecisionRow.id) == decision.id).values(**columns))


async def refused_by_the_gate(store: Store, case: str, *decisions: str, **how: Any) -> str | None:
    """Tell a case of what the gate must refuse: nothing is ordered, nothing changes but the note of the refusal."""
    before = await store.gate.place(case)
    last = (await tell(store, case, *decisions, **how))[-1]
    assert last.code is not None
    assert last.reason
    assert await store.gate.place(case) == before
    assert await orders(store) == []
    async with store.database.read() as session:
        assert (await session.exec(select(NoticeRow))).all() == []
    assert f'"code":"{last.code}"' in (await refusals(store))[-1]
    return last.code


class TestAnOrder:
    """The last approval that a case takes issues its order, in the same transaction."""

    async def test_one_approval_of_this_bundle_issues_it(self, store: Store, case: str) -> None:
        bundle, at = await bundle_of(store, case), datetime.now(UTC)
        assert (await decide(store, case, "reviewer-1", at=at)).needed == 0
        (order,) = await orders(store)
        assert (order.id, order.bundle, order.basis) == (order_id(case, bundle), bundle, GROUND)
        assert order.valid_from == at.replace(microsecond=0)
        assert order.valid_until == order.valid_from + TERMS.span("order")
        assert (order.version, order.asked_version, order.asked_at) == (1, 1, order.valid_from)
        assert (order.lapses_at, order.stayed_at, order.ended_at, order.end_reason) == (None, None, None, None)
        place = await store.gate.place(case, bundle=True)
        assert (place.stage, place.order, place.version) == (Stage.NOTIFICATION, order.id, 1)
        assert (place.due, place.over, place.bundle) == (order.valid_until, False, bundle)

    async def test_with_a_notice_and_a_standing_for_every_isp(self, store: Store, case: str) -> None:
        order = await issue(store, await open_case(store, "flvto.biz"))
        measure = measure_id(order, "flvto.biz", Method.DNS)
        async with store.database.read() as session:
            notices = {row.isp: row for row in await session.exec(select(NoticeRow))}
            standings = {(row.measure, row.isp): row.standing for row in await session.exec(select(StandingRow))}
        assert {isp: row.id for isp, row in notices.items()} == {isp: notice_id(order, 1, isp, 0) for isp in ISPS}
        assert {(row.version, row.action, row.state) for row in notices.values()} == {(1, "block", "queued")}
        assert standings == {(measure, isp): "pending" for isp in ISPS}

    async def test_told_again_it_is_the_same_order(self, store: Store, case: str) -> None:
        approval = await filed(store, case, "reviewer-1")
        first = await admit(store, case, approval)
        before = await ledger.verify(store.database)
        assert await admit(store, case, approval) == first
        assert len(await orders(store)) == 1
        assert await ledger.verify(store.database) == before

    async def test_it_names_its_officers_in_the_ledger(self, store: Store, held: str) -> None:
        await decide(store, held, "legal-head")
        await decide(store, held, "reviewer-1")
        async with store.database.read() as session:
            rows = select(ledger.LedgerRow.body).where(ledger.LedgerRow.action == "order_issued")
            (body,) = await session.exec(rows)
        assert '"officers":["legal-head","reviewer-1"]' in body

    async def test_a_procedure_with_a_lapse_dates_it(self, store: Store) -> None:
        span = timedelta(minutes=20)
        lapsing = TERMS.procedure.model_copy(update={"lapse": TERMS.procedure.order.model_copy(
            update={"milliseconds": span // timedelta(milliseconds=1)})})  # fmt: skip
        case = await open_case(store, "flvto.biz", terms=TERMS.model_copy(update={"procedure": lapsing}))
        await issue(store, case)
        (order,) = await orders(store)
        assert order.lapses_at == order.valid_from + span

    async def test_they_are_numbered_by_year(self, store: Store) -> None:
        for n in range(3):
            await issue(store, await open_case(store, f"site{n}.example.com"))
        year = datetime.now(UTC).year
        assert [order.number for order in await orders(store)] == [f"{year}-00000{n}" for n in (1, 2, 3)]

    async def test_on_hold_one_is_not_enough_and_two_are(self, store: Store, held: str) -> None:
        assert (await decide(store, held, "reviewer-1")).needed == 1
        assert await orders(store) == []
        assert (await decide(store, held, "legal-head")).needed == 0
        assert len(await orders(store)) == 1

    async def test_on_hold_not_the_same_officer_twice(self, store: Store, held: str) -> None:
        """Two approvals of one officer that were both filed before either was admitted."""
        first = await filed(store, held, "reviewer-1")
        second = await filed(store, held, "reviewer-1")
        await tampered(store, first, state="submitted", refusal=None)  # it was superseded
        assert (await admit(store, held, first)).needed == 1
        assert await refused_by_the_gate(store, held, second.id) == "same_officer_twice"

    async def test_not_where_nothing_can_be_blocked_yet(self, store: Store) -> None:
        case = await open_case(store, "com.example.ripper", kind=TargetKind.MOBILE_APP)
        await seal(store, case)
        approval = await filed(store, case, "reviewer-1")
        assert await refused_by_the_gate(store, case, approval.id) == "no_measure"
        assert (await store.review.docket(case)).approvals == ()

    async def test_not_when_it_would_be_over_already(self, store: Store, case: str) -> None:
        """After a long outage: nobody is told to block under an order whose end has passed."""
        approval = await filed(store, case, "reviewer-1")
        late = datetime.now(UTC) - TERMS.span("order")
        assert await refused_by_the_gate(store, case, approval.id, at=late) == "order_over"
        assert (await decide(store, case, "reviewer-1")).code is None

    async def test_not_in_a_case_that_does_not_exist(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await tell(store, "nobody-1", "made-up")
        with pytest.raises(NotFound):
            await store.gate.place("nobody-1")


class TestConclusions:
    """A rejection closes the case, a return sends it back to evidence."""

    async def test_a_rejection_closes(self, store: Store, case: str) -> None:
        rejection = await filed(store, case, "reviewer-1", Outcome.REJECT)
        for _ in range(2):
            assert (await admit(store, case, rejection)).code is None
        place = await store.gate.place(case)
        assert (place.stage, place.closure, place.due, place.order) == (Stage.CLOSED, Closure.REJECTED, None, None)

    async def test_a_return_goes_back_to_evidence_for_another_round(self, store: Store, case: str) -> None:
        returned = await filed(store, case, "reviewer-1", Outcome.RETURN)
        for _ in range(2):
            assert (await admit(store, case, returned)).code is None
        place = await store.gate.place(case)
        assert (place.stage, place.round, place.due) == (Stage.EVIDENCE, 2, None)

    @pytest.mark.parametrize("outcome", [Outcome.REJECT, Outcome.RETURN])
    async def test_one_officer_may_also_on_hold_after_an_approval(
        self, store: Store, held: str, outcome: Outcome
    ) -> None:
        await decide(store, held, "reviewer-1")
        await decide(store, held, "reviewer-2", outcome)
        assert (await store.gate.place(held)).stage in {Stage.CLOSED, Stage.EVIDENCE}
        assert await orders(store) == []

    async def test_after_it_no_approval_comes_in(self, store: Store, case: str) -> None:
        approval = await filed(store, case, "reviewer-1")
        await decide(store, case, "reviewer-2", Outcome.REJECT)
        assert await refused_by_the_gate(store, case, approval.id) == "not_under_review"

    async def test_a_decision_on_the_first_capture_does_not_decide_the_second(self, store: Store, case: str) -> None:
        stale = [await filed(store, case, "reviewer-1"), await filed(store, case, "legal-head", Outcome.REJECT)]
        await decide(store, case, "reviewer-2", Outcome.RETURN)
        await seal(store, case, round=2)
        for one in stale:
            assert await refused_by_the_gate(store, case, one.id) == "other_bundle"
        assert (await store.gate.place(case)).stage is Stage.REVIEW

    async def test_a_release_rides_on_no_order_that_is_not_there(self, store: Store, case: str) -> None:
        signed = envelope(case, await bundle_of(store, case), "duty-1", Outcome.RELEASE, about="S-2026-0001")
        assert await refusal(store.review.file(case, signed, REASONS, OFFICERS)) == "no_standing_order"
        assert await refused_by_the_gate(store, case, envelopes=[signed]) == "decision_not_on_file"


class TestNotOnFile:
    """What no officer filed does nothing, however well it is made."""

    async def test_a_name_that_somebody_made_up(self, store: Store, case: str) -> None:
        assert await refused_by_the_gate(store, case, "made-up") == "decision_not_on_file"
        assert (await refusals(store))[-1] == '{"code":"decision_not_on_file","decision":"made-up"}'

    async def test_of_an_endless_name_only_the_beginning_is_kept(self, store: Store, case: str) -> None:
        await refused_by_the_gate(store, case, "x" * 5_000)
        assert len((await refusals(store))[-1]) < 200

    async def test_the_decision_of_another_case(self, store: Store, case: str) -> None:
        other = await open_case(store, "flvto.biz")
        await seal(store, other)
        elsewhere = await filed(store, other, "reviewer-1")
        assert await refused_by_the_gate(store, case, elsewhere.id) == "decision_not_on_file"
        assert (await states(store))[elsewhere.id] == ("submitted", None)

    async def test_an_honest_envelope_whose_reasons_nobody_filed(self, store: Store, case: str) -> None:
        signed = envelope(case, await bundle_of(store, case), "reviewer-1")
        assert await refused_by_the_gate(store, case, envelopes=[signed]) == "decision_not_on_file"

    @pytest.mark.parametrize(
        ("make", "code"),
        [
            (lambda case, bundle: "junk", "malformed"),
            (lambda case, bundle: envelope("another-1", bundle, "reviewer-1"), "other_case"),
            (lambda case, bundle: sign(statement(case, bundle, "reviewer-1"), key_of("nobody")), "unknown_key"),
            (lambda case, bundle: sign(statement(case, bundle, "reviewer-1"), key_of("duty-1")), "other_officers_key"),
            (lambda case, bundle: envelope(case, bundle, "reviewer-1")[:-6] + "AAAAAA", "malformed forged"),
            (lambda case, bundle: envelope(case, bundle, "operator-1"), "not_entitled"),
            (lambda case, bundle: envelope(case, bundle, "reviewer-1", grounds=("art-99",)), "unknown_ground"),
        ],
        ids=["junk", "other case", "no key", "borrowed key", "forged", "operator", "ground"],
    )
    async def test_the_refusal_says_what_else_is_wrong_with_it(
        self, store: Store, case: str, make: Any, code: str
    ) -> None:
        signed = make(case, await bundle_of(store, case))
        assert await refused_by_the_gate(store, case, envelopes=[signed]) in code.split()
        assert statement_id(signed) in (await refusals(store))[-1]

    async def test_an_envelope_on_file_is_admitted_and_again_is_a_replay(self, store: Store, held: str) -> None:
        approval = await filed(store, held, "reviewer-1")
        first, again = await tell(store, held, envelopes=[approval.envelope or ""] * 2)
        assert (first.code, first.needed, again.code) == (None, 1, "replayed")
        assert (await states(store))[approval.id] == ("admitted", None)
        assert (await store.review.docket(held)).approvals == ("reviewer-1",)

    async def test_a_bad_one_takes_no_other_with_it(self, store: Store, case: str) -> None:
        approval = await filed(store, case, "reviewer-1")
        each = await tell(store, case, "made-up", approval.id, envelopes=["junk"])
        assert [one.code for one in each] == ["decision_not_on_file", None, "malformed"]
        assert len(await orders(store)) == 1


class TestAtAdmission:
    """All that was asked when a decision was filed is asked again: much may have happened since."""

    async def test_what_was_refused_stays_so(self, store: Store, case: str) -> None:
        approval = await filed(store, case, "reviewer-1")
        await store.review.refuse(case, approval.id, "other_bundle")
        assert await refused_by_the_gate(store, case, approval.id) == "refused_before"

    async def test_its_officer_has_opened_the_case_too(self, store: Store, case: str) -> None:
        approval = await filed(store, case, "reviewer-1")
        await store.intake.register(referral("y2mate.com", reference="2"), (), "reviewer-1", TERMS)
        assert await refused_by_the_gate(store, case, approval.id) == "referrer_may_not_decide"

    @pytest.mark.parametrize(
        ("officers", "code"),
        [
            (tuple(one for one in OFFICERS if one.id != "reviewer-1"), "unknown_officer"),
            ((Officer(id="reviewer-1", roles=(Role.OPERATOR,)),), "not_entitled"),
            ((Officer(id="reviewer-1", roles=(Role.LEGAL_HEAD,)),), "not_entitled"),
        ],
        ids=["left", "demoted", "another role than was signed"],
    )
    async def test_its_officer_is_not_entitled_any_more(
        self, store: Store, case: str, officers: tuple[Officer, ...], code: str
    ) -> None:
        approval = await filed(store, case, "reviewer-1")
        assert await refused_by_the_gate(store, case, approval.id, officers=officers) == code

    async def test_a_key_that_is_revoked_later_has_signed_what_it_signed(self, store: Store, case: str) -> None:
        approval = await filed(store, case, "reviewer-1")
        await store.officer_keys.revoke(key_id(key_of("reviewer-1").public_key()), "test", "a new device")
        assert (await admit(store, case, approval)).code is None

    async def test_what_nobody_signed(self, store: Store, case: str) -> None:
        """A decision of release 0.1, or a row that somebody wrote: it is kept, and carries nothing."""
        approval = await filed(store, case, "reviewer-1")
        await tampered(store, approval, envelope=None)
        assert await refused_by_the_gate(store, case, approval.id) == "unsigned"

    @pytest.mark.parametrize(
        "columns",
        [
            {"outcome": "reject"},
            {"officer": "reviewer-2"},
            {"role": "legal_head"},
            {"bundle": digest(b"another")},
            {"about": "objection-1"},
            {"grounds": '["art-99"]'},
            {"reasons": "for reasons that nobody gave"},
            {"nonce": "A" * 22},
            {"key": key_id(key_of("reviewer-2").public_key())},
            {"signed_at": datetime(2026, 1, 1, tzinfo=UTC)},
        ],
        ids=lambda columns: next(iter(columns)),
    )
    async def test_what_was_altered_on_file(self, store: Store, case: str, columns: dict[str, Any]) -> None:
        approval = await filed(store, case, "reviewer-1")
        await tampered(store, approval, **columns)
        assert await refused_by_the_gate(store, case, approval.id) == "altered"

    async def test_an_approval_made_of_a_rejection(self, store: Store, case: str) -> None:
        """Another signed envelope of the same officer is put into the row: it is that one's, not this one's."""
        rejection = await filed(store, case, "reviewer-1", Outcome.REJECT)
        await tampered(store, rejection, outcome="approve")
        assert await refused_by_the_gate(store, case, rejection.id) == "altered"
        approval = await filed(store, case, "reviewer-2")
        await tampered(store, approval, envelope=rejection.envelope)
        assert await refused_by_the_gate(store, case, approval.id) == "altered"

    async def test_an_envelope_that_was_changed_on_file(self, store: Store, case: str) -> None:
        approval = await filed(store, case, "reviewer-1")
        other = envelope(case, await bundle_of(store, case), "reviewer-1")
        mixed = f"{(approval.envelope or '').rpartition('.')[0]}.{other.rpartition('.')[2]}"
        await tampered(store, approval, envelope=mixed)
        assert await refused_by_the_gate(store, case, approval.id) == "forged"


class TestTheSecondApproval:
    """When it comes, of the first all is asked once more: what does not hold any more carries no order."""

    async def half(self, store: Store, held: str) -> DecisionRow:
        """A case on hold that reviewer-1 has approved."""
        approval = await filed(store, held, "reviewer-1")
        assert (await admit(store, held, approval)).needed == 1
        return approval

    @pytest.mark.parametrize(
        ("columns", "code"),
        [
            ({"reasons": "for reasons that nobody gave"}, "altered"),
            ({"officer": "legal-head"}, "altered"),
            ({"envelope": "junk"}, "malformed"),
        ],
    )
    async def test_the_first_was_tampered_with(
        self, store: Store, held: str, columns: dict[str, Any], code: str
    ) -> None:
        first = await self.half(store, held)
        await tampered(store, first, **columns)
        assert (await decide(store, held, "reviewer-2")).needed == 1
        assert (await states(store))[first.id] == ("refused", code)
        assert await orders(store) == []
        assert (await store.review.docket(held)).approvals == ("reviewer-2",)

    async def test_a_row_that_somebody_wrote_counts_for_nothing(self, store: Store, held: str) -> None:
        """Whoever writes into the database, and has no officer's key, makes no second reviewer of himself."""
        first = await filed(store, held, "reviewer-1")
        forged: dict[str, Any] = first.model_dump() | {
            "id": "f" * 32,
            "officer": "legal-head",
            "nonce": "B" * 22,
            "state": "admitted",
        }
        async with store.database.write() as session:
            session.add(DecisionRow(**forged))
        assert (await admit(store, held, first)).needed == 1
        assert await orders(store) == []
        assert (await states(store))["f" * 32] == ("refused", "altered")

    async def test_the_first_officer_has_left(self, store: Store, held: str) -> None:
        first = await self.half(store, held)
        second = await filed(store, held, "reviewer-2")
        left = tuple(one for one in OFFICERS if one.id != "reviewer-1")
        assert [one.needed for one in await tell(store, held, second.id, officers=left)] == [1]
        assert (await states(store))[first.id] == ("refused", "unknown_officer")
        assert await orders(store) == []

    async def test_the_first_officer_has_referred_the_target_meanwhile(self, store: Store, held: str) -> None:
        first = await self.half(store, held)
        await store.intake.register(referral("descargas.gob.pe", reference="2"), (), "reviewer-1", TERMS)
        assert (await decide(store, held, "reviewer-2")).needed == 1
        assert (await states(store))[first.id] == ("refused", "referrer_may_not_decide")

    async def test_a_third_makes_it_good(self, store: Store, held: str) -> None:
        first = await self.half(store, held)
        await tampered(store, first, reasons="for reasons that nobody gave")
        await decide(store, held, "reviewer-2")
        assert (await decide(store, held, "legal-head")).needed == 0
        assert len(await orders(store)) == 1


PEOPLE = ("reviewer-1", "reviewer-2", "legal-head", "operator-1", "duty-1")
ACTS = st.tuples(
    st.sampled_from(PEOPLE),
    st.sampled_from(Outcome) | st.just(Outcome.APPROVE),
    st.sampled_from(["honest", "honest", "other bundle", "borrowed key", "replayed", "tampered"]),
    st.sampled_from(["id", "envelope"]),
)  # fmt: skip


@given(acts=st.lists(ACTS, min_size=1, max_size=8), hold=st.booleans(), opened_by=st.sampled_from(PEOPLE))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_told_no_order_lacks_its_different_unbarred_signed_approvals(
    sqlite_store: Store, acts: list[tuple[str, Outcome, str, str]], hold: bool, opened_by: str
) -> None:
    """Whatever is told, by whom, in whatever order: the one rule that must never break."""
    store, told = sqlite_store, list[str]()
    async with store.database.read() as session:
        name = f"site{len((await session.exec(select(CaseRow.id))).all())}.example.com"
    case = await open_case(store, name, opened_by=opened_by, findings=HOLD if hold else (), terms=TERMS)
    await seal(store, case)
    for officer, outcome, how, way in acts:
        place = await store.gate.place(case)
        if place.stage is Stage.EVIDENCE:
            await seal(store, case, round=place.round)
        bundle = await bundle_of(store, case) if how != "other bundle" else digest(b"another")
        key = key_of("reviewer-2" if how == "borrowed key" else officer)
        signed = sign(statement(case, bundle, officer, outcome), key)
        signed = told[-1] if how == "replayed" and told else signed
        told.append(signed)
        await refusal(store.review.file(case, signed, REASONS, OFFICERS))
        if how == "tampered":
            async with store.database.write() as session:
                change = update(DecisionRow).where(col(DecisionRow.id) == statement_id(signed))
                await session.exec(change.values(outcome="approve", officer="legal-head"))
        if way == "id":
            await tell(store, case, statement_id(signed))
        else:
            await tell(store, case, envelopes=[signed])
    await _lawful(store, case, hold, opened_by)


async def _lawful(store: Store, case: str, hold: bool, opened_by: str) -> None:
    async with store.database.read() as session:
        issued = list(await session.exec(select(OrderRow).where(OrderRow.case == case)))
        rows = list(await session.exec(select(DecisionRow).where(DecisionRow.case == case)))
        measures = list(await session.exec(select(MeasureRow.order)))
    keys = {officer: key_id(key_of(officer).public_key()) for officer in PEOPLE}
    for order in issued:
        approving = {
            row.officer
            for row in rows
            if (row.state, row.outcome, row.bundle) == ("admitted", "approve", order.bundle)
            and row.key == keys[row.officer]
        }
        assert len(approving) >= (2 if hold else 1)
        assert approving <= {"reviewer-1", "reviewer-2", "legal-head"} - {opened_by, "ifpi"}
        assert measures.count(order.id) == 1
    assert len({order.bundle for order in issued}) == len(issued)
    longest = TERMS.span("order") + TERMS.procedure.renewals * TERMS.span("renewal")
    assert all(order.valid_until - order.valid_from <= longest for order in issued)
    place = await store.gate.place(case)
    assert (place.order is not None) == bool(issued)
    assert (place.stage is Stage.UNBLOCKING) == place.over
