"""Tricks that hostile apps play on readers of ZIP archives, done to a real one."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile

_CENTRAL, _LOCAL = b"PK\x01\x02", b"PK\x03\x04"


def patched(archive: bytes, name: str, *, method: int | None = None, flags: int | None = None) -> bytes:
    """Both headers of a member with another method or other flags; its bytes stay as they are."""
    changed = bytearray(archive)
    for signature, offset in ((_CENTRAL, 8), (_LOCAL, 6)):
        at = _header(archive, signature, name)
        if flags is not None:
            struct.pack_into("<H", changed, at + offset, flags)
        if method is not None:
            struct.pack_into("<H", changed, at + offset + 2, method)
    return bytes(changed)


def renamed_locally(archive: bytes, name: str, other: str) -> bytes:
    """The local header has another name (of the same length) than the directory."""
    at = _header(archive, _LOCAL, name) + 30
    return archive[:at] + other.encode() + archive[at + len(name) :]


def with_members(archive: bytes, *members: tuple[str, bytes]) -> bytes:
    """More members, of whatever name."""
    file = io.BytesIO(archive)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as changed, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name that is there already: that is the point
        for name, content in members:
            changed.writestr(name, content)
    return file.getvalue()


def zipped(*members: tuple[str, bytes]) -> bytes:
    """An archive of these members."""
    return with_members(b"", *members)


def _header(archive: bytes, signature: bytes, name: str) -> int:
    """Where the header of a member begins: the last with this signature before its name."""
    fixed = {_CENTRAL: 46, _LOCAL: 30}[signature]
    at = archive.find(signature)
    while archive[at + fixed : at + fixed + len(name)] != name.encode():
        at = archive.index(signature, at + 1)
    return at
