"""The browser's only way out: a proxy on loopback that asks the door about each connection, and counts the bytes.

Whatever a page tries (redirects, WebSockets, workers, addresses written as one number), the browser must ask here
for a connection. The guard only carries bytes: TLS runs from browser to site, so the site sees the browser's own
handshake and the browser judges the site's own certificate. What is not let through is recorded, never answered with
a page of ours: on plain HTTP that would look as if the site had served it.

Both raw streams of each connection go to the wire record, if there is one: exactly what the site got and gave.

A proxy connection carries one plain request and is closed, so that no site can answer a request made to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol
from urllib.parse import urlsplit

import h11

from precinto.adapters.crawlers.guard.door import Door, NoWay, Rule
from precinto.adapters.crawlers.guard.line import Budget, Line
from precinto.wire.pcapng import WireRecorder

BYTES = 200 * 2**20
"""What one capture may carry to sites and back, both directions together."""

REFUSALS = 2_000
"""Different refusals that are recorded; further ones are only counted."""

_CHUNK = 2**16
_HEAD_BYTES = 2**18  # Chromium's own limit for a response's head
_HEAD_SECONDS = 15.0
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"upgrade"})
"""Header fields that belong to one connection (RFC 9110, 7.6.1), which the guard speaks for itself."""


@dataclass(frozen=True)
class Refusal:
    """A connection that was not made or was cut: where to, by which rule, and the reason in words."""

    host: str
    port: int
    rule: Rule
    reason: str


class Guard:
    """The proxy of one capture; an asynchronous context manager, closed with everything that runs through it.

    Attributes:
        door: Decides; knows each host's addresses.
        budget: What may still be carried.
        connected: Host and port to the address that the last connection led to.
        refusals: Each different refusal and how often it happened.
        unrecorded: Refusals beyond the limit of what is recorded.
    """

    def __init__(
        self,
        resolvers: Sequence[str],
        ports: Mapping[int, int],
        budget: int = BYTES,
        recorder: WireRecorder | None = None,
    ) -> None:
        """Create a guard; it listens once it is entered.

        Args:
            resolvers: Resolvers to ask, ``address:port``; none for the system's.
            ports: Lab mode: real port to the lab's port; empty outside the lab.
            budget: Bytes that may be carried.
            recorder: Writes down what is carried; whoever gave it finishes it, after the guard has ended.
        """
        self.door = Door(resolvers, ports)
        self.budget = Budget(budget)
        self.connected: dict[tuple[str, int], str] = {}
        self.refusals: dict[Refusal, int] = {}
        self.unrecorded = 0
        self._recorder = recorder
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Guard:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self.door.close()

    @property
    def address(self) -> str:
        """Where the browser finds it, ``host:port``."""
        if self._server is None:
            raise RuntimeError("the guard is not running")
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def why(self, host: str, port: int) -> str | None:
        """The reason of the first refusal for this host and port, if there was one."""
        return next((r.reason for r in self.refusals if (r.host, r.port) == (host, port)), None)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port, path = "", 0, None
        stream = _Browser(reader, writer)
        writer.transport.set_write_buffer_limits(high=0)  # what is recorded has gone out before anything is cut
        browser = _Side(h11.Connection(h11.SERVER, _HEAD_BYTES), stream)
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                request = await browser.request()
            host, port, path = _destination(request)
            line = await self._line(host, port)
            whole = False
            try:
                await (_tunnel(browser, line) if path is None else _exchange(browser, request, path, line))
                whole = True
            finally:
                if not whole:
                    stream.abort()  # an orderly end would look like the end of what was sent
                line.close(reset=not whole)
        except NoWay as no:
            self._refused(Refusal(host, port, no.rule, no.reason))
            if path is None:
                await browser.decline()
        except h11.ProtocolError as error:
            self._refused(Refusal(host, port, Rule.PROTOCOL, f"not HTTP: {error}"))
        except (OSError, TimeoutError, EOFError):
            pass  # one side hung up: the browser records what that means for the page
        finally:
            writer.close()

    async def _line(self, host: str, port: int) -> Line:
        self.budget.connect()
        way = await self.door.open(host, port)
        self.connected[host, port] = way.address
        return Line(way, host, port, self.budget, self._recorder)

    def _refused(self, refusal: Refusal) -> None:
        if refusal in self.refusals or len(self.refusals) < REFUSALS:
            self.refusals[refusal] = self.refusals.get(refusal, 0) + 1
        else:
            self.unrecorded += 1


async def _tunnel(browser: _Side, line: Line) -> None:
    """Carry bytes both ways until both sides have ended."""
    await browser.send(h11.Response(status_code=200, headers=[]))
    early, _ = browser.http.trailing_data
    await line.write(early)
    up = asyncio.create_task(_carry(browser.stream, line))
    down = asyncio.create_task(_carry(line, browser.stream))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_EXCEPTION)
        if up.done() and isinstance(up.exception(), OSError):
            await down  # the site takes no more, but what it still has to say counts
        else:
            await asyncio.gather(up, down)
    finally:
        up.cancel()
        down.cancel()


async def _carry(source: _Stream, sink: _Stream) -> None:
    while data := await source.read():
        await sink.write(data)
    sink.end()


async def _exchange(browser: _Side, request: h11.Request, path: str, line: Line) -> None:
    """Carry one plain request there and its response back."""
    site = _Side(h11.Connection(h11.CLIENT, _HEAD_BYTES), line)
    await site.send(h11.Request(method=request.method, target=path, headers=_closing(request)))
    await _body(browser, site)
    head = await site.response()
    await browser.send(h11.Response(status_code=head.status_code, reason=head.reason, headers=_closing(head)))
    await _body(site, browser)


async def _body(source: _Side, sink: _Side) -> None:
    while True:
        match await source.event():
            case h11.Data(data=data):
                await sink.send(h11.Data(data=bytes(data)))
            case h11.EndOfMessage():
                return await sink.send(h11.EndOfMessage())
            case other:
                raise EOFError(f"{other!r} in the middle of a message")


class _Stream(Protocol):
    """What both connections of the guard can do, the browser's and the site's."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True)
