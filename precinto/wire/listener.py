"""Reads one connection of a record, layer by layer: TLS if it is there, and HTTP of either version inside."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from precinto.wire.bodies import Spool
from precinto.wire.draft import Draft
from precinto.wire.http1 import Http1
from precinto.wire.http2 import PREFACE, Http2
from precinto.wire.keys import KeyLog
from precinto.wire.limits import Meter, Undecodable
from precinto.wire.pcapng import Connection, Wire
from precinto.wire.tls import TlsStream, begins_tls

Protocol = Literal["http/1.1", "h2"]

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Listener:
    """What one connection says.

    Attributes:
        protocol: The version of HTTP.
        tls: Its TLS, if it has it.
        problems: What could not be read, and why.
    """

    def __init__(self, connection: Connection, key_log: KeyLog, spool: Spool, meter: Meter) -> None:
        self.protocol: Protocol = "http/1.1"
        self.tls: TlsStream | None = None
        self.problems: list[str] = []
        self._connection = connection
        self._key_log = key_log
        self._spool = spool
        self._meter = meter
        self._http: Http1 | Http2 | None = None

    @property
    def drafts(self) -> list[Draft]:
        """What was asked and answered."""
        return self._http.exchanges if self._http else []

    def listen(self, wire: Wire) -> None:
        """Read the connection to its end, or as far as it can be read."""
        last: datetime | None = None
        reason, orderly = self._ending(wire)
        try:
            for chunk in wire.chunks(self._connection.id):
                last = chunk.at
                for sent, data in self._clear(chunk.sent, chunk.data):
                    self._spoken(sent, data).feed(sent, data, chunk.at)
        except Undecodable as no:
            reason, orderly = str(no), False
            self.problems.append(reason)
        if self._http is not None:
            self._http.end(reason, last, orderly=orderly)
            if self._http.unasked:
                self.problems.append(f"{self._http.unasked} bytes from the site that nothing had asked for")
        if self.tls is not None:
            self.problems += self.tls.problems

    def _ending(self, wire: Wire) -> tuple[str, bool]:
        """Why an answer that has not come whole has not, and whether the connection ended in order."""
        if self._connection.reset:
            return "the connection was cut", False
        if self._connection.closed_at is not None:
            return "the connection ended before the answer did", True
        return ("the record is damaged" if wire.damage else "still open when the capture ended"), False

    def _clear(self, sent: bool, data: bytes) -> Iterable[tuple[bool, bytes]]:
        """The bytes without TLS."""
        if self.tls is None and self._http is None and begins_tls(data):
            self.tls = TlsStream(self._key_log, self._meter)
        return self.tls.feed(sent, data) if self.tls else ((sent, data),)

    def _spoken(self, sent: bool, data: bytes) -> Http1 | Http2:
        """The version of HTTP: what both agreed on in TLS, or what the first bytes look like."""
        if self._http is None:
            chosen = self.tls.session.alpn if self.tls else None
            if chosen == "h2" or (chosen is None and sent and data.startswith(PREFACE)):
                self.protocol = "h2"
            scheme = "https" if self.tls else "http"
            host, port = self._connection.host, self._connection.port
            host = f"[{host}]" if ":" in host else host
            authority = host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"
            speaks = Http2 if self.protocol == "h2" else Http1
            self._http = speaks(scheme, authority, self._spool, self._meter)
        return self._http
