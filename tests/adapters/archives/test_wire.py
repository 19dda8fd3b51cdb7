"""The archiver: what it makes of a good record, and that no bad one does more harm than to be missing."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from precinto.adapters.archives import reading
from precinto.adapters.archives.wire import WireArchiver
from precinto.domain.evidence import MISSING, Missing
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.ports import Archive, Capture, CapturedFile, Subject
from precinto.wire.pcapng import RECORD, WireRecorder

SITE = "93.184.216.34"
STARTED = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
SUBJECT = Subject(case="case-1", target=normalise(TargetKind.DOMAIN, "example.com"), service=Service.OTHER)
PAGE = b"<!doctype html><title>Ripper</title>"
NAVIGATION = b"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"


class Talk:
    """A capture's connection, without TLS, as the guard writes it down."""

    def __init__(self, recorder: WireRecorder) -> None:
        self._recorder = recorder
        self._connection = recorder.opened("example.com", 80, SITE)

    def ask(self, path: str, answer: bytes, fields: bytes = b"", method: str = "GET") -> None:
        """A request and what came back, if anything."""
        head = f"{method} {path} HTTP/1.1\r\nHost: example.com\r\n".encode() + fields
        self._recorder.sent(self._connection, head + b"\r\n")
        if answer:
            self._recorder.received(self._connection, answer)

    def end(self, *, reset: bool = False) -> None:
        """The connection's end; ``reset``: it was cut."""
        self._recorder.closed(self._connection, reset=reset)


def ok(body: bytes, length: int | None = None) -> bytes:
    """A whole answer, or one that promises more than it holds."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (length or len(body)) + body


def captured(folder: Path) -> Capture:
    """What a crawler hands over: a record that lies in the folder, and what else it kept."""
    names = [path.name for path in folder.iterdir()]
    files = tuple(CapturedFile(name=name, media_type="", path=folder / name) for name in names)
    return Capture(files=files, addresses={}, tools={}, vantage="control")


def recorded(folder: Path, say: Callable[[WireRecorder], None]) -> Capture:
    """A capture with this record."""
    recorder = WireRecorder(folder / "wire.spool")
    say(recorder)
    recorder.finish(b"", folder / RECORD)
    return captured(folder)


async def archived(folder: Path, capture: Capture, archiver: WireArchiver | None = None) -> Archive:
    return await (archiver or WireArchiver()).archive(SUBJECT, 1, STARTED, capture, folder)


def good(recorder: WireRecorder) -> None:
    """A page, a file that was cut, and a question without an answer."""
    page, cut = Talk(recorder), Talk(recorder)
    page.ask("/", ok(PAGE), NAVIGATION)
    page.ask("/logo.png", ok(b"\x89PNG"))
    page.end()
    cut.ask("/film.mp4", ok(b"the beginning", 5_000))
    cut.end(reset=True)
    Talk(recorder).ask("/never", b"")


def contents(archive: Archive) -> dict[str, Any]:
    """The JSON files of an archive, by name."""
    return {f.name: json.loads(f.path.read_bytes()) for f in archive.files if f.media_type == "application/json"}


class TestARecordThatCanBeRead:
    async def test_it_becomes_an_archive_a_list_and_the_certificates(self, tmp_path: Path) -> None:
        archive = await archived(tmp_path, recorded(tmp_path, good))
        assert {file.name: file.media_type for file in archive.files} == reading.FILES
        assert {path.name for path in tmp_path.iterdir()} == {RECORD, *reading.FILES}
        listed = contents(archive)["exchanges.json"]["exchanges"]
        assert [(one["url"], one["status"], one["received"]["bytes"]) for one in listed] == [
            ("http://example.com/", 200, len(PAGE)),
            ("http://example.com/logo.png", 200, 4),
            ("http://example.com/film.mp4", 200, 13),
            ("http://example.com/never", None, 0),
        ]
        assert contents(archive)["certificates.json"] == {"servers": []}

    async def test_every_request_without_its_whole_answer_is_named_with_the_reason(self, tmp_path: Path) -> None:
        archive = await archived(tmp_path, recorded(tmp_path, good))
        assert [(missing.what, missing.reason) for missing in archive.missing] == [
            ("GET http://example.com/film.mp4", "the connection was cut"),
            ("GET http://example.com/never", "still open when the capture ended"),
        ]

    async def test_a_replay_starts_at_what_the_browser_opened(self, tmp_path: Path) -> None:
        await archived(tmp_path, recorded(tmp_path, good))
        with zipfile.ZipFile(tmp_path / "capture.wacz") as wacz:
            _, page = wacz.read("pages/pages.jsonl").splitlines()
            about = json.loads(wacz.read("datapackage.json"))
        assert json.loads(page)["url"] == about["mainPageUrl"] == "http://example.com/"
        assert (about["title"], about["description"]) == ("case-1, attempt 1", "domain example.com")

    async def test_the_manifest_is_told_all_that_the_bytes_depend_on(self, tmp_path: Path) -> None:
        archive = await archived(tmp_path, recorded(tmp_path, good))
        assert {"precinto", "cryptography", "h11", "hpack", "hyperframe", "warcio", "zlib"} <= set(archive.tools)

    async def test_a_record_that_breaks_off_counts_as_far_as_it_goes(self, tmp_path: Path) -> None:
        capture = recorded(tmp_path, good)
        content = (tmp_path / RECORD).read_bytes()
        (tmp_path / RECORD).write_bytes(content[:-10])
        archive = await archived(tmp_path, capture)
        assert contents(archive)["exchanges.json"]["exchanges"][0]["url"] == "http://example.com/"
        assert any(missing.reason.startswith("the record is damaged") for missing in archive.missing)


class TestASiteThatAsksForTooMuch:
    async def test_what_is_missing_beyond_a_bound_is_counted(self, tmp_path: Path) -> None:
        def say(recorder: WireRecorder) -> None:
            for number in range(MISSING + 10):
                Talk(recorder).ask(f"/{number}", b"")

        archive = await archived(tmp_path, recorded(tmp_path, say))
        assert len(archive.missing) == MISSING
        assert archive.missing[-1] == Missing(what="further things", reason="11 beyond the 1999 that are named")
        assert len(contents(archive)["exchanges.json"]["exchanges"]) == MISSING + 10

    async def test_addresses_as_long_as_can_be_do_not_cost_the_archive(self, tmp_path: Path) -> None:
        """Nor does the reader's answer become too long with all of them."""

        def say(recorder: WireRecorder) -> None:
            for number in range(MISSING - 1):
                Talk(recorder).ask(f"/{number}?" + "x" * 3_000, b"", method="M" * 100)

        archive = await archived(tmp_path, recorded(tmp_path, say))
        assert {file.name for file in archive.files} == set(reading.FILES)
        assert len(archive.missing) == MISSING - 1
        assert {len(missing.what) for missing in archive.missing} == {2_100}


