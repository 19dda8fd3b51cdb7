"""The WACZ: other people's tools validate it, and play from it what the site served."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import brotli
import pytest
from warcio.archiveiterator import ArchiveIterator

from precinto.wire.archive import write_warc
from precinto.wire.bodies import Spool
from precinto.wire.wacz import Page, write_wacz
from tests.wire.replay.player import player
from tests.wire.replay.setup import Missing, environment
from tests.wire.samples import AT, PROVENANCE, Samples, decoded, server

PAGE = b"<!doctype html><title>Ripper</title><video src='live.m3u8'></video>"
TEXT = b"gzip me, as the site did " * 2_000
ZIPPED = gzip.compress(TEXT, mtime=0)
SQUEEZED = brotli.compress(TEXT)
DOWNLOAD = random.Random(4).randbytes(5 * 2**20)  # noqa: S311 - noise, not a secret
SEGMENT = random.Random(5).randbytes(188 * 700)  # noqa: S311
PLAYLIST = b"#EXTM3U\n#EXTINF:4,\nseg-1.ts?token=b&part=1\n"
PAGES = [Page("https://ripper.example/", "Ripper", AT)]


@pytest.fixture(scope="module")
def programs() -> Path:
    """The programs of other people."""
    try:
        return environment()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def warc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of a stream ripper and a live stream."""
    path = tmp_path_factory.mktemp("warc") / "capture.warc.gz"
    with Spool() as spool:
        samples = Samples(spool)
        exchanges = [
            samples.exchange(
                "https://ripper.example/",
                PAGE,
                headers=((b"content-type", b"text/html"), (b"set-cookie", b"a=1; Domain=ripper.example")),
            ),
            samples.exchange("https://ripper.example/old", b"", status=302, headers=((b"location", b"/"),)),
            samples.exchange(
                "https://cdn.ripper.example/app.js?v=2&a=1",
                ZIPPED,
                headers=((b"content-type", b"text/javascript"), (b"content-encoding", b"gzip")),
            ),
            samples.exchange("https://cdn.ripper.example/a.css", SQUEEZED, headers=((b"content-encoding", b"br"),)),
            samples.exchange(
                "https://ripper.example/convert",
                b'{"file":"/d/1.mp3"}',
                headers=((b"content-type", b"application/json"),),
                method="POST",
                request_headers=((b"content-type", b"application/json"), (b"content-length", b"23")),
                request_body=samples.body(b'{"url":"v=1","n":[1,2]}'),
            ),
            samples.exchange(
                "https://ripper.example/convert",
                b'{"file":"/d/2.mp3"}',
                headers=((b"content-type", b"application/json"),),
                method="POST",
                request_headers=((b"content-type", b"application/json"), (b"content-length", b"23")),
                request_body=samples.body(b'{"url":"v=2","n":[1,2]}'),
            ),
            samples.exchange(
                "http://dl.ripper.example:8080/d/1.mp3",
                DOWNLOAD,
                headers=(
                    (b"Content-Type", b"audio/mpeg"),
                    (b"Content-Length", str(len(DOWNLOAD)).encode()),
                    (b"Content-Disposition", 'attachment; filename="canción.mp3"'.encode()),
                ),
                protocol="http/1.1",
                stream=None,
                reason=b"OK",
            ),
            samples.exchange(
                "https://live.example/live.m3u8",
                PLAYLIST,
                headers=((b"content-type", b"application/vnd.apple.mpegurl"),),
            ),
            samples.exchange(
                "https://live.example/seg-1.ts?token=b&part=1",
                SEGMENT,
                headers=((b"Content-Type", b"video/mp2t"), (b"Transfer-Encoding", b"chunked")),
                protocol="http/1.1",
                stream=None,
                reason=b"OK",
            ),
            samples.exchange(
                "https://live.example/seg-2.ts",
                headers=((b"content-type", b"video/mp2t"),),
                response_body=samples.body(b"only the beginning", truncated=True),
                incomplete="the connection was cut",
            ),
            samples.exchange("https://live.example/never", status=None, incomplete="reset by the browser"),
            samples.exchange(
                "https://evil.example/\r\nx <script>ñ",
                b"hostile",
                headers=((b"x-\r\n", b"\r\n\r\nWARC/1.1"), (b"content-type", b"text/html; x=\xf1\r\n")),
            ),
        ]
        write_warc(decoded(*exchanges, servers=(server(),)), path, PROVENANCE)
    return path


@pytest.fixture(scope="module")
def wacz(warc: Path) -> Path:
    """The package of it."""
    path = warc.with_name("capture.wacz")
    write_wacz(warc, PAGES, path, PROVENANCE)
    return path


@pytest.fixture(params=["wacz", "warc"])
def archive(request: pytest.FixtureRequest, warc: Path, wacz: Path) -> Path:
    """Either form: from the WACZ the player takes our index, of the WARC it makes its own."""
    return wacz if request.param == "wacz" else warc


