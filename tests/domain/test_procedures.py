"""Procedure files: every term is data with its source, a mistake is named by file and key, a snapshot is enough."""

from __future__ import annotations

import re
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.errors import BadInput, NotFound
from precinto.domain.model import canonical_json
from precinto.domain.procedures import Heard, Kind, Procedure, Skip, Snapshot, read_procedure
from precinto.domain.review import Outcome, Role

FILES = Path(__file__).parents[2] / "procedures"
GOOD = (FILES / "peru-precautionary.toml").read_text(encoding="utf-8")
HOLIDAYS = tuple(
    date(year, month, day) for year in (2026, 2027) for month, day in ((1, 1), (12, 8), (12, 9), (12, 25))
)
START = datetime(2026, 12, 4, 15, 30, tzinfo=UTC)
"""A Friday, 10:30 in Lima."""


def changed(old: str, new: str, text: str = GOOD) -> str:
    """The text with one thing changed; it must be there."""
    assert old in text, f"{old!r} is not in the file"
    return text.replace(old, new)


def without(key: str, text: str = GOOD) -> str:
    """The text without a key, a table or all tables of an array."""
    found, count = re.subn(rf"^(?:{key} = .*\n|\[\[?{key}\]\]?\n(?:[^\[\n].*\n|\n)*)", "", text, flags=re.MULTILINE)
    assert count, f"{key} is not in the file"
    return found


def refused(text: str, reason: str) -> None:
    """Reading the text must fail with a message that is the file, the key and the reason."""
    with pytest.raises(BadInput, match=rf"^procedures/bad\.toml: {reason}"):
        read_procedure(text, "procedures/bad.toml")


@pytest.fixture
def kept() -> Snapshot:
    """A snapshot of the Peruvian precautionary measure."""
    return Snapshot(procedure=read_procedure(GOOD, "good.toml"), holidays=HOLIDAYS, holidays_source="by hand")


