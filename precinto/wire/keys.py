"""The session keys that a browser gave out (NSS key log), and what TLS makes of them (RFC 8446, 7; RFC 5246, 6.3)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KeyLog = Mapping[bytes, Mapping[str, bytes]]
"""Client random to label to secret."""

_CONNECTIONS = 100_000
_SECRET_BYTES = 64
_TAG_BYTES = 16


@dataclass(frozen=True)
class Suite:
    """A cipher suite that can be opened: its IANA name and its parts."""

    name: str
    aead: Callable[[bytes], AESGCM | ChaCha20Poly1305]
    key_bytes: int
    hash: type[hashes.SHA256] | type[hashes.SHA384]

    @property
    def explicit_nonce_bytes(self) -> int:
        """How much of the nonce TLS 1.2 sends with each record (RFC 5288, 3)."""
        return 8 if self.aead is AESGCM else 0


def _suites() -> Mapping[int, Suite]:
    aes128 = (AESGCM, 16, hashes.SHA256)
    aes256 = (AESGCM, 32, hashes.SHA384)
    chacha = (ChaCha20Poly1305, 32, hashes.SHA256)
    known = (
        (0x1301, "TLS_AES_128_GCM_SHA256", aes128),
        (0x1302, "TLS_AES_256_GCM_SHA384", aes256),
        (0x1303, "TLS_CHACHA20_POLY1305_SHA256", chacha),
        (0x009C, "TLS_RSA_WITH_AES_128_GCM_SHA256", aes128),
        (0x009D, "TLS_RSA_WITH_AES_256_GCM_SHA384", aes256),
        (0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", aes128),
        (0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", aes256),
        (0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", aes128),
        (0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", aes256),
        (0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", chacha),
        (0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", chacha),
    )
    return MappingProxyType({number: Suite(name, *parts) for number, name, parts in known})


SUITES = _suites()
"""By their number in the handshake."""


def read_key_log(text: bytes) -> KeyLog:
    """Read a key log: ``label random secret`` on each line, in hexadecimal; other lines are comments."""
    keys: dict[bytes, dict[str, bytes]] = {}
    for line in text.splitlines():
        words = line.split()
        if line.startswith(b"#") or len(words) != 3 or len(keys) > _CONNECTIONS:
            continue
        try:
            random, secret = bytes.fromhex(words[1].decode("ascii")), bytes.fromhex(words[2].decode("ascii"))
        except ValueError:
            continue
        if len(random) == 32 and 0 < len(secret) <= _SECRET_BYTES:
            keys.setdefault(random, {})[words[0].decode("latin-1")] = secret
    return keys


class Keys13:
    """Opens the records of one side under one secret of TLS 1.3.

    Attributes:
        opened: Records opened so far.
    """

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self.opened = 0
        self._suite = suite
        self._secret = secret
        self._aead = suite.aead(self._expanded(b"key", suite.key_bytes))
        self._iv = int.from_bytes(self._expanded(b"iv", 12), "big")

    def open(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Kind and content of a record (RFC 8446, 5.2).

        Raises:
            InvalidTag: It is damaged, or under another key.
        """
        if len(body) < _TAG_BYTES:
            raise InvalidTag
        content = self._aead.decrypt((self._iv ^ self.opened).to_bytes(12, "big"), body, head)
        self.opened += 1
        content = content.rstrip(b"\0")  # padding
        return (content[-1], content[:-1]) if content else (0, b"")

    def updated(self) -> Keys13:
        """The keys after a key update (RFC 8446, 7.2)."""
        return Keys13(self._suite, self._expanded(b"traffic upd", len(self._secret)))

    def _expanded(self, label: bytes, length: int) -> bytes:
        name = b"tls13 " + label
        info = struct.pack(">HB", length, len(name)) + name + b"\0"
        return HKDFExpand(self._suite.hash(), length, info).derive(self._secret)


class Keys12:
    """Opens the records of one side of TLS 1.2.

    Attributes:
        opened: Records opened so far.
    """

    def __init__(self, suite: Suite, master: bytes, randoms: bytes, *, sent: bool) -> None:
        """``randoms`` is the server's, then the client's."""
        self.opened = 0
        self._explicit = suite.explicit_nonce_bytes
        key, fixed = suite.key_bytes, 12 - suite.explicit_nonce_bytes
        block = _expanded12(suite, master, b"key expansion" + randoms, 2 * (key + fixed))
        first = 0 if sent else 1
        self._aead = suite.aead(block[first * key :][:key])
        self._iv = block[2 * key + first * fixed :][:fixed]

    def open(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Kind and content of a record (RFC 5246, 6.2.3.3; RFC 7905).

        Raises:
            InvalidTag: It is damaged, or under another key.
        """
        size = len(body) - self._explicit - _TAG_BYTES
        if size < 0:
            raise InvalidTag
        nonce = self._iv + body[: self._explicit]
        if not self._explicit:
            nonce = (int.from_bytes(nonce, "big") ^ self.opened).to_bytes(12, "big")
        data = struct.pack(">Q", self.opened) + head[:3] + struct.pack(">H", size)
        content = self._aead.decrypt(nonce, body[self._explicit :], data)
        self.opened += 1
        return head[0], content


def _expanded12(suite: Suite, secret: bytes, seed: bytes, length: int) -> bytes:
    """The pseudorandom function of TLS 1.2 (RFC 5246, 5)."""

    def mac(data: bytes) -> bytes:
        code = hmac.HMAC(secret, suite.hash())
        code.update(data)
        return code.finalize()

    made, link = b"", seed
    while len(made) < length:
        link = mac(link)
        made += mac(link + seed)
    return made[:length]
