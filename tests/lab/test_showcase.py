"""The showcase serves what it says, over each protocol, and remembers it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import brotli
import httpx
import pytest
from PIL import Image

from lab.certificates import CertificateAuthority
from lab.showcase import H1_PORT, H2_PORT, LARGE_BYTES, PLAIN_PORT, Hit, Showcase, open_showcase

NAMES = ("showcase.test", "frame.test")


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """Who vouches for the site."""
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def site(ca: CertificateAuthority) -> AsyncGenerator[Showcase]:
    """A site that nobody has visited yet."""
    async with open_showcase(ca, NAMES) as opened:
        yield opened


async def visit(
    site: Showcase,
    ca: CertificateAuthority,
    path: str,
    port: int = H2_PORT,
    *,
    method: str = "GET",
    http2: bool = True,
) -> httpx.Response:
    context = ssl.create_default_context(cafile=str(ca.pem))
    scheme = "http" if port == PLAIN_PORT else "https"
    async with httpx.AsyncClient(verify=context, http2=http2, trust_env=False) as client:
        return await client.request(
            method,
            f"{scheme}://{site.address}:{site.ports[port]}{path}",
            headers={"Host": NAMES[0]},
            extensions={"sni_hostname": NAMES[0]},
        )


@pytest.mark.parametrize(
    ("port", "http2", "version"),
    [
        (H2_PORT, True, "HTTP/2"),
        (H2_PORT, False, "HTTP/1.1"),
        (H1_PORT, True, "HTTP/1.1"),
        (PLAIN_PORT, True, "HTTP/1.1"),
    ],
    ids=["h2", "h1 on the same port", "h1 only", "no TLS"],
)  # fmt: skip
async def test_each_protocol(site: Showcase, ca: CertificateAuthority, port: int, http2: bool, version: str) -> None:
    answer = await visit(site, ca, "/data.json", port, http2=http2)
    assert (answer.http_version, answer.json()) == (version, {"from": "a worker"})
    digest = hashlib.sha256(answer.content).hexdigest()
    assert site.journal == [Hit(NAMES[0], "/data.json", "GET", version.removeprefix("HTTP/"), 200, digest)]


async def test_the_journal_holds_what_was_sent(site: Showcase, ca: CertificateAuthority) -> None:
    for path, method in (("/old", "GET"), ("/nowhere", "GET"), ("/form", "POST"), ("/picture.png", "HEAD")):
        await visit(site, ca, path, method=method)
    assert [(hit.path, hit.status) for hit in site.journal] == [
        ("/old", 302), ("/nowhere", 404), ("/form", 200), ("/picture.png", 200)
    ]  # fmt: skip
    assert site.journal[-1].sha256 == hashlib.sha256(b"").hexdigest()


async def test_the_files_are_what_they_seem(site: Showcase) -> None:
    files = site.files
    assert len(files["/large.bin"].body) == LARGE_BYTES
    assert gzip.decompress(files["/text.gz"].body) == cast("Any", brotli).decompress(files["/text.br"].body)
    assert Image.open(io.BytesIO(files["/picture.png"].body)).size == (64, 64)
    playlist = files["/live/live.m3u8"].body.decode()
    segments = [line for line in playlist.splitlines() if not line.startswith("#")]
    assert segments
    assert all(f"/live/{name}" in files for name in segments)


async def test_two_showcases_serve_the_same_bytes(ca: CertificateAuthority, tmp_path: Path, site: Showcase) -> None:
    async with open_showcase(ca, NAMES) as other:
        assert other.files == site.files
        assert set(other.ports.values()).isdisjoint(site.ports.values())


async def test_when_it_ends_nobody_listens(ca: CertificateAuthority) -> None:
    async with open_showcase(ca, NAMES) as site:
        pass
    for port in site.ports.values():
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(site.address, port)
