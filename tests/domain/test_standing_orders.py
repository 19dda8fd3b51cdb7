"""Standing orders: what their terms allow to be released, what they never do, and what a file of terms may say."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from precinto.domain.errors import BadInput, Refused
from precinto.domain.intake import Service, TargetKind
from precinto.domain.model import digest
from precinto.domain.review import Role
from precinto.domain.standing_orders import (
    MOST_RELEASES,
    Candidate,
    Released,
    Scope,
    StandingOrder,
    StandingState,
    Terms,
    Window,
    day_of,
    drafted,
    fits,
    permit,
    read_terms,
    state_of,
    still_needed,
)
from tests.authority import GROUND, TERMS

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/standing-orders/final-2026.toml"
SINCE = datetime(2026, 12, 12, 23, tzinfo=UTC)
UNTIL = datetime(2026, 12, 13, 5, 30, tzinfo=UTC)
TICK = timedelta(microseconds=1)
NONE_YET = Released(total=0, on_day=0)


def said(**changed: Any) -> dict[str, Any]:
    """What a file of terms says, with some of it changed."""
    return tomllib.loads(EXAMPLE.read_text(encoding="utf-8")) | changed


TERMS_OF_A_FINAL = Terms.model_validate(said())


def candidate(**changed: Any) -> Candidate:
    """A case that the terms are about."""
    case = Candidate(
        procedure="peru-live-event",
        service=Service.LIVE_STREAM,
        kind=TargetKind.DOMAIN,
        registrable="rojatv7.com",
        partners=("liga",),
    )
    return case.model_copy(update=changed)


def refusal(case: Candidate, at: datetime = SINCE, released: Released = NONE_YET) -> tuple[str, str] | None:
    """What forbids a release, and the criterion that the reason begins with."""
    try:
        permit(TERMS_OF_A_FINAL, case, at, released)
    except Refused as refused:
        return refused.code, refused.reason.partition(":")[0]
    return None


class TestRelease:
    """What may be released: everything must hold."""

    def test_what_the_terms_are_about(self) -> None:
        assert refusal(candidate()) is None

    @pytest.mark.parametrize(
        ("changed", "criterion"),
        [
            ({"procedure": "peru-ordinary"}, "procedure"),
            ({"service": Service.STREAM_RIPPER}, "services"),
            ({"kind": TargetKind.MOBILE_APP}, "kinds"),
            ({"partners": ("ifpi", "riaa")}, "partners"),
            ({"partners": ()}, "partners"),
            ({"registrable": "otra.com"}, "names"),
            ({"registrable": None}, "names"),
        ],
    )
    def test_nothing_else_and_the_refusal_names_the_criterion(self, changed: dict[str, Any], criterion: str) -> None:
        assert refusal(candidate(**changed)) == ("outside_scope", criterion)

    def test_one_of_several_partners_suffices(self) -> None:
        assert refusal(candidate(partners=("ifpi", "liga"))) is None

    @pytest.mark.parametrize(
        ("at", "code"),
        [(SINCE - TICK, "outside_window"), (SINCE, None), (UNTIL - TICK, None), (UNTIL, "outside_window")],
    )
    def test_only_within_the_window(self, at: datetime, code: str | None) -> None:
        found = refusal(candidate(), at)
        assert (found and found[0]) == code

    @pytest.mark.parametrize(
        ("total", "on_day", "found"),
        [
            (199, 99, None),
            (200, 0, ("cap_reached", "total")),
            (100, 100, ("cap_reached", "per_day")),
            (999, 999, ("cap_reached", "total")),
        ],
    )
    def test_only_up_to_the_caps(self, total: int, on_day: int, found: tuple[str, str] | None) -> None:
        assert refusal(candidate(), released=Released(total=total, on_day=on_day)) == found


class TestNames:
    """A pattern fits registrable domains that whoever signed it could have had in mind, and no others."""

    @pytest.mark.parametrize(
        ("pattern", "registrable", "fit"),
        [
            ("y2mate.com", "y2mate.com", True),
            ("y2mate.com", "y2mate.net", False),
            ("y2mate.com", "xy2mate.com", False),
            ("y2mate.*", "y2mate.is", True),
            ("y2mate.*", "y2mate.com.pe", True),
            ("y2mate*.com", "y2mate-7.com", True),
            ("y2mate*.com", "y2mate7.com.pe", False),
            ("y2mate*.com.pe", "y2mate7.com.pe", True),
            ("*-ripper.*", "mp3-ripper.org", True),
            ("*-ripper.*", "ripper.org", False),
            ("*roja*.*", "larojatv.pe", True),
            ("roja*.*", "larojatv.pe", False),
            ("roja*.*", "roja.github.io", True),  # a platform's customer: the guards hold it all the same
            ("*", "anything.at.all", True),
            ("*", None, True),
            ("y2mate.*", None, False),
        ],
    )
    def test_what_fits(self, pattern: str, registrable: str | None, fit: bool) -> None:
        scope = said()["scope"] | {"names": [pattern]}
        (name,) = Scope.model_validate(scope).names
        assert fits(name, registrable) is fit

    @pytest.mark.parametrize(
        ("names", "why"),
        [
            ([], "at least 1"),
            (["*", "y2mate.com"], "give it alone"),
            (["www3.y2mate.com"], "below a registrable domain: give y2mate.com"),
            (["com.pe"], "public suffix"),
            (["github.io"], "public suffix"),
            (["192.0.2.1"], "is an address"),
            (["*.com"], "fits too much"),
            (["*a*.*"], "fits too much"),
            (["*-b-c*.*"], "fits too much"),
            (["*a*b*c*.com"], "at most 2"),
            (["roja*.nota.suffix.com"], "public suffix such as"),
            (["roja*.y2mate.com"], "public suffix such as"),
            (["roja*.c*m"], "public suffix such as"),
            (["roja*"], "public suffix such as"),
            (["Roja*.com"], "a label of a-z"),
            (["ro?a*.com"], "a label of a-z"),
            (["[rs]oja*.com"], "a label of a-z"),
            (["-roja*.com"], "a label of a-z"),
            (["y" * 260 + "*.com"], "at most 253"),
            ([f"site{n}.com" for n in range(201)], "at most 200"),
        ],
    )
    def test_what_is_no_pattern(self, names: list[str], why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            Scope.model_validate(said()["scope"] | {"names": names})

    def test_they_have_one_form(self) -> None:
        scope = said()["scope"] | {"names": ["WWW.Y2mate.COM", "señal.pe"]}
        assert Scope.model_validate(scope).names == ("y2mate.com", "xn--seal-hqa.pe")

    @given(label=st.from_regex(r"\A[a-z0-9-]{1,20}\Z"), suffix=st.sampled_from(["com", "com.pe", "net"]))
    def test_whatever_fits_a_pattern_holds_its_letters_in_their_order(self, label: str, suffix: str) -> None:
        fit = fits("*roja*tv.com", f"{label}.{suffix}")
        assert fit is (suffix == "com" and label.endswith("tv") and "roja" in label[: -len("tv")])


class TestEnacting:
    """Two different officers, one of them a legal head."""

    @pytest.mark.parametrize(
        ("signed", "needed"),
        [
            ([], 2),
            ([("a", Role.REVIEWER)], 1),
            ([("a", Role.LEGAL_HEAD)], 1),
            ([("a", Role.REVIEWER), ("b", Role.REVIEWER)], 1),
            ([("a", Role.REVIEWER), ("b", Role.LEGAL_HEAD)], 0),
            ([("a", Role.LEGAL_HEAD), ("b", Role.LEGAL_HEAD)], 0),
            ([("a", Role.LEGAL_HEAD), ("a", Role.LEGAL_HEAD)], 1),
            ([("a", Role.LEGAL_HEAD), ("a", Role.REVIEWER)], 1),
        ],
    )
    def test_how_many_are_missing(self, signed: list[tuple[str, Role]], needed: int) -> None:
        assert still_needed(signed) == needed

    def test_what_is_signed_has_another_digest_whatever_is_changed(self) -> None:
        snapshot = TERMS.model_copy(update={"procedure": TERMS.procedure.model_copy(update={"renewals": 1})})
        one = StandingOrder(terms=TERMS_OF_A_FINAL, snapshot=TERMS)
        others = [
            StandingOrder(terms=TERMS_OF_A_FINAL, snapshot=snapshot),
            *(
                StandingOrder(terms=Terms.model_validate(said(**changed)), snapshot=TERMS)
                for changed in (
                    {"caps": {"total": 201, "per_day": 100}},
                    {"title": {"es": "Final", "en": "Final"}},
                    {"scope": said()["scope"] | {"names": ["*"]}},
                    {"window": said()["window"] | {"since": SINCE - timedelta(seconds=1)}},
                )
            ),
        ]
        assert len({digest(order.canonical()) for order in (one, *others)}) == len(others) + 1

    def test_the_same_in_another_time_zone_has_the_same(self) -> None:
        lima = {key: moment.astimezone(UTC) for key, moment in said()["window"].items()}
        one, other = (Terms.model_validate(terms) for terms in (said(), said(window=lima)))
        assert StandingOrder(terms=one, snapshot=TERMS).canonical() == (
            StandingOrder(terms=other, snapshot=TERMS).canonical()
        )

    def test_read_back_it_is_the_same(self) -> None:
        order = StandingOrder(terms=TERMS_OF_A_FINAL, snapshot=TERMS)
        assert StandingOrder.model_validate_json(order.canonical()) == order


class TestState:
    """Where a standing order is."""

    @pytest.mark.parametrize(
        ("at", "enacted", "revoked", "state"),
        [
            (SINCE, False, False, StandingState.DRAFT),
            (UNTIL, False, False, StandingState.OVER),
            (SINCE - TICK, True, False, StandingState.WAITING),
            (SINCE, True, False, StandingState.OPEN),
            (UNTIL, True, False, StandingState.OVER),
            (SINCE, True, True, StandingState.REVOKED),
            (UNTIL, True, True, StandingState.REVOKED),
        ],
    )
    def test_at_a_moment(self, at: datetime, enacted: bool, revoked: bool, state: StandingState) -> None:
        window = Window(since=SINCE, until=UNTIL)
        assert state_of(window, at, SINCE if enacted else None, SINCE if revoked else None) is state


class TestDay:
    """The day that a cap counts is that of the authority's time zone."""

    @pytest.mark.parametrize(
        ("at", "begin", "hours"),
        [
            (datetime(2026, 12, 13, 4, 59, tzinfo=UTC), datetime(2026, 12, 12, 5, tzinfo=UTC), 24),
            (datetime(2026, 12, 13, 5, tzinfo=UTC), datetime(2026, 12, 13, 5, tzinfo=UTC), 24),
        ],
    )
    def test_in_lima(self, at: datetime, begin: datetime, hours: int) -> None:
        assert day_of(at, "America/Lima") == (begin, begin + timedelta(hours=hours))

    def test_when_the_clocks_go_back_it_has_25_hours(self) -> None:
        begin, end = day_of(datetime(2026, 10, 25, 12, tzinfo=UTC), "Europe/Madrid")
        assert end - begin == timedelta(hours=25)

    @given(at=st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 2), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
    def test_every_moment_is_in_its_day(self, at: datetime) -> None:
        begin, end = day_of(at, "Europe/Madrid")
        assert begin <= at < end
        assert begin.astimezone(ZoneInfo("Europe/Madrid")).time().isoformat() == "00:00:00"


