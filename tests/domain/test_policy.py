"""Who may do what: the table, deputies who act in an absence, and procedures that narrow it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.errors import Refused
from precinto.domain.policy import MAY, Deed, can, entitled, entitling, on_duty, roles
from precinto.domain.review import Absence, Officer, Outcome, Role
from tests.authority import PROCEDURE

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
HOLIDAY = Absence(since=NOW, until=NOW + DAY)

OFFICERS = (
    Officer(id="reviewer-1", roles=(Role.REVIEWER,), deputy="duty-1", away=(HOLIDAY,)),
    Officer(id="reviewer-2", roles=(Role.OPERATOR, Role.REVIEWER)),
    Officer(id="legal-head", roles=(Role.LEGAL_HEAD,), deputy="reviewer-1"),
    Officer(id="operator-1", roles=(Role.OPERATOR,)),
    Officer(id="duty-1", roles=(Role.DUTY_OFFICER,)),
    Officer(id="auditor-1", roles=(Role.AUDITOR, Role.PARTNER, Role.ISP)),
    Officer(id="nobody", roles=()),
)
BEFORE = NOW - DAY
"""Nobody is away."""


def may(actor: str, act: Outcome | Deed, at: datetime = BEFORE) -> bool:
    """Whether an officer may."""
    try:
        can(OFFICERS, actor, act, at)
    except Refused as refused:
        return refused.code != "not_entitled"
    return True


class TestTheTable:
    """Written out once more, by hand: a right that is added to the table must be added here, with its reason."""

    @pytest.mark.parametrize(
        ("act", "who"),
        [
            (Deed.REFER, {"operator-1", "reviewer-2"}),
            (Deed.OBJECT, {"operator-1", "reviewer-1", "reviewer-2", "legal-head", "duty-1"}),
            (Deed.HEAR, {"operator-1", "reviewer-1", "reviewer-2", "legal-head"}),
            (Deed.SKIP, {"reviewer-1", "reviewer-2", "legal-head"}),
            (Deed.PROCEED, {"reviewer-1", "reviewer-2", "legal-head"}),
            (Deed.DRAFT, {"operator-1", "reviewer-1", "reviewer-2", "legal-head"}),
            (Outcome.APPROVE, {"reviewer-1", "reviewer-2", "legal-head"}),
            (Outcome.REJECT, {"reviewer-1", "reviewer-2", "legal-head"}),
            (Outcome.RETURN, {"reviewer-1", "reviewer-2", "legal-head"}),
            (Outcome.RELEASE, {"reviewer-1", "reviewer-2", "legal-head", "duty-1"}),
            (Outcome.REVOKE, {"reviewer-1", "reviewer-2", "legal-head", "duty-1"}),
            (Outcome.STAY, {"reviewer-1", "reviewer-2", "legal-head", "duty-1"}),
            (Outcome.RESUME, {"reviewer-1", "reviewer-2", "legal-head"}),
            (Outcome.RENEW, {"reviewer-1", "reviewer-2", "legal-head"}),
            (Outcome.UPHOLD, {"reviewer-1", "reviewer-2", "legal-head"}),
            (Outcome.DISMISS, {"reviewer-1", "reviewer-2", "legal-head"}),
            (Outcome.ENACT, {"reviewer-1", "reviewer-2", "legal-head"}),
        ],
    )
    def test_each_act_is_for_these_officers_alone(self, act: Outcome | Deed, who: set[str]) -> None:
        assert {one.id for one in OFFICERS if may(one.id, act)} == who

    def test_it_names_every_act(self) -> None:
        assert set(MAY) == {*Outcome, *Deed}

    def test_whoever_is_not_in_it_may_nothing(self) -> None:
        assert not any(may(actor, act) for actor in ("auditor-1", "nobody") for act in MAY)

    def test_the_refusal_says_what_it_takes(self) -> None:
        with pytest.raises(Refused, match="'operator-1' is not appointed to approve: that takes a reviewer or legal"):
            can(OFFICERS, "operator-1", Outcome.APPROVE, BEFORE)

    @pytest.mark.parametrize("actor", ["", "Reviewer-1", "reviewer-9"])
    def test_one_whom_the_authority_does_not_know(self, actor: str) -> None:
        with pytest.raises(Refused, match="not an officer of this authority") as refused:
            can(OFFICERS, actor, Deed.OBJECT, BEFORE)
        assert refused.value.code == "unknown_officer"

    def test_who_holds_several_roles_acts_in_the_one_that_entitles(self) -> None:
        assert can(OFFICERS, "reviewer-2", Outcome.APPROVE, BEFORE) is Role.REVIEWER
        assert can(OFFICERS, "reviewer-2", Deed.REFER, BEFORE) is Role.OPERATOR

    def test_who_is_reviewer_and_legal_head_enacts_as_the_head(self) -> None:
        both = Officer(id="both", roles=(Role.REVIEWER, Role.LEGAL_HEAD))
        assert can((both,), "both", Outcome.ENACT, BEFORE) is Role.LEGAL_HEAD


class TestAbsence:
    """While a colleague is away, the deputy holds the colleague's roles too; not a moment before or after."""

    @pytest.mark.parametrize(
        ("at", "away"), [(NOW - TICK, False), (NOW, True), (NOW + DAY - TICK, True), (NOW + DAY, False)]
    )
    def test_the_deputy_acts_for_as_long_as_the_officer_is_away(self, at: datetime, away: bool) -> None:
        assert OFFICERS[0].is_away(at) is away
        assert may("duty-1", Outcome.APPROVE, at) is away

    def test_the_deputy_acts_in_the_role_of_whom_they_stand_in_for(self) -> None:
        assert can(OFFICERS, "duty-1", Outcome.APPROVE, NOW) is Role.REVIEWER
        assert can(OFFICERS, "duty-1", Outcome.REVOKE, NOW) is Role.DUTY_OFFICER

    def test_who_is_away_has_not_lost_the_role(self) -> None:
        assert may("reviewer-1", Outcome.APPROVE, NOW)

    def test_an_absence_is_not_passed_on(self) -> None:
        """The legal head's deputy is away too: the deputy's deputy stands in for the deputy alone."""
        head = OFFICERS[2].model_copy(update={"away": (HOLIDAY,)})
        assert roles((*OFFICERS[:2], head, *OFFICERS[3:]), "duty-1", NOW) == {Role.DUTY_OFFICER, Role.REVIEWER}

    @pytest.mark.parametrize(("at", "who"), [(BEFORE, ("reviewer-1", "reviewer-2")), (NOW, ("duty-1", "reviewer-2"))])
    def test_a_matter_is_put_before_who_is_there(self, at: datetime, who: tuple[str, ...]) -> None:
        assert on_duty(OFFICERS, Role.REVIEWER, at) == who