class TestRead:
    def test_a_file_says_what_it_says(self) -> None:
        one = read_procedure(GOOD, "good.toml")
        assert (one.name, one.kind, one.country, one.time_zone) == (
            "peru-precautionary",
            Kind.PRECAUTIONARY,
            "PE",
            "America/Lima",
        )
        assert one.order.said == "30 days"
        assert one.hearing.when is Heard.AFTER
        assert one.hearing.term is not None
        assert one.hearing.term.said == "5 working days"
        assert one.reminders == (50, 80)
        assert one.deciders == (Role.REVIEWER, Role.LEGAL_HEAD)
        assert Outcome.APPROVE in one.grounds[0].outcomes
        assert one.objection is None, "as long as the order lasts"

    def test_what_counsel_has_to_check_can_be_listed(self) -> None:
        one = read_procedure(GOOD, "good.toml")
        assert {"hearing", "order", "appeal", "grounds.PE-822-37"} <= set(one.unverified)
        assert "recheck" not in one.unverified

    @pytest.mark.parametrize("key", [name for name, key in Procedure.model_fields.items() if key.is_required()])
    def test_a_missing_key_is_named(self, key: str) -> None:
        refused(without(key), rf"{key}: Field required$")

    @pytest.mark.parametrize(
        "term", ["review", "order", "renewal", "lapse", "comply", "release", "stay", "objection_decision", "appeal"]
    )
    def test_a_term_without_its_source_is_refused(self, term: str) -> None:
        text = re.sub(rf"^(\[{term}\]\n.*\n)source = .*\n", r"\1", GOOD, flags=re.MULTILINE)
        refused(text, rf"{term}\.source: Field required$")
        text = re.sub(rf"^(\[{term}\]\n.*\n)source = .*\n", r'\1source = " "\n', GOOD, flags=re.MULTILINE)
        refused(text, rf"{term}\.source: String should have at least 1 character$")

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("v = 1", "v = 2", "v: Input should be 1"),
            ('kind = "precautionary"', 'kind = "urgent"', "kind: Input should be 'ordinary', "),
            ('country = "PE"', 'country = "Peru"', "country: String should match pattern"),
            ("America/Lima", "America/Cusco", "time_zone: 'America/Cusco' is not a time zone that this machine knows"),
            ("America/Lima", "../../etc/passwd", "time_zone: '../../etc/passwd' is not a time zone"),
            ("America/Lima", "America", "time_zone: 'America' is not a time zone"),
            ("[50, 80]", "[80, 50]", "reminders: must ascend"),
            ("[50, 80]", "[50, 100]", r"reminders\.1: Input should be less than or equal to 99"),
            ('deciders = ["reviewer", ', 'deciders = ["partner", ', "deciders: never decides: partner"),
            ('deciders = ["reviewer", "legal_head"]', "deciders = []", "deciders: Tuple should have at least 1 item"),
            ('revokers = ["reviewer", ', 'revokers = ["isp", ', "revokers: never decides: isp"),
            ('revokers = ["reviewer", ', 'revokers = ["judge", ', r"revokers\.0: Input should be 'operator', "),
            ('documents = ["es", "en"]', 'documents = ["es", "es"]', "documents: each language once"),
            ('documents = ["es", "en"]', 'documents = ["pt"]', r"documents\.0: Input should be 'es' or 'en'"),
            ("days = 30", 'days = "a month"', r"order\.days: Input should be a valid integer"),
            ("days = 30", "days = 0", "order: give days, or working_days, or hours"),
            ("days = 30", "days = -1", r"order\.days: Input should be greater than or equal to 0"),
            ("days = 30", "days = 99999", r"order\.days: Input should be less than or equal to 3653"),
            ("days = 30", "days = 30\nhours = 1", "order: give days, or working_days, or hours"),
            ("days = 30", "working_days = 30", "order: runs from moment to moment: it cannot be in working days"),
            ("days = 30", "day = 30", r"order\.day: Extra inputs are not permitted"),
            ("hours = 48", "days = 30", "comply: an ISP must have complied before the order ends"),
            ("renewals = 1", "renewals = 0", "renewal: nothing is renewed: renewals is 0"),
            ('when = "after"', 'when = "none"', r"hearing\.term: nobody is heard: there is no term"),
            ('when = "after"', 'when = "after"\nskip = ["would_defeat"]', r"hearing\.skip: only a hearing before"),
            ('when = "after"', 'when = "before"\nskip = ["in_a_hurry"]', r"hearing\.skip\.0: Input should be "),
            ('code = "PE-822-179"', 'code = "PE-822-37"', "grounds: twice: PE-822-37"),
            ('code = "PE-822-179"', 'code = "the law"', r"grounds\.1\.code: String should match pattern"),
            ('outcomes = ["reject", "return"]', "outcomes = []", r"grounds\.1\.outcomes: Tuple should have at least"),
            ('outcomes = ["reject", "return"]', 'outcomes = ["ban"]', r"grounds\.1\.outcomes\.0: Input should be "),
            ('["approve", ', "[", "grounds: no ground to approve"),
            ('"stay", ', "", "grounds: no ground to stay"),
            ('es = "Medida cautelar (Perú)"', 'es = ""', r"title\.es: String should have at least 1 character"),
            ("basis = ", "bases = 1\nbasis = ", "bases: Extra inputs are not permitted"),
        ],
    )
    def test_a_malformed_key_is_named_with_the_reason(self, old: str, new: str, reason: str) -> None:
        refused(changed(old, new), reason)

    def test_a_hearing_needs_its_term(self) -> None:
        refused(without("term"), r"hearing\.term: a hearing needs its term$")

    def test_renewals_need_their_term(self) -> None:
        refused(without("renewal"), "renewal: renewals needs its term$")

    def test_what_is_not_toml_is_named_by_its_line(self) -> None:
        refused("name = \n", r"not TOML: .*line 1")
        refused("x = " + "[" * 5000, "not TOML that anybody wrote: nested too deep$")

    def test_why_a_hearing_may_be_skipped(self) -> None:
        one = read_procedure((FILES / "portugal-igac.toml").read_text(encoding="utf-8"), "portugal-igac.toml")
        assert one.hearing.when is Heard.BEFORE
        assert one.hearing.skip == (Skip.OPERATOR_UNKNOWN, Skip.WOULD_DEFEAT)


