"""Notices: names that are derived, so that an outside act happens once, and the document that ISPs read."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from precinto.domain.notification import Action, Measure, Method, Notice, measure_id, notice_id
from precinto.domain.order_document import OrderDocument

ORDER = "b1c9f0a2-0000-5000-8000-000000000001"
PLAIN = st.text("abc0123456789-.", min_size=1, max_size=12)
NOTICES = st.tuples(PLAIN, st.integers(1, 50), PLAIN, st.integers(0, 50))


class TestIds:
    """The same act has the same name whoever computes it; two acts never share one."""

    def test_they_never_change(self) -> None:
        """ISPs keep them, so a release that computed others would send every open order twice."""
        assert notice_id(ORDER, 1, "isp0", 0) == "14cdfdc7-daea-553c-833b-26e4ffd56850"
        assert measure_id(ORDER, "y2mate.com", Method.DNS) == "3607bfb5-85f4-5fd4-b186-a519ec0dae09"

    def test_they_are_version_5_uuids(self) -> None:
        names = [notice_id(ORDER, 1, "i", 0), measure_id(ORDER, "t", Method.DNS)]
        assert {uuid.UUID(name).version for name in names} == {5}

    @given(one=NOTICES, other=NOTICES)
    def test_a_notice_id_is_that_of_its_parts_alone(
        self, one: tuple[str, int, str, int], other: tuple[str, int, str, int]
    ) -> None:
        assert (notice_id(*one) == notice_id(*other)) == (one == other)

    def test_each_part_counts(self) -> None:
        """Of the version too: the block after a stay is another act than the block before it."""
        names = {
            notice_id(order, version, isp, reminder)
            for order in ("o1", "o2")
            for version in (1, 2, 11)
            for isp in ("i1", "i2")
            for reminder in (0, 1, 10)
        }
        assert len(names) == 2 * 3 * 2 * 3


LIMA = timezone(timedelta(hours=-5))


def notice(**changed: object) -> Notice:
    """A block of two names at one ISP."""
    fields: dict[str, object] = {
        "id": notice_id(ORDER, 3, "isp0", 0),
        "order": "2026-000001",
        "version": 3,
        "isp": "isp0",
        "action": Action.BLOCK,
        "reminder": 0,
        "valid_from": datetime(2026, 11, 24, 7, 30, 15, 999_999, tzinfo=LIMA),
        "valid_until": datetime(2027, 5, 23, 12, 30, 15, tzinfo=UTC),
        "items": tuple(Measure(id=f"m{n}", target=f"t{n}.example") for n in (1, 2)),
    }
    return Notice.model_validate(fields | changed)


class TestDocument:
    """Format ``precinto.notice`` version 1."""

    def test_it_says_everything_in_utc_and_whole_seconds(self) -> None:
        one = notice()
        assert one.document() == {
            "v": 1,
            "notice": one.id,
            "order": "2026-000001",
            "version": 3,
            "action": "block",
            "reminder": 0,
            "isp": "isp0",
            "from": "2026-11-24T12:30:15+00:00",
            "until": "2027-05-23T12:30:15+00:00",
            "items": [
                {"measure": "m1", "target": "t1.example", "method": "dns"},
                {"measure": "m2", "target": "t2.example", "method": "dns"},
            ],
            "documents": {},
        }

    def test_it_names_the_documents_of_its_version(self) -> None:
        one = OrderDocument(language="es", content="c" * 64, jws="a" * 64, pdf="b" * 64)
        assert notice(documents=(one,)).document()["documents"] == {"es": {"jws": "a" * 64, "pdf": "b" * 64}}

    def test_a_notice_without_a_time_zone_is_none(self) -> None:
        with pytest.raises(ValidationError, match="a time needs its time zone"):
            notice(valid_until=datetime(2027, 5, 23))  # noqa: DTZ001 - that is the point

    def test_a_release_says_which_other_order_blocks_the_same_name(self) -> None:
        carried = Measure(id="m1", target="t1.example", also_under="2026-000002")
        assert notice(action=Action.RELEASE, items=(carried,)).document()["items"] == [
            {"measure": "m1", "target": "t1.example", "method": "dns", "also_under": "2026-000002"}
        ]

    def test_the_version_is_the_first_unless_it_says_so(self) -> None:
        fields = notice().model_dump() | {"items": ()}
        del fields["version"]
        assert Notice.model_validate(fields).document()["version"] == 1
