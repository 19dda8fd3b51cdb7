"""Content codings undone: alone, stacked, broken, cut, and bombs."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Generator
from typing import Any, cast

import brotli
import pytest
import zstandard

from precinto.wire.bodies import Body, Spool
from precinto.wire.content import Content, decoded_content

TEXT = "Descargue la música de cualquier video, gratis. ".encode() * 3_000

Code = Callable[[bytes], bytes]


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, Code] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: cast("Any", brotli).compress(data, quality=4),
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
    "": bytes,
}


@pytest.fixture
def spool() -> Generator[Spool]:
    """Where bodies are kept."""
    with Spool() as opened:
        yield opened


def kept(spool: Spool, data: bytes, *, truncated: bool = False) -> Body:
    body = spool.body()
    body.write(data)
    return body.finish(truncated=truncated)


@pytest.mark.parametrize("coding", CODINGS)
def test_each_coding(spool: Spool, coding: str) -> None:
    assert decoded_content(kept(spool, CODINGS[coding](TEXT)), coding.upper(), 10**6) == Content(TEXT)


def test_deflate_without_its_head(spool: Spool) -> None:
    assert decoded_content(kept(spool, raw_deflate(TEXT)), "deflate", 10**6) == Content(TEXT)


def test_codings_one_after_the_other(spool: Spool) -> None:
    body = kept(spool, CODINGS["zstd"](CODINGS["br"](gzip.compress(TEXT))))
    assert decoded_content(body, "gzip, br,zstd", 10**6) == Content(TEXT)


def test_members_one_after_the_other_and_what_follows(spool: Spool) -> None:
    body = kept(spool, gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0trailing")
    assert decoded_content(body, "gzip", 100) == Content(b"one two")
    body = kept(spool, CODINGS["zstd"](b"one ") + CODINGS["zstd"](b"two"))
    assert decoded_content(body, "zstd", 100) == Content(b"one two")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_is_cut_gives_its_beginning(spool: Spool, coding: str) -> None:
    content = decoded_content(kept(spool, CODINGS[coding](bytes(range(256)) * 4_000)[:-5]), coding, 10**7)
    assert content.cut == "cut: the data end too early"
    assert (bytes(range(256)) * 4_000).startswith(content.data)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_is_broken_is_told(spool: Spool, coding: str) -> None:
    content = decoded_content(kept(spool, b"\xff<html>this was never compressed" * 10), coding, 10**6)
    assert (content.cut or "").startswith(("broken", "cut"))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_stops_at_the_limit(spool: Spool, coding: str) -> None:
    """50 MB of zeros."""
    body = kept(spool, CODINGS[coding](bytes(50 * 2**20)))
    content = decoded_content(body, coding, 2**22)
    assert len(content.data) <= 2**22
    assert (content.cut or "").startswith("limit: more than ")


def test_a_small_body_that_becomes_large_stops_by_its_ratio(spool: Spool) -> None:
    content = decoded_content(kept(spool, CODINGS["br"](bytes(50 * 2**20))), "br", 2**30)
    assert len(content.data) == 2**20


def test_what_is_unknown_or_too_much_is_told(spool: Spool) -> None:
    body = kept(spool, b"x")
    assert "not known" in (decoded_content(body, "sdch", 10).cut or "")
    assert "limit" in (decoded_content(body, "gzip,gzip,gzip,gzip,gzip", 10).cut or "")
    assert decoded_content(kept(spool, b"half", truncated=True), "", 10) == Content(
        b"half", "the body was not served whole"
    )


def test_bodies_grow_side_by_side_and_read_from_anywhere(spool: Spool) -> None:
    bodies = [spool.body() for _ in range(3)]
    for part in range(20):
        for number, body in enumerate(bodies):
            body.write(bytes([part * 3 + number]) * 10_000)
    finished = [body.finish(truncated=False) for body in bodies]
    for number, body in enumerate(finished):
        whole = b"".join(bytes([part * 3 + number]) * 10_000 for part in range(20))
        assert body.read() == whole
        assert body.read(10) == whole[:10]
        with body.open() as stream:
            stream.seek(123_456)
            assert stream.read(100_000) == whole[123_456:][:100_000]


def test_a_body_cannot_be_read_after_the_end() -> None:
    with Spool() as spool:
        body = kept(spool, b"x")
    with pytest.raises(ValueError, match="closed"):
        body.read()
