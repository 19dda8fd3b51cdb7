"""Who may decide what on a case: each refusal, and that no sequence of decisions walks round the rules."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from precinto.domain.case import Stage
from precinto.domain.errors import Refused
from precinto.domain.model import digest
from precinto.domain.review import IN_FORCE, OF_ORDERS, OF_REVIEW, Docket, Outcome, Said, admit

BUNDLE, OTHER = digest(b"bundle"), digest(b"another")
APPROVING = (Outcome.APPROVE, Outcome.RELEASE)
LIFTING = (Outcome.REVOKE, Outcome.STAY)


def says(
    officer: str, outcome: Outcome = Outcome.APPROVE, bundle: str = BUNDLE, about: str | None = "objection-1"
) -> Said:
    """What an officer says."""
    return Said(outcome=outcome, subject=bundle, officer=officer, about=about)


def docket(*approvals: str, stage: Stage = Stage.REVIEW, **changed: object) -> Docket:
    """A case under review, or where the test puts it."""
    fields: dict[str, object] = {
        "stage": stage,
        "bundle": BUNDLE,
        "barred": ("ifpi", "operator-1"),
        "hold": False,
        "approvals": approvals,
    }
    return Docket.model_validate(fields | changed)


def in_force(stage: Stage = Stage.VERIFICATION, **changed: object) -> Docket:
    """A case whose order is in force, decided by reviewer-1, with an objection that waits."""
    known: dict[str, object] = {"deciders": ("reviewer-1",), "objections": ("objection-1",)}
    return docket("reviewer-1", stage=stage, **(known | changed))


def refusal(said: Said, case: Docket) -> str | None:
    """The rule that says no; None where none does."""
    try:
        admit(said, case)
    except Refused as refused:
        return refused.code
    return None


class TestUnderReview:
    """A bundle that waits for its decision."""

    @pytest.mark.parametrize("outcome", sorted(OF_REVIEW))
    def test_a_decision_on_the_bundle_under_review_comes_in(self, outcome: Outcome) -> None:
        assert refusal(says("reviewer-1", outcome), docket()) is None

    @pytest.mark.parametrize("outcome", sorted(OF_REVIEW))
    @pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.REVIEW])
    def test_nothing_is_under_review(self, stage: Stage, outcome: Outcome) -> None:
        assert refusal(says("reviewer-1", outcome), docket(stage=stage)) == "not_under_review"

    def test_nor_where_no_bundle_was_sealed(self) -> None:
        assert refusal(says("reviewer-1"), docket(bundle=None)) == "not_under_review"

    def test_another_bundle(self) -> None:
        with pytest.raises(Refused, match=f"on bundle {OTHER[:12]}, the case's is {BUNDLE[:12]}") as refused:
            admit(says("reviewer-1", bundle=OTHER), docket())
        assert refused.value.code == "other_bundle"

    @pytest.mark.parametrize("outcome", sorted(OF_REVIEW))
    @pytest.mark.parametrize("officer", ["ifpi", "operator-1"])
    def test_whoever_referred_or_opened_the_case(self, officer: str, outcome: Outcome) -> None:
        assert refusal(says(officer, outcome), docket()) == "referrer_may_not_decide"

    def test_the_same_officer_does_not_approve_twice(self) -> None:
        assert refusal(says("reviewer-1"), docket("reviewer-1", hold=True)) == "same_officer_twice"

    @pytest.mark.parametrize("outcome", [Outcome.REJECT, Outcome.RETURN])
    def test_but_may_think_better_of_an_approval(self, outcome: Outcome) -> None:
        """What an officer has approved and another has not yet, the officer may still reject or send back."""
        assert refusal(says("reviewer-1", outcome), docket("reviewer-1", hold=True)) is None

    @pytest.mark.parametrize("outcome", APPROVING)
    def test_what_has_no_proven_time_is_not_approved(self, outcome: Outcome) -> None:
        assert refusal(says("reviewer-1", outcome), docket(stamped=False)) == "time_pending"

    @pytest.mark.parametrize("outcome", APPROVING)
    def test_nor_what_nobody_was_heard_on(self, outcome: Outcome) -> None:
        assert refusal(says("reviewer-1", outcome), docket(heard=False)) == "not_heard"

    @pytest.mark.parametrize("outcome", [Outcome.REJECT, Outcome.RETURN])
    def test_but_it_may_be_rejected_and_sent_back(self, outcome: Outcome) -> None:
        assert refusal(says("reviewer-1", outcome), docket(stamped=False, heard=False)) is None

    def test_a_case_on_hold_is_not_released(self) -> None:
        assert refusal(says("duty-1", Outcome.RELEASE), docket(hold=True)) == "held"

    @pytest.mark.parametrize("outcome", sorted(OF_ORDERS))
    def test_no_order_is_in_force(self, outcome: Outcome) -> None:
        assert refusal(says("reviewer-1", outcome), docket()) == "not_in_force"

    def test_a_standing_order_is_not_enacted_in_a_case(self) -> None:
        for stage in Stage:
            assert refusal(says("reviewer-1", Outcome.ENACT), docket(stage=stage)) == "not_under_review"


class TestInForce:
    """An order in force: lifting it is easy, keeping it or bringing it back is not."""

    @pytest.mark.parametrize("stage", sorted(IN_FORCE))
    @pytest.mark.parametrize("officer", ["reviewer-1", "operator-1", "duty-1"])
    def test_anyone_entitled_may_revoke_also_who_referred_it(self, officer: str, stage: Stage) -> None:
        assert refusal(says(officer, Outcome.REVOKE), in_force(stage)) is None

    @pytest.mark.parametrize("outcome", sorted(OF_ORDERS))
    @pytest.mark.parametrize("stage", [Stage.UNBLOCKING, Stage.CLOSED, Stage.EVIDENCE])
    def test_there_is_nothing_to_decide_after_the_end_or_before_the_order(
        self, stage: Stage, outcome: Outcome
    ) -> None:
        assert refusal(says("reviewer-2", outcome), in_force(stage)) == "not_in_force"

    @pytest.mark.parametrize("outcome", sorted(OF_ORDERS))
    def test_another_bundle(self, outcome: Outcome) -> None:
        assert refusal(says("reviewer-2", outcome, OTHER), in_force()) == "other_bundle"

    def test_what_is_stayed_is_not_stayed_again_nor_renewed(self) -> None:
        stayed = in_force(Stage.STAYED)
        assert refusal(says("reviewer-2", Outcome.STAY), stayed) == "stayed"
        assert refusal(says("reviewer-2", Outcome.RENEW), stayed) == "stayed"

    @pytest.mark.parametrize("stage", [Stage.NOTIFICATION, Stage.VERIFICATION])
    def test_what_is_not_stayed_is_not_resumed(self, stage: Stage) -> None:
        assert refusal(says("reviewer-2", Outcome.RESUME), in_force(stage)) == "not_stayed"

    @pytest.mark.parametrize(
        ("outcome", "stage"), [(Outcome.RESUME, Stage.STAYED), (Outcome.RENEW, Stage.VERIFICATION)]
    )
    def test_who_referred_the_case_may_not_bring_its_block_back_or_lengthen_it(
        self, outcome: Outcome, stage: Stage
    ) -> None:
        assert refusal(says("operator-1", outcome), in_force(stage)) == "referrer_may_not_decide"
        assert refusal(says("reviewer-1", outcome), in_force(stage)) is None

    def test_nobody_approves_a_renewal_twice(self) -> None:
        half = in_force(renewals=("reviewer-1",), hold=True)
        assert refusal(says("reviewer-1", Outcome.RENEW), half) == "same_officer_twice"
        assert refusal(says("reviewer-2", Outcome.RENEW), half) is None

    @pytest.mark.parametrize("outcome", [Outcome.UPHOLD, Outcome.DISMISS])
    @pytest.mark.parametrize("about", [None, "objection-2"])
    def test_only_an_objection_that_waits_is_decided(self, about: str | None, outcome: Outcome) -> None:
        assert refusal(says("reviewer-2", outcome, about=about), in_force()) == "no_such_objection"

    @pytest.mark.parametrize("officer", ["reviewer-1", "operator-1"])
    def test_nobody_dismisses_an_objection_to_an_own_act_but_may_uphold_it(self, officer: str) -> None:
        assert refusal(says(officer, Outcome.DISMISS), in_force()) == "own_decision"
        assert refusal(says(officer, Outcome.UPHOLD), in_force()) is None
        assert refusal(says("reviewer-2", Outcome.DISMISS), in_force()) is None

    def test_nobody_dismisses_an_appeal_against_an_own_dismissal(self) -> None:
        objected = in_force(dismissers=("reviewer-2",))
        appealed = in_force(dismissers=("reviewer-2",), appeals=("objection-1",))
        assert refusal(says("reviewer-2", Outcome.DISMISS), objected) is None
        assert refusal(says("reviewer-2", Outcome.DISMISS), appealed) == "own_decision"
        assert refusal(says("legal-head", Outcome.DISMISS), appealed) is None

    def test_what_the_law_suspends_no_officer_resumes(self) -> None:
        suspended = in_force(Stage.STAYED, appeals=("objection-1",), suspending=("objection-1",))
        assert refusal(says("reviewer-2", Outcome.RESUME), suspended) == "appeal_pending"
        assert refusal(says("reviewer-2", Outcome.RESUME), in_force(Stage.STAYED)) is None

    def test_a_stay_is_about_an_objection_that_waits_or_about_none(self) -> None:
        assert refusal(says("duty-1", Outcome.STAY, about="objection-2"), in_force()) == "no_such_objection"
        assert refusal(says("duty-1", Outcome.STAY, about="objection-1"), in_force()) is None
        assert refusal(says("duty-1", Outcome.STAY, about=None), in_force(objections=())) is None


class TestDocket:
    """What is missing, and where there is something to decide."""

    def test_a_hold_needs_two(self) -> None:
        assert (docket().approvals_needed, docket(hold=True).approvals_needed) == (1, 2)

    def test_it_counts_down_the_approvals(self) -> None:
        counts = [docket(*given, hold=True).still_needed for given in ((), ("a",), ("a", "b"), ("a", "b", "c"))]
        assert counts == [2, 1, 0, 0]

    def test_nothing_is_needed_where_nothing_is_under_review(self) -> None:
        assert {docket(stage=stage).still_needed for stage in Stage if stage is not Stage.REVIEW} == {0}

    def test_decidable_is_what_is_under_review_or_in_force(self) -> None:
        decidable = {stage for stage in Stage if docket(stage=stage).is_decidable}
        assert decidable == {Stage.REVIEW, Stage.NOTIFICATION, Stage.VERIFICATION, Stage.STAYED}

    def test_a_subject_is_a_digest_and_free_text_has_no_place(self) -> None:
        with pytest.raises(ValidationError):
            Said.model_validate(says("o").model_dump() | {"subject": "because"})
        with pytest.raises(ValidationError, match="text"):
            Said.model_validate(says("o").model_dump() | {"text": "because"})


OFFICERS = st.sampled_from(["reviewer-1", "reviewer-2", "legal-head", "duty-1", "operator-1", "ifpi"])
SAID = st.builds(says, OFFICERS, st.sampled_from(Outcome), st.sampled_from([BUNDLE, OTHER]))
DOCKETS = st.builds(
    docket,
    stage=st.sampled_from(Stage),
    hold=st.booleans(),
    stamped=st.booleans(),
    heard=st.booleans(),
    barred=st.lists(OFFICERS, max_size=3).map(tuple),
    deciders=st.lists(OFFICERS, max_size=2).map(tuple),
    objections=st.sampled_from([(), ("objection-1",)]),
    bundle=st.sampled_from([BUNDLE, None]),
)


class TestAnySequence:
    """What holds whatever is said, by whomever, in whatever order."""

    @given(said=st.lists(SAID, max_size=12), case=DOCKETS)
    def test_only_different_and_unbarred_officers_ever_count(self, said: list[Said], case: Docket) -> None:
        """As the gate takes them: each that is admitted counts, the others leave no trace."""
        for one in said:
            if refusal(one, case) is None and one.outcome in APPROVING:
                case = case.model_copy(update={"approvals": (*case.approvals, one.officer)})
        assert len(set(case.approvals)) == len(case.approvals)
        assert not set(case.approvals) & set(case.barred)
        if case.approvals:
            assert case.stamped
            assert case.heard
            assert case.stage is Stage.REVIEW

    @given(one=SAID, case=DOCKETS)
    def test_who_is_barred_can_only_lift(self, one: Said, case: Docket) -> None:
        barred = case.model_copy(update={"barred": (*case.barred, one.officer)})
        if refusal(one, barred) is None:
            assert one.outcome in {*LIFTING, Outcome.UPHOLD}

    @given(one=SAID, case=DOCKETS)
    def test_nothing_is_admitted_on_another_bundle(self, one: Said, case: Docket) -> None:
        if refusal(one, case) is None:
            assert one.subject == case.bundle

    @given(one=SAID, case=DOCKETS)
    def test_what_decides_nothing_now_is_refused(self, one: Said, case: Docket) -> None:
        if not case.is_decidable:
            assert refusal(one, case) is not None

    def test_every_outcome_is_of_a_review_or_of_an_order_or_enacts(self) -> None:
        assert OF_REVIEW | OF_ORDERS | {Outcome.ENACT} == set(Outcome)
        assert not OF_REVIEW & OF_ORDERS

    def test_no_outcome_comes_in_at_two_kinds_of_stage(self) -> None:
        """Over every stage: what decides a bundle decides no order, and the reverse."""
        for outcome, stage in product(Outcome, Stage):
            if refusal(says("reviewer-2", outcome), in_force(stage)) is None:
                assert (outcome in OF_REVIEW) == (stage is Stage.REVIEW)
