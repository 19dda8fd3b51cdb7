"""A capture's WARC as WACZ 1.1.1, the package that players open by itself: archive, index and list of pages.

Made anew from the same parts it is the same file byte for byte: fixed order, times of the capture, nothing is
compressed twice. It carries no signature of its own: it lies in a sealed bundle.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from precinto.domain.model import canonical_json, digest
from precinto.wire import cdxj
from precinto.wire.archive import Provenance
from precinto.wire.messages import target_uri

_WARC = "archive/data.warc.gz"
_TITLE_CHARACTERS = 1_000
_MODE = 0o100644 << 16  # a plain file, in the words of the system that zip calls Unix
_UNIX = 3


@dataclass(frozen=True)
class Page:
    """A page that a player offers to open: its URL as the browser had it, its title, and when it was opened."""

    url: str
    title: str
    at: datetime


def write_wacz(warc: Path, pages: Sequence[Page], path: Path, provenance: Provenance) -> None:
    """Write a new WACZ; the WARC is streamed.

    Args:
        warc: What ``write_warc`` wrote.
        pages: The pages that were opened, the main one first.
        path: The file to write; ``.wacz``.
        provenance: As in the WARC.

    Raises:
        FileExistsError: There is such a file.
    """
    listed = [_page(page) for page in pages]
    small = {
        "indexes/index.cdx": cdxj.index(warc, Path(_WARC).name),
        "pages/pages.jsonl": b"".join(
            canonical_json(line) + b"\n"
            for line in ({"format": "json-pages-1.0", "id": "pages", "title": "Pages"}, *listed)
        ),
    }
    resources = [_resource(_WARC, _sha256(warc), warc.stat().st_size)]
    resources += [_resource(name, digest(content), len(content)) for name, content in small.items()]
    package = {
        "profile": "data-package",
        "wacz_version": "1.1.1",
        "title": f"{provenance.case}, attempt {provenance.attempt}",
        "description": provenance.description,
        "created": _time(provenance.captured_at),
        "software": provenance.software,
        "resources": resources,
    }
    if listed:
        package |= {"mainPageUrl": listed[0]["url"], "mainPageDate": listed[0]["ts"]}
    small["datapackage.json"] = canonical_json(package)
    small["datapackage-digest.json"] = canonical_json(
        {"path": "datapackage.json", "hash": f"sha256:{digest(small['datapackage.json'])}"}
    )
    _pack(path, warc, small, provenance.captured_at)


def _pack(path: Path, warc: Path, small: Mapping[str, bytes], at: datetime) -> None:
    with zipfile.ZipFile(path, "x") as package:
        with warc.open("rb") as content:
            _put(package, _WARC, content, warc.stat().st_size, at)
        for name, content in small.items():
            _put(package, name, BytesIO(content), len(content), at)


def _put(package: zipfile.ZipFile, name: str, content: BinaryIO, size: int, at: datetime) -> None:
    """Add a file, as it is: players read parts of it where it lies."""
    at = at.astimezone(UTC)
    entry = zipfile.ZipInfo(name, (at.year, at.month, at.day, at.hour, at.minute, at.second))
    entry.create_system, entry.external_attr, entry.file_size = _UNIX, _MODE, size
    with package.open(entry, "w") as out:
        shutil.copyfileobj(content, out, 2**20)


def _page(page: Page) -> dict[str, str]:
    url, at = target_uri(page.url), _time(page.at)
    title = page.title.encode(errors="replace").decode()[:_TITLE_CHARACTERS]  # a page may set half of a character
    return {"id": digest(f"{url} {at}".encode())[:16], "url": url, "ts": at, "title": title}


def _resource(path: str, sha256: str, size: int) -> dict[str, str | int]:
    return {"name": Path(path).name, "path": path, "hash": f"sha256:{sha256}", "bytes": size}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _time(at: datetime) -> str:
    """RFC 3339, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
