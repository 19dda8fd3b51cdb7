"""Decisions on file: signed by their officers, each once, and nothing that a rule refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import col, func, select

from precinto.domain.case import Stage
from precinto.domain.errors import NotFound, Refused
from precinto.domain.evidence import Finding, FindingKind
from precinto.domain.model import digest
from precinto.domain.review import Absence, Officer, Outcome, Role
from precinto.domain.statements import key_id, sign, statement_id
from precinto.store import Store, ledger
from precinto.store.intake import CaseRow
from precinto.store.review import FRESH, LONGEST_REASONS, DecisionRow, EscalationRow
from tests.authority import GROUND, REASONS, TERMS, envelope, key_of, referral, statement
from tests.fakes import OFFICERS
from tests.store.steps import admit, decide, file, issue, open_case, refusal, seal, tell

HOLD = (Finding(kind=FindingKind.PROTECTED_NAME, detail="gob.pe", source="test list"),)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def case(store: Store) -> str:
    """A case under review."""
    opened = await open_case(store)
    await seal(store, opened)
    return opened


@pytest.fixture
async def bundle(store: Store, case: str) -> str:
    """The bundle under review."""
    found = (await store.review.docket(case)).bundle
    assert found is not None
    return found


async def state(store: Store, decision: str) -> tuple[str, str | None]:
    """State and refusal of a decision."""
    async with store.database.read() as session:
        row = await session.get_one(DecisionRow, decision)
    return row.state, row.refusal


async def refused_at_filing(
    store: Store, case: str, signed: str, reasons: str = REASONS, officers: tuple[Officer, ...] = OFFICERS
) -> str | None:
    """The rule that keeps a decision off the files; nothing at all is written where one does."""
    before = await ledger.verify(store.database)
    count = select(func.count()).select_from(DecisionRow)
    async with store.database.read() as session:
        filed = (await session.exec(count)).one()
    code = await refusal(store.review.file(case, signed, reasons, officers))
    if code is not None:
        async with store.database.read() as session:
            assert (await session.exec(count)).one() == filed
        assert await ledger.verify(store.database) == before
    return code


class TestFiling:
    """What an officer signs is filed as signed, once."""

    async def test_the_file_holds_all_that_was_signed_and_its_reasons(
        self, store: Store, case: str, bundle: str
    ) -> None:
        said = statement(case, bundle, "reviewer-1")
        signed = sign(said, key_of("reviewer-1"))
        row = await store.review.file(case, signed, REASONS, OFFICERS)
        assert (row.id, row.envelope, row.reasons) == (statement_id(signed), signed, REASONS)
        assert (row.officer, row.role, row.outcome, row.bundle) == ("reviewer-1", "reviewer", "approve", bundle)
        assert (row.key, row.nonce, row.signed_at) == (
            key_id(key_of("reviewer-1").public_key()),
            said.nonce,
            said.at,
        )
        assert (row.grounds, row.round, row.state, row.refusal) == (f'["{GROUND}"]', 1, "submitted", None)

    async def test_filed_again_it_is_the_same_under_the_same_ticket(
        self, store: Store, case: str, bundle: str
    ) -> None:
        one = await file(store, case, bundle, "reviewer-1")
        before = await ledger.verify(store.database)
        assert one.envelope is not None
        again = await store.review.file(case, one.envelope, REASONS, OFFICERS)
        assert (again.id, again.ticket) == (one.id, one.ticket)
        assert await ledger.verify(store.database) == before

    async def test_the_ledger_holds_no_free_text_but_the_digest_and_the_key(
        self, store: Store, case: str, bundle: str
    ) -> None:
        one = await file(store, case, bundle, "reviewer-1")
        async with store.database.read() as session:
            rows = list(await session.exec(select(ledger.LedgerRow)))
        assert not any(REASONS in row.body for row in rows)
        assert (rows[-1].action, rows[-1].actor) == ("decision_submitted", "reviewer-1")
        assert digest(REASONS.encode()) in rows[-1].body
        assert one.key is not None
        assert one.key in rows[-1].body

    async def test_what_an_officer_signed_before_does_not_come_up_later(
        self, store: Store, case: str, bundle: str
    ) -> None:
        """An approval that the case was never told of, and then a rejection: nobody can tell it of the approval."""
        approval = await file(store, case, bundle, "reviewer-1")
        of_another = await file(store, case, bundle, "reviewer-2")
        await file(store, case, bundle, "reviewer-1", Outcome.REJECT)
        assert await state(store, approval.id) == ("refused", "superseded")
        assert await state(store, of_another.id) == ("submitted", None)
        assert (await admit(store, case, approval)).code == "refused_before"

    async def test_what_was_admitted_is_not_superseded(self, store: Store) -> None:
        held = await open_case(store, findings=HOLD)
        bundle = await seal(store, held)
        approval = await file(store, held, bundle, "reviewer-1")
        assert (await admit(store, held, approval)).needed == 1
        await file(store, held, bundle, "reviewer-1", Outcome.RETURN)
        assert await state(store, approval.id) == ("admitted", None)

    async def test_what_is_decided_on_an_order_supersedes_nothing(self, store: Store, case: str) -> None:
        await decide(store, case, "reviewer-1")
        bundle = (await store.review.docket(case)).bundle or ""
        stay = await file(store, case, bundle, "duty-1", Outcome.STAY)
        await file(store, case, bundle, "duty-1", Outcome.REVOKE)
        assert await state(store, stay.id) == ("submitted", None)

    async def test_it_is_found_again_by_what_it_says(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "reviewer-1")
        found = await store.review.said(case, "reviewer-1", Outcome.APPROVE, REASONS)
        assert found is not None
        assert found.id == one.id
        assert await store.review.said(case, "reviewer-1", Outcome.APPROVE, "for other reasons") is None
        assert await store.review.said(case, "reviewer-2", Outcome.APPROVE, REASONS) is None
        await store.review.refuse(case, one.id, "other_bundle")
        assert await store.review.said(case, "reviewer-1", Outcome.APPROVE, REASONS) is None

    async def test_there_is_no_file_without_a_case(self, store: Store, case: str, bundle: str) -> None:
        with pytest.raises(NotFound):
            await store.review.file("nobody-1", envelope("nobody-1", bundle, "reviewer-1"), REASONS, OFFICERS)


class TestTheSignature:
    """Whose word it is."""

    @pytest.mark.parametrize("junk", ["", "no envelope", "a.b.c", "x" * 5000])
    async def test_what_is_no_envelope(self, store: Store, case: str, junk: str) -> None:
        assert await refused_at_filing(store, case, junk) == "malformed"

    async def test_a_signature_of_other_words(self, store: Store, case: str, bundle: str) -> None:
        approval, rejection = (
            envelope(case, bundle, "reviewer-1", outcome) for outcome in (Outcome.APPROVE, Outcome.REJECT)
        )
        mixed = f"{approval.rpartition('.')[0]}.{rejection.rpartition('.')[2]}"
        assert await refused_at_filing(store, case, mixed) == "forged"

    async def test_a_key_that_nobody_enrolled(self, store: Store, case: str, bundle: str) -> None:
        made_up = sign(statement(case, bundle, "reviewer-1"), Ed25519PrivateKey.generate())
        assert await refused_at_filing(store, case, made_up) == "unknown_key"

    async def test_a_key_of_another_officer(self, store: Store, case: str, bundle: str) -> None:
        borrowed = sign(statement(case, bundle, "reviewer-1"), key_of("reviewer-2"))
        assert await refused_at_filing(store, case, borrowed) == "other_officers_key"

    async def test_a_key_that_was_revoked(self, store: Store, case: str, bundle: str) -> None:
        await store.officer_keys.revoke(key_id(key_of("reviewer-1").public_key()), "test", "lost")
        assert await refused_at_filing(store, case, envelope(case, bundle, "reviewer-1")) == "key_revoked"
        backdated = envelope(case, bundle, "reviewer-1", at=datetime.now(UTC) - FRESH / 2)
        assert await refused_at_filing(store, case, backdated) == "key_revoked"

    @pytest.mark.parametrize("late", [FRESH + SECOND, -FRESH - SECOND], ids=["long ago", "in the future"])
    async def test_what_was_signed_at_another_time(
        self, store: Store, case: str, bundle: str, late: timedelta
    ) -> None:
        old = envelope(case, bundle, "reviewer-1", at=datetime.now(UTC) - late)
        assert await refused_at_filing(store, case, old) == "stale"
        near = datetime.now(UTC) - late + (5 * SECOND if late > timedelta(0) else -5 * SECOND)
        assert await refused_at_filing(store, case, envelope(case, bundle, "reviewer-1", at=near)) is None

    async def test_the_same_random_bits_twice(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "reviewer-1")
        again = envelope(case, bundle, "reviewer-1", Outcome.REJECT, nonce=one.nonce)
        assert await refused_at_filing(store, case, again) == "replayed"

    async def test_an_envelope_about_another_case(self, store: Store, case: str, bundle: str) -> None:
        other = await open_case(store, "flvto.biz")
        assert await refused_at_filing(store, other, envelope(case, bundle, "reviewer-1")) == "other_case"

    async def test_also_one_that_is_on_file_there(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "reviewer-1")
        other = await open_case(store, "flvto.biz")
        assert await refused_at_filing(store, other, one.envelope or "") == "other_case"


class TestTheRules:
    """What an officer may say, and in which words."""

    @pytest.mark.parametrize(
        ("officer", "outcome"),
        [("operator-1", Outcome.APPROVE), ("duty-1", Outcome.APPROVE), ("operator-1", Outcome.RETURN)],
    )
    async def test_an_officer_without_the_role(
        self, store: Store, case: str, bundle: str, officer: str, outcome: Outcome
    ) -> None:
        assert await refused_at_filing(store, case, envelope(case, bundle, officer, outcome)) == "not_entitled"

    async def test_a_role_that_the_officer_does_not_hold(self, store: Store, case: str, bundle: str) -> None:
        grand = envelope(case, bundle, "reviewer-1", role=Role.LEGAL_HEAD)
        assert await refused_at_filing(store, case, grand) == "not_entitled"

    async def test_one_who_left_the_authority(self, store: Store, case: str, bundle: str) -> None:
        left = tuple(one for one in OFFICERS if one.id != "reviewer-1")
        signed = envelope(case, bundle, "reviewer-1")
        assert await refused_at_filing(store, case, signed, officers=left) == "unknown_officer"

    async def test_a_deputy_in_an_absence_and_not_after_it(self, store: Store, case: str, bundle: str) -> None:
        now = datetime.now(UTC)
        signed = envelope(case, bundle, "duty-1", role=Role.REVIEWER)
        for away, code in (
            (Absence(since=now - 2 * SECOND, until=now - SECOND), "not_entitled"),
            (Absence(since=now - SECOND, until=now + FRESH), None),
        ):
            head = Officer(id="reviewer-1", roles=(Role.REVIEWER,), deputy="duty-1", away=(away,))
            officers = (head, *OFFICERS[1:])
            assert await refused_at_filing(store, case, signed, officers=officers) == code

    async def test_a_ground_that_the_procedure_does_not_know(self, store: Store, case: str, bundle: str) -> None:
        invented = envelope(case, bundle, "reviewer-1", grounds=(GROUND, "art-99"))
        assert await refused_at_filing(store, case, invented) == "unknown_ground"

    async def test_a_ground_for_something_else(self, store: Store) -> None:
        """The article says why a block is refused, not why it is ordered."""
        (any_of_all,) = TERMS.procedure.grounds
        grounds = (
            any_of_all.model_copy(update={"outcomes": (Outcome.REJECT,)}),
            any_of_all.model_copy(update={"code": "art-2"}),
        )
        narrow = TERMS.model_copy(update={"procedure": TERMS.procedure.model_copy(update={"grounds": grounds})})
        case = await open_case(store, "flvto.biz", terms=narrow)
        bundle = await seal(store, case)
        assert await refused_at_filing(store, case, envelope(case, bundle, "reviewer-1")) == "unknown_ground"
        assert await refused_at_filing(store, case, envelope(case, bundle, "reviewer-1", Outcome.REJECT)) is None

    @pytest.mark.parametrize("reasons", ["", " \n", "x" * (LONGEST_REASONS + 1)], ids=["none", "blank", "endless"])
    async def test_reasons_that_are_none(self, store: Store, case: str, bundle: str, reasons: str) -> None:
        signed = envelope(case, bundle, "reviewer-1", reasons=digest(reasons.encode()))
        assert await refused_at_filing(store, case, signed, reasons) == "reasons_missing"

    async def test_reasons_that_were_not_signed(self, store: Store, case: str, bundle: str) -> None:
        assert await refused_at_filing(store, case, envelope(case, bundle, "reviewer-1"), "others") == "other_reasons"

    async def test_another_bundle(self, store: Store, case: str) -> None:
        signed = envelope(case, digest(b"another"), "reviewer-1")
        assert await refused_at_filing(store, case, signed) == "other_bundle"

    async def test_the_bundle_of_an_earlier_round(self, store: Store, case: str, bundle: str) -> None:
        await decide(store, case, "reviewer-2", Outcome.RETURN)
        signed = envelope(case, bundle, "reviewer-1")
        assert await refused_at_filing(store, case, signed) == "not_under_review"
        await seal(store, case, round=2)
        assert await refused_at_filing(store, case, signed) == "other_bundle"

    async def test_who_opened_the_case(self, store: Store) -> None:
        case = await open_case(store, "flvto.biz", opened_by="reviewer-1")
        signed = envelope(case, await seal(store, case), "reviewer-1")
        assert await refused_at_filing(store, case, signed) == "referrer_may_not_decide"

    async def test_who_took_in_a_referral_that_joined(self, store: Store, case: str, bundle: str) -> None:
        await store.intake.register(referral("y2mate.com", reference="2"), (), "reviewer-1", TERMS)
        signed = envelope(case, bundle, "reviewer-1")
        assert await refused_at_filing(store, case, signed) == "referrer_may_not_decide"

    async def test_the_same_officer_twice(self, store: Store) -> None:
        case = await open_case(store, "flvto.biz", findings=HOLD)
        bundle = await seal(store, case)
        await decide(store, case, "reviewer-1")
        signed = envelope(case, bundle, "reviewer-1")
        assert await refused_at_filing(store, case, signed) == "same_officer_twice"

    async def test_a_bundle_without_its_time(self, store: Store) -> None:
        case = await open_case(store, "flvto.biz")
        bundle = await seal(store, case, authorities=("uno",))
        assert await refused_at_filing(store, case, envelope(case, bundle, "reviewer-1")) == "time_pending"
        assert await refused_at_filing(store, case, envelope(case, bundle, "reviewer-1", Outcome.REJECT)) is None

    @pytest.mark.parametrize("outcome", [Outcome.REVOKE, Outcome.STAY, Outcome.RESUME, Outcome.RENEW])
    async def test_no_order_is_in_force(self, store: Store, case: str, bundle: str, outcome: Outcome) -> None:
        signed = envelope(case, bundle, "reviewer-1", outcome)
        assert await refused_at_filing(store, case, signed) == "not_in_force"

    @pytest.mark.parametrize("outcome", [Outcome.UPHOLD, Outcome.DISMISS])
    async def test_nobody_has_objected(self, store: Store, case: str, outcome: Outcome) -> None:
        await decide(store, case, "reviewer-1")
        bundle = (await store.review.docket(case)).bundle or ""
        signed = envelope(case, bundle, "reviewer-2", outcome, about="objection-1")
        assert await refused_at_filing(store, case, signed) == "no_such_objection"


class TestDocket:
    """What the rules know of a case."""

    async def test_only_admitted_approvals_of_this_bundle_show(self, store: Store) -> None:
        case = await open_case(store, "flvto.biz", findings=HOLD)
        bundle = await seal(store, case)
        one = await file(store, case, bundle, "reviewer-1")
        await file(store, case, bundle, "reviewer-2")
        assert (await store.review.docket(case)).approvals == ()
        for _ in range(2):
            await admit(store, case, one)
        docket = await store.review.docket(case)
        assert (docket.approvals, docket.still_needed) == (("reviewer-1",), 1)
        await decide(store, case, "legal-head", Outcome.RETURN)
        await seal(store, case, round=2)
        assert (await store.review.docket(case)).approvals == ()

    async def test_who_decided_the_order_shows_as_its_decider(self, store: Store) -> None:
        case = await open_case(store, "flvto.biz", findings=HOLD)
        await issue(store, case, "reviewer-1", "legal-head")
        docket = await store.review.docket(case)
        assert (docket.stage, docket.deciders) == (Stage.NOTIFICATION, ("legal-head", "reviewer-1"))

    async def test_its_terms_are_those_of_the_case(self, store: Store, case: str) -> None:
        async with store.database.read() as session:
            row = await session.get_one(CaseRow, case)
        assert await store.review.snapshot(case) == row.snapshot()

    async def test_there_is_none_without_a_case(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.review.docket("nobody-1")


class TestRefusals:
    """What is refused is on file, with the rule that refused it."""

    async def test_also_of_what_nobody_filed(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "reviewer-1")
        for _ in range(2):
            await store.review.refuse(case, one.id, "other_bundle")
        await store.review.refuse(case, "made-up", "unknown_officer")
        assert await state(store, one.id) == ("refused", "other_bundle")
        async with store.database.read() as session:
            rows = await session.exec(select(ledger.LedgerRow).where(ledger.LedgerRow.action == "decision_refused"))
            assert [row.body for row in rows] == [
                f'{{"code":"other_bundle","decision":"{one.id}"}}',
                '{"code":"unknown_officer","decision":"made-up"}',
            ]

    async def test_what_was_admitted_cannot_be_refused_afterwards(self, store: Store) -> None:
        case = await open_case(store, "flvto.biz", findings=HOLD)
        one = await file(store, case, await seal(store, case), "reviewer-1")
        await admit(store, case, one)
        await store.review.refuse(case, one.id, "other_bundle")
        assert await state(store, one.id) == ("admitted", None)

    async def test_another_case_cannot_refuse_it(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "reviewer-1")
        other = await open_case(store, "flvto.biz")
        await store.review.refuse(other, one.id, "other_bundle")
        assert await state(store, one.id) == ("submitted", None)
        assert [said.code for said in await tell(store, other, one.id)] == ["decision_not_on_file"]
        assert await state(store, one.id) == ("submitted", None)

    async def test_its_officer_may_sign_another(self, store: Store, case: str, bundle: str) -> None:
        one = await file(store, case, bundle, "reviewer-1")
        await store.review.refuse(case, one.id, "other_bundle")
        again = await file(store, case, bundle, "reviewer-1")
        assert again.id != one.id
        assert (await admit(store, case, again)).code is None


class TestOverdue:
    """A term that has passed is put before a human, once; it never approves."""

    async def test_once_a_term_and_the_next_begins(self, store: Store, case: str) -> None:
        async with store.database.read() as session:
            due = (await session.get_one(CaseRow, case)).due_at
        assert due is not None
        late = due + SECOND
        then = await store.review.escalate(case, due, late)
        assert then == late + TERMS.span("review")
        assert await store.review.escalate(case, due, late + SECOND) == then
        await store.review.escalate(case, then, then)
        async with store.database.read() as session:
            rows = list(await session.exec(select(EscalationRow).order_by(col(EscalationRow.subject))))
            assert (await session.get_one(CaseRow, case)).stage == Stage.REVIEW
        assert [(row.what, row.subject) for row in rows] == [
            ("review_overdue", due.isoformat()),
            ("review_overdue", then.isoformat()),
        ]
        assert (await store.review.docket(case)).approvals == ()

    async def test_not_once_it_is_decided(self, store: Store, case: str) -> None:
        async with store.database.read() as session:
            due = (await session.get_one(CaseRow, case)).due_at
        assert due is not None
        await decide(store, case, "reviewer-1", Outcome.REJECT)
        assert await store.review.escalate(case, due, due) == due
        async with store.database.read() as session:
            assert (await session.exec(select(EscalationRow))).all() == []


async def test_a_refusal_names_the_reason_in_words(store: Store, case: str, bundle: str) -> None:
    with pytest.raises(Refused, match="art-99"):
        await file(store, case, bundle, "reviewer-1", grounds=("art-99",))
