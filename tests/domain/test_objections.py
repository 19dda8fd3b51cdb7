"""Minutes to correct: only what was measured open, while the block had to be gone, corrects anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from precinto.domain.objections import (
    LONGEST_TEXT,
    Capacity,
    Correction,
    Lifting,
    Open,
    Protest,
    correction,
    new_objection_id,
)
from precinto.domain.statements import Number

FILED = datetime(2026, 11, 25, 12, tzinfo=UTC)
PLACES = {("m", "isp0"), ("m", "isp1")}


def at(minutes: float) -> datetime:
    """So many minutes after the objection was filed."""
    return FILED + timedelta(minutes=minutes)


def seen(isp: str, minutes: float) -> Open:
    """The measure was found open at an ISP."""
    return Open("m", isp, at(minutes))


class TestCorrection:
    def test_it_is_over_when_the_last_isp_is_measured_open(self) -> None:
        found = correction(FILED, [Lifting(at(5), None)], PLACES, [seen("isp0", 6), seen("isp1", 9), seen("isp0", 30)])
        assert found == Correction(lifted_at=at(5), open_at=at(9), seconds=540)
        assert found.minutes == 9

    def test_a_minute_that_has_begun_counts(self) -> None:
        for minutes, counted in ((0.001, (1, 1)), (1, (60, 1)), (1.001, (61, 2))):
            found = correction(FILED, [Lifting(at(0), None)], {("m", "isp0")}, [seen("isp0", minutes)])
            assert (found.seconds, found.minutes) == counted

    def test_an_isp_that_was_not_measured_open_is_named(self) -> None:
        found = correction(FILED, [Lifting(at(5), None)], PLACES, [seen("isp0", 6)])
        assert found == Correction(lifted_at=at(5), waiting=("isp1",))
        assert found.minutes is None

    def test_nobody_was_asked_to_lift(self) -> None:
        assert correction(FILED, [], PLACES, [seen("isp0", 6), seen("isp1", 6)]) == Correction()

    def test_what_was_open_before_the_lifting_or_after_its_end_proves_nothing(self) -> None:
        stay = Lifting(at(5), at(10))
        for minutes in (4, 5, 11):
            assert correction(FILED, [stay], {("m", "isp0")}, [seen("isp0", minutes)]).waiting == ("isp0",)
        assert correction(FILED, [stay], {("m", "isp0")}, [seen("isp0", 10)]).minutes == 10

    def test_two_stays_correct_together(self) -> None:
        stays = [Lifting(at(5), at(10)), Lifting(at(20), None)]
        found = correction(FILED, stays, PLACES, [seen("isp0", 6), seen("isp1", 15), seen("isp1", 21)])
        assert (found.lifted_at, found.open_at) == (at(5), at(21))

    def test_what_is_lifted_and_open_already_takes_no_time(self) -> None:
        found = correction(FILED, [Lifting(at(-60), None)], PLACES, [seen("isp0", -50), seen("isp1", -40)])
        assert found == Correction(lifted_at=FILED, open_at=FILED, seconds=0)

    def test_without_a_place_there_is_nothing_to_measure(self) -> None:
        assert correction(FILED, [Lifting(at(5), None)], set(), []) == Correction(lifted_at=at(5))

    @given(st.lists(st.tuples(st.sampled_from(["isp0", "isp1"]), st.integers(-5, 60)), max_size=30))
    def test_more_measurements_never_make_it_take_longer(self, rounds: list[tuple[str, int]]) -> None:
        lifting = [Lifting(at(0), at(50))]
        taken = [correction(FILED, lifting, PLACES, [seen(*one) for one in rounds[:n]]).seconds for n in range(31)]
        known = [one for one in taken if one is not None]
        assert known == sorted(known, reverse=True)
        assert all(one is not None for one in taken[len(taken) - len(known) :])


class TestProtest:
    def test_what_is_personal_is_there_and_bounded(self) -> None:
        said = {"capacity": Capacity.USER, "name": " Lucía ", "contact": "l@ejemplo.test", "text": "x" * LONGEST_TEXT}
        assert Protest.model_validate(said).name == "Lucía"
        assert Protest.model_validate(said | {"text": "uno\r\n\tdos 👩‍🚀"}).text == "uno\r\n\tdos 👩‍🚀"
        for wrong in ({"text": "\x1b[2J"}, {"name": "a\nb"}, {"contact": "a\x00"}, {"name": "\udcff"}):
            with pytest.raises(ValidationError):
                Protest.model_validate(said | wrong)
        for wrong in ({"name": " "}, {"contact": ""}, {"text": ""}, {"text": "x" * (LONGEST_TEXT + 1)}):
            with pytest.raises(ValidationError):
                Protest.model_validate(said | wrong)

    def test_its_id_is_short_and_a_decision_can_be_about_it(self) -> None:
        ids = {new_objection_id() for _ in range(1000)}
        assert len(ids) == 1000
        for one in ids:
            assert re.fullmatch(r"OB-[2-9A-HJKMNP-Z]{8}", one)
            TypeAdapter[str](Number).validate_python(one)
