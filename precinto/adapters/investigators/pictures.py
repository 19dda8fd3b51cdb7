"""What a picture looks like, in 64 bits: the difference hash (dHash, N. Krawetz 2013).

The picture is made 9 by 8 grey pixels, and each bit says whether a pixel is lighter than the one to its right. Size,
colour and brightness hardly change that; another picture changes half of it.
"""

from __future__ import annotations

import io

from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "ICO")
"""Formats that are decoded; each decoder is a door to a stranger, so the rare ones stay shut."""

PIXELS = 4_000_000
"""Width times height up to which a picture is decoded: four bytes of memory each, several times."""

_FEWEST_BITS = 4
_LANCZOS = Image.Resampling.LANCZOS


def difference_hash(content: bytes) -> str | None:
    """The hash of a picture, 16 hexadecimal digits; None for one that is flat, for all of those look alike.

    Raises:
        ValueError: It is too large, or cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels; {PIXELS} are decoded")
            # What is transparent is seen on white, as in a browser's tab.
            seen = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
            grey = seen.convert("L").resize((9, 8), _LANCZOS).tobytes()  # pyright: ignore[reportUnknownMemberType]
    except ValueError:
        raise
    except Exception as error:  # whatever a decoder does with what a stranger made
        raise ValueError(f"not decoded: {type(error).__name__}: {error}"[:300]) from error
    bits = sum((grey[9 * row + n] > grey[9 * row + n + 1]) << (8 * row + n) for row in range(8) for n in range(8))
    return f"{bits:016x}" if bits.bit_count() >= _FEWEST_BITS else None
