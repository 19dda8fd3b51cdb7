"""Writes a bundle: the same parts make the same bytes, whoever writes them, and when."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from precinto.bundle import layout
from precinto.bundle.archive import CHUNK, write_archive
from precinto.bundle.trust import AUTHORITY
from precinto.domain.errors import BadInput
from precinto.domain.evidence import EvidenceItem, Manifest


@dataclass(frozen=True)
class Parts:
    """What a bundle is made of.

    Attributes:
        manifest: What was signed and decided on.
        signature: The detached signature over the manifest's canonical bytes.
        tokens: Name of each time-stamp authority to its token over the signature.
        custody: The case's chain of custody up to the record of this export, as ``write_chain`` makes it.
        custody_signature: The detached signature over ``custody``.
        items: Name of each item to its bytes, or to the file that holds them.
    """

    manifest: Manifest
    signature: bytes
    tokens: Mapping[str, bytes]
    custody: bytes
    custody_signature: bytes
    items: Mapping[str, bytes | Path]


def write_bundle(path: Path, parts: Parts) -> None:
    """Write a bundle as a ZIP: whole or not at all.

    Raises:
        BadInput: The items are not those of the manifest, an authority's name cannot be a file's, or it is too large.
        OSError: It cannot be written.
    """
    files = _files(parts)
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            write_archive(file, ((name, files[name]()) for name in sorted(files)))
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)


def _files(parts: Parts) -> dict[str, Callable[[], Iterable[bytes]]]:
    listed = {one.name: one for one in parts.manifest.items}
    if len(listed) != len(parts.manifest.items) or listed.keys() != parts.items.keys():
        raise BadInput("the items are not those of the manifest")
    if bad := [name for name in parts.tokens if not AUTHORITY.fullmatch(name)]:
        raise BadInput(f"{bad[0]!r} is not the name of a time-stamp authority")
    fixed = {
        layout.README: layout.readme(),
        layout.MANIFEST: parts.manifest.canonical(),
        layout.SIGNATURE: parts.signature,
        layout.SUMS: layout.sums(parts.manifest),
        layout.CUSTODY: parts.custody,
        layout.CUSTODY_SIGNATURE: parts.custody_signature,
        **{layout.token(name): token for name, token in parts.tokens.items()},
    }
    files: dict[str, Callable[[], Iterable[bytes]]] = {
        name: partial(_pieces, content) for name, content in fixed.items()
    }
    return files | {layout.item(name): partial(_checked, one, parts.items[name]) for name, one in listed.items()}


def _checked(item: EvidenceItem, source: bytes | Path) -> Iterator[bytes]:
    """The bytes of an item; what is not as the manifest says is never handed over."""
    hasher, size = hashlib.sha256(), 0
    for chunk in _pieces(source):
        hasher.update(chunk)
        size += len(chunk)
        yield chunk
    if (size, hasher.hexdigest()) != (item.size, item.sha256):
        raise BadInput(f"{item.name}: not the bytes that the manifest says")


def _pieces(source: bytes | Path) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
