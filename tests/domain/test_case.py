"""The life of a case: every step between two stages, legal or not."""

from __future__ import annotations

from itertools import product

import pytest

from precinto.domain.case import TRANSITIONS, Stage, advance
from precinto.domain.errors import IllegalTransition

LEGAL = {
    (Stage.INTAKE, Stage.EVIDENCE),
    (Stage.EVIDENCE, Stage.REVIEW),
    (Stage.REVIEW, Stage.EVIDENCE),  # returned
    (Stage.REVIEW, Stage.CLOSED),  # rejected
    (Stage.REVIEW, Stage.NOTIFICATION),  # approved
    (Stage.NOTIFICATION, Stage.VERIFICATION),
    (Stage.NOTIFICATION, Stage.UNBLOCKING),  # the order ended while an ISP could not be reached
    (Stage.VERIFICATION, Stage.UNBLOCKING),
    (Stage.NOTIFICATION, Stage.STAYED),  # suspended, also while some ISPs still wait for the order
    (Stage.VERIFICATION, Stage.STAYED),
    (Stage.STAYED, Stage.NOTIFICATION),  # resumed: every ISP is told anew
    (Stage.STAYED, Stage.UNBLOCKING),  # a stayed order ends as any other
    (Stage.UNBLOCKING, Stage.CLOSED),
}
"""Written out once more, by hand: a step that is added to the table must be added here, with its reason."""

STEPS = [(now, to) for now, to in product(Stage, Stage) if now is not to]


@pytest.mark.parametrize(("now", "to"), [step for step in STEPS if step in LEGAL])
def test_a_legal_step_is_taken(now: Stage, to: Stage) -> None:
    assert advance(now, to) is to


@pytest.mark.parametrize(("now", "to"), [step for step in STEPS if step not in LEGAL])
def test_an_illegal_step_is_refused(now: Stage, to: Stage) -> None:
    with pytest.raises(IllegalTransition, match=f"a case in {now} cannot go to {to}") as refused:
        advance(now, to)
    assert refused.value.code == "illegal_transition"


@pytest.mark.parametrize("stage", Stage)
def test_staying_where_one_is_is_allowed_because_activities_repeat(stage: Stage) -> None:
    assert advance(stage, stage) is stage


def test_no_case_is_blocked_without_passing_review() -> None:
    """Take review away, and no stage in which an ISP is told can be reached from intake."""
    reached, ahead = set[Stage](), [Stage.INTAKE]
    while ahead:
        stage = ahead.pop()
        reached.add(stage)
        ahead.extend(TRANSITIONS[stage] - reached - {Stage.REVIEW})
    assert reached == {Stage.INTAKE, Stage.EVIDENCE}


def test_a_case_in_force_closes_only_through_its_unblock() -> None:
    ways = {now for now, steps in TRANSITIONS.items() if Stage.CLOSED in steps}
    assert ways == {Stage.REVIEW, Stage.UNBLOCKING}


def test_closed_is_closed() -> None:
    assert not TRANSITIONS[Stage.CLOSED]
    with pytest.raises(TypeError):
        TRANSITIONS[Stage.CLOSED] = frozenset({Stage.REVIEW})  # type: ignore[index]
