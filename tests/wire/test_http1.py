"""HTTP/1.1 as it passed: every way in which a message can end, and what servers do that they should not."""

from __future__ import annotations

from pathlib import Path

import pytest

from precinto.wire.limits import Limits
from tests.wire.talk import GET, HOST, OK, Said, asked, decoded, field, record

URL = f"http://{HOST}/"


def heard(folder: Path, *answers: bytes, ask: bytes = GET, closed: bool = True, reset: bool = False):
    """What is read of one request and what the site said, in pieces."""
    talk = [(True, ask), *((False, answer) for answer in answers)]
    return decoded(record(folder, talk, closed=closed, reset=reset))


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n",
            b"hello",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n", b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
    ],
    ids=["length", "chunked", "until the end", "HTTP/1.0", "no reason", "204", "304", "interim answers"],
)
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_how_an_answer_ends(tmp_path: Path, answer: bytes, body: bytes, piece: int) -> None:
    said, bodies = heard(tmp_path, *(answer[i : i + piece] for i in range(0, len(answer), piece)))
    assert bodies == [body]
    assert [incomplete for _, _, _, incomplete in asked(said)] == [None]
    assert said.problems == ()
    assert said.exchanges[0].finished_at is not None


def test_head_has_a_length_and_no_body(tmp_path: Path) -> None:
    ask = GET.replace(b"GET", b"HEAD")
    said, bodies = decoded(record(tmp_path, [(True, ask), (False, OK[:-2]), (True, GET), (False, OK)]))
    assert bodies == [b"", b"ok"]
    assert asked(said) == [("HEAD", URL, 200, None), ("GET", URL, 200, None)]


