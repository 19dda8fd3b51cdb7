"""What was asked and answered in a capture, read from its wire record: every exchange, as served.

What a site sends never makes this fail: whatever cannot be read is told, with its reason, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from precinto.wire.bodies import Body, Spool
from precinto.wire.draft import Draft, Fields
from precinto.wire.keys import read_key_log
from precinto.wire.limits import Limits, Meter
from precinto.wire.listener import Listener, Protocol
from precinto.wire.pcapng import Connection, read_wire
from precinto.wire.tls import TlsStream
from precinto.wire.websocket import Message


@dataclass(frozen=True)
class Exchange:
    """One request and its answer.

    Attributes:
        connection: Number of the connection, from 1.
        stream: Number of the HTTP/2 stream, which is even where the site pushed the answer; None for HTTP/1.1.
        scheme: ``https``, ``http``, ``wss`` or ``ws``.
        host: Host that the connection was asked for; ``url`` names the one that was asked inside it.
        port: Port that the connection was asked for.
        address: Address that the connection went to.
        protocol: ``http/1.1`` or ``h2``.
        url: What was asked for.
        method: The method; ``CONNECT`` for a WebSocket over HTTP/2.
        request_headers: Header fields in their order and spelling, without HTTP/2's pseudo-fields, which are
            ``method``, ``url`` and ``status`` here.
        request_body: What was sent.
        status: Status of the answer; None without one.
        reason: Its reason phrase, which HTTP/2 does not have.
        response_headers: As ``request_headers``.
        response_trailers: Fields after the body.
        response_body: What was served: transfer coding removed, content coding kept.
        started_at: When the request's head had passed (UTC).
        finished_at: When the answer's end had passed; None where it did not.
        incomplete: Why there is no whole answer, in words; None where there is one.
        websocket: Messages that passed after both sides had switched to WebSocket.
    """

    connection: int
    stream: int | None
    scheme: str
    host: str
    port: int
    address: str
    protocol: Protocol
    url: str
    method: str
    request_headers: Fields
    request_body: Body
    status: int | None
    reason: bytes
    response_headers: Fields
    response_trailers: Fields
    response_body: Body
    started_at: datetime
    finished_at: datetime | None
    incomplete: str | None
    websocket: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Server:
    """Who answered on a TLS connection.

    Attributes:
        connection: Number of the connection.
        host: Host that it was asked for.
        port: Port that it was asked for.
        address: Address that it went to.
        version: ``TLS 1.3`` or ``TLS 1.2``.
        cipher: IANA name of the cipher suite.
        alpn: Protocol that both agreed on.
        sni: Host name that the browser asked for inside TLS.
        chain: The site's certificates (DER, leaf first), as sent; none where ``resumed``.
        resumed: Whether an earlier session was resumed: the certificate is that of an earlier connection.
        early_data: Whether the browser sent data along with its hello (0-RTT).
        signature: Scheme of the site's signature over this handshake, checked against ``chain``; None without one.
    """

    connection: int
    host: str
    port: int
    address: str
    version: str
    cipher: str
    alpn: str | None
    sni: str | None
    chain: tuple[bytes, ...]
    resumed: bool = False
    early_data: bool = False
    signature: str | None = None


@dataclass(frozen=True)
class Problem:
    """Something that could not be decoded, and why; connection 0 is the record as a whole."""

    connection: int
    host: str
    reason: str


@dataclass(frozen=True)
class Decoded:
    """What a record says.

    Attributes:
        exchanges: In the order in which they were asked.
        servers: In the order of their connections.
        problems: Whatever could not be decoded.
    """

    exchanges: tuple[Exchange, ...]
    servers: tuple[Server, ...]
    problems: tuple[Problem, ...]


@contextmanager
def decode(path: Path, limits: Limits = Limits()) -> Generator[Decoded]:  # noqa: B008 - frozen
    """Decode a wire record; the bodies can be read inside the block.

    Raises:
        OSError: The file cannot be read, or there is no room for the bodies.
    """
    wire = read_wire(path)
    key_log, meter = read_key_log(wire.key_log), Meter(limits)
    exchanges: list[Exchange] = []
    servers: list[Server] = []
    problems = [Problem(0, "", f"the record is damaged: {wire.damage}")] if wire.damage else []
    with Spool(limits.body_bytes) as spool:
        for connection in wire.connections:
            listener = Listener(connection, key_log, spool, meter)
            listener.listen(wire)
            exchanges += [_exchange(connection, listener.protocol, draft) for draft in listener.drafts]
            if listener.tls is not None and (server := _server(connection, listener.tls)) is not None:
                servers.append(server)
            problems += [Problem(connection.id, connection.host, reason) for reason in listener.problems]
        exchanges.sort(key=lambda exchange: exchange.started_at)
        yield Decoded(tuple(exchanges), tuple(servers), tuple(problems))


def _exchange(at: Connection, protocol: Protocol, draft: Draft) -> Exchange:
    reason = draft.incomplete
    if draft.response_body.full:
        reason = f"limit: a body longer than {draft.response_body.limit} bytes"
    return Exchange(
        connection=at.id,
        stream=draft.stream,
        scheme=draft.url.partition(":")[0],
        host=at.host,
        port=at.port,
        address=at.address,
        protocol=protocol,
        url=draft.url,
        method=draft.method,
        request_headers=draft.request_headers,
        request_body=draft.request_body.finish(truncated=not draft.request_ended and draft.socket is None),
        status=draft.status,
        reason=draft.reason,
        response_headers=draft.response_headers,
        response_trailers=draft.response_trailers,
        response_body=draft.response_body.finish(truncated=draft.incomplete is not None and draft.socket is None),
        started_at=draft.started_at,
        finished_at=draft.finished_at,
        incomplete=reason,
        websocket=tuple(draft.socket.messages) if draft.socket else (),
    )


def _server(at: Connection, tls: TlsStream) -> Server | None:
    session = tls.session
    if session.version is None:
        return None
    return Server(
        connection=at.id,
        host=at.host,
        port=at.port,
        address=at.address,
        version=session.version,
        cipher=session.cipher,
        alpn=session.alpn,
        sni=session.sni,
        chain=session.chain,
        resumed=session.resumed,
        early_data=tls.early_data,
        signature=session.signature,
    )
