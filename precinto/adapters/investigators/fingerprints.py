"""Takes the fingerprints of a captured site from the files of its capture."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from precinto.adapters.investigators.certificates import Certificate
from precinto.adapters.investigators.icon import find_icon
from precinto.adapters.investigators.page import Page, read_page
from precinto.adapters.investigators.pictures import difference_hash
from precinto.domain.evidence import Missing
from precinto.domain.fingerprints import Fingerprints, Icon, murmur3, name_stem, shape
from precinto.domain.intake import registrable_domain
from precinto.domain.model import digest

FILE = "fingerprints.json"
PAGE, VIEW = "page.html", "viewport.png"

MAX_FILE = 20_000_000
"""Bytes up to which a file is read."""

T = TypeVar("T")


def take(
    host: str | None, address: str, folder: Path, certificate: Certificate | None
) -> tuple[Fingerprints, tuple[Missing, ...]]:
    """Take what can be had; what cannot is missing, with the reason.

    Args:
        host: The target's host.
        address: Address of the page that was captured; empty where there is none.
        folder: Where the capture's files lie.
        certificate: What the host showed.
    """
    missing: list[Missing] = []

    def had(what: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except ValueError as error:
            missing.append(Missing(what=f"{FILE}: {what}", reason=str(error)[:500] or "cannot be read"))
            return otherwise

    page = had("page", lambda: read_page(_content(folder / PAGE).decode(errors="replace")), Page())
    own = registrable_domain(host) if host else None
    found = Fingerprints(
        host=host,
        stem=name_stem(host) if host else "",
        title=page.title,
        icon=had("icon", lambda: _icon(find_icon(folder, address, page.icons)), None),
        view=had("view", lambda: difference_hash(_content(folder / VIEW)), None),
        shape=shape(page.paths),
        certificate=certificate.sha256 if certificate else None,
        public_key=certificate.public_key if certificate else None,
        trackers=page.trackers,
        links=tuple(domain for domain in page.links if domain != own),
    )
    return found, tuple(missing)


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"the capture has no {path.name}")
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"{path.name} has more than {MAX_FILE} bytes")
    return path.read_bytes()


def _icon(content: bytes) -> Icon:
    try:
        picture = difference_hash(content)
    except ValueError:  # vector graphics, or no picture at all: the bytes still tell
        picture = None
    return Icon(sha256=digest(content), murmur3=murmur3(base64.encodebytes(content)), picture=picture)
