"""The content of a body that was served compressed, as the page saw it (RFC 9110, 8.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from precinto.wire.bodies import Body
from precinto.wire.inflation import STEP_BYTES, inflate
from precinto.wire.limits import Undecodable

RATIO = 200
"""How many times its size a body may become, once it is past the first megabyte; text rarely becomes twenty."""

_FREE_BYTES = 2**20
_CODINGS = 4


@dataclass(frozen=True)
class Content:
    """A body without its content coding.

    Attributes:
        data: The bytes, or their beginning.
        cut: Why it is only the beginning; None where it is all.
    """

    data: bytes
    cut: str | None = None


def decoded_content(body: Body, content_encoding: str, limit: int) -> Content:
    """Undo the content coding of a body.

    Args:
        body: As served.
        content_encoding: The field ``Content-Encoding`` of the answer: codings in the order in which they were
            applied, empty for none. Known are gzip, deflate, br, zstd and identity.
        limit: The most that is given, in bytes.
    """
    codings = [word.strip().lower() for word in content_encoding.split(",") if word.strip()]
    most = min(limit, max(_FREE_BYTES, RATIO * body.size))
    data = bytearray()
    try:
        if len(codings) > _CODINGS:
            raise Undecodable(f"limit: more than {_CODINGS} content codings")
        steps = _served(body)
        for coding in reversed(codings):
            steps = steps if coding == "identity" else inflate(coding, steps)
        for step in steps:
            data += step
            if len(data) > most:
                return Content(bytes(data[:most]), f"limit: more than {most} bytes")
    except Undecodable as no:
        return Content(bytes(data), str(no))
    return Content(bytes(data), "the body was not served whole" if body.truncated else None)


def _served(body: Body) -> Iterator[bytes]:
    with body.open() as stream:
        while step := stream.read(STEP_BYTES):
            yield step
