"""Bodies of messages, kept in one temporary file: a capture may hold 200 MB of them, and thousands at a time.

Bodies of a connection grow side by side, so each is a list of the places where its parts lie in the file.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from types import TracebackType
from typing import BinaryIO

_PART_BYTES = 2**15


@dataclass(frozen=True)
class Body:
    """The body of a message as served: without the transfer coding, with the content coding.

    Attributes:
        size: Bytes that are kept.
        sha256: Digest of the bytes that are kept.
        truncated: Whether more belonged to it: the rest never came, or is beyond the limit.
    """

    size: int
    sha256: str
    truncated: bool
    _spool: Spool = field(repr=False, compare=False)
    _parts: tuple[tuple[int, int], ...] = field(repr=False, compare=False)

    def open(self) -> BinaryIO:
        """A stream of the bytes; it can be read as long as the decoding is open."""
        return io.BufferedReader(_Reader(self._spool, self._parts, self.size), _PART_BYTES)

    def read(self, limit: int = -1) -> bytes:
        """The first bytes, at most ``limit``; all without one."""
        with self.open() as stream:
            return stream.read(limit)


class Spool:
    """The temporary file of one decoding; a context manager, after which its bodies cannot be read any more."""

    def __init__(self, body_bytes: int = 2**28) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)
        self._end = 0
        self._limit = body_bytes

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def body(self) -> GrowingBody:
        """A body that is empty as yet."""
        return GrowingBody(self, self._limit)

    def keep(self, data: bytes | bytearray) -> int:
        """Add bytes to the file; returns where they lie."""
        place, left = self._end, memoryview(data)
        while left:
            left = left[self._file.write(left) or 0 :]
        self._end += len(data)
        return place

    def read(self, place: int, length: int) -> bytes:
        """Bytes that were kept.

        Raises:
            ValueError: The decoding is closed.
        """
        return os.pread(self._file.fileno(), length, place)


class GrowingBody:
    """A body of which more may come.

    Attributes:
        limit: Bytes that are kept at most.
        full: Whether the limit was reached, so that the rest is not kept.
    """

    def __init__(self, spool: Spool, limit: int) -> None:
        self.limit = limit
        self.full = False
        self._spool = spool
        self._left = limit
        self._size = 0
        self._hash = hashlib.sha256()
        self._pending = bytearray()
        self._parts: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        """Bytes that were kept so far."""
        return self._size

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self.full = self.full or len(data) > self._left
        kept = data[: self._left]
        self._left -= len(kept)
        self._size += len(kept)
        self._hash.update(kept)
        self._pending += kept
        if len(self._pending) >= _PART_BYTES:
            self._flush()

    def finish(self, *, truncated: bool) -> Body:
        """The body as it is now; ``truncated``: more was to come."""
        self._flush()
        return Body(self._size, self._hash.hexdigest(), truncated or self.full, self._spool, tuple(self._parts))

    def _flush(self) -> None:
        if not self._pending:
            return
        place, length = self._spool.keep(self._pending), len(self._pending)
        self._pending.clear()
        if self._parts and sum(self._parts[-1]) == place:
            place, length = self._parts[-1][0], self._parts.pop()[1] + length
        self._parts.append((place, length))


class _Reader(io.RawIOBase):
    """Reads the parts of a body one after the other."""

    def __init__(self, spool: Spool, parts: tuple[tuple[int, int], ...], size: int) -> None:
        self._spool = spool
        self._parts = parts
        self._ends = list(accumulate(length for _, length in parts))
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        number = bisect_right(self._ends, self._at)
        if number == len(self._parts):
            return 0
        place, length = self._parts[number]
        left = self._ends[number] - self._at
        data = self._spool.read(place + length - left, min(len(buffer), left))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
