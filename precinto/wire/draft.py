"""One exchange while it is being read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from precinto.wire.bodies import GrowingBody
from precinto.wire.limits import Meter, Undecodable
from precinto.wire.websocket import WebSocket

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields, in their order and spelling."""


@dataclass
class Draft:
    """What is known of an exchange so far; the attributes are those of ``Exchange``.

    ``request_ended`` says that the request was sent whole; ``finished_at`` that the answer came whole.
    """

    stream: int | None
    method: str
    url: str
    request_headers: Fields
    request_body: GrowingBody
    response_body: GrowingBody
    started_at: datetime
    request_ended: bool = False
    status: int | None = None
    reason: bytes = b""
    response_headers: Fields = ()
    response_trailers: Fields = ()
    finished_at: datetime | None = None
    incomplete: str | None = None
    socket: WebSocket | None = None

    @property
    def open(self) -> bool:
        """Whether more may come."""
        return self.finished_at is None and self.incomplete is None

    @property
    def all_there(self) -> bool:
        """Whether all the bytes have come that the site announced for its answer's body (RFC 9110, 8.6)."""
        return field(self.response_headers, b"content-length") == b"%d" % self.response_body.size

    def finish(self, at: datetime) -> None:
        """The answer is whole."""
        if self.open:
            self.finished_at = at

    def cut(self, reason: str, at: datetime | None = None) -> None:
        """Nothing more comes. A socket that was closed by a message is whole all the same."""
        if self.open and at is not None and self.socket is not None and self.socket.closed:
            self.finished_at = at
        elif self.open:
            self.incomplete = reason
        if self.socket is not None:
            self.socket.end()

    def switch(self, meter: Meter) -> None:
        """The site has agreed to speak WebSocket from here on."""
        try:
            self.socket = WebSocket(field(self.response_headers, b"sec-websocket-extensions"), meter)
        except Undecodable as no:
            self.incomplete = str(no)

    def socket_data(self, sent: bool, data: bytes, at: datetime) -> None:
        """Bytes that passed on the socket; once it cannot be read, the rest is left."""
        if self.socket is None or not self.open:
            return
        try:
            self.socket.feed(sent, data, at)
        except Undecodable as no:
            self.cut(str(no))


def field(fields: Fields, name: bytes) -> bytes:
    """The value of a header field, given in lower case; several values joined by commas (RFC 9110, 5.3)."""
    return b", ".join(value for key, value in fields if key.lower() == name)
