"""What a Windows installer says: the Property table of an MSI, read without Windows.

An MSI is an OLE compound file that holds a relational database: strings in a pool, tables by columns, and stream
names packed two characters into one (the format is undocumented; Wine's and msitools' sources describe it).
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import olefile

from precinto.adapters.crawlers.apps.signatures import Signature
from precinto.adapters.crawlers.apps.words import plain
from precinto.domain.apps import Certificate, Installer, Problem, Reading

STREAM = 64 * 2**20
"""Bytes of one stream that are read."""

_READER = "installer"
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._"
_TABLE = "\u4840"
_LONG = 1 << 31
"""Flag of the pool: references to strings have three bytes instead of two."""
_NEUTRAL, _UTF8 = 0, 65001
"""Code pages; neutral should mean ASCII alone, but some tools write Western letters under it."""


def installer(path: Path) -> Reading:
    """An MSI.

    Raises:
        ValueError: It has no Property table, or it is cut off.
    """
    file: Any = olefile.OleFileIO(str(path))
    with file:
        streams = {_unpacked(name[0]): name for name in file.listdir() if len(name) == 1}
        properties = _properties(file, streams)
        signature = (
            file.openstream("\x05DigitalSignature").read(STREAM) if file.exists("\x05DigitalSignature") else b""
        )
    problems: list[Problem] = []
    certificates: tuple[Certificate, ...] = ()
    try:
        certificates = Signature(signature).certificates("msi") if signature else ()
    except (ValueError, TypeError) as error:
        problems.append(Problem(reader=_READER, reason=plain(f"the embedded signature: {error}")))
    return Reading(
        installer=Installer(
            product_code=properties.get("ProductCode"),
            upgrade_code=properties.get("UpgradeCode"),
            manufacturer=properties.get("Manufacturer"),
            name=properties.get("ProductName"),
            version=properties.get("ProductVersion"),
            signed=bool(signature),
        ),
        certificates=certificates,
        problems=tuple(problems),
        tools={"olefile": version("olefile")},
    )


def _properties(file: Any, streams: dict[str, list[str]]) -> dict[str, str]:
    """The Property table: a column of names, then a column of values."""
    pool, data, table = (
        file.openstream(streams[name]).read(STREAM) if name in streams else b""
        for name in ("!_StringPool", "!_StringData", "!Property")
    )
    if len(pool) < 4 or not table:
        raise ValueError("it has no Property table")
    strings = list(_strings(pool, data))
    width = 3 if struct.unpack_from("<I", pool)[0] & _LONG else 2
    references = [int.from_bytes(table[at : at + width], "little") for at in range(0, len(table), width)]
    rows = len(references) // 2
    texts = [plain(strings[number]) if number < len(strings) else "" for number in references]
    return dict(zip(texts[:rows], texts[rows:], strict=False))


def _strings(pool: bytes, data: bytes) -> Iterator[str]:
    """The strings in the order of their numbers; number 0 is the empty one.

    Each has an entry of two 16-bit numbers, length and uses. A length of 0 that is used says that the next entry is
    the length, with 32 bits.
    """
    codec = _codec(struct.unpack_from("<I", pool)[0] & 0xFFFF)
    yield ""
    at, long = 0, False
    for low, high in struct.iter_unpack("<HH", pool[4 : len(pool) & ~3]):
        if not long and not low and high:
            long = True
            continue
        length = low | high << 16 if long else low
        yield data[at : at + length].decode(codec, errors="replace")
        at, long = at + length, False


def _codec(page: int) -> str:
    name = {_NEUTRAL: "cp1252", _UTF8: "utf-8"}.get(page, f"cp{page}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "latin-1"


def _unpacked(name: str) -> str:
    """The name of a stream as it is meant."""
    letters: list[str] = []
    for character in name:
        packed = ord(character) - 0x3800
        if character == _TABLE:
            letters.append("!")
        elif 0 <= packed < 0x1000:
            letters += (_LETTERS[packed & 0x3F], _LETTERS[packed >> 6])
        elif 0x1000 <= packed < 0x1040:
            letters.append(_LETTERS[packed - 0x1000])
        else:
            letters.append(character)
    return "".join(letters)
