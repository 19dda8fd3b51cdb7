"""The deeper look into a bundle's web archive."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from precinto.bundle import replayable
from precinto.bundle.replayable import damaged
from precinto.bundle.verifier import verify
from tests.bundle.sealing import ITEMS, Sealing


def warc() -> bytes:
    """An archive of one exchange; its body is a bomb in the site's own compression."""
    sink = io.BytesIO()
    writer = WARCWriter(sink, gzip=False)
    head = StatusAndHeaders(
        "200 OK", [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")], protocol="HTTP/1.1"
    )
    body = io.BytesIO(gzip.compress(bytes(50_000_000)))
    writer.write_record(writer.create_warc_record("https://y2mate.com/", "response", payload=body, http_headers=head))
    return sink.getvalue()


def wacz(content: bytes) -> bytes:
    """A package with this archive."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as package:
        package.writestr("archive/data.warc", content)
    return sink.getvalue()


def problems(content: bytes) -> str:
    return "; ".join(damaged(io.BytesIO(content)))


def test_a_whole_one() -> None:
    assert problems(wacz(warc())) == ""


def without_digests(content: bytes) -> bytes:
    """An archive that states no digests."""
    return content.replace(b"WARC-Block-Digest", b"WARC-Block-Dugost").replace(b"WARC-Payload-D", b"WARC-Payload-U")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda w: wacz(w.replace(b"text/plain", b"text/html!")), "does not have the digest that it states"),
        (lambda w: wacz(without_digests(w)), "states no digest"),
        (lambda w: wacz(w[: len(w) // 2]), "or is cut off"),
        (lambda w: wacz(b"nothing"), "cannot be read: "),
        (lambda w: wacz(b""), "holds no records"),
        (lambda w: wacz(w)[:-30], "cannot be read: BadZipFile"),
        (lambda w: b"", "cannot be read: BadZipFile"),
        (lambda w: wacz(w).replace(b"data.warc", b"data.text"), "it holds no WARC"),
    ],
)
def test_a_damaged_one(spoil: Callable[[bytes], bytes], complaint: str) -> None:
    assert complaint in problems(spoil(warc()))


def test_a_bound_that_is_hit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replayable, "MOST_BYTES", 1_000)
    assert "larger than 200000 records or 1000 bytes: the rest was not looked at" in problems(wacz(warc()))


async def test_it_is_a_check_of_its_own(authority: Sealing, tmp_path: Path) -> None:
    await authority.bundle(tmp_path / "b.zip", {**ITEMS, "capture.wacz": wacz(warc())})
    (check,) = [one for one in verify(tmp_path / "b.zip", authority.trust, deep=True).checks if "replay" in one.name]
    assert (check.name, check.problems) == ("replay of files/capture.wacz", ())
    assert not [one for one in verify(tmp_path / "b.zip", authority.trust).checks if "replay" in one.name]


async def test_a_damaged_one_is_refused_though_its_seal_is_good(authority: Sealing, tmp_path: Path) -> None:
    await authority.bundle(tmp_path / "b.zip", {"capture.wacz": wacz(warc().replace(b"text/plain", b"text/html!"))})
    bad = [one.name for one in verify(tmp_path / "b.zip", authority.trust, deep=True).checks if one.problems]
    assert bad == ["replay of files/capture.wacz"]
    assert verify(tmp_path / "b.zip", authority.trust).good
