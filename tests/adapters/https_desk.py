"""A real HTTPS server that answers as a test tells it: an ISP's interface on a good or a bad day."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trustme

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

TOKEN = "t0ken-of-the-authority"  # noqa: S105 - of this desk


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpsDesk:
    """The interface: without a script it is as the documentation of the notice asks.

    Attributes:
        port: Where it listens.
        script: What the next requests are answered; after that they are taken.
        requests: Every request that arrived, in order.
        taken: The notices that it took, by id.
        claims: What it says of each item, where it takes a notice.
    """

    port: int = 0
    script: deque[Answer] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: str = "enforced"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request and answer it."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # the client went away
            request = await _read(reader)
            self.requests.append(request)
            await (self.script.popleft() if self.script else self._take(request))(writer)
            await writer.drain()
        writer.close()

    def _take(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return status(401, b"who are you?")
        sent = json.loads(request.body)
        known = self.taken.setdefault(sent["notice"], sent)
        if known != sent:
            return status(409, b"another notice has this id")
        items = [{"measure": item["measure"], "claim": self.claims} for item in sent["items"]]
        return answer({"notice": sent["notice"], "items": items}, 201)


def status(code: int, body: bytes = b"", *headers: str) -> Answer:
    """A plain answer."""

    async def say(writer: asyncio.StreamWriter) -> None:
        head = "".join(f"{header}\r\n" for header in headers)
        writer.write(f"HTTP/1.1 {code} Said\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body)

    return say


def answer(content: Any, code: int = 200) -> Answer:
    """An answer of JSON."""
    return status(code, json.dumps(content).encode(), "Content-Type: application/json")


async def drip(writer: asyncio.StreamWriter) -> None:
    """A body that never ends, a byte at a time: each byte would set an ordinary time limit back."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(writer: asyncio.StreamWriter) -> None:
    """A body without an end, as fast as it goes."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def cut(writer: asyncio.StreamWriter) -> None:
    """The connection breaks within the body."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"notice": ')


async def hang(writer: asyncio.StreamWriter) -> None:
    """No answer at all, until the client gives up."""
    await writer.wait_closed()


@asynccontextmanager
async def https_desk(authority: trustme.CA) -> AsyncGenerator[HttpsDesk]:
    """Open an interface with a certificate of this authority for 127.0.0.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    desk = HttpsDesk()
    async with await asyncio.start_server(desk.serve, "127.0.0.1", 0, ssl=context) as server:
        desk.port = server.sockets[0].getsockname()[1]
        yield desk


async def _read(reader: asyncio.StreamReader) -> Request:
    head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    method, path, _ = head.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
