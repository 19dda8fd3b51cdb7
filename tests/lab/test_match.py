"""The pictures of the live stream, as far as it shows without a decoder; a real browser plays them in the crawler's
tests."""

from __future__ import annotations

import re

from lab.match import HEIGHT, PICTURES, WIDTH, pictures
from lab.media import SEGMENT_SECONDS

BLOCKS = (WIDTH // 16) * (HEIGHT // 16)


def units(access_unit: bytes) -> list[int]:
    """The types of the NAL units in it."""
    return [head[0] & 0x1F for head in re.findall(rb"\x00\x00\x00\x01(.)", access_unit, re.DOTALL)]


def test_every_segment_can_be_begun_with() -> None:
    first, *rest = pictures(5, SEGMENT_SECONDS)
    assert units(first) == [9, 7, 8, 5]  # delimiter, sequence and picture parameters, key picture
    assert {tuple(units(picture)) for picture in rest} == {(9, 1)}
    assert len(rest) + 1 == PICTURES


def test_a_key_picture_has_every_block_and_the_others_what_has_changed() -> None:
    first, *rest = pictures(5, SEGMENT_SECONDS)
    assert BLOCKS * 384 < len(first) < BLOCKS * 388
    assert all(384 < len(picture) < len(first) / 10 for picture in rest)


def test_nothing_in_a_unit_reads_as_the_start_of_another() -> None:
    for picture in pictures(5, SEGMENT_SECONDS):
        for unit in picture.split(b"\0\0\0\1")[1:]:
            assert not re.search(rb"\0\0[\0-\2]", unit)


def test_the_match_goes_on_and_is_the_same_for_everybody() -> None:
    now, again, later = (b"".join(pictures(number, SEGMENT_SECONDS)) for number in (5, 5, 6))
    assert now == again
    assert now != later
