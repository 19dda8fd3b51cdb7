"""A site's icon out of the archive of its visit: the one that the page names, as it was served."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from precinto.adapters.investigators.icon import MAX_ICON, find_icon
from precinto.wire import cdxj

PAGE = "https://example.com/start"


def archive(folder: Path, *served: tuple[str, str, bytes, str]) -> Path:
    """An archive of answers: address, status line, body as served, content coding."""
    warc = folder / "data.warc.gz"
    with warc.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for url, status, body, coding in served:
            fields = [("Content-Type", "image/x-icon"), *([("Content-Encoding", coding)] if coding else [])]
            head = StatusAndHeaders(status, fields, protocol="HTTP/1.1")
            writer.write_record(
                writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=head)
            )
    with zipfile.ZipFile(folder / "capture.wacz", "w") as package:
        package.write(warc, "archive/data.warc.gz")
        package.writestr("indexes/index.cdx", cdxj.index(warc, "data.warc.gz"))
    return folder


def test_the_pages_own_words_come_before_the_usual_place(tmp_path: Path) -> None:
    archive(
        tmp_path,
        ("https://example.com/favicon.ico", "200 OK", b"usual", ""),
        ("https://cdn.example.net/i.png", "200 OK", b"named", ""),
    )
    assert find_icon(tmp_path, PAGE, ["//cdn.example.net/i.png"]) == b"named"
    assert find_icon(tmp_path, PAGE, ["missing.png"]) == b"usual"
    assert find_icon(tmp_path, PAGE, ["http://[bad/"]) == b"usual"


def test_it_is_the_content_and_not_its_coding(tmp_path: Path) -> None:
    archive(tmp_path, ("https://example.com/favicon.ico", "200 OK", gzip.compress(b"<svg/>"), "gzip"))
    assert find_icon(tmp_path, PAGE, []) == b"<svg/>"


@pytest.mark.parametrize(
    ("served", "reason"),
    [
        (("https://example.com/favicon.ico", "404 Not Found", b"no", ""), "none was served"),
        (("https://example.com/other.png", "200 OK", b"x", ""), "none was served"),
        (("https://example.com/favicon.ico", "200 OK", b"", ""), "no bytes"),
        (("https://example.com/favicon.ico", "200 OK", b"x" * (MAX_ICON + 1), ""), "no bytes, or more than"),
        (("https://example.com/favicon.ico", "200 OK", gzip.compress(bytes(10**9 // 20)), "gzip"), "more than"),
    ],
    ids=["404", "other", "empty", "large", "bomb"],
)
def test_what_is_no_icon_says_why(tmp_path: Path, served: tuple[str, str, bytes, str], reason: str) -> None:
    archive(tmp_path, served)
    with pytest.raises(ValueError, match=reason):
        find_icon(tmp_path, PAGE, [])


def test_a_capture_without_an_archive_has_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no capture\.wacz"):
        find_icon(tmp_path, PAGE, [])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_an_archive_whose_writer_was_stopped_cannot_be_read(tmp_path: Path, share: float) -> None:
    whole = archive(tmp_path, ("https://example.com/favicon.ico", "200 OK", b"icon", "")) / "capture.wacz"
    whole.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with pytest.raises(ValueError, match=r"capture\.wacz cannot be read"):
        find_icon(tmp_path, PAGE, [])
