"""Web addresses that stand in a file as text, the files inside an archive included.

Found by their form in the bytes, as ASCII or UTF-16, in code and resources alike; so what is put together at run time
or hidden by encryption is not among them, and what is there need not be called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from precinto.adapters.crawlers.apps.archive import Archive, BadArchive
from precinto.adapters.crawlers.apps.kinds import kind_of
from precinto.domain.apps import LIST, TEXT, AppKind, Problem, Reading

TOTAL = 512 * 2**20
"""Bytes that are searched."""

_READER = "mentions"
_URL = re.compile(rb"(?:https?|wss?|rtmps?|ftp)://[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%%-]{4,%d}" % (TEXT - 10))
_WIDE = re.compile(rb"(?:[\x21-\x7e]\x00){12,%d}" % TEXT)
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_WHOLE = frozenset({AppKind.PE, AppKind.MSI, AppKind.OTHER})
"""Kinds that are searched as they lie there, not member by member."""
_PIECE = 2**22
_OVERLAP = 2 * TEXT


def mentions(path: Path) -> Reading:
    """The addresses of a file, and their hosts; each list is cut to ``LIST``, in alphabetical order."""
    problems: list[str] = []
    urls: set[str] = set()
    for piece in _contents(path, problems):
        urls |= {found.decode() for found in _addresses(piece)}
    domains = {host for url in urls if (host := _host(url))}
    for what, found in (("addresses", urls), ("domains", domains)):
        if len(found) > LIST:
            problems.append(f"{len(found) - LIST} of {len(found)} {what} are left out")
    return Reading(
        urls=tuple(sorted(urls)[:LIST]),
        domains=tuple(sorted(domains)[:LIST]),
        problems=tuple(Problem(reader=_READER, reason=reason[:TEXT]) for reason in problems[:LIST]),
    )


def _addresses(piece: bytes) -> Iterator[bytes]:
    wide = (text[::2] for text in _WIDE.findall(piece))
    for text in (piece, *wide):
        for found in _URL.findall(text):
            yield found.rstrip(b".,;:)]&")


def _host(url: str) -> str | None:
    try:
        host = urlsplit(url).hostname
    except ValueError:  # brackets that hold no address
        return None
    return host if host and _HOST.fullmatch(host) else None


def _contents(path: Path, problems: list[str]) -> Iterator[bytes]:
    if kind_of(path) in _WHOLE:
        yield from _pieces(path)
        return
    left = TOTAL
    with path.open("rb") as file:
        archive = Archive(file)
        for entry in archive.entries:
            try:
                content = archive.read(entry)
            except BadArchive as error:
                problems.append(str(error))
                continue
            left -= len(content)
            if left < 0:
                problems.append(f"only the first {TOTAL} bytes were searched")
                return
            yield content


def _pieces(path: Path) -> Iterator[bytes]:
    """The file in pieces that overlap, so that no address is cut at a border; at most ``TOTAL`` bytes of it."""
    with path.open("rb") as file:
        tail = b""
        for _ in range(TOTAL // _PIECE):
            if not (piece := file.read(_PIECE)):
                return
            yield tail + piece
            tail = piece[-_OVERLAP:]
