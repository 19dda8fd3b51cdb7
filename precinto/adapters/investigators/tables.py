"""Tables of whose networks addresses are in, as their publishers give them, brought to the form that is looked up.

Two forms are known. What a line says that is no row of it is named and left out; the others go on.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from precinto.adapters.investigators.networks import FILES, Network, describe, read_network, write_rows
from precinto.adapters.investigators.snapshot import DESCRIPTION, Snapshot, read_snapshot
from precinto.domain.errors import BadInput

MAX_BYTES = 256 * 2**20
"""Text of one table, in bytes; the whole internet takes a fifth of it."""

MOST_TOLD = 1_000
"""Lines that were left out which are told one by one; the others are counted."""

NOT_ROUTED = 0
"""The number that iptoasn.com gives to what is in nobody's network."""


class TableForm(StrEnum):
    """How a publisher writes a row.

    ``ip-location-db`` (github.com/sapics/ip-location-db, ``asn-ipv4.csv`` and ``asn-ipv6.csv``): first address, last
    address, number, organisation, separated by commas. ``iptoasn`` (iptoasn.com, ``ip2asn-v4.tsv``, ``ip2asn-v6.tsv``
    or ``ip2asn-combined.tsv``): first, last, number, country, organisation, separated by tabs.
    """

    IP_LOCATION_DB = "ip-location-db"
    IPTOASN = "iptoasn"


class LeftOut(NamedTuple):
    """A line that did not become a row: its file, its number, and why."""

    file: str
    line: int
    reason: str


class Imported(NamedTuple):
    """What was put in place.

    Attributes:
        snapshot: What copy it is.
        ipv4: Rows of the one family.
        ipv6: Rows of the other.
        left_out: Lines that are no row, the first ``MOST_TOLD`` of them.
        left_out_in_all: How many there are.
    """

    snapshot: Snapshot
    ipv4: int
    ipv6: int
    left_out: tuple[LeftOut, ...]
    left_out_in_all: int


class _Row(NamedTuple):
    network: Network
    file: str
    line: int


def import_networks(
    folder: Path, files: Sequence[Path], form: TableForm, title: str, source: str, licence: str, dated: date
) -> Imported:
    """Make a copy of one day's tables, and put it in the place of an earlier one; half a minute for all there are.

    Args:
        folder: Where the copy goes; made if missing.
        files: Tables, of either family or of both; those whose name ends in ``.gz`` are packed.
        form: How their rows are written.
        title: Which tables they are.
        source: Who publishes them, and where; the digest of each file is added.
        licence: On what terms they may be used.
        dated: The day that they are of.

    Raises:
        BadInput: A file cannot be read, is too large or holds no row; or the copy that is there is of a later day, or
            is not what it says it is.
    """
    before = read_snapshot(folder) if (folder / DESCRIPTION).exists() else None
    if before is not None and before.dated > dated:
        raise BadInput(f"{folder}: the copy that is there is of {before.dated}, later than {dated}")
    left_out: list[LeftOut] = []
    tables = [(path.name, _read(path)) for path in files]
    rows = [row for name, content in tables for row in _rows(name, _unpacked(name, content), form, left_out)]
    if lacking := [path.name for path in files if path.name not in {row.file for row in rows}]:
        raise BadInput(f"{lacking[0]}: no line of it is a row of the form {form}")
    rows = list(_distinct(rows, left_out))
    origin = "; ".join(
        [source, *(f"{name}, SHA-256 {hashlib.sha256(content).hexdigest()}" for name, content in tables)]
    )
    snapshot = _put(folder, [row.network for row in rows], title, origin, licence, dated)
    ipv4 = sum(row.network.first.version == 4 for row in rows)
    return Imported(snapshot, ipv4, len(rows) - ipv4, tuple(left_out[:MOST_TOLD]), len(left_out))


def _put(folder: Path, networks: Sequence[Network], title: str, source: str, licence: str, dated: date) -> Snapshot:
    """Write the copy beside, check it, and move it into place, the description last."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as scratch:
        for version, name in FILES.items():
            own = (one for one in networks if one.first.version == version)
            write_rows(
                Path(scratch) / name, ((str(one.first), str(one.last), one.asn, one.organisation) for one in own)
            )
        describe(Path(scratch), title, source, licence, dated)
        snapshot = read_snapshot(Path(scratch))
        for name in (*FILES.values(), DESCRIPTION):
            os.replace(Path(scratch) / name, folder / name)
    return snapshot


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise BadInput(f"{path.name}: more than {MAX_BYTES} bytes")
    return content


def _unpacked(name: str, content: bytes) -> bytes:
    if not name.endswith(".gz"):
        return content
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        text = unpacking.decompress(content, MAX_BYTES + 1)
    except zlib.error as error:
        raise BadInput(f"{name}: cannot be unpacked: {error}") from error
    if len(text) > MAX_BYTES or unpacking.unconsumed_tail:
        raise BadInput(f"{name}: more than {MAX_BYTES} bytes of text")
    if not unpacking.eof or unpacking.unused_data:
        raise BadInput(f"{name}: cannot be unpacked: not one whole gzip file")
    return text


def _rows(name: str, text: bytes, form: TableForm, left_out: list[LeftOut]) -> Iterator[_Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = _fields(line.decode("utf-8"), form)
            if row is not None:
                yield _Row(read_network(row), name, number)
        except (ValueError, csv.Error) as error:  # what is not UTF-8 is a ValueError too
            left_out.append(LeftOut(name, number, str(error)[:200]))


def _fields(line: str, form: TableForm) -> list[str] | None:
    """The four fields that are looked up; None for a row that says that an address is in nobody's network."""
    if form is TableForm.IP_LOCATION_DB:
        return next(csv.reader([line], strict=True), list[str]())
    fields = line.split("\t")
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} fields on one line are no row of 5")
    first, last, number, _, organisation = fields
    return None if number == str(NOT_ROUTED) else [first, last, number, organisation]


def _distinct(rows: list[_Row], left_out: list[LeftOut]) -> Iterator[_Row]:
    """Of rows that begin at one address the narrowest: the search knows one row for each first address."""
    order = sorted(rows, key=lambda row: (row.network.first.version, int(row.network.first), int(row.network.last)))
    for _, same in groupby(order, key=lambda row: row.network.first):
        narrowest, *wider = same
        yield narrowest
        left_out += [LeftOut(row.file, row.line, "a narrower row begins at the same address") for row in wider]
