"""Makes wire records of talks: what each side says is given, the bytes in between are those of real libraries."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import trustme

from precinto.wire.exchanges import Decoded, Exchange, decode
from precinto.wire.limits import Limits
from precinto.wire.pcapng import WireRecorder

HOST = "flvto.biz"
ADDRESS = "93.184.216.34"
GET = b"GET / HTTP/1.1\r\nHost: flvto.biz\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Said = tuple[bool, bytes]
"""Who speaks (``True``: the browser), and what."""


def record(
    folder: Path,
    talk: Iterable[Said],
    key_log: bytes = b"",
    *,
    port: int = 80,
    closed: bool = True,
    reset: bool = False,
) -> Path:
    """A wire record of one connection."""
    path = folder / "wire.pcapng"
    recorder = WireRecorder(folder / "wire.spool")
    number = recorder.opened(HOST, port, ADDRESS)
    for sent, data in talk:
        (recorder.sent if sent else recorder.received)(number, data)
    if closed or reset:
        recorder.closed(number, reset=reset)
    recorder.finish(key_log, path)
    return path


def decoded(path: Path, limits: Limits = Limits()) -> tuple[Decoded, list[bytes]]:  # noqa: B008 - frozen
    """What a record says, and the body of each answer."""
    with decode(path, limits) as said:
        return said, [exchange.response_body.read() for exchange in said.exchanges]


def asked(said: Decoded) -> list[tuple[str, str, int | None, str | None]]:
    """Method, URL, status and what is missing, of each exchange."""
    return [(e.method, e.url, e.status, e.incomplete) for e in said.exchanges]


def field(exchange: Exchange, name: bytes) -> bytes:
    """A header field of the answer."""
    return dict(exchange.response_headers)[name]


@lru_cache(maxsize=4)
def _authority(key_type: trustme.KeyType) -> tuple[trustme.CA, trustme.LeafCert]:
    ca = trustme.CA(key_type=key_type)
    return ca, ca.issue_cert(HOST, key_type=key_type)


class Tls:
    """A browser and a site that speak TLS through memory: OpenSSL on both sides, every byte noted.

    Attributes:
        chunks: What passed.
        session: The browser's session, to be resumed by another.
    """

    def __init__(
        self,
        key_log: Path,
        *,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        ciphers: str = "",
        curve: str = "",
        protocols: Sequence[str] = ("http/1.1",),
        key_type: trustme.KeyType = trustme.KeyType.ECDSA,
        trusted: bool = True,
        after: Tls | None = None,
    ) -> None:
        ca, leaf = _authority(key_type)
        if after is None:
            browser, site = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            browser.minimum_version = browser.maximum_version = version
            browser.keylog_filename = str(key_log)
            browser.set_alpn_protocols(list(protocols))
            site.set_alpn_protocols(list(protocols))
            if trusted:
                ca.configure_trust(browser)
            leaf.configure_cert(site)
            if ciphers:
                browser.set_ciphers(ciphers)
                site.set_ciphers(ciphers)
            if curve:
                site.set_ecdh_curve(curve)
            self._contexts = browser, site
        else:
            self._contexts = after._contexts
        self.chunks: list[Said] = []
        self._wires = {sent: ssl.MemoryBIO() for sent in (True, False)}
        browser, site = self._contexts
        self._ends = {
            True: browser.wrap_bio(self._wires[False], self._wires[True], server_hostname=HOST,
                                   session=after.session if after else None),
            False: site.wrap_bio(self._wires[True], self._wires[False], server_side=True),
        }  # fmt: skip
        self._held = {True: b"", False: b""}
        self._shake()

    @property
    def session(self) -> ssl.SSLSession | None:
        client = self._ends[True]
        assert isinstance(client, ssl.SSLObject)
        return client.session

    @property
    def cipher(self) -> str:
        return (self._ends[True].cipher() or ("",))[0]

    def say(self, sent: bool, data: bytes) -> None:
        """One side says something, and the other hears it."""
        self._ends[sent].write(data)
        self._note(sent)
        heard = b""
        while len(heard) < len(data):
            heard += self._ends[not sent].read(2**16)
        assert heard == data

    def _shake(self) -> None:
        done: set[bool] = set()
        while len(done) < 2:
            for sent in (True, False):
                try:
                    self._ends[sent].do_handshake()
                    done.add(sent)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLCertVerificationError:
                    return self._note(sent)
                self._note(sent)
        for sent in (True, False):  # session tickets
            with suppress(ssl.SSLWantReadError):
                self._ends[sent].read(1)

    def _note(self, sent: bool) -> None:
        """Everything that a side put on the wire since, noted without taking it off."""
        wire = self._wires[sent]
        if data := wire.read():
            self.chunks.append((sent, data))
            wire.write(data)
