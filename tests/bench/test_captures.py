"""The benchmarks of captures and decoding run from end to end, and stop where what was measured means nothing."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench import captures, decoding
from bench.captures import KINDS, RECORDED, UNRECORDED, Measured, check
from bench.plan import Wrong
from bench.readers import PEERS, READERS
from bench.records import Recorded, Shape
from bench.showcase import Served
from bench.stopwatch import timed
from tests.wire.talk import GET, OK, record

FOUND = Counter({("/", hashlib.sha256(b"ok").hexdigest()): 1})
OURS = [name for name in READERS if name not in PEERS]


@pytest.fixture(scope="module")
def captured() -> list[Measured]:
    """A smoke run of every kind of capture, with a real browser."""
    return asyncio.run(captures.run(captures.QUICK))


@pytest.fixture
def served(captured: list[Measured]) -> Counter[Served]:
    """What the site served for one capture."""
    return Counter(captured[0].visited.captured[0].exchanges)


def test_every_kind_of_capture_yields_positive_figures(captured: list[Measured]) -> None:
    assert [one.kind for one in captured] == list(KINDS)
    for one in captured:
        assert len(one.visited.captured) == one.kind.slots
        assert one.cpu_seconds > 0
        assert one.per_minute > 0
        for capture in one.visited.captured:
            assert capture.browser_bytes > 0
            assert (capture.archive_seconds > 0) == one.kind.recorder
            assert (capture.record_bytes > capture.network_bytes) == one.kind.recorder
    text = captures.write(captured)
    for expected in (*(f"| {kind.name} |" for kind in KINDS), "captures per minute, two at once to one: "):
        assert expected in text


def test_a_record_that_lacks_an_exchange_stops_the_run(captured: list[Measured], served: Counter[Served]) -> None:
    visited = captured[0].visited
    check(RECORDED, visited, served, served)
    short = replace(visited, captured=(replace(visited.captured[0], exchanges=visited.captured[0].exchanges[1:]),))
    with pytest.raises(Wrong, match="the records have"):
        check(RECORDED, short, served, served)


def test_a_record_without_the_recorder_stops_the_run(captured: list[Measured], served: Counter[Served]) -> None:
    with pytest.raises(Wrong, match="the records have 23 exchanges"):
        check(UNRECORDED, captured[0].visited, served, served)


def test_a_site_that_was_asked_twice_stops_the_run(captured: list[Measured], served: Counter[Served]) -> None:
    with pytest.raises(Wrong, match="asked for"):
        check(RECORDED, captured[0].visited, served + served, served)


def test_a_capture_that_failed_stops_the_run(captured: list[Measured], served: Counter[Served]) -> None:
    visited = captured[0].visited
    failed = replace(visited, captured=(replace(visited.captured[0], wrong=("the page crashed",)),))
    with pytest.raises(Wrong, match="the page crashed"):
        check(RECORDED, failed, served, served)


def test_every_reader_yields_positive_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = list(decoding.measure(decoding.QUICK))
    assert {*OURS, "precinto: verify"} <= {one.reader for one in measured}
    assert {one.shape for one in measured} == set(decoding.QUICK.shapes)
    assert all(one.taken.seconds > 0 and one.taken.peak_bytes > 0 for one in measured)
    monkeypatch.setenv("PATH", "")
    text = decoding.write(measured)
    assert "tshark not there" in text
    assert all(f"| {one.reader} |" in text for one in measured)


@pytest.mark.parametrize("name", OURS)
def test_a_reader_that_does_not_find_what_was_served_stops_the_run(tmp_path: Path, name: str) -> None:
    record(tmp_path, [(True, GET), (False, OK)])
    READERS[name](Recorded(Shape("small", "/", 1), tmp_path, FOUND))
    with pytest.raises(Wrong, match="1 answers that are not the 2 that were served"):
        READERS[name](Recorded(Shape("small", "/", 2), tmp_path, FOUND + FOUND))


def test_the_stopwatch_tells_a_programs_own_memory_and_failure(tmp_path: Path) -> None:
    held = bytearray(200_000_000)  # ours does not count
    taken = timed([sys.executable, "-c", "print(len(bytearray(100_000_000)))"], tmp_path / "output")
    assert (tmp_path / "output").read_text() == "100000000\n"
    assert 100_000_000 < taken.peak_bytes < len(held)
    with pytest.raises(Wrong, match="no such thing"):
        timed([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path / "output")
