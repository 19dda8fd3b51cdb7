"""Looks into a bundle's WACZ: whether each record of its WARC has the digest that the record itself states.

The seal covers the file's bytes already; this shows that the file was whole when it was sealed. It needs ``warcio``,
which the other checks do not.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO

MOST_RECORDS = 200_000
MOST_BYTES = 8 * 2**30
"""Bytes of all records, unpacked, that are looked at."""

_CHUNK = 2**20


def damaged(wacz: BinaryIO) -> Iterator[str]:
    """What is wrong in a WACZ, record by record; stops, and says so, at what it cannot read or has no time for."""
    try:
        with zipfile.ZipFile(wacz) as package:
            warcs = [name for name in package.namelist() if name.endswith((".warc", ".warc.gz"))]
            if not warcs:
                yield "it holds no WARC"
            for name in warcs:
                with package.open(name) as warc:
                    yield from (f"{name}: {problem}" for problem in _records(warc))
    except Exception as error:  # what is no ZIP or no WARC ends in many ways
        yield f"cannot be read: {type(error).__name__}: {error}"


def _records(warc: IO[bytes]) -> Iterator[str]:
    from warcio.archiveiterator import ArchiveIterator

    left = MOST_BYTES
    number = 0
    record: Any
    for number, record in enumerate(ArchiveIterator(warc, check_digests=True), start=1):
        left -= _read(record, left)
        if number > MOST_RECORDS or left <= 0:
            yield f"larger than {MOST_RECORDS} records or {MOST_BYTES} bytes: the rest was not looked at"
            return
        agrees: bool | None = record.digest_checker.passed
        if not agrees:
            why = "states no digest, or is cut off" if agrees is None else "does not have the digest that it states"
            yield f"record {number}, {record.rec_headers.get_header('WARC-Record-ID')}, {why}"
    if not number:
        yield "holds no records"


def _read(record: Any, limit: int) -> int:
    """Read a record as it was stored: what a site compressed stays so, for it may be a bomb."""
    size = 0
    while size < limit and (chunk := record.raw_stream.read(_CHUNK)):
        size += len(chunk)
    return size
