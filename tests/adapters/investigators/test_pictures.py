"""What pictures look like: a copy stays near, another picture does not, and no picture costs more than its limit."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image, ImageDraw, ImageEnhance

from precinto.adapters.investigators.pictures import PIXELS, difference_hash
from precinto.domain.fingerprints import NEAR_BITS


def page(colour: str = "#d81b60", seed: int = 3) -> Image.Image:
    """Something like a web page: a bar, boxes, lines of text."""
    picture = Image.new("RGB", (1366, 768), "#f5f6f8")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, 1366, 90), fill=colour)
    for n in range(12):
        x, y = (n * 211 * seed) % 1200, 120 + (n * 137 * seed) % 600
        draw.rectangle((x, y, x + 60 + 23 * n, y + 40), fill=("white", "#222", "#88a", colour)[n % 4])
    return picture


def saved(picture: Image.Image, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    picture.save(out, form)
    return out.getvalue()


def distance(one: bytes, other: bytes) -> int:
    a, b = difference_hash(one), difference_hash(other)
    assert a
    assert b
    return (int(a, 16) ^ int(b, 16)).bit_count()


def test_a_copy_scaled_brightened_and_compressed_again_stays_near() -> None:
    copy = ImageEnhance.Brightness(page().resize((900, 506))).enhance(1.2)
    assert distance(saved(page()), saved(copy, "JPEG")) <= NEAR_BITS


def test_another_page_is_far() -> None:
    assert distance(saved(page()), saved(page(seed=7))) > NEAR_BITS


def test_what_is_transparent_is_seen_on_white() -> None:
    clear, white = page().convert("RGBA"), page()
    clear.paste((0, 0, 0, 0), (400, 200, 900, 600))
    white.paste((255, 255, 255), (400, 200, 900, 600))
    assert difference_hash(saved(clear)) == difference_hash(saved(white))


def test_a_flat_picture_says_nothing() -> None:
    assert difference_hash(saved(Image.new("RGB", (64, 64), "#1565c0"))) is None


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "ICO"])
def test_the_formats_of_icons_are_read(form: str) -> None:
    assert difference_hash(saved(page().resize((64, 64)), form))


def _bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_bomb(60_000, 60_000), "not decoded: DecompressionBombError"),
        (_bomb(3_000, 3_000), f"3000 x 3000 pixels; {PIXELS} are decoded"),
        (saved(page())[:2_000], "not decoded"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not decoded: UnidentifiedImageError"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not decoded: UnidentifiedImageError"),
        (b"", "not decoded"),
    ],
    ids=["bomb", "large", "cut", "vector", "postscript", "empty"],
)
def test_what_cannot_be_decoded_says_why(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        difference_hash(content)
