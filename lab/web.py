"""A small HTTP/1.1 server for the lab's sites and interfaces: h11 speaks the protocol, asyncio carries the bytes.

Crawlers and hostile clients meet it, so everything that a client can use up is bounded: time, bytes, connections.
A request that cannot be understood gets 400 and the connection ends; the server and its other connections go on.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import h11

_HEAD_BYTES = 16 * 1024
_BODY_BYTES = 1024 * 1024
_READ_BYTES = 16 * 1024
_REQUEST_SECONDS = 10.0
_IDLE_SECONDS = 30.0
_WRITE_SECONDS = 30.0
_HANDSHAKE_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
_CONNECTIONS = 500
_FORM_FIELDS = 50

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One request, read whole.

    Attributes:
        path: Percent-decoded, without the query.
        query: The query string as sent.
        host: Host header in lower case, without port.
        headers: Names in lower case; of several with one name, the last.
        address: The server's own address that the client reached.
        secure: Whether it came over TLS.
    """

    method: str
    path: str
    query: str
    host: str
    headers: Mapping[str, str]
    body: bytes
    address: str
    secure: bool

    def form(self) -> dict[str, str]:
        """The body's form fields (``application/x-www-form-urlencoded``).

        Raises:
            BadRequest: It is no form, or has too many fields.
        """
        try:
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS))
        except ValueError as error:
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"not a form: {error}") from error


@dataclass(frozen=True)
class Response:
    """An answer; length, date and server are added."""

    status: int
    body: bytes = b""
    media_type: str = "text/html; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


class Gesture(Enum):
    """What a server can do instead of answering."""

    HANG_UP = "hang up"
    SILENCE = "silence"
    """Say nothing until the client has gone."""


Handler = Callable[[Request], Awaitable[Response | Gesture]]


class BadRequest(Exception):
    """A request that is answered with an error and ends its connection."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WebServer:
    """One handler on one port of any number of addresses."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[Any]] = set()

    async def listen(self, addresses: Sequence[str], port: int, tls: ssl.SSLContext | None = None) -> None:
        """Start to listen, over TLS if a context is given."""
        options: dict[str, Any] = {}
        if tls is not None:
            options = {"ssl_handshake_timeout": _HANDSHAKE_SECONDS, "ssl_shutdown_timeout": _CLOSE_SECONDS}
        server = await asyncio.start_server(self._accept, addresses, port, ssl=tls, backlog=1024, **options)
        self._servers.append(server)

    async def stop(self) -> None:
        """Stop to listen and end every connection."""
        for server in self._servers:
            server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._servers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= _CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await _Connection(self._handler, reader, writer).serve()
        except (ConnectionError, TimeoutError, ssl.SSLError) as error:
            _log.debug("a client went away: %r", error)
        except asyncio.CancelledError:  # the server stops; asyncio would log the cancelled task as an error
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()


class _Connection:
    """One client, request after request."""

    def __init__(self, handler: Handler, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handler = handler
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._method = ""

    async def serve(self) -> None:
        while await self._exchange():
            self._protocol.start_next_cycle()

    async def _exchange(self) -> bool:
        """One request and its answer; False when the connection has ended."""
        try:
            request = await self._read()
            if request is None:
                return False
            answer = await self._ask(request)
        except BadRequest as error:
            answer = _refusal(error.status, str(error))
        except h11.RemoteProtocolError as error:
            answer = _refusal(HTTPStatus(error.error_status_hint), str(error))
        if isinstance(answer, Response):
            await self._write(answer)
            return self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE
        if answer is Gesture.SILENCE:
            while await self._reader.read(_READ_BYTES):
                pass
        self._writer.transport.abort()
        return False

    async def _ask(self, request: Request) -> Response | Gesture:
        try:
            return await self._handler(request)
        except BadRequest:
            raise
        except Exception:
            _log.exception("a handler failed")
            return _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed")

    async def _read(self) -> Request | None:
        """The next request, or None when the client is done."""
        head = await self._event(_IDLE_SECONDS)
        if not isinstance(head, h11.Request):
            return None
        self._method = head.method.decode("latin-1")
        body = bytearray()
        async with asyncio.timeout(_REQUEST_SECONDS):
            while not isinstance(event := await self._event(_REQUEST_SECONDS), h11.EndOfMessage):
                if not isinstance(event, h11.Data):
                    raise ConnectionResetError("the client left in the middle of a request")
                body += event.data
                if len(body) > _BODY_BYTES:
                    raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {_BODY_BYTES} bytes")
        return self._request(head, bytes(body))

    async def _event(self, seconds: float) -> Any:
        async with asyncio.timeout(seconds):
            while (event := self._protocol.next_event()) is h11.NEED_DATA:
                if self._protocol.they_are_waiting_for_100_continue:
                    reply = h11.InformationalResponse(status_code=100, headers=[])
                    self._writer.write(self._protocol.send(reply) or b"")
                self._protocol.receive_data(await self._reader.read(_READ_BYTES))
        return event

    def _request(self, head: h11.Request, body: bytes) -> Request:
        path, _, query = head.target.decode("latin-1").partition("?")
        if not path.startswith("/"):
            raise BadRequest(HTTPStatus.BAD_REQUEST, "this is no proxy: the target must begin with /")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        return Request(
            method=self._method,
            path=unquote(path),
            query=query,
            host=headers.get("host", "").lower().rpartition("@")[2].partition(":")[0].rstrip("."),
            headers=headers,
            body=body,
            address=self._writer.get_extra_info("sockname")[0],
            secure=self._writer.get_extra_info("sslcontext") is not None,
        )

    async def _write(self, response: Response) -> None:
        if self._protocol.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return  # the client broke the protocol after the answer had begun
        headers = [
            ("Date", formatdate(usegmt=True)),
            ("Server", "lab"),
            ("Content-Type", response.media_type),
            ("Content-Length", str(len(response.body))),
            *response.headers,
        ]
        if self._protocol.their_state in (h11.ERROR, h11.SEND_BODY):
            headers.append(("Connection", "close"))
        reason = HTTPStatus(response.status).phrase.encode()
        parts: list[h11.Event] = [h11.Response(status_code=response.status, headers=headers, reason=reason)]
        if response.body and self._sends_body(response):
            parts.append(h11.Data(data=response.body))
        parts.append(h11.EndOfMessage())
        for part in parts:
            self._writer.write(self._protocol.send(part) or b"")
        async with asyncio.timeout(_WRITE_SECONDS):
            await self._writer.drain()

    def _sends_body(self, response: Response) -> bool:
        """No body follows a HEAD request, nor a status that has none."""
        return self._method != "HEAD" and response.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def _refusal(status: HTTPStatus, reason: str) -> Response:
    return Response(status, f"{reason}\n".encode(), "text/plain; charset=utf-8")
