"""The blob store in a folder: each file under the SHA-256 of its bytes.

A file comes into being whole or not at all (written beside, synced, renamed, and the folder synced), is read-only
from then on, and is checked against its name whenever it is read.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from pathlib import Path

import structlog

from precinto.domain.errors import BadInput, NotFound, Refused, Unavailable
from precinto.domain.model import digest

_DIGEST = re.compile(r"[0-9a-f]{64}")
_READ_ONLY = 0o444

log = structlog.get_logger(__name__)


class LocalBlobStore:
    """Port ``BlobStore`` in a folder: ``ab/cd/abcd...``, two levels, so that no folder grows too large to list.

    What a process that was killed left half-written stays in ``incoming`` and is never taken for a blob.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, content: bytes) -> str:
        """Store the bytes (again is the same) and return their SHA-256.

        Raises:
            Unavailable: The folder cannot be written now: full, read-only or gone.
        """
        return await asyncio.to_thread(self._put, content)

    async def get(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            BadInput: ``sha256`` is not a digest in lower-case hexadecimal.
            NotFound: Nothing is stored under this digest.
            Refused: ``corrupt_blob``: what is stored does not have this digest.
            Unavailable: The folder cannot be read now.
        """
        return await asyncio.to_thread(self._get, sha256)

    def _path(self, sha256: str) -> Path:
        # The only way from a string to a path: whatever is not a digest, "../" first of all, ends here.
        if not _DIGEST.fullmatch(sha256):
            raise BadInput(f"{sha256[:80]!r} is not a SHA-256 in lower-case hexadecimal")
        return self._folder / sha256[:2] / sha256[2:4] / sha256

    def _put(self, content: bytes) -> str:
        sha256 = digest(content)
        path = self._path(sha256)
        try:
            if path.exists():
                if path.read_bytes() == content:
                    return sha256
                log.error("blob_replaced", sha256=sha256, reason="the stored bytes did not have this digest")
            self._write(path, content)
        except OSError as error:
            raise Unavailable(f"blob {sha256} cannot be stored: {error.strerror or error}") from error
        return sha256

    def _get(self, sha256: str) -> bytes:
        try:
            content = self._path(sha256).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"no blob {sha256}") from error
        except OSError as error:
            raise Unavailable(f"blob {sha256} cannot be read: {error.strerror or error}") from error
        if digest(content) != sha256:
            raise Refused("corrupt_blob", f"what is stored as blob {sha256} does not have this digest")
        return content

    def _write(self, path: Path, content: bytes) -> None:
        incoming = self._folder / "incoming"
        for folder in (incoming, path.parent):
            _make_folder(folder)
        handle, name = tempfile.mkstemp(dir=incoming)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), _READ_ONLY)
                os.fsync(file.fileno())
            Path(name).rename(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it; each new name is on disk before anything is put below it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
