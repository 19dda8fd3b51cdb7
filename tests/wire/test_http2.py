"""HTTP/2 as it passed: a browser and a site that the library h2 plays, and frames that no library would send."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)

from precinto.wire.http2 import PREFACE
from precinto.wire.limits import Limits
from tests.wire.talk import HOST, Said, asked, decoded, record

URL = f"http://{HOST}/"
OK = [(":status", "200"), ("content-type", "text/html")]


def ask(path: str = "/", method: str = "GET") -> list[tuple[str, str]]:
    return [(":method", method), (":authority", HOST), (":scheme", "http"), (":path", path), ("accept", "*/*")]


class Talk:
    """Both ends, and what passed between them."""

    def __init__(self) -> None:
        self.browser = H2Connection(H2Configuration(client_side=True))
        self.site = H2Connection(H2Configuration(client_side=False))
        self.chunks: list[Said] = []
        self.browser.initiate_connection()
        self.site.initiate_connection()
        self.carry()

    def carry(self) -> None:
        """Carry what both have to say, until neither has anything more."""
        while True:
            for sent, speaker, hearer in ((True, self.browser, self.site), (False, self.site, self.browser)):
                if data := speaker.data_to_send():
                    self.chunks.append((sent, data))
                    hearer.receive_data(data)
                    break
            else:
                return

    def ask(self, path: str = "/", *, end: bool = True) -> int:
        stream = self.browser.get_next_available_stream_id()
        self.browser.send_headers(stream, ask(path), end_stream=end)
        self.carry()
        return stream

    def answer(self, stream: int, body: bytes = b"ok") -> None:
        self.site.send_headers(stream, OK)
        self.site.send_data(stream, body, end_stream=True)
        self.carry()


@pytest.fixture
def talk() -> Talk:
    """A connection that has begun."""
    return Talk()


@pytest.mark.parametrize("piece", [1, 5, 10_000])
def test_streams_side_by_side(tmp_path: Path, talk: Talk, piece: int) -> None:
    streams = [talk.ask(f"/{number}") for number in range(3)]
    for stream in streams:
        talk.site.send_headers(stream, OK)
    for part in (b"one", b"two"):
        for stream in reversed(streams):
            talk.site.send_data(stream, part + b"%d" % stream, pad_length=20, end_stream=part == b"two")
    talk.carry()
    first, *rest = talk.chunks
    chunks = [(sent, data[i : i + piece]) for sent, data in rest for i in range(0, len(data), piece)]
    said, bodies = decoded(record(tmp_path, [first, *chunks]))
    assert asked(said) == [("GET", f"{URL}{number}", 200, None) for number in range(3)]
    assert bodies == [b"one%dtwo%d" % (stream, stream) for stream in streams]
    assert [(e.stream, e.protocol) for e in said.exchanges] == [(stream, "h2") for stream in streams]
    assert said.problems == ()
    assert said.exchanges[0].response_headers == ((b"content-type", b"text/html"),)
    assert said.exchanges[0].request_headers == ((b"accept", b"*/*"),)


def test_interim_answers_and_trailers(tmp_path: Path, talk: Talk) -> None:
    stream = talk.ask()
    talk.site.send_headers(stream, [(":status", "103"), ("link", "</a>")])
    talk.site.send_headers(stream, OK)
    talk.site.send_data(stream, b"body")
    talk.site.send_headers(stream, [("x-sum", "9")], end_stream=True)
    talk.carry()
    said, bodies = decoded(record(tmp_path, talk.chunks))
    assert (asked(said), bodies) == ([("GET", URL, 200, None)], [b"body"])
    assert said.exchanges[0].response_trailers == ((b"x-sum", b"9"),)


def test_a_request_with_a_body(tmp_path: Path, talk: Talk) -> None:
    stream = talk.ask(end=False)
    talk.browser.send_data(stream, b"a=1", end_stream=True)
    talk.carry()
    talk.answer(stream)
    said, _ = decoded(record(tmp_path, talk.chunks))
    assert (said.exchanges[0].request_body.size, said.exchanges[0].request_body.truncated) == (3, False)


def test_header_blocks_over_many_frames(tmp_path: Path, talk: Talk) -> None:
    stream = talk.ask()
    long = [(f"x-{number}", "v" * 8000) for number in range(6)]
    talk.site.send_headers(stream, OK + long, end_stream=True)
    data = talk.site.data_to_send()
    assert data.count(b"\x09\x04\0\0\0\x01") + data.count(b"\x09\0\0\0\0\x01") >= 1  # continuation frames
    said, _ = decoded(record(tmp_path, [*talk.chunks, (False, data)]))
    assert said.exchanges[0].response_headers[1:] == tuple((k.encode(), v.encode()) for k, v in long)


def test_a_larger_header_table_that_was_agreed_on(tmp_path: Path, talk: Talk) -> None:
    """The browser allows 64 KB, as Chromium does; the site then refers to what lies beyond the first 4."""
    talk.browser.update_settings({SettingCodes.HEADER_TABLE_SIZE: 65_536})
    talk.carry()
    fields = [(f"x-{number}", "v" * 500) for number in range(60)]
    for _ in range(2):
        stream = talk.ask()
        talk.site.send_headers(stream, OK + fields, end_stream=True)
        talk.carry()
    assert len(talk.chunks[-1][1]) < 500
    said, _ = decoded(record(tmp_path, talk.chunks))
    assert said.problems == ()
    assert [len(exchange.response_headers) for exchange in said.exchanges] == [61, 61]


def test_a_pushed_answer(tmp_path: Path, talk: Talk) -> None:
    stream = talk.ask()
    talk.site.push_stream(stream, 2, ask("/pushed.css"))
    talk.answer(stream)
    talk.answer(2, b"css")
    said, bodies = decoded(record(tmp_path, talk.chunks))
    assert [(e.stream, e.url) for e in said.exchanges] == [(1, URL), (2, f"{URL}pushed.css")]
    assert bodies == [b"ok", b"css"]


@pytest.mark.parametrize(
    ("announced", "came", "lacks"),
    [("0", b"", None), ("4", b"gone", None), ("5", b"gone", "reset by the browser (CANCEL)")],
)
def test_an_answer_of_which_the_browser_did_not_wait_for_the_end_is_whole_if_all_that_was_announced_has_come(
    tmp_path: Path, talk: Talk, announced: str, came: bytes, lacks: str | None
) -> None:
    """As with a redirect, which a browser follows as soon as it has the header fields."""
    stream = talk.ask()
    talk.site.send_headers(stream, [(":status", "302"), ("location", "/new"), ("content-length", announced)])
    talk.site.send_data(stream, came)
    talk.carry()
    talk.browser.reset_stream(stream, 8)
    talk.carry()
    said, bodies = decoded(record(tmp_path, talk.chunks))
    assert bodies == [came]
    assert (said.exchanges[0].incomplete, said.exchanges[0].finished_at is None) == (lacks, lacks is not None)


@pytest.mark.parametrize(
    ("by_browser", "code", "reason"),
    [
        (True, 8, "reset by the browser (CANCEL)"),
        (False, 7, "reset by the site (REFUSED_STREAM)"),
        (False, 0x1234, "reset by the site (0x1234)"),
    ],
)
def test_a_stream_that_was_reset(tmp_path: Path, talk: Talk, by_browser: bool, code: int, reason: str) -> None:
    first, second = talk.ask(), talk.ask("/b")
    talk.site.send_headers(first, OK)
    talk.site.send_data(first, b"half")
    talk.carry()
    (talk.browser if by_browser else talk.site).reset_stream(first, code)
    talk.carry()
    talk.answer(second)
    said, bodies = decoded(record(tmp_path, talk.chunks))
    assert [(e.incomplete, e.response_body.truncated) for e in said.exchanges] == [(reason, True), (None, False)]
    assert bodies == [b"half", b"ok"]


def test_a_reset_after_the_answer_takes_nothing_away(tmp_path: Path, talk: Talk) -> None:
    stream = talk.ask(end=False)
    talk.answer(stream)
    talk.site.reset_stream(stream, 0)
    talk.carry()
    said, bodies = decoded(record(tmp_path, talk.chunks))
    assert (asked(said), bodies) == ([("GET", URL, 200, None)], [b"ok"])


def test_a_site_that_goes_away(tmp_path: Path, talk: Talk) -> None:
    answered = talk.ask()
    talk.ask("/late")
    talk.answer(answered)
    talk.site.close_connection(error_code=11, last_stream_id=1)
    talk.carry()
    said, _ = decoded(record(tmp_path, talk.chunks))
    assert [e.incomplete for e in said.exchanges] == [None, "not taken by the site (GOAWAY ENHANCE_YOUR_CALM)"]


def test_a_connection_that_ends_in_the_middle(tmp_path: Path, talk: Talk) -> None:
    stream = talk.ask()
    talk.site.send_headers(stream, OK)
    talk.site.send_data(stream, b"half")
    talk.carry()
    said, bodies = decoded(record(tmp_path, talk.chunks, reset=True))
    assert (asked(said), bodies) == ([("GET", URL, 200, "the connection was cut")], [b"half"])


# ----------------------------------------------------------------------------------------- what no library would send


class Scripted:
    """Frames by hand."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        fields = self._encoder.encode(ask())
        self.asked: list[Said] = [(True, PREFACE + _bytes(SettingsFrame(0), _headers(1, fields, end=True)))]

    def fields(self, fields: Sequence[tuple[str, str]] = OK) -> bytes:
        return Encoder().encode(fields)