class TestARecordThatCannotBeRead:
    """It is missing, with the reason, and nothing half-made is left."""

    @pytest.mark.parametrize("content", [b"", b"no record", bytes(4096), b"\x0a\x0d\x0d\x0a" + b"\xff" * 100])
    async def test_garbage_says_that_it_is_damaged(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / RECORD).write_bytes(content)
        archive = await archived(tmp_path, captured(tmp_path))
        (missing,) = archive.missing
        assert missing.reason.startswith("the record is damaged")
        assert contents(archive)["exchanges.json"] == {"exchanges": []}
        assert {path.name for path in tmp_path.iterdir()} == {RECORD, *reading.FILES}

    async def test_a_reading_that_takes_too_long_is_ended(self, tmp_path: Path) -> None:
        archiver = WireArchiver(timeout=timedelta(milliseconds=10))
        archive = await archived(tmp_path, recorded(tmp_path, good), archiver)
        self.missing_alone(archive, tmp_path, "not read within 0.01 s")

    async def test_a_reading_that_takes_too_much_memory_is_ended(self, tmp_path: Path) -> None:
        archiver = WireArchiver(memory_bytes=2**20)
        archive = await archived(tmp_path, recorded(tmp_path, good), archiver)
        self.missing_alone(archive, tmp_path, "MemoryError")

    async def test_a_record_that_is_not_there_any_more(self, tmp_path: Path) -> None:
        capture = recorded(tmp_path, good)
        (tmp_path / RECORD).rename(tmp_path / "elsewhere")
        archive = await archived(tmp_path, capture)
        self.missing_alone(archive, tmp_path, "No such file")

    async def test_a_stage_that_is_broken_off_takes_the_reader_along(self, tmp_path: Path) -> None:
        capture = recorded(tmp_path, good)
        task = asyncio.create_task(archived(tmp_path, capture))
        async with asyncio.timeout(20):
            while not readers(tmp_path):  # noqa: ASYNC110 - a process has no event for its start
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert readers(tmp_path) == []
        assert [path.name for path in tmp_path.iterdir()] == [RECORD]

    def missing_alone(self, archive: Archive, folder: Path, why: str) -> None:
        assert archive.files == ()
        (missing,) = archive.missing
        assert missing.what == RECORD
        assert missing.reason.startswith("the archive could not be made from it: ")
        assert why in missing.reason
        assert len(list(folder.iterdir())) == 1
        assert readers(folder) == []


async def test_a_capture_without_a_record_has_no_archive(tmp_path: Path) -> None:
    """As of an app's file; a crawler that lost its record has said so itself."""
    (tmp_path / "app.apk").write_bytes(b"PK")
    assert await archived(tmp_path, captured(tmp_path)) == Archive(files=(), tools={})
    assert [path.name for path in tmp_path.iterdir()] == ["app.apk"]


def readers(folder: Path) -> list[str]:
    """Processes that read a record of this folder."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if f"{reading.__name__} {folder}" in line:
                found.append(line)
    return found
