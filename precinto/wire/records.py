"""Writes WARC/1.1 records (ISO 28500), each a gzip member of its own, the same each time they are written.

A record's id comes from its digest and its place in the file, not from chance; no time of writing is kept anywhere.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, BinaryIO

from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

Fields = list[tuple[str, str]]
"""Named fields of a record, in their order."""

_VERSION = "WARC/1.1"
_SPACE = uuid.UUID("6f1c9e3e-6f5b-5d0c-9b86-0f4f0c6a7a11")  # drawn once: the name space of our record ids
_PIECE = 2**18


class Records:
    """A WARC that is being written.

    Args:
        file: Where to.
        information: What the first record, a ``warcinfo``, says of the file (``application/warc-fields``).
        at: Its date.
    """

    def __init__(self, file: BinaryIO, information: bytes, at: datetime) -> None:
        self._writer: Any = WARCWriter(file, gzip=True, warc_version=_VERSION)
        self._count = 0
        self._space = _SPACE
        self._shared: Fields = []
        first = self.add("warcinfo", [], "application/warc-fields", at, Block.of(information))
        self._space = uuid.UUID(first[10:-1])
        self._shared = [("WARC-Warcinfo-ID", first)]

    def add(self, kind: str, fields: Fields, media_type: str, at: datetime, block: Block) -> str:
        """Write a record.

        Args:
            kind: Its type.
            fields: Its fields, but for those that follow from the other arguments.
            media_type: What its block is.
            at: Its date.
            block: Its content.

        Returns:
            Its id, as it stands in fields of other records.
        """
        block_digest = block.digest()
        self._count += 1
        record = f"<urn:uuid:{uuid.uuid5(self._space, f'{self._count} {kind} {block_digest}')}>"
        digests = [("WARC-Block-Digest", f"sha256:{block_digest}")]
        if kind != "warcinfo":
            digests.append(("WARC-Payload-Digest", f"sha256:{block.payload or block_digest}"))
        head = [
            ("WARC-Type", kind),
            ("WARC-Record-ID", record),
            ("WARC-Date", date(at)),
            *fields,
            *digests,
            *self._shared,
        ]
        # No HTTP headers are given: warcio would write them its own way, and these must stay as they were sent.
        headers = StatusAndHeaders("", head, protocol=_VERSION)
        with block.stream() as stream:
            self._writer.write_record(ArcWarcRecord("warc", kind, headers, stream, None, media_type, block.size))
        return record


class Block:
    """The block of a record: a head that is in memory, then a body that need not be.

    Args:
        head: The head.
        body: Opens the body.
        size: Bytes of the body.
        payload: SHA-256 of what the standard calls the payload; None where that is the whole block.
    """

    def __init__(self, head: bytes, body: Callable[[], BinaryIO], size: int, payload: str | None = None) -> None:
        self.size = len(head) + size
        self.payload = payload
        self._head = head
        self._body = body

    @classmethod
    def of(cls, content: bytes) -> Block:
        """A block that is all in memory."""
        return cls(content, BytesIO, 0)

    def digest(self) -> str:
        """SHA-256 of the block, which is read once for it."""
        hashed = hashlib.sha256()
        with self._body() as body:
            stream = _Joined(self._head, body)
            while piece := stream.read(_PIECE):
                hashed.update(piece)
        return hashed.hexdigest()

    @contextmanager
    def stream(self) -> Generator[_Joined]:
        """The block from its beginning."""
        with self._body() as body:
            yield _Joined(self._head, body)


class _Joined:
    """Reads bytes in memory, then a stream."""

    def __init__(self, head: bytes, body: BinaryIO) -> None:
        self._head = BytesIO(head)
        self._body = body

    def read(self, size: int) -> bytes:
        return self._head.read(size) or self._body.read(size)


def date(at: datetime) -> str:
    """A moment as WARC/1.1 writes it, in microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