def _headers(stream: int, fields: bytes, *, end: bool = False, whole: bool = True) -> HeadersFrame:
    flags = ["END_STREAM"] * end + ["END_HEADERS"] * whole
    return HeadersFrame(stream, fields, flags=flags)


def _bytes(*frames: Frame) -> bytes:
    return b"".join(frame.serialize() for frame in frames)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(10**6), "still open"),
        (_bytes(_headers(1, b"\xff\xff\xff\xff\xff\xff\xff\x7f")), "header fields cannot be read"),
        (_bytes(_headers(1, b"\x7f")), "header fields cannot be read"),
        (_bytes(_headers(1, b"\x40\x7f\xff")), "header fields cannot be read"),
        (_bytes(_headers(1, b"", whole=False), DataFrame(1, b"x")), "broken off"),
        (_bytes(_headers(1, b"", whole=False), ContinuationFrame(3, b"x")), "another stream"),
        (_bytes(ContinuationFrame(1, b"x")), "broken off"),
        (b"\0\0\x02\x01\x0c\0\0\0\x01\xffx", "not a frame"),
        (b"\0\0\x01\0\x08\0\0\0\x01\xff", "not a frame"),
        (b"\0\0\x03\x03\0\0\0\0\x01abc", "not a frame"),
        (_bytes(_headers(1, Encoder().encode([("no", "status")]))), "no status"),
        (_bytes(_headers(1, Encoder().encode([(":status", "two")]))), "no status"),
        (_bytes(DataFrame(1, b"x", flags=["END_STREAM"])), "without an answer"),
        (_bytes(RstStreamFrame(99, 0), DataFrame(77, b"x"), GoAwayFrame(0, 2**31 - 1, 0)), "still open"),
        (b"".join(bytes([0, 0, 0, kind, 0, 0, 0, 0, 1]) for kind in range(16, 250)), "still open"),
    ],
)  # fmt: skip
def test_frames_that_are_wrong_are_told(tmp_path: Path, frames: bytes, reason: str) -> None:
    said, _ = decoded(record(tmp_path, [*Scripted().asked, (False, frames)], closed=False))
    (exchange,) = said.exchanges
    assert reason in (exchange.incomplete or "")
    assert exchange.status is None