def test_the_player_serves_what_the_site_served(programs: Path, archive: Path, tmp_path: Path) -> None:
    with player(programs, archive, tmp_path) as pywb:
        page = pywb.play("https://ripper.example/")
        assert (page.status, page.body, page.headers["content-type"]) == (200, PAGE, "text/html")
        script = pywb.play("https://cdn.ripper.example/app.js?v=2&a=1")
        assert (script.body, script.headers["content-encoding"]) == (ZIPPED, "gzip")
        style = pywb.play("https://cdn.ripper.example/a.css")
        assert (style.body, style.headers["content-encoding"]) == (SQUEEZED, "br")
        download = pywb.play("http://dl.ripper.example:8080/d/1.mp3")
        assert hashlib.sha256(download.body).digest() == hashlib.sha256(DOWNLOAD).digest()
        assert pywb.play("https://live.example/live.m3u8").body == PLAYLIST
        assert pywb.play("https://live.example/seg-1.ts?token=b&part=1").body == SEGMENT
        moved = pywb.play("https://ripper.example/old")
        assert (moved.status, moved.headers["location"]) == (302, "/")
        assert pywb.play("https://live.example/never").status == 404
        assert pywb.play("https://live.example/seg-2.ts").body == b"only the beginning"


def test_the_player_tells_requests_apart_by_their_bodies(programs: Path, archive: Path, tmp_path: Path) -> None:
    with player(programs, archive, tmp_path) as pywb:
        for number in (b"1", b"2"):
            body = b'{"url":"v=%s","n":[1,2]}' % number
            answer = pywb.play("https://ripper.example/convert", "POST", body, {"Content-Type": "application/json"})
            assert answer.body == b'{"file":"/d/%s.mp3"}' % number


def test_another_reader_finds_every_digest_right(programs: Path, warc: Path) -> None:
    """Also of bodies in brotli, at which this program fails beside the library that Precinto uses for it."""
    checked = subprocess.run([programs / "warcio", "check", "-v", warc], check=True, capture_output=True, timeout=60)
    with warc.open("rb") as file:
        assert checked.stdout.count(b"digest pass") == sum(1 for _ in ArchiveIterator(file))


def test_the_validator_accepts_it_and_would_not_accept_another(programs: Path, wacz: Path, tmp_path: Path) -> None:
    assert b"the passed WACZ is valid" in _validate(programs, wacz)
    broken = tmp_path / "broken.wacz"
    with zipfile.ZipFile(wacz) as whole, zipfile.ZipFile(broken, "w") as copy:
        for name in whole.namelist():
            content = whole.read(name)
            copy.writestr(name, content.replace(b"Ripper", b"Rapper") if name == "pages/pages.jsonl" else content)
    assert b"the passed WACZ is invalid" in _validate(programs, broken)


def test_it_holds_what_the_format_asks_and_nothing_is_compressed_twice(warc: Path, wacz: Path) -> None:
    with zipfile.ZipFile(wacz) as package:
        assert package.testzip() is None
        entries = package.infolist()
        assert [entry.filename for entry in entries] == [
            "archive/data.warc.gz",
            "indexes/index.cdx",
            "pages/pages.jsonl",
            "datapackage.json",
            "datapackage-digest.json",
        ]
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in entries} == {(2026, 11, 25, 10, 30, 0)}
        assert package.read("archive/data.warc.gz") == warc.read_bytes()
        described = package.read("datapackage.json")
        sums = json.loads(package.read("datapackage-digest.json"))
        about = json.loads(described)
        contents = {part["path"]: package.read(part["path"]) for part in about["resources"]}
    assert sums == {"path": "datapackage.json", "hash": f"sha256:{hashlib.sha256(described).hexdigest()}"}
    for part in about.pop("resources"):
        assert part["hash"] == f"sha256:{hashlib.sha256(contents[part['path']]).hexdigest()}"
        assert part["bytes"] == len(contents[part["path"]])
    assert about == {
        "profile": "data-package",
        "wacz_version": "1.1.1",
        "title": "ESP-2026-00017, attempt 1",
        "description": "A stream ripper, visited with a test address",
        "created": "2026-11-25T10:30:00Z",
        "software": "Precinto 0.1.0",
        "mainPageUrl": "https://ripper.example/",
        "mainPageDate": "2026-11-25T10:30:00Z",
    }


def test_the_same_parts_make_the_same_file(warc: Path, wacz: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.wacz"
    elsewhere = [Page(page.url, page.title, page.at.astimezone(timezone(timedelta(hours=-5)))) for page in PAGES]
    write_wacz(warc, elsewhere, again, PROVENANCE)
    assert again.read_bytes() == wacz.read_bytes()


def test_a_hostile_title_stays_one_line_and_is_cut(warc: Path, tmp_path: Path) -> None:
    title = '"}\n{"url":"https://bank.example/"}\u2028\ud800\x00' + "x" * 5_000
    path = tmp_path / "hostile.wacz"
    at = datetime(2026, 11, 25, tzinfo=UTC)
    write_wacz(warc, [Page("https://evil.example/\r\n", title, at)], path, PROVENANCE)
    with zipfile.ZipFile(path) as package:
        lines = package.read("pages/pages.jsonl").decode().split("\n")
    header, page, end = lines
    assert json.loads(header)["format"] == "json-pages-1.0"
    assert json.loads(page)["url"] == "https://evil.example/%0D%0A"
    assert json.loads(page)["title"] == title.replace("\ud800", "?")[:1_000]
    assert end == ""


def test_a_capture_without_pages_is_packed_too(programs: Path, warc: Path, tmp_path: Path) -> None:
    """As when the site was down."""
    empty = tmp_path / "empty.warc.gz"
    write_warc(decoded(), empty, PROVENANCE)
    path = tmp_path / "empty.wacz"
    write_wacz(empty, [], path, PROVENANCE)
    assert b"the passed WACZ is valid" in _validate(programs, path)


def _validate(programs: Path, wacz: Path) -> bytes:
    command = [programs / "wacz", "validate", "-f", wacz]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).stdout
