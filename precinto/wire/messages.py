"""An exchange's messages in the form of HTTP/1.1, which is how web archives keep HTTP of every version.

Header fields stay as they were sent, in their order, also where they are not ASCII. Three things cannot:

- HTTP/2 has no start line; it is made of the pseudo fields, and ``Host`` of ``:authority`` (RFC 9113, 8.3.1).
- Bodies are kept without their transfer coding; ``Transfer-Encoding`` is renamed, or readers would look for chunks.
- HTTP/2 can carry line breaks in a field, and whoever runs a site decides what is in there: bytes that would end a
  name or a line are written as ``%XX``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from precinto.wire.draft import Fields
from precinto.wire.exchanges import Exchange

RENAMED = b"X-Orig-Transfer-Encoding"
"""What a ``Transfer-Encoding`` field is called once the body is without it."""

_IN_URIS = "!#$%&'()*+,-./:;=?@[]_~"  # RFC 3986, 2: what may stand there as it is, beside letters and digits
_NOT_IN_NAMES = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")  # RFC 9110, 5.6.2: token
_NOT_IN_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110, 5.5: field-content, and what older sites send

_UNCHUNKED = "transfer coding removed; Transfer-Encoding renamed to X-Orig-Transfer-Encoding"
_EXTENDED = "extended CONNECT (RFC 8441), its field :protocol left out: websocket"
_ESCAPED = "bytes that may not stand in a header written as %XX"


@dataclass(frozen=True)
class Head:
    """Start line and header fields, with the empty line that ends them.

    Attributes:
        text: The bytes.
        changes: What is written otherwise than it was sent, beside what the change of version demands.
    """

    text: bytes
    changes: tuple[str, ...]


def request(exchange: Exchange) -> Head:
    """The head of an exchange's request; its target in origin form (RFC 9112, 3.2.1)."""
    authority, slash, rest = target_uri(exchange.url).partition("://")[2].partition("/")
    target = f"{slash}{rest}" or "/"
    fields = exchange.request_headers
    if not any(name.lower() == b"host" for name, _ in fields):
        fields = ((b"Host", authority.encode()), *fields)
    changes = {_EXTENDED} if exchange.method == "CONNECT" else set[str]()
    return _head(f"{exchange.method} {target} HTTP/1.1".encode(errors="replace"), fields, changes)


def response(exchange: Exchange) -> Head | None:
    """The head of an exchange's response; None where no response came. HTTP/2 has no reason phrase."""
    if exchange.status is None:
        return None
    return _head(b"HTTP/1.1 %03d %s" % (exchange.status, exchange.reason), exchange.response_headers, set())


def target_uri(url: str) -> str:
    """A URL as it may stand in an archive: each byte that may not is ``%XX`` (a decoded URL has one character a byte).

    A WebSocket's opening handshake is HTTP (RFC 6455), and readers take it only as such.
    """
    scheme, colon, rest = url.partition(":")
    url = {"ws": "http", "wss": "https"}.get(scheme, scheme) + colon + rest
    return quote(url, _IN_URIS, "latin-1", "backslashreplace")


def field(name: bytes, value: bytes) -> bytes:
    """A header field as a line, without its end."""
    return _escaped(_NOT_IN_NAMES, name) + b": " + _escaped(_NOT_IN_VALUES, value)


def _head(start: bytes, fields: Fields, changes: set[str]) -> Head:
    lines = [_escaped(_NOT_IN_VALUES, start)]
    for name, value in fields:
        chunked = name.lower() == b"transfer-encoding"
        lines.append(field(RENAMED if chunked else name, value))
        if chunked:
            changes.add(_UNCHUNKED)
        elif lines[-1] != name + b": " + value:
            changes.add(_ESCAPED)
    return Head(b"\r\n".join([*lines, b"", b""]), tuple(sorted(changes)))


def _escaped(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    return pattern.sub(lambda found: b"%%%02X" % ord(found[0]), text)