def test_a_header_bomb(tmp_path: Path) -> None:
    """One field of 4 KB, referred to 100,000 times: 100 KB on the wire, 400 MB of header fields."""
    bomb = Encoder().encode([("a", "v" * 3_900)], huffman=False) + b"\xbe" * 100_000
    frames = [_headers(1, bomb[:16_000], whole=False)]
    frames += [ContinuationFrame(1, bomb[at : at + 16_000]) for at in range(16_000, len(bomb), 16_000)]
    frames[-1].flags.add("END_HEADERS")
    said, _ = decoded(record(tmp_path, [*Scripted().asked, (False, _bytes(*frames))]))
    assert (said.exchanges[0].incomplete or "").startswith("limit: ")


def test_a_flood_of_continuations(tmp_path: Path) -> None:
    frames = [_headers(1, b"", whole=False)] + [ContinuationFrame(1, bytes(16_000))] * 20
    said, _ = decoded(record(tmp_path, [*Scripted().asked, (False, _bytes(*frames))]))
    assert said.problems[0].reason == "limit: more than 262144 bytes of header fields"


@pytest.mark.parametrize(
    "limits", [Limits(exchanges=1), Limits(pieces=10), Limits(all_header_bytes=500), Limits(header_bytes=100)]
)
def test_limits_are_told(tmp_path: Path, talk: Talk, limits: Limits) -> None:
    for number in range(5):
        talk.answer(talk.ask(f"/{number}"))
    said, _ = decoded(record(tmp_path, talk.chunks), limits)
    assert len(said.exchanges) < 5
    assert said.problems[0].reason.startswith("limit: ")
