"""Whom an escalation is put before, and when reviewers are reminded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.escalations import REVIEW_REMINDER, addressees, graced, reads_for, reminder_due
from precinto.domain.review import Absence, Officer, Role

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY = timedelta(days=1)
AWAY = (Absence(since=NOW - DAY, until=NOW + DAY),)

HEAD = Officer(id="head", roles=(Role.LEGAL_HEAD,), deputy="deputy")
AWAY_HEAD = HEAD.model_copy(update={"away": AWAY})
DEPUTY = Officer(id="deputy", roles=(Role.REVIEWER,))
REVIEWER = Officer(id="reviewer", roles=(Role.REVIEWER,))
DECIDERS = (Role.REVIEWER, Role.LEGAL_HEAD)


class TestAddressees:
    def test_what_is_late_goes_to_the_legal_head(self) -> None:
        assert addressees((HEAD, DEPUTY, REVIEWER), "review_overdue", NOW) == ("head",)

    def test_while_the_legal_head_is_away_to_the_deputy(self) -> None:
        officers = (AWAY_HEAD, DEPUTY, REVIEWER)
        assert addressees(officers, "review_overdue", NOW) == ("deputy",)
        assert addressees(officers, "review_overdue", NOW + 2 * DAY) == ("head",)

    def test_where_the_deputy_is_away_too_to_nobody_yet(self) -> None:
        assert addressees((AWAY_HEAD, DEPUTY.model_copy(update={"away": AWAY})), "review_overdue", NOW) == ()

    def test_a_reminder_goes_to_every_reviewer_who_is_there(self) -> None:
        officers = (HEAD, DEPUTY, REVIEWER, REVIEWER.model_copy(update={"id": "ill", "away": AWAY}))
        assert addressees(officers, REVIEW_REMINDER, NOW, DECIDERS) == ("deputy", "reviewer")

    def test_not_to_those_who_cannot_end_the_wait(self) -> None:
        officers = (HEAD, DEPUTY, REVIEWER)
        assert addressees(officers, REVIEW_REMINDER, NOW, DECIDERS, {"reviewer"}) == ("deputy",)

    def test_where_no_reviewer_can_it_goes_to_the_legal_head(self) -> None:
        officers = (HEAD, DEPUTY, REVIEWER)
        assert addressees(officers, REVIEW_REMINDER, NOW, DECIDERS, {"reviewer", "deputy"}) == ("head",)
        assert addressees(officers, REVIEW_REMINDER, NOW, (Role.REVIEWER,), {"reviewer", "deputy"}) == ("head",)

    def test_a_deputy_reads_for_an_officer_only_while_that_one_is_away(self) -> None:
        assert reads_for((AWAY_HEAD, DEPUTY), "deputy", NOW) == {"deputy", "head"}
        assert reads_for((AWAY_HEAD, DEPUTY), "deputy", NOW + 2 * DAY) == {"deputy"}


class TestReminders:
    @pytest.mark.parametrize(
        ("after", "percent"),
        [(0, None), (49, None), (50, 50), (79, 50), (80, 80), (99, 80), (100, None), (500, None)],
    )
    def test_at_the_parts_of_the_term_that_the_procedure_names(self, after: int, percent: int | None) -> None:
        hundred = timedelta(hours=100)
        at = NOW + timedelta(hours=after)
        assert reminder_due(NOW, NOW + hundred, (50, 80), at) == percent

    def test_a_procedure_that_names_none_reminds_nobody(self) -> None:
        assert reminder_due(NOW, NOW + DAY, (), NOW + DAY / 2) is None

    @given(st.lists(st.integers(1, 99), unique=True).map(sorted), st.integers(1, 10**9), st.floats(-1, 2))
    def test_never_before_its_part_and_never_after_the_term(
        self, percents: list[int], seconds: int, part: float
    ) -> None:
        term = timedelta(seconds=seconds)
        at = NOW + term * part
        due = reminder_due(NOW, NOW + term, percents, at)
        if due is not None:
            assert due in percents
            assert NOW + term * due / 100 <= at < NOW + term


def test_an_armed_end_has_two_rechecks_and_a_minute_to_fire() -> None:
    assert graced(timedelta(hours=1)) == timedelta(hours=2, minutes=1)
