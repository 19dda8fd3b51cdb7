"""A capture's exchanges as WARC/1.1 (ISO 28500), the form that web archives keep: made anew from the wire record.

The same wire record gives the same file byte for byte, so that anyone who has the record can make the archive again
and compare (the gzip around it also needs the same zlib: ``tools``). What a WARC cannot say in standard fields stands
in extension fields, which readers skip: ``Wire-Connection`` and ``Wire-Stream`` lead back to the packets, and
``Wire-Rendering`` names what had to be written otherwise than it was sent (``messages``).

Records, in this order: what made the file; each TLS connection, with the certificates it showed; each exchange
(response, request, WebSocket messages, what is missing of it); and what could not be decoded.
"""

from __future__ import annotations

import base64
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from precinto.domain.model import canonical_json, digest
from precinto.wire import messages
from precinto.wire.exchanges import Decoded, Exchange, Problem, Server
from precinto.wire.messages import Head
from precinto.wire.records import Block, Fields, Records, date

_TRUNCATED = {"limit": "length", "still open": "time", "the connection": "disconnect", "reset": "disconnect"}
"""Why something is not whole, by the decoder's first words, in the standard's."""


@dataclass(frozen=True)
class Provenance:
    """Where an archive comes from; all of it stands in the bundle's manifest, so that the archive can be made again.

    Attributes:
        software: What made it, and its version.
        case: The case it was captured for.
        attempt: Which attempt, from 1.
        vantage: Where the capture was made from.
        captured_at: When the capture began.
        description: What was captured, in a sentence.
    """

    software: str
    case: str
    attempt: int
    vantage: str
    captured_at: datetime
    description: str


def write_warc(decoded: Decoded, path: Path, provenance: Provenance) -> None:
    """Write a new WARC, each record a gzip member of its own; bodies are streamed, little of them is in memory.

    Args:
        decoded: What the wire record says.
        path: The file to write; ``.warc.gz``.
        provenance: What the first record says of the file.

    Raises:
        FileExistsError: There is such a file.
    """
    began: dict[int, datetime] = {}
    for exchange in decoded.exchanges:
        began.setdefault(exchange.connection, exchange.started_at)
    with path.open("xb") as file:
        archive = _Archive(file, provenance)
        servers = {server.connection: server for server in decoded.servers}
        for server in decoded.servers:
            archive.server(server, began.get(server.connection, provenance.captured_at))
        for exchange in decoded.exchanges:
            archive.exchange(exchange, servers.get(exchange.connection))
        archive.problems(decoded.problems, provenance.captured_at)


def tools() -> dict[str, str]:
    """What the bytes of an archive depend on beside the wire record, name to version; for the manifest."""
    return {"warcio": version("warcio"), "zlib": zlib.ZLIB_RUNTIME_VERSION}


