"""How much of a record is decoded: whoever runs a site decides what it sends, so everything has an end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one decoding may take up. Whatever lies beyond is named, never silently left out.

    Attributes:
        exchanges: Requests, in the whole record.
        pieces: TLS records, HTTP/2 frames, pieces of HTTP/1.1 messages and WebSocket frames, in the whole record.
        header_bytes: The header fields of one message, as HTTP/2 counts them (RFC 9113, 6.5.2).
        all_header_bytes: The header fields of all messages; HPACK makes many out of few bytes.
        body_bytes: One body.
        messages: WebSocket messages, in the whole record.
        message_bytes: One WebSocket message, inflated.
        all_message_bytes: All of them.
        handshake_bytes: One TLS handshake message, inflated.
    """

    exchanges: int = 20_000
    pieces: int = 3_000_000
    header_bytes: int = 2**18
    all_header_bytes: int = 2**26
    body_bytes: int = 2**28
    messages: int = 20_000
    message_bytes: int = 2**20
    all_message_bytes: int = 2**25
    handshake_bytes: int = 2**20


class Undecodable(Exception):
    """The rest of a connection cannot be decoded; says why. A verdict on what was recorded, not a failure."""


class Meter:
    """Counts what a decoding takes up.

    Each method raises ``Undecodable`` where a limit is passed.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._exchanges = self._pieces = self._header_bytes = self._messages = self._message_bytes = 0

    def exchange(self) -> None:
        """Count a request."""
        self._exchanges += 1
        _keep(self._exchanges, self.limits.exchanges, "requests")

    def piece(self) -> None:
        """Count a record, a frame or a piece of a message."""
        self._pieces += 1
        _keep(self._pieces, self.limits.pieces, "pieces")

    def headers(self, fields: tuple[tuple[bytes, bytes], ...]) -> None:
        """Count the header fields of a message."""
        size = sum(len(name) + len(value) + 32 for name, value in fields)
        _keep(size, self.limits.header_bytes, "bytes of header fields in one message")
        self._header_bytes += size
        _keep(self._header_bytes, self.limits.all_header_bytes, "bytes of header fields")

    def message(self) -> None:
        """Count a WebSocket message."""
        self._messages += 1
        _keep(self._messages, self.limits.messages, "WebSocket messages")

    def message_bytes(self, size: int) -> None:
        """Count bytes of WebSocket messages."""
        self._message_bytes += size
        _keep(self._message_bytes, self.limits.all_message_bytes, "bytes of WebSocket messages")


def _keep(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise Undecodable(f"limit: more than {limit} {what}")
