"""Likeness: signs add up, looks alone are not enough, and what is unknown is no sign."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.fingerprints import (
    ALIKE,
    PERMUTATIONS,
    WEIGHTS,
    Fingerprints,
    Icon,
    Sign,
    common_paths,
    murmur3,
    name_stem,
    shape,
    similar,
)

PATHS = [f"body/div/section/p{n}" for n in range(200)]
ICON = Icon(sha256="a" * 64, murmur3=1, picture="00ff00ff00ff00ff")


def site(**known: object) -> Fingerprints:
    return Fingerprints.model_validate({"host": "example.com", **known})


@pytest.mark.parametrize(
    ("one", "other", "signs"),
    [
        ({}, {}, set()),
        ({"trackers": ("histats:1", "adsense:2")}, {"trackers": ("adsense:2",)}, {Sign.TRACKER}),
        ({"icon": ICON}, {"icon": ICON}, {Sign.ICON}),
        ({"icon": ICON}, {"icon": ICON.model_copy(update={"sha256": "b" * 64})}, {Sign.ICON_LOOK}),
        ({"icon": ICON}, {}, set()),
        ({"public_key": "c" * 64}, {"public_key": "c" * 64}, {Sign.PUBLIC_KEY}),
        ({"stem": "y2mate"}, {"stem": "y2mate"}, {Sign.NAME}),
        ({"stem": "y2mate"}, {"stem": "newy2matesite"}, {Sign.NAME}),
        ({"stem": "yout"}, {"stem": "youtube"}, set()),
        ({"title": "Y2Mate - free"}, {"title": "y2mate - FREE"}, {Sign.TITLE}),
        ({"title": "Home"}, {"title": "Home"}, set()),
        ({"view": "00000000000003ff"}, {"view": "0000000000000000"}, {Sign.VIEW}),
        ({"view": "00000000000007ff"}, {"view": "0000000000000000"}, set()),
        ({"shape": shape(PATHS)}, {"shape": shape(PATHS[5:])}, {Sign.SHAPE}),
        ({"shape": shape(PATHS)}, {"shape": shape(PATHS[:100])}, set()),
        ({"shape": ()}, {"shape": ()}, set()),
    ],
)
def test_what_two_sites_have_in_common(one: dict[str, object], other: dict[str, object], signs: set[Sign]) -> None:
    found = similar(site(**one), site(**other))
    assert set(found.signs) == signs
    assert similar(site(**other), site(**one)) == found


def test_looks_alone_are_a_kit_that_many_buy() -> None:
    assert WEIGHTS[Sign.VIEW] + WEIGHTS[Sign.SHAPE] < ALIKE
    assert WEIGHTS[Sign.ICON] < ALIKE  # a hosting panel's own
    assert WEIGHTS[Sign.PUBLIC_KEY] < ALIKE  # a certificate that strangers share
    assert WEIGHTS[Sign.TRACKER] >= ALIKE  # the same account is paid


def test_a_mirror_under_another_name_is_found() -> None:
    known = {"icon": ICON, "view": "00000000000003ff", "shape": shape(PATHS), "title": "Y2Mate - free"}
    assert similar(site(stem="y2mate", **known), site(stem="freesound", **known)).alike


def test_formats_of_different_versions_are_not_compared() -> None:
    assert not similar(site(icon=ICON), site(v=2, icon=ICON)).signs


@pytest.mark.parametrize(
    ("host", "stem"),
    [
        ("y2mate.com", "y2mate"),
        ("www.y2mate-3.lol", "y2mate"),
        ("y2mate.co.uk", "y2mate"),
        ("roja-directa.test", "rojadirecta"),
        ("mp3.com", ""),
        ("co.uk", ""),
        ("12345.com", ""),
    ],
)
def test_a_name_has_a_stem(host: str, stem: str) -> None:
    assert name_stem(host) == stem


class TestShapes:
    def test_it_is_the_same_on_every_machine(self) -> None:
        assert shape(PATHS)[:4] == (17881436, 813556, 20098742, 55310307)

    def test_the_estimate_is_near_the_share_of_common_paths(self) -> None:
        found = common_paths(shape(PATHS[:150]), shape(PATHS[50:]))
        assert abs(found - 0.5) < 0.15  # 100 of 200; three times the standard error

    def test_a_page_of_few_paths_has_none(self) -> None:
        assert shape(PATHS[:9]) == ()
        assert len(shape(PATHS[:10])) == PERMUTATIONS

    @given(st.lists(st.text(max_size=20), min_size=10, max_size=50, unique=True))
    def test_the_order_of_paths_does_not_matter(self, paths: list[str]) -> None:
        assert shape(paths) == shape(sorted(paths))
        assert all(0 <= number < 2**32 for number in shape(paths))


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"", 0),
        (b"hello", 613153351),
        (b"hello, world", 345750399),
        (b"The quick brown fox jumps over the lazy dog", 776992547),
    ],
)
def test_murmur3_is_the_published_function(content: bytes, value: int) -> None:
    assert murmur3(content) == value


def test_a_public_index_lists_an_icon_by_its_base64_with_line_breaks() -> None:
    assert murmur3(base64.encodebytes(b"\x00" * 100)) == murmur3(base64.encodebytes(bytes(100)))
