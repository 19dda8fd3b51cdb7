"""The web server against clients that mean no good: each loses its own connection, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from lab.ports import PortBook
from lab.web import Gesture, Request, Response, WebServer

ADDRESS = "127.0.0.1"


async def echo(request: Request) -> Response | Gesture:
    if request.path == "/fails":
        raise ZeroDivisionError
    if request.path in ("/hang up", "/silence"):
        return Gesture(request.path[1:])
    return Response(200, f"{request.method} {request.path} {request.host} ".encode() + request.body, "text/plain")


@pytest.fixture
async def port() -> AsyncGenerator[int]:
    """Port of a server that says what it was asked."""
    book, server = PortBook(), WebServer(echo)
    port = book.take(ADDRESS)
    await server.listen([ADDRESS], port)
    yield port
    await server.stop()
    book.release()


async def talk(port: int, sent: bytes) -> bytes:
    """Send bytes and read until the server hangs up."""
    reader, writer = await asyncio.open_connection(ADDRESS, port)
    try:
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def test_one_connection_carries_many_requests(port: int) -> None:
    one = b"GET /one HTTP/1.1\r\nHost: A.test:1\r\n\r\n"
    two = b"POST /two HTTP/1.1\r\nHost: b.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n"
    answers = await talk(port, one + two)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert b"GET /one a.test " in answers
    assert b"POST /two b.test xyz" in answers


async def test_a_client_that_waits_for_leave_gets_it(port: int) -> None:
    sent = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    reader, writer = await asyncio.open_connection(ADDRESS, port)
    writer.write(sent)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    writer.write(b"ok")
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_head_gets_the_length_and_no_body(port: int) -> None:
    answer = await talk(port, b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: 10" in head
    assert body == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 200 + b"\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"431"),
        (b"CONNECT flvto.biz:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET http://flvto.biz/ HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000, b"413"),
        (b"GET /fails HTTP/1.1\r\nHost: a\r\n\r\n", b"500"),
    ],
    ids=["no host", "two hosts", "tls", "two lengths", "huge head", "connect", "proxy", "huge body", "broken handler"],
)
async def test_a_bad_request_is_told_so(port: int, sent: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection(ADDRESS, port)
    writer.write(sent)
    assert (await reader.readuntil(b"\r\n")).split()[1] == status
    writer.close()
    assert b"GET / a " in await talk(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


async def test_a_server_can_hang_up_without_a_word(port: int) -> None:
    assert await talk(port, b"GET /hang%20up HTTP/1.1\r\nHost: a\r\n\r\n") == b""


async def test_silence_lasts_until_the_client_goes(port: int) -> None:
    reader, writer = await asyncio.open_connection(ADDRESS, port)
    writer.write(b"GET /silence HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(1)
    writer.close()


async def test_stopping_ends_open_connections() -> None:
    book, server = PortBook(), WebServer(echo)
    port = book.take(ADDRESS)
    await server.listen([ADDRESS], port)
    reader, writer = await asyncio.open_connection(ADDRESS, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"GET / a ")
    await server.stop()
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):  # the end comes in one of two ways
            assert await reader.read() == b""
    writer.close()
    book.release()