class TestNarrowing:
    """A procedure may ask for higher officers, never for lower ones."""

    STRICT = PROCEDURE.model_copy(update={"deciders": (Role.LEGAL_HEAD,), "revokers": (Role.LEGAL_HEAD,)})
    WIDE = PROCEDURE.model_copy(update={"deciders": tuple(Role), "revokers": tuple(Role)})

    @pytest.mark.parametrize(
        "act",
        [Outcome.APPROVE, Outcome.RENEW, Outcome.ENACT, Outcome.REVOKE, Outcome.STAY, Outcome.RESUME],
    )
    def test_where_only_the_legal_head_decides(self, act: Outcome) -> None:
        assert can(OFFICERS, "legal-head", act, BEFORE, self.STRICT) is Role.LEGAL_HEAD
        with pytest.raises(Refused) as refused:
            can(OFFICERS, "reviewer-1", act, BEFORE, self.STRICT)
        assert refused.value.code == "not_entitled"

    @pytest.mark.parametrize("act", [Outcome.REJECT, Outcome.RETURN, Outcome.UPHOLD, Outcome.DISMISS])
    def test_who_says_no_to_a_block_is_not_narrowed(self, act: Outcome) -> None:
        assert can(OFFICERS, "reviewer-1", act, BEFORE, self.STRICT) is Role.REVIEWER

    @given(act=st.sampled_from([*Outcome, *Deed]), procedure=st.sampled_from([STRICT, WIDE, PROCEDURE, None]))
    def test_no_procedure_widens(self, act: Outcome | Deed, procedure: object) -> None:
        assert set(entitling(act, procedure)) <= set(MAY[act])  # type: ignore[arg-type]


class TestTheRoleThatIsClaimed:
    """A signed statement says in which role its officer acts; that very role must be held, and must entitle."""

    def claimed(self, actor: str, act: Outcome, role: Role, at: datetime = BEFORE) -> str | None:
        """The rule that refuses the claim."""
        try:
            entitled(OFFICERS, actor, act, at, role, PROCEDURE)
        except Refused as refused:
            return refused.code
        return None

    @pytest.mark.parametrize(
        ("actor", "act", "role", "code"),
        [
            ("reviewer-1", Outcome.APPROVE, Role.REVIEWER, None),
            ("reviewer-1", Outcome.APPROVE, Role.LEGAL_HEAD, "not_entitled"),  # not held
            ("reviewer-2", Outcome.APPROVE, Role.OPERATOR, "not_entitled"),  # held, and does not entitle
            ("operator-1", Outcome.APPROVE, Role.OPERATOR, "not_entitled"),
            ("operator-1", Outcome.APPROVE, Role.REVIEWER, "not_entitled"),
            ("duty-1", Outcome.STAY, Role.DUTY_OFFICER, None),
            ("duty-1", Outcome.RESUME, Role.DUTY_OFFICER, "not_entitled"),
            ("stranger", Outcome.APPROVE, Role.REVIEWER, "unknown_officer"),
        ],
    )
    def test_it_is_held_and_entitles(self, actor: str, act: Outcome, role: Role, code: str | None) -> None:
        assert self.claimed(actor, act, role) == code

    def test_a_deputy_claims_the_other_role_during_the_absence_only(self) -> None:
        assert self.claimed("duty-1", Outcome.APPROVE, Role.REVIEWER, NOW) is None
        assert self.claimed("duty-1", Outcome.APPROVE, Role.REVIEWER, NOW + DAY) == "not_entitled"
