"""Messages of the TLS handshake (RFC 8446, 4; RFC 5246, 7.4), as far as the decoder needs them.

Each function raises ``Undecodable`` where a message is not what it says it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from precinto.wire.inflation import inflate
from precinto.wire.limits import Undecodable

CLIENT_HELLO = 1
SERVER_HELLO = 2
END_OF_EARLY_DATA = 5
ENCRYPTED_EXTENSIONS = 8
CERTIFICATE = 11
SERVER_KEY_EXCHANGE = 12
CERTIFICATE_VERIFY = 15
FINISHED = 20
KEY_UPDATE = 24
COMPRESSED_CERTIFICATE = 25
MESSAGE_HASH = 254

_NAME, _PROTOCOLS, _EARLY_DATA, _VERSIONS = 0, 16, 42, 43
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446, 4.1.3
_NAMED_CURVE = 3
_COMPRESSIONS = {1: "deflate", 2: "br", 3: "zstd"}


@dataclass(frozen=True)
class ClientHello:
    """What a browser proposes."""

    random: bytes
    sni: str | None
    early_data: bool


@dataclass(frozen=True)
class ServerHello:
    """What a site chooses; ``alpn`` comes here in TLS 1.2 only."""

    random: bytes
    suite: int
    version: int
    alpn: str | None

    @property
    def retry(self) -> bool:
        """Whether it asks for another hello instead."""
        return self.random == _RETRY


def client_hello(body: bytes) -> ClientHello:
    """Read a ClientHello."""
    cursor = _Cursor(body)
    cursor.take(2)
    random = cursor.take(32)
    for length_bytes in (1, 2, 1):  # session id, suites, compression methods
        cursor.vector(length_bytes)
    extensions = _extensions(cursor)
    sni = None
    if _NAME in extensions:
        names = _Cursor(_Cursor(extensions[_NAME]).vector(2))
        names.take(1)
        sni = names.vector(2).decode("latin-1")
    return ClientHello(random, sni, _EARLY_DATA in extensions)


def server_hello(body: bytes) -> ServerHello:
    """Read a ServerHello."""
    cursor = _Cursor(body)
    version = cursor.number(2)
    random = cursor.take(32)
    cursor.vector(1)
    suite = cursor.number(2)
    cursor.take(1)
    extensions = _extensions(cursor)
    if _VERSIONS in extensions:
        version = _Cursor(extensions[_VERSIONS]).number(2)
    return ServerHello(random, suite, version, _protocol(extensions))


def encrypted_extensions(body: bytes) -> tuple[str | None, bool]:
    """The protocol that the site chose (ALPN), and whether it takes early data."""
    extensions = _extensions(_Cursor(body))
    return _protocol(extensions), _EARLY_DATA in extensions


def certificates(body: bytes, *, tls13: bool) -> tuple[bytes, ...]:
    """The certificates of a Certificate message (DER), as sent."""
    cursor = _Cursor(body)
    if tls13:
        cursor.vector(1)
    chain: list[bytes] = []
    entries = _Cursor(cursor.vector(3))
    while entries.left:
        chain.append(entries.vector(3))
        if tls13:
            entries.vector(2)
    return tuple(chain)


def decompressed(body: bytes, limit: int) -> bytes:
    """The Certificate message inside a CompressedCertificate (RFC 8879), of which the limit is in bytes."""
    cursor = _Cursor(body)
    kind, size = cursor.number(2), cursor.number(3)
    data = cursor.vector(3)
    if size > limit:
        raise Undecodable(f"limit: a certificate message of {size} bytes")
    message = bytearray()
    for step in inflate(_COMPRESSIONS.get(kind, f"number {kind}"), [data]):
        message += step
        if len(message) > size:
            break
    if len(message) != size:
        raise Undecodable("the certificates are not as long as they say")
    return bytes(message)


def key_exchange(body: bytes) -> tuple[bytes, int, bytes]:
    """What a ServerKeyExchange signs, the scheme and the signature (RFC 8422, 5.4)."""
    cursor = _Cursor(body)
    if cursor.number(1) != _NAMED_CURVE:
        raise Undecodable("a key exchange by other means than a named curve")
    cursor.take(2)
    cursor.vector(1)
    signed = body[: len(body) - cursor.left]
    return signed, cursor.number(2), cursor.vector(2)


def certificate_verify(body: bytes) -> tuple[int, bytes]:
    """Scheme and signature of a CertificateVerify."""
    cursor = _Cursor(body)
    return cursor.number(2), cursor.vector(2)


def _extensions(cursor: _Cursor) -> Mapping[int, bytes]:
    found: dict[int, bytes] = {}
    if cursor.left:
        inside = _Cursor(cursor.vector(2))
        while inside.left:
            kind = inside.number(2)
            found[kind] = inside.vector(2)
    return found


def _protocol(extensions: Mapping[int, bytes]) -> str | None:
    if _PROTOCOLS not in extensions:
        return None
    return _Cursor(_Cursor(extensions[_PROTOCOLS]).vector(2)).vector(1).decode("latin-1")


class _Cursor:
    """Reads a message from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise Undecodable("a handshake message ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def vector(self, length_bytes: int) -> bytes:
        return self.take(self.number(length_bytes))