class TestFile:
    """The file of a standing order."""

    def test_the_example_is_one(self) -> None:
        terms = read_terms(EXAMPLE.read_text(encoding="utf-8"), EXAMPLE.name)
        assert (terms.window.since, terms.window.until) == (SINCE, UNTIL)
        assert terms.scope.services == (Service.LIVE_STREAM, Service.WEB_STREAMING)

    @pytest.mark.parametrize(
        ("old", "new", "why"),
        [
            ("v = 1", "v = 2", "v: "),
            ("v = 1", "v = 1\nvalid = 1", "valid: Extra inputs"),
            ("v = 1", "v = ", "not TOML"),
            ('grounds = ["PE-822-37"]', "grounds = []", "grounds: "),
            ('en = "Final of', 'fr = "Finale" #', "title.en: Field required"),
            ('"live-stream"', '"everything"', "scope.services.0: "),
            ('["liga"]', "[]", "scope.partners: "),
            ('["liga"]', '["La Liga"]', "scope.partners.0: "),
            ('"rojatv*.*"', '"*.com"', r"scope.names.0: '\*.com' fits too much"),
            ("total = 200", f"total = {MOST_RELEASES + 1}", "caps.total: "),
            ("total = 200", "total = 50", "caps.per_day: more than the total"),
            ("per_day = 100", "per_day = 0", "caps.per_day: "),
            ("per_day = 100", 'per_day = "many"', "caps.per_day: "),
            ("18:00:00-05:00", "18:00:00", "window.since: a time needs its time zone"),
            ("2026-12-13T00:30:00-05:00", "2026-12-12T18:00:00-05:00", "window.until: must be after since"),
            ("2026-12-13T00:30:00-05:00", "2028-12-13T00:30:00-05:00", "window.until: .* within 366 days"),
        ],
    )
    def test_a_wrong_one_is_refused_with_file_key_and_reason(self, old: str, new: str, why: str) -> None:
        text = EXAMPLE.read_text(encoding="utf-8")
        assert old in text
        with pytest.raises(BadInput, match=f"final.toml: {why}"):
            read_terms(text.replace(old, new, 1), "final.toml")

    def test_one_that_nobody_wrote(self) -> None:
        with pytest.raises(BadInput, match=r"final\.toml: not TOML"):
            read_terms("a = " + "[" * 5_000, "final.toml")

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"procedure": "other"}, "procedure: 'other' is not 'test'"),
            ({"grounds": ("none",)}, "grounds: 'none' is not a ground"),
        ],
    )
    def test_it_rests_on_the_procedure_that_it_names(self, changed: dict[str, Any], why: str) -> None:
        terms = TERMS_OF_A_FINAL.model_copy(update={"procedure": "test", "grounds": (GROUND,)} | changed)
        with pytest.raises(BadInput, match=f"final.toml: {why}"):
            drafted(terms, TERMS, "final.toml")

    def test_and_on_grounds_to_enact_by(self) -> None:
        (ground,) = TERMS.procedure.grounds
        approve = ground.model_copy(update={"outcomes": ground.outcomes[:1]})
        procedure = TERMS.procedure.model_copy(update={"grounds": (approve,)})
        terms = TERMS_OF_A_FINAL.model_copy(update={"procedure": "test", "grounds": (GROUND,)})
        with pytest.raises(BadInput, match="is not a ground to enact"):
            drafted(terms, TERMS.model_copy(update={"procedure": procedure}), "final.toml")
