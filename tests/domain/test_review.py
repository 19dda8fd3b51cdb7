"""Who may decide what: each refusal, and that no sequence of decisions walks round the rules."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from precinto.domain.errors import Refused
from precinto.domain.model import digest
from precinto.domain.review import (
    Decision,
    Docket,
    Officer,
    Outcome,
    Review,
    Role,
    admit,
    carries_order,
    decision_id,
    reviewer,
)

BUNDLE, OTHER = digest(b"bundle"), digest(b"another")

OFFICERS = (
    Officer(id="reviewer-1", roles=(Role.REVIEWER,)),
    Officer(id="reviewer-2", roles=(Role.OPERATOR, Role.REVIEWER)),
    Officer(id="legal-head", roles=(Role.LEGAL_HEAD,)),
    Officer(id="operator-1", roles=(Role.OPERATOR,)),
    Officer(id="nobody", roles=()),
)


def says(officer: str, outcome: Outcome = Outcome.APPROVE, bundle: str = BUNDLE) -> Decision:
    """A decision of an officer."""
    return Decision(
        id=decision_id("c", bundle, officer, outcome),
        officer=officer,
        outcome=outcome,
        bundle=bundle,
        basis="art-1",
        reasons=digest(b"reasons"),
    )


def docket(*approvals: str, hold: bool = False, barred: tuple[str, ...] = ("ifpi", "operator-1")) -> Docket:
    """A case under review."""
    return Docket(bundle=BUNDLE, barred=barred, hold=hold, approvals=approvals)


def code(refused: pytest.ExceptionInfo[Refused]) -> tuple[str, str | None]:
    """The rule that said no, and the decision at fault."""
    return refused.value.code, refused.value.decision


class TestAdmit:
    """At the desk and in the workflow: may this decision come in?"""

    @pytest.mark.parametrize("outcome", [Outcome.APPROVE, Outcome.REJECT, Outcome.RETURN])
    def test_a_reviewer_may_decide_on_the_bundle_under_review(self, outcome: Outcome) -> None:
        admit(says("reviewer-1", outcome), docket())

    def test_nothing_is_under_review(self) -> None:
        with pytest.raises(Refused, match="not under review") as refused:
            admit(says("reviewer-1"), docket().model_copy(update={"bundle": None}))
        assert code(refused) == ("not_under_review", None)

    def test_another_bundle(self) -> None:
        with pytest.raises(Refused, match=f"on bundle {OTHER[:12]}, under review is {BUNDLE[:12]}") as refused:
            admit(says("reviewer-1", bundle=OTHER), docket())
        assert code(refused) == ("other_bundle", None)

    @pytest.mark.parametrize("outcome", [Outcome.APPROVE, Outcome.REJECT, Outcome.RETURN])
    @pytest.mark.parametrize("officer", ["ifpi", "operator-1"])
    def test_whoever_referred_or_opened_the_case(self, officer: str, outcome: Outcome) -> None:
        with pytest.raises(Refused, match=f"{officer} referred or opened the case") as refused:
            admit(says(officer, outcome), docket())
        assert code(refused) == ("referrer_may_not_decide", None)

    @pytest.mark.parametrize("outcome", [Outcome.APPROVE, Outcome.REJECT, Outcome.RETURN])
    def test_the_same_officer_twice(self, outcome: Outcome) -> None:
        with pytest.raises(Refused, match="a second, different reviewer must") as refused:
            admit(says("reviewer-1", outcome), docket("reviewer-1", hold=True))
        assert code(refused) == ("same_officer_twice", None)

    def test_a_revocation_where_no_order_is_in_force(self) -> None:
        with pytest.raises(Refused, match="no order in force") as refused:
            admit(says("reviewer-1", Outcome.REVOKE), docket())
        assert code(refused) == ("not_in_force", None)

    def test_a_hold_needs_two(self) -> None:
        assert (docket().approvals_needed, docket(hold=True).approvals_needed) == (1, 2)


class TestReviewer:
    """Who is appointed to review."""

    @pytest.mark.parametrize("officer", ["reviewer-1", "reviewer-2", "legal-head"])
    def test_reviewers_and_the_legal_head(self, officer: str) -> None:
        assert reviewer(OFFICERS, officer).id == officer

    @pytest.mark.parametrize("officer", ["operator-1", "nobody"])
    def test_others_are_not(self, officer: str) -> None:
        with pytest.raises(Refused, match="not appointed to review") as refused:
            reviewer(OFFICERS, officer)
        assert code(refused) == ("not_a_reviewer", None)

    @pytest.mark.parametrize("officer", ["", "Reviewer-1", "reviewer-9"])
    def test_nor_is_one_whom_the_authority_does_not_know(self, officer: str) -> None:
        with pytest.raises(Refused, match="not an officer of this authority") as refused:
            reviewer(OFFICERS, officer)
        assert code(refused) == ("unknown_officer", None)


class TestTheGate:
    """Before an order: do these decisions carry it?"""

    def test_one_approval_carries_it(self) -> None:
        carries_order([says("reviewer-1")], docket(), OFFICERS)

    def test_a_hold_needs_two_different(self) -> None:
        carries_order([says("reviewer-1"), says("legal-head")], docket(hold=True), OFFICERS)
        with pytest.raises(Refused, match="1 of 2 approvals") as refused:
            carries_order([says("reviewer-1")], docket(hold=True), OFFICERS)
        assert code(refused) == ("approvals_missing", None)

    def test_none_carries_nothing(self) -> None:
        with pytest.raises(Refused) as refused:
            carries_order([], docket(), OFFICERS)
        assert code(refused) == ("approvals_missing", None)

    @pytest.mark.parametrize(
        ("second", "rule"),
        [
            (says("reviewer-1"), "same_officer_twice"),
            (says("reviewer-2", Outcome.REJECT), "not_an_approval"),
            (says("reviewer-2", Outcome.REVOKE), "not_an_approval"),
            (says("reviewer-2", bundle=OTHER), "other_bundle"),
            (says("operator-1"), "not_a_reviewer"),
            (says("reviewer-9"), "unknown_officer"),
        ],
        ids=lambda part: part if isinstance(part, str) else "",
    )
    def test_the_decision_at_fault_is_named(self, second: Decision, rule: str) -> None:
        """So that the other one, which is good, need not be asked for again."""
        with pytest.raises(Refused) as refused:
            carries_order([says("reviewer-1"), second], docket(hold=True), OFFICERS)
        assert code(refused) == (rule, second.id)

    def test_one_who_opened_the_case_may_not_carry_it_though_a_reviewer(self) -> None:
        with pytest.raises(Refused) as refused:
            carries_order([says("reviewer-1")], docket(barred=("reviewer-1",)), OFFICERS)
        assert code(refused) == ("referrer_may_not_decide", says("reviewer-1").id)

    def test_approvals_that_the_docket_claims_do_not_count(self) -> None:
        """They came from a workflow; the gate counts what was filed."""
        with pytest.raises(Refused) as refused:
            carries_order([says("reviewer-1")], docket("reviewer-2", hold=True), OFFICERS)
        assert code(refused) == ("approvals_missing", None)


IDS = st.sampled_from([*(officer.id for officer in OFFICERS), "ifpi", "stranger"])
DECISIONS = st.builds(says, IDS, st.sampled_from(Outcome), st.sampled_from([BUNDLE, OTHER]))


def taken(case: Review, said: list[Decision]) -> Review:
    """The review after all this was said; what is not admitted leaves no trace."""
    for one in said:
        try:
            case.admit(one)
        except Refused:
            continue
        case = case.take(one)
    return case


class TestAnySequence:
    """What holds whatever is said, by whomever, in whatever order."""

    @given(
        said=st.lists(DECISIONS, max_size=8),
        hold=st.booleans(),
        barred=st.lists(IDS, max_size=3).map(tuple),
    )
    def test_an_order_has_its_different_appointed_and_unbarred_reviewers(
        self, said: list[Decision], hold: bool, barred: tuple[str, ...]
    ) -> None:
        case = docket(hold=hold, barred=barred)
        try:
            carries_order(said, case, OFFICERS)
        except Refused:
            return
        approving = {one.officer for one in said if one.outcome is Outcome.APPROVE and one.bundle == BUNDLE}
        assert len(approving) == len(said) >= (2 if hold else 1)
        assert not approving & set(barred)
        assert approving <= {"reviewer-1", "reviewer-2", "legal-head"}

    @given(said=st.lists(DECISIONS, max_size=12), hold=st.booleans(), barred=st.lists(IDS, max_size=3).map(tuple))
    def test_taken_one_by_one_no_case_is_approved_by_fewer(
        self, said: list[Decision], hold: bool, barred: tuple[str, ...]
    ) -> None:
        """As the workflow takes them: each that is admitted counts, the others leave no trace."""
        case = taken(Review(docket=docket(hold=hold, barred=barred)), said)
        if case.outcome is Outcome.APPROVE:
            approving = {one.officer for one in case.decisions}
            assert len(approving) == len(case.decisions) == (2 if hold else 1)
            assert not approving & set(barred)
            assert {one.bundle for one in case.decisions} == {BUNDLE}
            assert case.still_needed == 0

    @given(
        said=st.lists(DECISIONS, max_size=6),
        more=st.lists(DECISIONS, max_size=6),
        hold=st.booleans(),
        fault=st.integers(0, 3),
    )
    def test_nor_after_one_of_them_was_taken_out_again(
        self, said: list[Decision], more: list[Decision], hold: bool, fault: int
    ) -> None:
        """A decision that was forged is forgotten, and cannot be counted by what comes after it."""
        case = taken(Review(docket=docket(hold=hold)), said)
        at_fault = case.decisions[fault].id if fault < len(case.decisions) else None
        left, out = case.without(at_fault)
        assert sorted((*left.decisions, *out), key=repr) == sorted(case.decisions, key=repr)
        assert left.docket.approvals == tuple(one.officer for one in left.decisions if one.outcome is Outcome.APPROVE)
        again = taken(left, more)
        if again.outcome is Outcome.APPROVE:
            assert len({one.officer for one in again.decisions}) == (2 if hold else 1)


class TestReview:
    """A review as it goes on."""

    def test_it_counts_down_the_approvals(self) -> None:
        begun = Review(docket=docket(hold=True))
        assert (begun.still_needed, begun.outcome) == (2, None)
        half = begun.take(says("reviewer-1"))
        assert (half.still_needed, half.outcome) == (1, None)
        full = half.take(says("legal-head"))
        assert (full.still_needed, full.outcome) == (0, Outcome.APPROVE)
        assert begun.decisions == ()

    @pytest.mark.parametrize("outcome", [Outcome.REJECT, Outcome.RETURN])
    def test_any_one_reviewer_may_reject_or_return(self, outcome: Outcome) -> None:
        case = Review(docket=docket(hold=True)).take(says("reviewer-1")).take(says("legal-head", outcome))
        assert (case.outcome, case.still_needed) == (outcome, 0)

    def test_after_the_outcome_nothing_more_comes_in(self) -> None:
        with pytest.raises(Refused) as refused:
            Review(docket=docket()).take(says("reviewer-1")).admit(says("reviewer-2", Outcome.REJECT))
        assert code(refused) == ("already_decided", None)

    def test_another_bundle_begins_anew(self) -> None:
        half = Review(docket=docket(hold=True)).take(says("reviewer-1"))
        anew = half.of(OTHER)
        assert (anew.docket.bundle, anew.docket.approvals, anew.decisions) == (OTHER, (), ())
        with pytest.raises(Refused) as refused:
            half.of(None).admit(says("reviewer-2"))
        assert code(refused) == ("not_under_review", None)

    def test_the_decision_at_fault_is_taken_out_and_the_honest_one_stays(self) -> None:
        honest, forged = says("reviewer-1"), says("reviewer-2")
        left, out = Review(docket=docket(hold=True)).take(honest).take(forged).without(forged.id)
        assert (left.decisions, left.docket.approvals, out) == ((honest,), ("reviewer-1",), (forged,))

    @pytest.mark.parametrize("at_fault", [None, "no-such-decision"])
    def test_where_none_of_them_is_named_all_are(self, at_fault: str | None) -> None:
        """Else the case would ask the gate the same question for ever."""
        left, out = Review(docket=docket()).take(says("reviewer-1")).without(at_fault)
        assert (left.decisions, left.outcome, len(out)) == ((), None, 1)


class TestDecisions:
    """What of a decision enters history."""

    def test_saying_the_same_again_is_the_same_decision(self) -> None:
        assert decision_id("c", BUNDLE, "o", Outcome.APPROVE) == decision_id("c", BUNDLE, "o", Outcome.APPROVE)
        assert uuid.UUID(says("o").id).version == 5

    def test_each_part_counts(self) -> None:
        names = {
            decision_id(case, bundle, officer, outcome)
            for case in ("c1", "c2")
            for bundle in (BUNDLE, OTHER)
            for officer in ("o1", "o2")
            for outcome in Outcome
        }
        assert len(names) == 2 * 2 * 2 * len(Outcome)

    @pytest.mark.parametrize("field", ["bundle", "reasons"])
    def test_digests_are_digests_and_free_text_has_no_place(self, field: str) -> None:
        with pytest.raises(ValidationError):
            Decision.model_validate(says("o").model_dump() | {field: "because"})
        with pytest.raises(ValidationError, match="text"):
            Decision.model_validate(says("o").model_dump() | {"text": "because"})
