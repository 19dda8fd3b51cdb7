"""The blob store in a folder: each file under the SHA-256 of its bytes.

A file comes into being whole or not at all (written beside, synced, renamed, and the folder synced), is read-only
from then on, and is checked against its name whenever it is read.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import tempfile
from pathlib import Path
from typing import BinaryIO

import structlog

from precinto.domain.errors import BadInput, NotFound, Refused, Unavailable

_DIGEST = re.compile(r"[0-9a-f]{64}")
_READ_ONLY = 0o444
_CHUNK = 2**20

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

    async def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file, however large, in little memory; returns its SHA-256 and its size in bytes.

        Raises:
            Unavailable: The folder cannot be written now.
        """
        return await asyncio.to_thread(self._put_file, path)

    async def get_file(self, sha256: str, path: Path) -> None:
        """Write the bytes to a new file, however large, in little memory; errors as ``get``, and then no file."""
        await asyncio.to_thread(self._get_file, sha256, path)

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
        return self._store(io.BytesIO(content))[0]

    def _put_file(self, path: Path) -> tuple[str, int]:
        with path.open("rb") as file:
            return self._store(file)

    def _store(self, source: BinaryIO) -> tuple[str, int]:
        """Write beside, and hash what is written: what becomes a blob is what was hashed."""
        incoming = self._folder / "incoming"
        name = None
        try:
            _make_folder(incoming)
            handle, name = tempfile.mkstemp(dir=incoming)
            with os.fdopen(handle, "wb") as file:
                sha256, size = _copy(source, file)
                file.flush()
                os.fchmod(file.fileno(), _READ_ONLY)
                os.fsync(file.fileno())
            self._keep(Path(name), sha256)
        except OSError as error:
            raise Unavailable(f"nothing can be stored in {self._folder}: {error.strerror or error}") from error
        finally:
            if name is not None:
                Path(name).unlink(missing_ok=True)
        return sha256, size

    def _keep(self, written: Path, sha256: str) -> None:
        path = self._path(sha256)
        if path.exists():
            with path.open("rb") as file:
                if _copy(file, None)[0] == sha256:
                    return
            log.error("blob_replaced", sha256=sha256, reason="the stored bytes did not have this digest")
        _make_folder(path.parent)
        written.rename(path)
        _sync_folder(path.parent)

    def _get(self, sha256: str) -> bytes:
        content = io.BytesIO()
        self._load(sha256, content)
        return content.getvalue()

    def _get_file(self, sha256: str, path: Path) -> None:
        try:
            with path.open("xb") as file:
                self._load(sha256, file)
        except FileExistsError as error:
            raise BadInput(f"{path}: is there already") from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _load(self, sha256: str, sink: BinaryIO) -> None:
        try:
            with self._path(sha256).open("rb") as file:
                found, _ = _copy(file, sink)
        except FileNotFoundError as error:
            raise NotFound(f"no blob {sha256}") from error
        except OSError as error:
            raise Unavailable(f"blob {sha256} cannot be read: {error.strerror or error}") from error
        if found != sha256:
            raise Refused("corrupt_blob", f"what is stored as blob {sha256} does not have this digest")


def _copy(source: BinaryIO, sink: BinaryIO | None) -> tuple[str, int]:
    """Copy to the end; returns the SHA-256 and the size of what was copied."""
    hasher, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        hasher.update(chunk)
        size += len(chunk)
        if sink is not None:
            sink.write(chunk)
    return hasher.hexdigest(), size


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