def test_fields_keep_their_order_and_spelling(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 Bien s\xfbr\r\nX-B: 1\r\nset-cookie: a\r\nSet-Cookie: b \xff\r\nContent-LENGTH: 0\r\n\r\n"
    said, _ = heard(tmp_path, answer)
    (exchange,) = said.exchanges
    assert exchange.reason == b"Bien s\xfbr"
    assert exchange.response_headers == (
        (b"X-B", b"1"), (b"set-cookie", b"a"), (b"Set-Cookie", b"b \xff"), (b"Content-LENGTH", b"0")
    )  # fmt: skip
    assert exchange.request_headers == ((b"Host", HOST.encode()),)


def test_trailers(tmp_path: Path) -> None:
    said, _ = heard(tmp_path, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 9\r\n\r\n")
    assert said.exchanges[0].response_trailers == ((b"X-Sum", b"9"),)


def test_a_connection_that_is_kept(tmp_path: Path) -> None:
    talk: list[Said] = []
    for number in range(3):
        ask = f"POST /{number} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\n\r\nab{number}".encode()
        talk += [(True, ask), (False, OK.replace(b"ok", b"o%d" % number))]
    said, bodies = decoded(record(tmp_path, talk))
    assert [url for _, url, _, _ in asked(said)] == [f"{URL}{number}" for number in range(3)]
    assert bodies == [b"o0", b"o1", b"o2"]


def test_the_body_of_a_request(tmp_path: Path) -> None:
    path = record(tmp_path, [
        (True, b"POST / HTTP/1.1\r\nHost: flvto.biz\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na=1&\r\n"),
        (True, b"3\r\nb=2\r\n0\r\n\r\n"),
        (False, OK),
        (True, b"POST / HTTP/1.1\r\nHost: flvto.biz\r\nContent-Length: 100\r\n\r\nonly this"),
        (False, OK),
    ])  # fmt: skip
    said, _ = decoded(path)
    bodies = [(exchange.request_body.size, exchange.request_body.truncated) for exchange in said.exchanges]
    assert bodies == [(7, False), (9, True)]
    assert [incomplete for _, _, _, incomplete in asked(said)] == [None, None]


def test_a_request_in_single_bytes(tmp_path: Path) -> None:
    ask = GET.replace(b"GET", b"PRI")
    said, _ = decoded(record(tmp_path, [*((True, ask[i : i + 1]) for i in range(len(ask))), (False, OK)]))
    assert asked(said) == [("PRI", URL, 200, None)]


def test_requests_sent_without_waiting(tmp_path: Path) -> None:
    second = GET.replace(b"GET /", b"GET /second")
    said, bodies = decoded(record(tmp_path, [(True, GET + second[:9]), (True, second[9:]), (False, OK + OK)]))
    assert asked(said) == [("GET", URL, 200, None), ("GET", f"{URL}second", 200, None)]
    assert bodies == [b"ok", b"ok"]


@pytest.mark.parametrize(
    ("closed", "reset", "reason"),
    [
        (True, False, "the connection ended before the answer did"),
        (True, True, "the connection was cut"),
        (False, False, "still open when the capture ended"),
    ],
)
@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nConte", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
def test_an_answer_that_is_not_whole(tmp_path: Path, answer: bytes, closed: bool, reset: bool, reason: str) -> None:
    said, bodies = heard(tmp_path, answer, closed=closed, reset=reset)
    (exchange,) = said.exchanges
    assert (exchange.incomplete, exchange.finished_at) == (reason, None)
    assert exchange.response_body.truncated
    assert bodies == [b"half" if b"half" in answer else b""]


def test_an_answer_without_a_length_that_was_cut_is_not_whole(tmp_path: Path) -> None:
    said, bodies = heard(tmp_path, b"HTTP/1.1 200 OK\r\n\r\nhalf", reset=True)
    assert (asked(said)[0][3], bodies) == ("the connection was cut", [b"half"])


@pytest.mark.parametrize(
    "answer",
    [
        b"ICY 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\0" * 100 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told(tmp_path: Path, answer: bytes) -> None:
    said, _ = heard(tmp_path, answer)
    (problem,) = said.problems
    assert problem.reason.startswith("the site's answer is not HTTP/1.1: ")
    assert (problem.connection, problem.host) == (1, HOST)
    assert said.exchanges[0].incomplete == problem.reason


def test_what_nobody_asked_for_is_told(tmp_path: Path) -> None:
    timeout = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    said, bodies = heard(tmp_path, OK + timeout)
    assert bodies == [b"ok"]
    assert said.problems[0].reason == f"{len(timeout)} bytes from the site that nothing had asked for"


def test_a_request_and_a_time_out_that_crossed(tmp_path: Path) -> None:
    """A browser takes what came before its request had left for the answer."""
    late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    said, _ = decoded(record(tmp_path, [(True, GET), (False, OK + late), (True, GET)]))
    assert [status for _, _, status, _ in asked(said)] == [200, 408]


def test_addresses_of_requests(tmp_path: Path) -> None:
    asks = [
        b"GET /a?b=c HTTP/1.1\r\nHost: other.test:8080\r\n\r\n",
        b"GET http://absolute.test/x HTTP/1.1\r\nHost: other.test\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: flvto.biz\r\n\r\n",
        b"GET /nohost HTTP/1.0\r\n\r\n",
    ]  # fmt: skip
    said, _ = decoded(record(tmp_path, [part for ask in asks for part in ((True, ask), (False, OK))], port=8080))
    assert [url for _, url, _, _ in asked(said)] == [
        "http://other.test:8080/a?b=c",
        "http://absolute.test/x",
        "http://flvto.biz/*",
        "http://flvto.biz:8080/nohost",
    ]
    assert {(exchange.host, exchange.port) for exchange in said.exchanges} == {(HOST, 8080)}


def test_another_protocol_is_told(tmp_path: Path) -> None:
    ask = GET[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    said, _ = heard(tmp_path, b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n\0\0\0", ask=ask)
    assert said.exchanges[0].status == 101
    assert "switched to 'h2c'" in said.problems[0].reason


def test_a_switch_that_the_site_declines(tmp_path: Path) -> None:
    ask = GET[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    said, _ = decoded(record(tmp_path, [(True, ask + GET[:5]), (False, OK), (True, GET[5:]), (False, OK)]))
    assert asked(said) == [("GET", URL, 200, None)] * 2


@pytest.mark.parametrize(
    ("limits", "answer", "reason"),
    [
        (Limits(header_bytes=300), b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400 + b"\r\n\r\n", "header"),
        (Limits(header_bytes=300), b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400, "not HTTP/1.1"),
        (Limits(all_header_bytes=100), OK, "bytes of header fields"),
        (Limits(pieces=4), OK, "pieces"),
        (Limits(exchanges=1), OK, "requests"),
        (Limits(body_bytes=1), OK, "a body longer than 1 bytes"),
    ],
)  # fmt: skip
def test_limits_are_told(tmp_path: Path, limits: Limits, answer: bytes, reason: str) -> None:
    said, bodies = decoded(record(tmp_path, [(True, GET), (False, answer), (True, GET), (False, answer)]), limits)
    told = [problem.reason for problem in said.problems] + [e.incomplete or "" for e in said.exchanges]
    assert any(reason in text for text in told)
    assert len(b"".join(bodies)) <= 2


def test_a_large_body_is_cut_at_the_limit_and_says_so(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    said, bodies = decoded(record(tmp_path, [(True, GET), (False, answer)]), Limits(body_bytes=100_000))
    (exchange,) = said.exchanges
    assert bodies == [b"x" * 100_000]
    assert (exchange.response_body.truncated, exchange.incomplete) == (True, "limit: a body longer than 100000 bytes")
    assert field(exchange, b"Content-Length") == b"300000"
