"""ZIP archives as a phone reads them, within bounds.

Android goes by the central directory and takes every method but "stored" for deflate. Hostile apps use that: a
method number or a flag that no phone looks at makes stricter readers give up. So this one reads on, and says what was
odd. Nothing is ever written to a disk, so names are only names.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO

from precinto.adapters.crawlers.apps.words import plain

ENTRIES = 65_536
"""Entries of an archive that are looked at."""

MEMBER = 96 * 2**20
"""Bytes of one member that are unpacked."""

_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_IN_64_BITS = 0xFFFFFFFF
_TAIL = 2**17  # a comment has at most 2**16 - 1 bytes
_LOCAL = struct.Struct("<4s5H3I2H")
_NAMED = 5
"""Names given as examples of an oddity."""
_ENCRYPTED = 1
_STORED, _DEFLATED = 0, 8


class BadArchive(Exception):
    """An archive, or a member of one, that cannot be read; the message says why."""


@dataclass(frozen=True)
class Entry:
    """One entry of the central directory; sizes as they are stated there, in bytes."""

    name: str
    flags: int
    method: int
    packed: int
    size: int
    offset: int


class Archive:
    """The members of a ZIP archive.

    Attributes:
        entries: In the directory's order, names that occur twice included.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the directory.

        Raises:
            BadArchive: There is none.
        """
        self._file = file
        self._announced, offset = self._end()
        self.entries = self._directory(offset)
        self._last = {entry.name: entry for entry in self.entries}

    def find(self, name: str) -> Entry | None:
        """The entry of a name; of several the last, as the other readers of this room do."""
        return self._last.get(name)

    def entry(self, name: str) -> Entry:
        """The same.

        Raises:
            BadArchive: There is none.
        """
        if (found := self.find(name)) is None:
            raise BadArchive(f"there is no {name} in it")
        return found

    def read(self, entry: Entry, limit: int = MEMBER) -> bytes:
        """A member's content.

        Raises:
            BadArchive: It is not where the directory says, or larger than ``limit`` bytes when it is unpacked.
        """
        self._file.seek(entry.offset)
        head = self._file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or not head.startswith(b"PK\x03\x04"):
            raise BadArchive(f"{plain(entry.name)}: no local header where the directory says")
        *_, name, extra = _LOCAL.unpack(head)
        self._file.seek(entry.offset + _LOCAL.size + name + extra)
        if entry.method == _STORED:
            content = self._file.read(min(entry.size, limit + 1))
        else:
            content = self._inflated(entry, limit)
        if len(content) > limit:
            raise BadArchive(f"{plain(entry.name)}: more than {limit} bytes")
        return content

    def oddities(self) -> tuple[str, ...]:
        """What ordinary tools do not make; ``_NAMED`` examples of each."""
        names = Counter(entry.name for entry in self.entries)
        found = {
            "occurs more than once": [name for name, times in names.items() if times > 1],
            "is flagged as encrypted": [e.name for e in self.entries if e.flags & _ENCRYPTED],
            "has a name that leads out of the archive": [name for name in names if _leads_out(name)],
        }
        told = [f"{what}: {_examples(which)}" for what, which in found.items() if which]
        if len(self.entries) != self._announced:
            told.append(f"the directory announces {self._announced} entries and has {len(self.entries)}")
        return tuple(told)

    def _end(self) -> tuple[int, int]:
        """How many entries the directory has by its end record, and where it begins."""
        size = self._file.seek(0, 2)
        start = self._file.seek(max(0, size - _TAIL))
        tail = self._file.read(_TAIL)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            raise BadArchive("it has no end of a ZIP directory")
        *_, count, _, offset, _ = _END.unpack_from(tail, at)
        if offset == _IN_64_BITS and at >= _LOCATOR.size:
            _, _, where, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
            end = tail[where - start :][: _END_64.size] if where >= start else b""
            if len(end) == _END_64.size and end.startswith(b"PK\x06\x06"):
                *_, count, _, offset = _END_64.unpack(end)
        return count, offset

    def _directory(self, offset: int) -> tuple[Entry, ...]:
        entries: list[Entry] = []
        self._file.seek(offset)
        while len(entries) < ENTRIES and (head := self._file.read(_CENTRAL.size)).startswith(b"PK\x01\x02"):
            if len(head) < _CENTRAL.size:
                break
            _, _, _, flags, method, _, _, _, packed, size, name, extra, comment, *_, at = _CENTRAL.unpack(head)
            text = self._file.read(name).decode(errors="replace")
            self._file.seek(extra + comment, 1)
            entries.append(Entry(text, flags, method, packed, size, at))
        return tuple(entries)

    def _inflated(self, entry: Entry, limit: int) -> bytes:
        start = self._file.tell()
        inflate, out, left = zlib.decompressobj(-zlib.MAX_WBITS), bytearray(), entry.packed
        try:
            while left > 0 and len(out) <= limit and (chunk := self._file.read(min(left, 2**16))):
                left -= len(chunk)
                out += inflate.decompress(inflate.unconsumed_tail + chunk, limit + 1 - len(out))
        except zlib.error as error:
            if entry.method == _DEFLATED or entry.packed != entry.size:
                raise BadArchive(f"{plain(entry.name)}: {error}") from error
            self._file.seek(start)  # stored, under a method number that does not exist
            return self._file.read(min(entry.size, limit + 1))
        return bytes(out)


def _leads_out(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or name.startswith(("/", "\\")) or "\0" in name or ":" in parts[0]


def _examples(names: list[str]) -> str:
    shown = ", ".join(plain(name)[:80] for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