class _Archive:
    """A WARC that is being written."""

    def __init__(self, file: BinaryIO, provenance: Provenance) -> None:
        self._records = Records(file, _information(provenance), provenance.captured_at)
        self._certificates: set[str] = set()

    def server(self, server: Server, at: datetime) -> None:
        """The TLS connection, then each certificate that no connection before it showed."""
        certificates = [digest(certificate) for certificate in server.chain]
        connection = {**asdict(replace(server, chain=())), "chain": certificates}
        about = self._document(f"urn:wire:connection:{server.connection}", connection, at)
        for certificate, sha256 in zip(server.chain, certificates, strict=True):
            if sha256 in self._certificates:
                continue
            self._certificates.add(sha256)
            where = [("WARC-Target-URI", f"urn:certificate:sha256:{sha256}"), ("WARC-Concurrent-To", about)]
            self._records.add("resource", where, "application/pkix-cert", at, Block.of(certificate))

    def exchange(self, exchange: Exchange, server: Server | None) -> None:
        """The response as far as it came, the request, WebSocket messages, and what else is to be said."""
        shared = _shared(exchange, server)
        missing = _missing(exchange)
        cut = [("WARC-Truncated", _truncated(missing))]
        concurrent: Fields = []
        head = messages.response(exchange)
        if head is not None:
            body = exchange.response_body
            block = Block(head.text, body.open, body.size, body.sha256)
            about = [*shared, *(cut if body.truncated else []), *_rendering(head)]
            response = self._records.add(
                "response", about, "application/http; msgtype=response", exchange.started_at, block
            )
            concurrent = [("WARC-Concurrent-To", response)]
        head = messages.request(exchange)
        body = exchange.request_body
        block = Block(head.text, body.open, body.size, body.sha256)
        about = [*shared, *concurrent, *(cut if body.truncated else []), *_rendering(head)]
        request = self._records.add("request", about, "application/http; msgtype=request", exchange.started_at, block)
        concurrent = concurrent or [("WARC-Concurrent-To", request)]
        self._messages(exchange, concurrent)
        self._remarks(exchange, concurrent, missing)

    def problems(self, problems: Sequence[Problem], at: datetime) -> None:
        """What could not be decoded, if anything."""
        if problems:
            self._document("urn:wire:problems", [asdict(problem) for problem in problems], at)

    def _document(self, uri: str, value: object, at: datetime) -> str:
        """Something that we say ourselves; returns the record's id."""
        fields = [("WARC-Target-URI", uri)]
        return self._records.add("metadata", fields, "application/json", at, Block.of(canonical_json(value)))

    def _messages(self, exchange: Exchange, concurrent: Fields) -> None:
        """The WebSocket messages of an exchange, one a line; text where it is UTF-8, else base64."""
        if not exchange.websocket:
            return
        with tempfile.NamedTemporaryFile() as lines:
            for message in exchange.websocket:
                line = {
                    "at": date(message.at),
                    "direction": message.direction,
                    "opcode": message.opcode,
                    "truncated": message.truncated,
                    **_payload(message.payload),
                }
                lines.write(canonical_json(line) + b"\n")
            lines.flush()
            block = Block(b"", lambda: Path(lines.name).open("rb"), lines.tell())
            about = [("WARC-Target-URI", f"urn:wire:websocket:{concurrent[0][1][10:-1]}"), *concurrent]
            self._records.add("metadata", about, "application/x-ndjson", exchange.started_at, block)

    def _remarks(self, exchange: Exchange, concurrent: Fields, missing: str) -> None:
        """Why an exchange is not whole, and trailers, for which an HTTP message without chunks has no place."""
        lines = [b"incomplete: " + missing.encode()] if missing else []
        for name, value in exchange.response_trailers:
            lines.append(b"trailer: " + messages.field(name, value))
        if lines:
            block = Block.of(b"".join(line + b"\r\n" for line in lines))
            about = [("WARC-Target-URI", messages.target_uri(exchange.url)), *concurrent]
            self._records.add("metadata", about, "application/warc-fields", exchange.started_at, block)


def _information(of: Provenance) -> bytes:
    lines = {
        "software": of.software,
        "format": "WARC file version 1.1",
        "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        "isPartOf": f"{of.case}, attempt {of.attempt}",
        "vantage": of.vantage,
        "robots": "ignore",  # a person's browser does not ask for robots.txt, and this one stands for a person
        "description": of.description,
    }
    return "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in lines.items()).encode()


def _shared(exchange: Exchange, server: Server | None) -> Fields:
    """What a request and its response have in common."""
    shared = [
        ("WARC-Target-URI", messages.target_uri(exchange.url)),
        ("WARC-IP-Address", exchange.address),
        ("WARC-Protocol", exchange.protocol),
    ]
    if server is not None:
        shared.append(("WARC-Protocol", server.version.lower().replace(" ", "/")))
        shared.append(("WARC-Cipher-Suite", server.cipher))
    shared.append(("Wire-Connection", str(exchange.connection)))
    if exchange.stream is not None:
        shared.append(("Wire-Stream", str(exchange.stream)))
    return shared


def _truncated(missing: str) -> str:
    return next((token for words, token in _TRUNCATED.items() if missing.startswith(words)), "unspecified")


def _rendering(head: Head) -> Fields:
    return [("Wire-Rendering", change) for change in head.changes]


def _missing(exchange: Exchange) -> str:
    """Why there is no whole answer; empty where there is one."""
    if exchange.incomplete is None and exchange.response_body.truncated:
        return "the rest of the body is missing"
    return " ".join((exchange.incomplete or "").split())


def _payload(payload: bytes) -> dict[str, str]:
    try:
        return {"text": payload.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(payload).decode()}