class TestSnapshot:
    def test_working_days_jump_over_its_holidays(self, kept: Snapshot) -> None:
        assert kept.due("review", START) == datetime(2026, 12, 16, 4, 59, 59, 999999, tzinfo=UTC)

    def test_days_roll_to_the_next_working_day(self, kept: Snapshot) -> None:
        procedure = kept.procedure.model_copy(update={"appeal": kept.procedure.order})
        after_christmas = kept.model_copy(update={"procedure": procedure}).due("appeal", START - timedelta(days=9))
        assert after_christmas == datetime(2026, 12, 29, 4, 59, 59, 999999, tzinfo=UTC)

    @pytest.mark.parametrize("term", ["order", "renewal", "lapse"])
    def test_a_block_is_not_lengthened_by_a_holiday(self, kept: Snapshot, term: str) -> None:
        start = datetime(2026, 11, 25, 15, 30, tzinfo=UTC)
        assert kept.due(term, start) == datetime(2026, 12, 25, 15, 30, tzinfo=UTC) == start + kept.span(term)

    def test_hours_run_over_any_day(self, kept: Snapshot) -> None:
        assert kept.due("comply", START) == START + timedelta(hours=48) == START + kept.span("comply")

    def test_a_reminder_a_day_is_one_on_saturday_too(self, kept: Snapshot) -> None:
        assert kept.due("remind", START) == START + timedelta(days=1)

    def test_the_hearing_is_a_term_like_others(self, kept: Snapshot) -> None:
        assert kept.due("hearing", START) == kept.due("review", START)

    def test_any_zone_goes_in_and_greenwich_comes_out(self, kept: Snapshot) -> None:
        in_tokyo = START.astimezone(ZoneInfo("Asia/Tokyo"))
        for term in kept.procedure.terms:
            assert kept.due(term, in_tokyo) == kept.due(term, START)
            assert kept.due(term, in_tokyo).tzinfo is UTC

    def test_a_naive_start_is_refused(self, kept: Snapshot) -> None:
        with pytest.raises(BadInput, match=r"^order: 2026-12-04T15:30:00: a time needs its time zone$"):
            kept.due("order", START.replace(tzinfo=None))

    @pytest.mark.parametrize("term", ["objection", "name", "nothing"])
    def test_a_term_that_it_does_not_state_is_not_found(self, kept: Snapshot, term: str) -> None:
        for ask in (lambda: kept.due(term, START), lambda: kept.span(term)):
            with pytest.raises(NotFound, match=f"the procedure peru-precautionary states no term '{term}'"):
                ask()

    def test_working_days_have_no_length(self, kept: Snapshot) -> None:
        with pytest.raises(BadInput, match=r"^review: 5 working days have no length without a calendar$"):
            kept.span("review")

    def test_beyond_its_years_nothing_is_guessed(self, kept: Snapshot) -> None:
        with pytest.raises(BadInput, match=r"^the holidays of 2028 are not known"):
            kept.due("appeal", datetime(2027, 12, 20, tzinfo=UTC))

    def test_the_end_of_a_block_needs_no_holidays(self, kept: Snapshot) -> None:
        late = datetime(2031, 12, 20, tzinfo=UTC)
        assert kept.due("order", late) == late + timedelta(days=30)

    def test_a_ground_is_found_by_its_code(self, kept: Snapshot) -> None:
        assert kept.ground("PE-822-179").outcomes == (Outcome.REJECT, Outcome.RETURN)
        with pytest.raises(NotFound, match="'PE-822-1' is not a ground of the procedure peru-precautionary"):
            kept.ground("PE-822-1")

    def test_years_later_its_json_is_enough(self, kept: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
        stored = canonical_json(kept.model_dump(mode="json"))
        monkeypatch.setitem(sys.modules, "holidays", None)
        read = Snapshot.model_validate_json(stored)
        assert read == kept
        assert [read.due(term, START) for term in read.procedure.terms] == [
            kept.due(term, START) for term in kept.procedure.terms
        ]

    @given(st.integers(0, 300 * 86_400), st.integers(0, 300 * 86_400))
    def test_who_starts_later_is_never_due_earlier_whatever_the_term(self, one: int, other: int) -> None:
        kept = Snapshot(procedure=read_procedure(GOOD, "good.toml"), holidays=HOLIDAYS, holidays_source="by hand")
        early, late = (datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=s) for s in sorted((one, other)))
        for term in kept.procedure.terms:
            assert early < kept.due(term, early) <= kept.due(term, late)