class _Browser:
    """The browser's connection to the guard."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> bytes:
        return await self.reader.read(_CHUNK)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def end(self) -> None:
        if self.writer.can_write_eof():
            self.writer.write_eof()

    def abort(self) -> None:
        self.writer.transport.abort()


@dataclass(frozen=True)
class _Side:
    """One side of the proxy: the HTTP/1.1 state of a connection, and the connection."""

    http: h11.Connection
    stream: _Stream

    async def event(self) -> h11.Event | type[h11.PAUSED]:
        """What comes next from this side."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.stream.read())
        return event  # pyright: ignore[reportReturnType] - NEED_DATA was just excluded

    async def request(self) -> h11.Request:
        """The head of a request, with the rest of it where it asks for a tunnel (there is none)."""
        event = await self.event()
        if not isinstance(event, h11.Request):
            raise EOFError("closed without a request")
        if event.method == b"CONNECT":
            await self.event()
        return event

    async def response(self) -> h11.Response:
        """The head of the final response; interim ones (1xx) are passed over."""
        while isinstance(event := await self.event(), h11.InformationalResponse):
            pass
        if not isinstance(event, h11.Response):
            raise EOFError("closed without a response")
        return event

    async def send(self, event: h11.Event) -> None:
        """Send this event to this side."""
        if data := self.http.send(event):
            await self.stream.write(data)

    async def decline(self) -> None:
        """Decline a tunnel: only the browser itself ever sees this answer, no page does."""
        if self.http.our_state is h11.SEND_RESPONSE:
            await self.send(h11.Response(status_code=403, headers=[("Content-Length", "0")]))


def _destination(request: h11.Request) -> tuple[str, int, str | None]:
    """Host and port to connect to, and the path of a plain request; None for a tunnel."""
    target = request.target.decode("ascii", "replace")
    tunnel = request.method == b"CONNECT"
    try:
        parts = urlsplit(f"//{target}" if tunnel else target)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise NoWay(Rule.REQUEST, f"not a destination: {error}") from error
    if tunnel:
        return host, port or 443, None
    if parts.scheme != "http":
        raise NoWay(Rule.REQUEST, f"scheme {parts.scheme!r} is not carried")
    return host, port or 80, "/" + target.partition("://")[2].partition("/")[2]


def _closing(head: h11.Request | h11.Response) -> list[tuple[bytes, bytes]]:
    """Header fields to pass on, in their order and spelling, with the end of the connection announced."""
    fields: list[tuple[bytes, bytes]] = head.headers.raw_items()  # pyright: ignore[reportUnknownMemberType]
    kept = [(name, value) for name, value in fields if name.lower() not in _HOP_BY_HOP]
    return [*kept, (b"Connection", b"close")]
