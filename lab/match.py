"""The pictures of the lab's live stream: a match that never was, drawn as it goes on and coded as H.264 video.

No encoder is needed. In H.264 (ITU-T H.264, constrained baseline) a block of 16 x 16 pixels may be sent as it is
(``I_PCM``), and one that has not changed may be skipped; a picture of a few things that move needs no more.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache, lru_cache

from PIL import Image, ImageDraw, ImageFont

PICTURES = 24
"""Pictures of one segment; the first of them stands on its own."""

CODEC = "avc1.42C01E"

WIDTH, HEIGHT = 512, 288
"""Of each picture, in pixels."""

_BLOCK = 16
_START = 23 * 60  # seconds that were played when the stream began
_TEAMS = (("ATL", "#c62828"), ("CUS", "#1565c0"))
_GOALS = "1 - 0"
_GRASS = ("#2e7d32", "#338a38")

Blocks = list[bytes]
"""A picture as its blocks, row by row: 256 bytes of light and twice 64 of colour each."""


def pictures(number: int, seconds: float) -> Iterator[bytes]:
    """The pictures of segment ``number``, each an access unit (Annex B); a segment lasts ``seconds``."""
    last: Blocks = []
    for index in range(PICTURES):
        blocks = _blocks(_drawn((number + index / PICTURES) * seconds))
        yield _access_unit(number, index, blocks, last)
        last = blocks


# ------------------------------------------------------------------------------------------------------ drawing


@cache
def _pitch() -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), _GRASS[0])
    draw = ImageDraw.Draw(picture)
    for stripe in range(1, 8, 2):
        draw.rectangle((stripe * 64, 0, stripe * 64 + 63, HEIGHT), _GRASS[1])
    for box in (
        (24, 48, 488, 272),
        (24, 104, 88, 216),
        (424, 104, 488, 216),
        (24, 136, 44, 184),
        (468, 136, 488, 184),
    ):
        draw.rectangle(box, outline="white", width=2)
    draw.line((256, 48, 256, 272), "white", 2)
    draw.ellipse((216, 120, 296, 200), outline="white", width=2)
    draw.rectangle((16, 10, 254, 36), "#111111")
    draw.rectangle((436, 10, 496, 36), "#c62828")
    draw.text((466, 23), "EN VIVO", "white", _font(12), "mm")
    for (name, colour), x in zip(_TEAMS, (24, 138), strict=True):
        draw.rectangle((x, 16, x + 4, 30), colour)
        draw.text((x + 10, 23), name, "white", _font(16), "lm")
    draw.text((104, 23), _GOALS, "white", _font(16), "mm")
    return picture


def _drawn(seconds: float) -> Image.Image:
    """The match after so many seconds."""
    picture = _pitch().copy()
    draw = ImageDraw.Draw(picture)
    minutes, rest = divmod(int(_START + seconds), 60)
    draw.text((248, 23), f"{minutes}:{rest:02}", "#ffd54f", _font(16), "rm")
    for player in range(10):
        phase = player * 2.4
        x = 256 + 190 * math.sin(seconds / 9 + phase) * math.cos(phase)
        y = 160 + 90 * math.sin(seconds / 7 + 1.7 * phase)
        draw.ellipse((x - 6, y - 6, x + 6, y + 6), _TEAMS[player % 2][1], "white")
    x, y = 256 + 200 * math.sin(seconds / 1.9), 160 + 90 * math.sin(seconds / 1.3)
    draw.ellipse((x - 4, y - 4, x + 4, y + 4), "white", "#222222")
    return picture


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _blocks(picture: Image.Image) -> Blocks:
    light, *colours = picture.convert("YCbCr").split()
    planes = [(_whole(light), _BLOCK, WIDTH), *((_whole(c.reduce(2)), _BLOCK // 2, WIDTH // 2) for c in colours)]
    return [
        b"".join(
            plane[at : at + side]
            for plane, side, width in planes
            for at in range(row * side * width + column * side, (row + 1) * side * width + column * side, width)
        )
        for row in range(HEIGHT // _BLOCK)
        for column in range(WIDTH // _BLOCK)
    ]


def _whole(plane: Image.Image) -> bytes:
    return plane.tobytes().replace(b"\0", b"\1")  # a sample sent as it is may not be 0


# ------------------------------------------------------------------------------------------------------- coding


class _Bits:
    """A row of bits that grows (H.264, 7.2 and 9.1)."""

    def __init__(self) -> None:
        self._done = bytearray()
        self._rest = ""

    def fixed(self, *fields: tuple[int, int]) -> _Bits:
        """Numbers in so many bits each."""
        self._rest += "".join(f"{value:0{bits}b}" for value, bits in fields)
        return self

    def golomb(self, *values: int) -> _Bits:
        """Numbers in Exp-Golomb code, ``ue(v)``."""
        for value in values:
            code = f"{value + 1:b}"
            self._rest += "0" * (len(code) - 1) + code
        return self

    def samples(self, content: bytes) -> None:
        """Whole bytes, after zeros up to the next one."""
        self._align()
        self._done += content

    def unit(self, head: int) -> bytes:
        """All of it as one NAL unit, with its start code."""
        self._rest += "1"
        self._align()
        return b"\0\0\0\1" + bytes([head]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", self._done)

    def _align(self) -> None:
        self._rest += "0" * (-len(self._rest) % 8)
        if self._rest:
            self._done += int(self._rest, 2).to_bytes(len(self._rest) // 8, "big")
        self._rest = ""


@lru_cache(maxsize=1)
def _parameters() -> bytes:
    """What a decoder has to know first: sizes, colours (full range, BT.601), order of pictures, no smoothing."""
    sequence = _Bits().fixed((66, 8), (0xC0, 8), (30, 8)).golomb(0, 0, 2, 1).fixed((0, 1))
    sequence.golomb(WIDTH // _BLOCK - 1, HEIGHT // _BLOCK - 1).fixed((0b110, 3))
    sequence.fixed((1, 1), (0, 2), (1, 1), (5, 3), (1, 1), (1, 1), (6, 8), (6, 8), (6, 8), (0, 6))
    picture = _Bits().golomb(0, 0).fixed((0, 2)).golomb(0, 0, 0).fixed((0, 3)).golomb(0, 0, 0).fixed((0b100, 3))
    return sequence.unit(0x67) + picture.unit(0x68)


def _access_unit(number: int, index: int, blocks: Blocks, last: Blocks) -> bytes:
    delimiter = b"\0\0\0\1\x09\xf0"
    if not last:
        return delimiter + _parameters() + _key_picture(number, blocks)
    return delimiter + _changed_picture(index, blocks, last)


def _key_picture(number: int, blocks: Blocks) -> bytes:
    bits = _Bits().golomb(0, 7, 0).fixed((0, 4)).golomb(number % 2).fixed((0, 2)).golomb(0, 1)
    for block in blocks:
        bits.golomb(25).samples(block)
    return bits.unit(0x65)


def _changed_picture(index: int, blocks: Blocks, last: Blocks) -> bytes:
    bits = _Bits().golomb(0, 5, 0).fixed((index % 16, 4), (0, 3)).golomb(0, 1)
    skipped = 0
    for block, before in zip(blocks, last, strict=True):
        if block == before:
            skipped += 1
        else:
            bits.golomb(skipped, 5 + 25).samples(block)
            skipped = 0
    if skipped:
        bits.golomb(skipped)
    return bits.unit(0x41)
