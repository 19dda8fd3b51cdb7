"""The handshake of one TLS connection: who took part, and which keys each side is under from when on."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes

from precinto.wire import handshake, signatures
from precinto.wire.handshake import ClientHello, ServerHello
from precinto.wire.keys import SUITES, KeyLog, Keys12, Keys13, Suite
from precinto.wire.limits import Limits, Undecodable

_TLS12, _TLS13 = 0x0303, 0x0304
_VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", _TLS12: "TLS 1.2", _TLS13: "TLS 1.3"}

NO_KEY = "no key: the browser gave out none for this connection"


class Session:
    """What the handshake has settled so far.

    Attributes:
        version: ``TLS 1.3`` or ``TLS 1.2``; None until the site has answered.
        cipher: IANA name of the cipher suite, or its number where it cannot be opened.
        alpn: Protocol that both agreed on.
        sni: Host name that the browser asked for.
        chain: The site's certificates (DER, leaf first), as sent; none where an earlier session was resumed.
        resumed: Whether an earlier session was resumed, in which no certificate is shown.
        early_offered: Whether the browser may send data along with its hello (0-RTT).
        settled: Whether it is known if the site takes such data.
        signature: Scheme of the site's signature over this handshake, which fits its certificate; None without one.
        problems: What is to be told beside.
        finished: Which sides (``True``: the browser) have ended their part of the handshake.
        keys: What each side is under now; None while it speaks in the clear.
    """

    def __init__(self, key_log: KeyLog, limits: Limits) -> None:
        self.version: str | None = None
        self.cipher = ""
        self.alpn: str | None = None
        self.sni: str | None = None
        self.chain: tuple[bytes, ...] = ()
        self.resumed = False
        self.early_offered = False
        self.settled = False
        self.signature: str | None = None
        self.problems: list[str] = []
        self.finished: set[bool] = set()
        self.keys: dict[bool, Keys12 | Keys13 | None] = {True: None, False: None}
        self._key_log = key_log
        self._limit = limits.handshake_bytes
        self._client: ClientHello | None = None
        self._server: ServerHello | None = None
        self._transcript = b""  # until the site has signed it
        self._changed: set[bool] = set()

    def message(self, sent: bool, message: bytes) -> None:
        """Take a handshake message, head included.

        Raises:
            Undecodable: From here on, nothing of the connection can be opened.
        """
        kind, body = message[0], message[4:]
        match kind, sent:
            case handshake.CLIENT_HELLO, True:
                self._hello(handshake.client_hello(body))
            case handshake.SERVER_HELLO, False:
                self._answered(handshake.server_hello(body))
            case handshake.ENCRYPTED_EXTENSIONS, False:
                self._agreed(body)
            case ((handshake.CERTIFICATE | handshake.COMPRESSED_CERTIFICATE), False):
                plain = body if kind == handshake.CERTIFICATE else handshake.decompressed(body, self._limit)
                self.chain = handshake.certificates(plain, tls13=self._tls13)
            case handshake.SERVER_KEY_EXCHANGE, False:
                self._signed_exchange(body)
            case handshake.CERTIFICATE_VERIFY, False:
                self._signed_transcript(body)
            case handshake.END_OF_EARLY_DATA, True:
                self.keys[True] = self._keys13("CLIENT_HANDSHAKE_TRAFFIC_SECRET")
            case handshake.FINISHED, _:
                self._finish(sent)
            case handshake.KEY_UPDATE, _ if isinstance(keys := self.keys[sent], Keys13):
                self.keys[sent] = keys.updated()
            case _:
                pass
        if not self.finished:
            self._transcript += message
            if len(self._transcript) > 2 * self._limit:
                raise Undecodable(f"limit: a handshake of more than {2 * self._limit} bytes")

    def change(self, sent: bool) -> None:
        """Take a ChangeCipherSpec, with which a side of TLS 1.2 goes over to its keys.

        Raises:
            Undecodable: As for ``message``.
        """
        if self._server is None or self._tls13:
            return  # TLS 1.3 sends it for show only (RFC 8446, D.4)
        if sent in self._changed:
            raise Undecodable("the keys were negotiated again, which is not decoded")
        self._changed.add(sent)
        self.resumed = self.resumed or not (sent or self.chain)
        master = self._key_log.get(self._random, {}).get("CLIENT_RANDOM")
        if master is None:
            raise Undecodable(NO_KEY)
        self.keys[sent] = Keys12(self._suite, master, self._server.random + self._random, sent=sent)

    def _hello(self, hello: ClientHello) -> None:
        if self._server is not None:
            raise Undecodable("the keys were negotiated again, which is not decoded")
        self._client, self.sni, self.early_offered = hello, hello.sni, hello.early_data

    def _answered(self, hello: ServerHello) -> None:
        self.version = _VERSIONS.get(hello.version, f"version {hello.version:#06x}")
        self.cipher = SUITES[hello.suite].name if hello.suite in SUITES else f"{hello.suite:#06x}"
        if self._client is None or self._server is not None:
            raise Undecodable("the handshake is out of order")
        if hello.version not in (_TLS12, _TLS13):
            raise Undecodable(f"{self.version} is not decoded")
        if hello.suite not in SUITES:
            raise Undecodable(f"cipher suite {self.cipher} is not decoded")
        if hello.retry:
            # The first hello counts as its hash from here on (RFC 8446, 4.4.1).
            hashed = _hash(SUITES[hello.suite], self._transcript)
            self._transcript = bytes([handshake.MESSAGE_HASH, 0, 0, len(hashed)]) + hashed
            return
        self._server, self.alpn = hello, hello.alpn
        if not self._tls13:
            self.settled = True
            return
        self.keys[True] = self._keys13("CLIENT_HANDSHAKE_TRAFFIC_SECRET")
        self.keys[False] = self._keys13("SERVER_HANDSHAKE_TRAFFIC_SECRET")

    def _agreed(self, body: bytes) -> None:
        self.alpn, early = handshake.encrypted_extensions(body)
        self.settled = True
        if not early:
            return
        if keys := self._keys13("CLIENT_EARLY_TRAFFIC_SECRET"):
            self.keys[True] = keys
        else:
            self.problems.append("early data was sent, for which there is no key")

    def _finish(self, sent: bool) -> None:
        if not self._tls13 or sent in self.finished:
            self.finished.add(sent)
            return
        self.finished.add(sent)
        self.resumed = self.resumed or not (sent or self.chain)
        self.keys[sent] = self._keys13("CLIENT_TRAFFIC_SECRET_0" if sent else "SERVER_TRAFFIC_SECRET_0")

    def _signed_exchange(self, body: bytes) -> None:
        if self._server is not None and not self._tls13:
            signed, scheme, signature = handshake.key_exchange(body)
            self._signed(scheme, signature, self._random + self._server.random + signed)

    def _signed_transcript(self, body: bytes) -> None:
        scheme, signature = handshake.certificate_verify(body)
        self._signed(scheme, signature, signatures.signed13(_hash(self._suite, self._transcript)))

    def _signed(self, scheme: int, signature: bytes, signed: bytes) -> None:
        self.signature = signatures.fits(self.chain[0], scheme, signature, signed) if self.chain else None
        if self.signature is None:
            self.problems.append(f"the site's signature (scheme {scheme:#06x}) does not fit its certificate")

    @property
    def _tls13(self) -> bool:
        return self._server is not None and self._server.version == _TLS13

    @property
    def _random(self) -> bytes:
        return self._client.random if self._client else b""

    @property
    def _suite(self) -> Suite:
        if self._server is None:
            raise Undecodable("the handshake is out of order")
        return SUITES[self._server.suite]

    def _keys13(self, label: str) -> Keys13 | None:
        """None for a secret that is not in the log: a browser that refuses the site never gets to the later ones."""
        secret = self._key_log.get(self._random, {}).get(label)
        return Keys13(self._suite, secret) if secret else None


def _hash(suite: Suite, data: bytes) -> bytes:
    hashing = hashes.Hash(suite.hash())
    hashing.update(data)
    return hashing.finalize()
