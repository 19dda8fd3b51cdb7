"""Values: frozen, strict, with one canonical byte form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from precinto.domain.model import Digest, Instant, Value, canonical_json, digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé€", max_size=4), inner, max_size=4),
    max_leaves=12,
)


class Sample(Value):
    """A value of two fields."""

    name: str
    count: int = 0


def test_a_value_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sample(name="a").name = "b"  # type: ignore[misc]


def test_a_field_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValidationError, match="naem"):
        Sample.model_validate({"name": "a", "naem": "b"})


def test_a_time_needs_its_zone() -> None:
    instant = TypeAdapter(Instant)
    with pytest.raises(ValidationError, match="a time needs its time zone"):
        instant.validate_python(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    assert instant.validate_python("2026-01-01T00:00:00Z") == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "ab" * 31, "AB" * 32, "xy" * 32, "ab" * 32 + "\n"])
def test_a_digest_is_64_lower_case_hexadecimal_digits(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Digest).validate_python(text)
    assert TypeAdapter(Digest).validate_python("ab" * 32)


class TestCanonicalJson:
    """The bytes that digests are taken of."""

    def test_keys_are_sorted_and_there_is_no_space(self) -> None:
        value = {"b": [1, None, True], "a": {"d": "é", "c": '"\n'}}
        assert canonical_json(value) == '{"a":{"c":"\\"\\n","d":"é"},"b":[1,null,true]}'.encode()

    @given(value=JSON)
    def test_it_is_json_and_says_the_same(self, value: Any) -> None:
        assert json.loads(canonical_json(value)) == value

    @given(value=st.dictionaries(st.text("abc", max_size=3), JSON, max_size=5))
    def test_the_order_in_which_keys_came_makes_no_difference(self, value: dict[str, Any]) -> None:
        backwards = dict(reversed(value.items()))
        assert canonical_json(value) == canonical_json(backwards)

    @pytest.mark.parametrize("value", [1.0, {"a": [{"b": 0.5}]}, (float("nan"),), float("inf")])
    def test_a_float_is_refused_however_deep(self, value: Any) -> None:
        with pytest.raises(TypeError, match="a float has no canonical form"):
            canonical_json(value)


def test_the_digest_is_sha256() -> None:
    """The first test vector of FIPS 180-4: the empty message, and ``abc``."""
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
