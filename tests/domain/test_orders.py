"""Orders in force: each has one end, at its date or before."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.orders import End, EndReason, end_of, order_id

UNTIL = datetime(2027, 5, 23, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
PLAIN = st.text("abc0123456789-.", min_size=1, max_size=12)


class TestTheEnd:
    """When an order ends if nobody does anything."""

    @pytest.mark.parametrize("lapses_at", [None, UNTIL, UNTIL + TICK, UNTIL + timedelta(days=900)])
    def test_at_its_date(self, lapses_at: datetime | None) -> None:
        assert end_of(UNTIL, lapses_at) == End(at=UNTIL, reason=EndReason.EXPIRED)

    @pytest.mark.parametrize("early", [TICK, timedelta(days=100)])
    def test_or_before_it_where_no_proceeding_was_opened_in_time(self, early: timedelta) -> None:
        assert end_of(UNTIL, UNTIL - early) == End(at=UNTIL - early, reason=EndReason.LAPSED)

    @given(lapses_at=st.none() | st.datetimes(timezones=st.just(UTC)))
    def test_never_after_its_date(self, lapses_at: datetime | None) -> None:
        assert end_of(UNTIL, lapses_at).at <= UNTIL


class TestIds:
    """One order for each bundle of a case, whoever computes its name."""

    def test_they_never_change(self) -> None:
        """A release that computed others would issue every order of a case that is retried a second time."""
        assert order_id("ws5ksqpoov-1", "ab" * 32) == "14fbaf12-1f3b-5cd6-afb0-a88eddec04dc"
        assert uuid.UUID(order_id("c", "b")).version == 5

    @given(one=st.tuples(PLAIN, PLAIN), other=st.tuples(PLAIN, PLAIN))
    def test_orders_of_two_bundles_or_cases_differ(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        assert (order_id(*one) == order_id(*other)) == (one == other)
