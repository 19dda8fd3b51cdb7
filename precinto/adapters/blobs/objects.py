"""The blob store in a bucket of S3-compatible storage, for workers on several hosts.

An object is named after the SHA-256 of its bytes and comes into being whole or not at all. A small one travels in one
request, whose signature covers that digest (AWS Signature Version 4), so the store itself refuses what was damaged on
the way. A large one travels in parts, of which the store checks only each by itself: it is read back. Every read is
checked against the name.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import aclosing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import obstore
import structlog
from obstore import exceptions
from obstore.store import S3Store

from precinto.domain.errors import BadInput, NotFound, Refused, Unavailable

_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*)/?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_STATUS = re.compile(r" - (?:Server returned non-2xx status code: )?([A-Za-z0-9 :]{1,80})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_CHUNK = 2**20
_PART = 8 * 2**20
_PARTS = 10_000  # of one upload: Amazon S3, "multipart upload limits"
_PARTS_AT_ONCE = 2
_CONNECT = timedelta(seconds=5)
_LONGEST_REQUEST = timedelta(hours=2)
_RETRIES = 3

log = structlog.get_logger(__name__)


class ObjectBlobStore:
    """Port ``BlobStore`` in a bucket: ``prefix/ab/cd/abcd...``, the names of the store in a folder.

    Endpoint, region and credentials come from the environment (``AWS_ENDPOINT_URL``, ``AWS_REGION``,
    ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ...) and are never logged. With ``AWS_CONDITIONAL_PUT=disabled``,
    for a store that has no ``If-None-Match`` (RFC 9110, 13.1.2), it looks before it writes.
    """

    def __init__(self, url: str, patience: timedelta = timedelta(seconds=60)) -> None:
        """Name the bucket; nothing is asked of it yet.

        Args:
            url: ``s3://bucket`` or ``s3://bucket/prefix``.
            patience: How long the store may be silent within one request, and may go on being tried after an error.

        Raises:
            BadInput: The URL or an ``AWS_*`` variable is wrong.
        """
        if not (parts := _URL.fullmatch(url)):
            raise BadInput("the blob store's URL is not of the form s3://bucket/prefix")
        self._place = url
        try:
            self._store = S3Store(
                parts["bucket"],
                prefix=parts["prefix"].strip("/") or None,
                unsigned_payload=False,
                client_options={
                    "allow_http": os.environ.get("AWS_ALLOW_HTTP") == "true",  # options given here hide the variable
                    "connect_timeout": min(_CONNECT, patience), "read_timeout": patience, "timeout": _LONGEST_REQUEST,
                },
                retry_config={"max_retries": _RETRIES, "retry_timeout": patience},
            )  # fmt: skip
        except (exceptions.BaseError, ValueError) as error:
            raise BadInput(f"{url}: an AWS_* variable is wrong ({type(error).__name__})") from None

    async def put(self, content: bytes) -> str:
        """Store the bytes (again is the same) and return their SHA-256.

        Raises:
            Unavailable: The bucket cannot be written now.
        """
        sha256 = (await asyncio.to_thread(hashlib.sha256, content)).hexdigest()
        key = _key(sha256)
        with self._errors(sha256):
            try:
                await obstore.put_async(self._store, key, content, mode="create", use_multipart=False)
            except (exceptions.AlreadyExistsError, NotImplementedError):
                if not await self._is_kept(sha256):
                    await obstore.put_async(self._store, key, content, use_multipart=False)
        return sha256

    async def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file, however large, in little memory; returns its SHA-256 and its size in bytes.

        Read twice, first for its name. A file that changes in between is not stored.

        Raises:
            BadInput: The file changed while it was stored, or is larger than 80 GB (10 000 parts of 8 MiB).
            Unavailable: The bucket cannot be written now, or gives back other bytes than it was given.
        """
        size = (await asyncio.to_thread(path.stat)).st_size
        if size > _PART * _PARTS:
            raise BadInput(f"{path.name}: {size} bytes, more than one upload can hold")
        if size <= _PART:
            content = await asyncio.to_thread(path.read_bytes)
            return await self.put(content), len(content)
        with path.open("rb") as file:
            sha256 = (await asyncio.to_thread(hashlib.file_digest, file, "sha256")).hexdigest()
            if not await self._is_kept(sha256):
                await self._upload(file, sha256)
        return sha256, size

    async def get(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            BadInput: ``sha256`` is not a digest in lower-case hexadecimal.
            NotFound: Nothing is stored under this digest.
            Refused: ``corrupt_blob``: what is stored does not have this digest.
            Unavailable: The bucket cannot be read now.
        """
        content = bytearray()
        async with aclosing(self._verified(sha256)) as chunks:
            async for chunk in chunks:
                content += chunk
        return bytes(content)

    async def get_file(self, sha256: str, path: Path) -> None:
        """Write the bytes to a new file, however large, in little memory; errors as ``get``, and then no file."""
        with _new_file(path) as file:
            async with aclosing(self._verified(sha256)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)

    async def _upload(self, file: BinaryIO, sha256: str) -> None:
        parts = _unchanged(file, sha256)
        with self._errors(sha256):
            await obstore.put_async(
                self._store, _key(sha256), parts, use_multipart=True,
                chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE,
            )  # fmt: skip
        if not await self._is_kept(sha256):
            raise Unavailable(f"{self._place}: what was stored as blob {sha256} does not come back")

    async def _is_kept(self, sha256: str) -> bool:
        """Whether the right bytes are there; wrong ones are reported, and whoever asks replaces them."""
        try:
            async with aclosing(self._verified(sha256)) as chunks:
                async for _ in chunks:
                    pass
        except NotFound:
            return False
        except Refused as refused:
            log.error("blob_replaced", sha256=sha256, reason=refused.reason)
            return False
        return True

    async def _verified(self, sha256: str) -> AsyncGenerator[memoryview]:
        """The stored bytes as they come; the verdict on them follows the last."""
        key, hasher = _key(sha256), hashlib.sha256()
        with self._errors(sha256):
            found = await obstore.get_async(self._store, key)
            async for chunk in found.stream(min_chunk_size=_CHUNK):
                piece = memoryview(chunk)
                await asyncio.to_thread(hasher.update, piece)
                yield piece
        if hasher.hexdigest() != sha256:
            raise Refused("corrupt_blob", f"what is stored as blob {sha256} does not have this digest")

    @contextmanager
    def _errors(self, sha256: str) -> Generator[None]:
        """The store's errors in our words. Its own are kept out: they quote requests, and with them who asked."""
        try:
            yield
        except (exceptions.BaseError, OSError) as error:
            told = str(error)
            status, code = _STATUS.search(told), _CODE.search(told)
            causes = [found[1].strip(" :") for found in (status, code) if found]
            if code and code[1] == "NoSuchKey":  # no other 404 proves that the blob does not exist
                raise NotFound(f"no blob {sha256}") from None
            raise Unavailable(f"{self._place}: blob {sha256}: {', '.join(causes) or type(error).__name__}") from None


def _key(sha256: str) -> str:
    # The only way from a string to a name in the bucket: whatever is not a digest ends here.
    if not _DIGEST.fullmatch(sha256):
        raise BadInput(f"{sha256[:80]!r} is not a SHA-256 in lower-case hexadecimal")
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


@contextmanager
def _new_file(path: Path) -> Generator[BinaryIO]:
    """A file that stays only if all of it was written."""
    try:
        with path.open("xb") as file:
            yield file
    except FileExistsError as error:
        raise BadInput(f"{path}: is there already") from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise Unavailable(f"{path} cannot be written: {error.strerror or error}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _unchanged(file: BinaryIO, sha256: str) -> AsyncIterator[bytes]:
    """The file's bytes; if they are no longer those of this digest, an error at their end, which voids the upload."""
    hasher = hashlib.sha256()
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        await asyncio.to_thread(hasher.update, chunk)
        yield chunk
    if hasher.hexdigest() != sha256:
        raise BadInput(f"blob {sha256}: the file changed while it was being stored")
