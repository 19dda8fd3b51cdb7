"""The blob store in a bucket: the contract against a real S3 server, and what store, line and file can do to it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from precinto.adapters.blobs.objects import ObjectBlobStore
from precinto.domain.errors import BadInput, NotFound, Refused, Unavailable
from precinto.domain.model import digest
from tests.adapters.s3_server import ACCESS, BUCKET, SECRET, Missing, S3Server, environment, program, s3_server
from tests.contract.blob_kit import BlobStoreContract

_MIB = 2**20
_LARGE = 20 * _MIB + 1  # travels in three parts


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[S3Server]:
    try:
        program()
    except Missing as missing:
        pytest.skip(str(missing))
    async with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A part of the bucket of the test's own."""
    return digest(request.node.nodeid.encode())[:16]


@pytest.fixture
def url(server: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store's URL; endpoint and credentials are where operators put them, in the environment."""
    _point_to(server.url, monkeypatch)
    return f"s3://{BUCKET}/{prefix}"


@pytest.fixture
def blobs(url: str) -> ObjectBlobStore:
    return ObjectBlobStore(url)


class TestObjectBlobStore(BlobStoreContract):
    """The contract, kept in a bucket."""


class TestObjectBlobStoreThatLooksFirst(BlobStoreContract):
    """The contract, kept in a bucket of a store that has no ``If-None-Match``."""

    @pytest.fixture
    def blobs(self, url: str, monkeypatch: pytest.MonkeyPatch) -> ObjectBlobStore:
        monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
        return ObjectBlobStore(url)


@dataclass
class Line:
    """A line to the server that carries so many bytes, in the direction that is measured, and then is cut or silent.

    Attributes:
        carries: Bytes until then.
        up: Whether what the client sends is measured, or what the server sends.
        silent: Nothing comes any more, but the line stays; otherwise it is cut, and again at each attempt.
    """

    carries: int
    up: bool
    silent: bool = False
    url: str = ""
    carried: int = field(default=0, init=False)

    async def copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, measured: bool) -> None:
        while data := await source.read(65_536):
            if measured:
                self.carried += len(data)
                if self.carried > self.carries:
                    if self.silent:
                        await asyncio.sleep(60)
                    return
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def _open(server: S3Server, line: Line) -> AsyncGenerator[Line]:
    there = urlsplit(server.url)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        ways = {
            asyncio.create_task(line.copy(reader, far_writer, line.up)),
            asyncio.create_task(line.copy(far_reader, writer, not line.up)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()
            far_writer.close()

    listener = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        line.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield line
    finally:
        listener.close()


def _point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)


def _object(server: S3Server, prefix: str, sha256: str) -> Path:
    return server.bucket / prefix / sha256[:2] / sha256[2:4] / sha256


def _large_file(folder: Path) -> tuple[Path, str]:
    content = os.urandom(_LARGE)
    (folder / "large").write_bytes(content)
    return folder / "large", digest(content)


async def test_a_blob_is_an_object_under_its_digest(blobs: ObjectBlobStore, server: S3Server, prefix: str) -> None:
    assert _object(server, prefix, await blobs.put(b"evidence")).read_bytes() == b"evidence"


async def test_a_file_of_many_parts_goes_in_and_comes_out(blobs: ObjectBlobStore, tmp_path: Path) -> None:
    path, sha256 = _large_file(tmp_path)
    assert await blobs.put_file(path) == (sha256, _LARGE)
    await blobs.get_file(sha256, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == path.read_bytes()


async def test_what_is_there_is_not_written_again(
    blobs: ObjectBlobStore, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    path, sha256 = _large_file(tmp_path)
    names = await blobs.put(b"evidence"), (await blobs.put_file(path))[0]
    before = [_object(server, prefix, name).stat() for name in names]
    await blobs.put(b"evidence")
    await blobs.put_file(path)
    after = [_object(server, prefix, name).stat() for name in names]
    assert [(one.st_ino, one.st_mtime_ns) for one in after] == [(one.st_ino, one.st_mtime_ns) for one in before]
    assert names[1] == sha256


async def test_two_writers_of_a_large_file_at_once_agree(url: str, tmp_path: Path) -> None:
    path, sha256 = _large_file(tmp_path)
    one, other = ObjectBlobStore(url), ObjectBlobStore(url)
    assert await asyncio.gather(one.put_file(path), other.put_file(path)) == [(sha256, _LARGE)] * 2
    assert digest(await one.get(sha256)) == sha256


@pytest.mark.parametrize("damage", [b"", b"evidencE", b"evidence and more"], ids=["cut", "changed", "longer"])
async def test_a_damaged_blob_is_refused_when_it_is_read(
    blobs: ObjectBlobStore, server: S3Server, prefix: str, tmp_path: Path, damage: bytes
) -> None:
    name = await blobs.put(b"evidence")
    _object(server, prefix, name).write_bytes(damage)
    for reading in (blobs.get(name), blobs.get_file(name, tmp_path / "out")):
        with pytest.raises(Refused) as refused:
            await reading
        assert refused.value.code == "corrupt_blob"
    assert not (tmp_path / "out").exists()


async def test_putting_the_right_bytes_again_heals_a_damaged_blob(
    blobs: ObjectBlobStore, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    path, sha256 = _large_file(tmp_path)
    names = await blobs.put(b"evidence"), (await blobs.put_file(path))[0]
    for name in names:
        _object(server, prefix, name).write_bytes(b"damage")
    await blobs.put(b"evidence")
    await blobs.put_file(path)
    assert [digest(await blobs.get(name)) for name in names] == [digest(b"evidence"), sha256]


async def test_a_file_that_changes_while_it_is_stored_is_not_stored(
    blobs: ObjectBlobStore, server: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha256 = _large_file(tmp_path)
    first_reading = hashlib.file_digest

    def then_changed(file: BufferedReader, name: str) -> Any:
        found = first_reading(file, name)
        path.write_bytes(bytes(_LARGE))
        return found

    monkeypatch.setattr(hashlib, "file_digest", then_changed)
    with pytest.raises(BadInput, match="changed"):
        await blobs.put_file(path)
    assert not _object(server, prefix, sha256).exists()


async def test_a_line_that_is_cut_while_a_file_goes_up_leaves_no_blob(
    url: str, server: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sha256 = _large_file(tmp_path)
    async with _open(server, Line(carries=12 * _MIB, up=True)) as line:
        _point_to(line.url, monkeypatch)
        with pytest.raises(Unavailable):
            await ObjectBlobStore(url, timedelta(seconds=2)).put_file(path)
    assert line.carried > line.carries
    assert not _object(server, prefix, sha256).exists()


@pytest.mark.parametrize("silent", [False, True], ids=["cut", "silent"])
async def test_a_line_that_fails_while_a_file_comes_down_leaves_no_file(
    blobs: ObjectBlobStore, url: str, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    path, sha256 = _large_file(tmp_path)
    await blobs.put_file(path)
    started = time.monotonic()
    async with _open(server, Line(carries=12 * _MIB, up=False, silent=silent)) as line:
        _point_to(line.url, monkeypatch)
        with pytest.raises(Unavailable):
            await ObjectBlobStore(url, timedelta(seconds=1)).get_file(sha256, tmp_path / "out")
    assert line.carried > line.carries
    assert not (tmp_path / "out").exists()
    assert time.monotonic() - started < 30


async def test_a_store_that_dies_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        async with s3_server(tmp_path) as mortal:
            _point_to(mortal.url, monkeypatch)
            blobs = ObjectBlobStore(f"s3://{BUCKET}", timedelta(seconds=1))
            name = await blobs.put(b"evidence")
    except Missing as missing:
        pytest.skip(str(missing))
    with pytest.raises(Unavailable, match="HTTP error"):
        await blobs.get(name)
    with pytest.raises(Unavailable, match="HTTP error"):
        await blobs.put(b"more evidence")


async def test_a_bucket_that_is_missing_is_no_missing_blob(url: str) -> None:
    blobs = ObjectBlobStore("s3://no-such-bucket")
    with pytest.raises(Unavailable, match="404 Not Found, NoSuchBucket"):
        await blobs.get(digest(b"evidence"))
    with pytest.raises(Unavailable, match="404 Not Found, NoSuchBucket"):
        await blobs.put(b"evidence")


async def test_refused_credentials_are_not_told_to_anybody(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable, match="403 Forbidden, Signature") as refused:
        await ObjectBlobStore(url).put(b"evidence")
    told = f"{''.join(traceback.format_exception(refused.value))} {caplog.text}"
    assert not [word for word in ("another-secret", ACCESS, SECRET, "StringToSign") if word in told]


@pytest.mark.parametrize(
    "wrong",
    ["", "/var/lib/blobs", "https://bucket/a", "s3://", "s3://a", "s3://user:secret@bucket", "s3://bucket/../other",
     "s3://bucket/a//b", "s3://bucket/a?region=x", "s3://Bucket", "s3://bucket/a\n"],
)  # fmt: skip
def test_what_names_no_bucket_is_bad_input_and_is_not_repeated(wrong: str) -> None:
    with pytest.raises(BadInput) as refused:
        ObjectBlobStore(wrong)
    assert "secret" not in str(refused.value)


async def test_plain_http_is_not_spoken_unless_it_is_allowed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises((BadInput, Unavailable)):
        await ObjectBlobStore(url, timedelta(seconds=1)).put(b"evidence")


async def test_what_was_never_put_is_not_found_in_an_empty_bucket(blobs: ObjectBlobStore) -> None:
    with pytest.raises(NotFound):
        await blobs.get(digest(b"evidence"))
