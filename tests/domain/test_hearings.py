"""The right to be heard: when an order may be approved without an answer, and what can be recorded when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from precinto.domain.case import Stage
from precinto.domain.errors import Refused
from precinto.domain.hearings import HearingRecord, HearingStep, is_heard, may_record
from precinto.domain.procedures import Heard, Hearing, Skip, Term

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TERM = Term(hours=48, source="the tests")
BEFORE = Hearing(when=Heard.BEFORE, term=TERM, skip=(Skip.OPERATOR_UNKNOWN,))
AFTER = Hearing(when=Heard.AFTER, term=TERM)
NONE = Hearing(when=Heard.NONE)


def record(step: HearingStep, due_at: datetime | None = None) -> HearingRecord:
    """A step of a hearing."""
    return HearingRecord(step=step, at=NOW - 100 * HOUR, due_at=due_at)


class TestHeard:
    def test_nobody_told_the_operator(self) -> None:
        assert not is_heard(BEFORE, [], NOW)

    @pytest.mark.parametrize("hearing", [AFTER, NONE])
    def test_where_nobody_is_heard_before_there_is_nothing_to_wait_for(self, hearing: Hearing) -> None:
        assert is_heard(hearing, [], NOW)

    @pytest.mark.parametrize("step", [HearingStep.ANSWERED, HearingStep.SKIPPED])
    def test_an_answer_and_a_reason_to_skip_end_it_at_once(self, step: HearingStep) -> None:
        served = record(HearingStep.SERVED, NOW + HOUR)
        assert not is_heard(BEFORE, [served], NOW)
        assert is_heard(BEFORE, [served, record(step)], NOW)

    def test_silence_counts_once_the_term_is_over_and_not_at_its_last_moment(self) -> None:
        served = record(HearingStep.SERVED, NOW)
        assert not is_heard(BEFORE, [served], NOW)
        assert is_heard(BEFORE, [served], NOW + timedelta(microseconds=1))

    def test_served_again_the_whole_term_runs(self) -> None:
        twice = [record(HearingStep.SERVED, NOW - HOUR), record(HearingStep.SERVED, NOW + HOUR)]
        assert not is_heard(BEFORE, twice, NOW)

    def test_a_take_down_is_no_answer_to_what_is_left(self) -> None:
        assert not is_heard(BEFORE, [record(HearingStep.CEASED)], NOW)


class TestRecording:
    @pytest.mark.parametrize(
        ("hearing", "step", "stage", "skip", "code"),
        [
            (NONE, HearingStep.SERVED, Stage.REVIEW, None, "no_hearing"),
            (BEFORE, HearingStep.SERVED, Stage.VERIFICATION, None, "hearing_over"),
            (BEFORE, HearingStep.ANSWERED, Stage.NOTIFICATION, None, "hearing_over"),
            (AFTER, HearingStep.ANSWERED, Stage.CLOSED, None, "hearing_over"),
            (BEFORE, HearingStep.SKIPPED, Stage.REVIEW, Skip.WOULD_DEFEAT, "skip_not_allowed"),
            (BEFORE, HearingStep.SKIPPED, Stage.REVIEW, None, "skip_not_allowed"),
            (AFTER, HearingStep.SKIPPED, Stage.REVIEW, Skip.OPERATOR_UNKNOWN, "skip_not_allowed"),
            (NONE, HearingStep.CEASED, Stage.CLOSED, None, "hearing_over"),
        ],
    )
    def test_what_is_refused(
        self, hearing: Hearing, step: HearingStep, stage: Stage, skip: Skip | None, code: str
    ) -> None:
        with pytest.raises(Refused) as refused:
            may_record(hearing, step, stage, skip)
        assert refused.value.code == code

    @pytest.mark.parametrize(
        ("hearing", "step", "stage", "skip"),
        [
            (BEFORE, HearingStep.SERVED, Stage.INTAKE, None),
            (BEFORE, HearingStep.ANSWERED, Stage.REVIEW, None),
            (BEFORE, HearingStep.SKIPPED, Stage.EVIDENCE, Skip.OPERATOR_UNKNOWN),
            (AFTER, HearingStep.ANSWERED, Stage.VERIFICATION, None),
            (NONE, HearingStep.CEASED, Stage.REVIEW, None),
            (BEFORE, HearingStep.CEASED, Stage.STAYED, None),
        ],
    )
    def test_what_is_taken(self, hearing: Hearing, step: HearingStep, stage: Stage, skip: Skip | None) -> None:
        may_record(hearing, step, stage, skip)
