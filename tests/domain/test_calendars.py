"""Counting terms: examples that a lawyer can check on a wall calendar, and what holds for every start and length.

The holidays are those that a case would snapshot: real ones, of four countries.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.calendars import Calendar
from precinto.domain.errors import BadInput

YEARS = range(2026, 2029)
ZONES = {"PE": "America/Lima", "ES": "Europe/Madrid", "PT": "Europe/Lisbon", "IT": "Europe/Rome"}
CALENDARS = {
    country: Calendar(ZoneInfo(zone), frozenset(holidays.country_holidays(country, years=YEARS)), YEARS)
    for country, zone in ZONES.items()
}
MOMENT = timedelta(microseconds=1)


def at(country: str, text: str) -> datetime:
    """A moment by the country's clock."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONES[country]))


def last_moment(country: str, day: str) -> datetime:
    """The last moment of a day there, in UTC."""
    return at(country, f"{day}T23:59:59.999999").astimezone(UTC)


@pytest.mark.parametrize(
    ("country", "start", "days", "last"),
    [
        pytest.param("PE", "2026-11-02T10:00", 10, "2026-11-12", id="the day of the event is not counted"),
        pytest.param("PE", "2026-11-02T00:00", 10, "2026-11-12", id="nor from its first moment"),
        pytest.param("PE", "2026-11-02T23:59", 10, "2026-11-12", id="nor from its last minute"),
        pytest.param("PE", "2026-11-03T10:00", 4, "2026-11-09", id="Saturday rolls to Monday"),
        pytest.param("PE", "2026-11-28T10:00", 10, "2026-12-10", id="two holidays in a row, 8 and 9 December"),
        pytest.param("PE", "2026-07-18T10:00", 10, "2026-07-30", id="Independence Day and the day after"),
        pytest.param("IT", "2026-12-15T10:00", 10, "2026-12-28", id="Christmas, Saint Stephen's and a Sunday"),
        pytest.param("ES", "2026-12-22T10:00", 10, "2027-01-04", id="over the year, from a Friday holiday"),
        pytest.param("IT", "2027-03-19T10:00", 10, "2027-03-30", id="Easter Monday"),
        pytest.param("PT", "2028-02-28T10:00", 1, "2028-02-29", id="leap day"),
        pytest.param("PT", "2027-02-26T10:00", 3, "2027-03-01", id="no leap day"),
    ],
)
def test_days(country: str, start: str, days: int, last: str) -> None:
    assert CALENDARS[country].after_days(at(country, start), days) == last_moment(country, last)


@pytest.mark.parametrize(
    ("country", "start", "days", "last"),
    [
        pytest.param("PE", "2026-11-02T10:00", 5, "2026-11-09", id="over a weekend"),
        pytest.param("PE", "2026-11-07T10:00", 1, "2026-11-09", id="from a Saturday"),
        pytest.param("PE", "2027-03-24T10:00", 1, "2027-03-29", id="Holy Thursday and Good Friday count not"),
        pytest.param("ES", "2026-10-09T10:00", 2, "2026-10-14", id="48 hours in Spain, over the National Day"),
        pytest.param("PE", "2026-11-25T10:00", 15, "2026-12-18", id="an appeal in Peru"),
        pytest.param("IT", "2026-12-30T10:00", 3, "2027-01-05", id="over New Year"),
    ],
)
def test_working_days(country: str, start: str, days: int, last: str) -> None:
    assert CALENDARS[country].after_working_days(at(country, start), days) == last_moment(country, last)


def test_the_day_is_that_of_the_authority_not_of_greenwich() -> None:
    evening = datetime(2026, 11, 4, 2, 0, tzinfo=UTC)  # still the 3rd in Lima
    assert CALENDARS["PE"].after_days(evening, 1) == last_moment("PE", "2026-11-04")


