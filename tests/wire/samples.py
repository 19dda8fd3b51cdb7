"""Exchanges as the decoder yields them, made by hand: what no real server would send can be among them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from precinto.wire.archive import Provenance
from precinto.wire.bodies import Body, Spool
from precinto.wire.exchanges import Decoded, Exchange, Problem, Server

AT = datetime(2026, 11, 25, 10, 30, 0, 123456, tzinfo=UTC)
PROVENANCE = Provenance(
    software="Precinto 0.1.0",
    case="ESP-2026-00017",
    attempt=1,
    vantage="madrid-1",
    captured_at=AT,
    description="A stream ripper, visited with a test address",
)


class Samples:
    """Makes exchanges, each a second after the one before."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._count = 0

    def body(self, content: bytes | Iterable[bytes] = b"", *, truncated: bool = False) -> Body:
        """A body in the spool."""
        body = self._spool.body()
        for part in [content] if isinstance(content, bytes) else content:
            body.write(part)
        return body.finish(truncated=truncated)

    def exchange(
        self,
        url: str = "https://ripper.example/",
        content: bytes | Iterable[bytes] = b"<h1>Ripper</h1>",
        *,
        headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"text/html"),),
        **different: object,
    ) -> Exchange:
        """A whole GET over HTTP/2, but for what is different."""
        at = AT + timedelta(seconds=self._count)
        self._count += 1
        authority = url.split("/")[2]
        plain: dict[str, object] = {
            "connection": 1,
            "stream": 2 * self._count - 1,
            "scheme": url.partition(":")[0],
            "host": authority,
            "port": 443,
            "address": "192.0.2.7",
            "protocol": "h2",
            "url": url,
            "method": "GET",
            "request_headers": ((b"user-agent", b"Mozilla/5.0"), (b"accept", b"*/*")),
            "request_body": self.body(),
            "status": 200,
            "reason": b"",
            "response_headers": headers,
            "response_trailers": (),
            "response_body": self.body(content),
            "started_at": at,
            "finished_at": at,
            "incomplete": None,
            "websocket": (),
        }
        return Exchange(**(plain | different))  # pyright: ignore[reportArgumentType]


def decoded(*exchanges: Exchange, servers: tuple[Server, ...] = (), problems: tuple[Problem, ...] = ()) -> Decoded:
    """What the decoder would say."""
    return Decoded(exchanges=exchanges, servers=servers, problems=problems)


def server(connection: int = 1, chain: tuple[bytes, ...] = (b"leaf", b"issuer")) -> Server:
    """A TLS connection; its certificates are not looked at, so any bytes do."""
    return Server(
        connection=connection,
        host="ripper.example",
        port=443,
        address="192.0.2.7",
        version="TLS 1.3",
        cipher="TLS_AES_128_GCM_SHA256",
        alpn="h2",
        chain=chain,
        sni="ripper.example",
    )
