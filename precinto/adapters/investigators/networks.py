"""Whose network an address belongs to, by a dated copy: one CSV file for each family, searched where it lies.

A row is ``first,last,number of the autonomous system,organisation``, sorted by ``first`` (the form of ip-location-db).
The files stay on disk: a search by halves over the mapped file reads some twenty rows of half a million, so there is
nothing to load and no memory to hold. That is why they are not compressed.
"""

from __future__ import annotations

import csv
import mmap
from collections.abc import Iterable
from contextlib import suppress
from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from precinto.adapters.investigators.snapshot import Snapshot, read_snapshot, write_snapshot
from precinto.domain.errors import BadInput

FILES = {4: "asn-ipv4.csv", 6: "asn-ipv6.csv"}
"""Name of the file for each version of the protocol."""

_LONGEST_ORGANISATION = 300


class Network(NamedTuple):
    """A row: first and last address, number of the autonomous system, who runs it."""

    first: IPv4Address | IPv6Address
    last: IPv4Address | IPv6Address
    asn: int
    organisation: str


class Networks:
    """A copy in a folder, opened when it is first asked; not for two threads at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._snapshot: Snapshot | None = None
        self._files: dict[int, mmap.mmap | None] = {}

    def snapshot(self) -> Snapshot:
        """What copy it is; the first call reads all of it once to check its digests (33 MB: a tenth of a second).

        Raises:
            BadInput: The copy is not there, or not what it says it is.
        """
        if self._snapshot is None:
            found = read_snapshot(self._folder, *FILES.values())
            self._files = {version: _mapped(self._folder / name) for version, name in FILES.items()}
            self._snapshot = found
        return self._snapshot

    def of(self, address: IPv4Address | IPv6Address) -> Network | None:
        """The network that an address belongs to; None where the copy knows none.

        Raises:
            BadInput: The copy cannot be used, or the row that was looked at is no row.
        """
        self.snapshot()
        rows = self._files[address.version]
        if rows is None:
            return None
        low, high, found = 0, len(rows), None
        while low < high:
            start = rows.rfind(b"\n", low, (low + high) // 2) + 1 or low  # rfind finds nothing: 0, so from low
            end = rows.find(b"\n", start)
            end = len(rows) if end < 0 else end
            network = self._row(rows[start:end], address.version)
            if network.first <= address:  # pyright: ignore[reportOperatorIssue] - both are of this family
                low, found = end + 1, network
            else:
                high = start
        return found if found and address <= found.last else None  # pyright: ignore[reportOperatorIssue]

    def close(self) -> None:
        """Let go of the files."""
        for rows in self._files.values():
            if rows is not None:
                rows.close()
        self._files, self._snapshot = {}, None

    def _row(self, line: bytes, version: int) -> Network:
        with suppress(ValueError, StopIteration, csv.Error):
            network = read_network(next(csv.reader([line.decode()])))
            if network.first.version == network.last.version == version:
                return network
        raise BadInput(f"{self._folder / FILES[version]}: {line[:80]!r} is not first,last,number,organisation")


def describe(folder: Path, title: str, source: str, licence: str, dated: date) -> int:
    """Make a copy of the files in a folder: check every row (a minute at most), then write the description.

    Returns:
        How many rows there are.

    Raises:
        BadInput: A file cannot be read, or a row is wrong; names file and line. Nothing is written then.
    """
    try:
        rows = sum(_checked(folder / name) for name in FILES.values())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{folder}: cannot be read: {error}") from error
    write_snapshot(folder, title, source, licence, dated, FILES.values())
    return rows


def _checked(path: Path) -> int:
    """Check that every row can be read, and that rows are sorted by ``first``; returns how many there are.

    A row may begin inside the one before it: the later one, which is the narrower, counts.
    """
    before, number = -1, 0
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            try:
                network = read_network(row)
            except ValueError as error:
                raise BadInput(f"{path.name}: line {number}: {error}") from error
            if int(network.first) <= before:
                raise BadInput(f"{path.name}: line {number}: {network.first} is not above the row before it")
            before = int(network.first)
    return number


def write_rows(path: Path, networks: Iterable[tuple[str, str, int, str]]) -> None:
    """Write a file of networks, sorted."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = sorted(networks, key=lambda network: int(ip_address(network[0])))
        csv.writer(file, lineterminator="\n").writerows(rows)


def read_network(row: list[str]) -> Network:
    """The network that the fields of a row describe.

    Raises:
        ValueError: They are no row; says why.
    """
    if len(row) != 4 or "\n" in row[3]:
        raise ValueError(f"{len(row)} fields on one line are no row of 4")
    first, last, number = ip_address(row[0]), ip_address(row[1]), int(row[2])
    if first.version != last.version or int(last) < int(first):
        raise ValueError(f"{first} to {last} is no range")
    return Network(first, last, number, row[3].strip()[:_LONGEST_ORGANISATION])


def _mapped(path: Path) -> mmap.mmap | None:
    with path.open("rb") as file:
        # An empty file cannot be mapped, and knows no network.
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else None
