"""Finds a site's icon in the archive of its visit: the bytes as they were served, not fetched a second time."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

ARCHIVE = "capture.wacz"
MAX_ICON = 512 * 1024
"""Bytes of an icon, unpacked."""

_INDEX = "indexes/index.cdx"
_MAX_INDEX = 16 * 2**20
_BROKEN = (zipfile.BadZipFile, ArchiveLoadFailed, KeyError, IndexError, StopIteration, EOFError, zlib.error)
"""What reading raises where the archive's writer was stopped half-way."""


def find_icon(folder: Path, page: str, written: Iterable[str]) -> bytes:
    """The icon that the browser was served.

    Args:
        folder: Where the archive lies.
        page: Address of the page.
        written: Addresses of its icons as the page writes them; ``/favicon.ico`` is looked for after them.

    Raises:
        ValueError: There is no archive, or no icon in it, or it is too large.
    """
    path = folder / ARCHIVE
    if not path.is_file():
        raise ValueError(f"the capture has no {ARCHIVE}")
    wanted = [url for address in (*written, "/favicon.ico") if (url := _joined(page, address))]
    try:
        content = _served(path, wanted)
    except _BROKEN as error:
        raise ValueError(f"{ARCHIVE} cannot be read: {type(error).__name__}: {error}") from error
    if content is None:
        raise ValueError("none was served to the browser")
    if not content or len(content) > MAX_ICON:
        raise ValueError(f"it has no bytes, or more than {MAX_ICON}")
    return content


def _served(path: Path, wanted: Sequence[str]) -> bytes | None:
    """The content of the first of these addresses that was served whole."""
    with zipfile.ZipFile(path) as package:
        found = {line["url"]: line for line in _lines(package) if line["url"] in wanted and line["status"] == "200"}
        line = next((found[url] for url in wanted if url in found), None)
        if line is None:
            return None
        with package.open(f"archive/{line['filename']}") as warc:
            warc.seek(int(line["offset"]))
            record: Any = next(iter(ArchiveIterator(warc)))
            return record.content_stream().read(MAX_ICON + 1)


def _lines(package: zipfile.ZipFile) -> Iterator[dict[str, str]]:
    """The index's entries of answers to requests."""
    with package.open(_INDEX) as index:
        for line in index.read(_MAX_INDEX).splitlines():
            entry = json.loads(line.split(b" ", 2)[2])
            if "status" in entry:
                yield entry


def _joined(page: str, address: str) -> str | None:
    try:
        return urljoin(page, address)
    except ValueError:  # such as an unclosed bracket
        return None
