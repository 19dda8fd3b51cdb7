"""The ZIP of a bundle, which has one form only: the same contents are the same bytes.

A ZIP says everything twice, in the entries and in the directory at its end, and programs differ in which they believe;
between entries, and before and behind them, there is room for what no list shows. So the archive is read from its
first byte to its last, entry by entry, and the directory must be byte for byte the one that follows from the entries.
Entries are stored, never compressed: what is read is never more than what is there. APPNOTE.TXT 6.3.10, 4.3.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from precinto.domain.errors import BadInput

CHUNK = 2**20
MAX_ENTRIES = 10_000
LARGEST = 2**32 - 2
"""Bytes of an archive and of an entry: beyond, a ZIP needs a second form (ZIP64)."""

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_NEEDS, _MADE_BY = 10, 3 << 8 | 10  # version 1.0, written on Unix
_FIRST_OF_JANUARY_1980 = 0x21  # the earliest date that a ZIP knows: times would make two exports differ
_PLAIN_FILE = 0o100644 << 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_LONGEST_NAME = 200


@dataclass(frozen=True)
class _Entry:
    name: bytes
    size: int
    crc: int
    at: int

    @property
    def start(self) -> int:
        return self.at + _LOCAL.size + len(self.name)

    @property
    def end(self) -> int:
        return self.start + self.size

    def header(self) -> bytes:
        fields = (_NEEDS, 0, 0, 0, _FIRST_OF_JANUARY_1980, self.crc, self.size, self.size, len(self.name), 0)
        return _LOCAL.pack(b"PK\3\4", *fields) + self.name

    def listing(self) -> bytes:
        fields = (_MADE_BY, _NEEDS, 0, 0, 0, _FIRST_OF_JANUARY_1980, self.crc, self.size, self.size, len(self.name))
        return _CENTRAL.pack(b"PK\1\2", *fields, 0, 0, 0, 0, _PLAIN_FILE, self.at) + self.name


def _directory(entries: list[_Entry], start: int) -> bytes:
    listings = b"".join(entry.listing() for entry in entries)
    count = len(entries)
    return listings + _END.pack(b"PK\5\6", 0, 0, count, count, len(listings), start, 0)


def write_archive(file: BinaryIO, parts: Iterable[tuple[str, Iterable[bytes]]]) -> None:
    """Write an archive from names and contents, sorted by name.

    Raises:
        BadInput: It would be too large, or a name cannot stand in it.
    """
    entries: list[_Entry] = []
    at = 0
    for name, chunks in parts:
        if not plain(name) or len(entries) == MAX_ENTRIES:
            raise BadInput(f"{name!r} cannot stand in a bundle")
        entry = _Entry(name.encode(), 0, 0, at)
        file.write(entry.header())
        size, crc = 0, 0
        for chunk in chunks:
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
            if at + size > LARGEST:
                raise BadInput(f"{name}: the bundle is larger than {LARGEST} bytes")
            file.write(chunk)
        entry = _Entry(name.encode(), size, crc, at)
        file.seek(at)
        file.write(entry.header())  # again: now size and checksum are known
        file.seek(entry.end)
        entries.append(entry)
        at = entry.end
    file.write(_directory(entries, at))


def plain(name: str) -> bool:
    """Whether a name leads to one place inside the bundle and nowhere else, on every system."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


class Archive:
    """An archive that was written by ``write_archive``, or claims so.

    Attributes:
        problems: Where it is not in its one form; what was readable before that can be read all the same.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.problems: list[str] = []
        self._file = file
        self._length = file.seek(0, 2)
        self._entries: dict[str, _Entry] = {}
        self._read()

    @property
    def sizes(self) -> Mapping[str, int]:
        """Name of each entry to its size in bytes."""
        return {name: entry.size for name, entry in self._entries.items()}

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of an entry. A checksum that is not theirs becomes a problem when all of them were read."""
        entry = self._entries[name]
        left, crc = entry.size, 0
        while left:
            self._file.seek(entry.end - left)
            chunk = self._file.read(min(left, CHUNK))
            left, crc = left - len(chunk), zlib.crc32(chunk, crc)
            yield chunk
        if crc != entry.crc:
            self.problems.append(f"{name}: the checksum in its header is another one")

    def _read(self) -> None:
        found: list[_Entry] = []
        at = 0
        while self._at(at, 4) == b"PK\3\4":
            try:
                entry = self._entry(at, len(found))
            except BadInput as error:
                self.problems.append(f"{error}; nothing behind it was read")
                return
            self._list(entry, found)
            found.append(entry)
            at = entry.end
        self._compare(found, at)

    def _at(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)

    def _entry(self, at: int, number: int) -> _Entry:
        head = self._at(at, _LOCAL.size)
        if len(head) < _LOCAL.size or number == MAX_ENTRIES:
            raise BadInput(f"entry {number + 1} is not whole, or one too many")
        _, _, flags, method, _, _, crc, stored, size, length, _ = _LOCAL.unpack(head)
        name = self._at(at + _LOCAL.size, min(length, _LONGEST_NAME))
        entry = _Entry(name, size, crc, at)
        where = f"entry {number + 1}, {_shown(name)}"
        if flags & 1:
            raise BadInput(f"{where}: encrypted")
        if method or stored != size:
            raise BadInput(f"{where}: compressed")
        if self._at(at, len(entry.header())) != entry.header():
            raise BadInput(f"{where}: its header is not in the one form")
        if entry.end > self._length:
            raise BadInput(f"{where}: cut off")
        return entry

    def _list(self, entry: _Entry, before: list[_Entry]) -> None:
        name = entry.name.decode("ascii", "replace")
        if not plain(name):
            self.problems.append(f"{_shown(entry.name)}: a name that can lead out of the bundle")
        elif name in self._entries:
            self.problems.append(f"{name}: is there twice")
        else:
            self._entries[name] = entry
        if before and entry.name < before[-1].name:
            self.problems.append(f"{_shown(entry.name)}: not in the order of names")

    def _compare(self, entries: list[_Entry], start: int) -> None:
        expected = _directory(entries, start)
        if self._length - start == len(expected) and self._at(start, len(expected)) == expected:
            return
        at = start
        for entry in entries:
            listing = entry.listing()
            if self._at(at, len(listing)) != listing:
                self.problems.append(f"{_shown(entry.name)}: the directory says otherwise than the entry itself")
                return
            at += len(listing)
        self.problems.append("the end of the archive is not in the one form")


def _shown(name: bytes) -> str:
    return ascii(name.decode("utf-8", "replace"))