@pytest.mark.parametrize("country", ["ES", "PT", "IT"])
@pytest.mark.parametrize(("friday", "monday"), [("2028-03-24", "2028-03-27"), ("2026-10-23", "2026-10-26")])
def test_a_day_ends_by_the_clock_that_is_then_in_force(country: str, friday: str, monday: str) -> None:
    """Clocks change in the night to Sunday: the weekend has 47 or 49 hours."""
    end = CALENDARS[country].after_days(at(country, f"{friday}T10:00"), 2)
    assert end == last_moment(country, monday)
    assert end - at(country, f"{friday}T23:59:59.999999") == timedelta(days=3, hours=-1 if "03" in monday else 1)


@pytest.mark.parametrize(("days", "end"), [(1, "2026-04-23T22:00"), (2, "2026-04-24T21:00")])
def test_a_day_without_its_midnight_has_a_beginning_and_an_end_all_the_same(days: int, end: str) -> None:
    cairo = Calendar(ZoneInfo("Africa/Cairo"), frozenset(), {2026})  # Friday 24 April 2026 begins at 01:00
    due = cairo.after_working_days(datetime(2026, 4, 22, 12, tzinfo=UTC), days)
    assert due == datetime.fromisoformat(end).replace(tzinfo=UTC) - MOMENT


@pytest.mark.parametrize("count", [Calendar.after_days, Calendar.after_working_days])
def test_a_year_whose_holidays_are_not_known_is_never_guessed(
    count: Callable[[Calendar, datetime, int], datetime],
) -> None:
    with pytest.raises(BadInput, match=r"^the holidays of 2029 are not known .* \(known: 2026 to 2028\)$"):
        count(CALENDARS["PE"], at("PE", "2028-12-28T10:00"), 10)


def test_a_calendar_that_knows_nothing_says_so() -> None:
    with pytest.raises(BadInput, match=r"\(known: none\)$"):
        Calendar(ZoneInfo("UTC"), (), ()).works_on(date(2026, 1, 5))


countries = st.sampled_from(sorted(ZONES))
FIRST = datetime(2026, 1, 1, 12, tzinfo=UTC)
starts = st.timedeltas(timedelta(0), timedelta(days=729)).map(lambda later: FIRST + later)
lengths = st.integers(1, 200)


@given(countries, starts, lengths)
def test_days_end_with_a_working_day_and_never_before_the_plain_count(country: str, start: datetime, n: int) -> None:
    calendar = CALENDARS[country]
    end = calendar.after_days(start, n)
    last = end.astimezone(calendar.zone).date()
    plain = start.astimezone(calendar.zone).date() + timedelta(days=n)
    assert last >= plain
    assert calendar.works_on(last)
    assert not any(calendar.works_on(plain + timedelta(days=more)) for more in range((last - plain).days))
    assert (end + MOMENT).astimezone(calendar.zone).date() == last + timedelta(days=1)


@given(countries, starts, lengths)
def test_so_many_working_days_lie_within_the_term(country: str, start: datetime, n: int) -> None:
    calendar = CALENDARS[country]
    first = start.astimezone(calendar.zone).date()
    last = calendar.after_working_days(start, n).astimezone(calendar.zone).date()
    within = [first + timedelta(days=d) for d in range(1, (last - first).days + 1)]
    assert sum(day.weekday() < 5 and day not in calendar.holidays for day in within) == n
    assert within[-1] == last
    assert calendar.works_on(last)


@given(countries, starts, starts, lengths)
def test_who_starts_later_is_never_due_earlier(country: str, one: datetime, other: datetime, n: int) -> None:
    calendar = CALENDARS[country]
    early, late = sorted((one, other))
    assert calendar.after_days(early, n) <= calendar.after_days(late, n)
    assert calendar.after_working_days(early, n) <= calendar.after_working_days(late, n)


@given(countries, starts, lengths)
def test_working_days_are_never_shorter_than_days(country: str, start: datetime, n: int) -> None:
    calendar = CALENDARS[country]
    assert calendar.after_days(start, n) <= calendar.after_working_days(start, n)
