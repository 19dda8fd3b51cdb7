"""A capture's exchanges as WARC/1.1 (ISO 28500), the form that web archives keep: made anew from the wire record.

The same wire record gives the same file byte for byte (record ids come from digests, times from the wire), so that
anyone who has the record can make the archive again and compare. What a WARC cannot say in standard fields stands in
extension fields, which readers skip: ``Wire-Connection`` and ``Wire-Stream`` lead back to the packets, and
``Wire-Rendering`` names what had to be written otherwise than it was sent (``messages``).

Records, in this order: what made the file; each TLS connection, with the certificates it showed; each exchange
(response, request, WebSocket messages, what is missing of it); and what could not be decoded.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from warcio.recordloader import ArcWarcRecord
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from precinto.domain.model import canonical_json, digest
from precinto.wire import messages
from precinto.wire.exchanges import Decoded, Exchange, Server
from precinto.wire.messages import Head

_VERSION = "WARC/1.1"
_SPACE = uuid.UUID("6f1c9e3e-6f5b-5d0c-9b86-0f4f0c6a7a11")  # drawn once: the name space of our record ids
_PIECE = 2**18
_TRUNCATED = {"limit": "length", "still open": "time", "the connection": "disconnect", "reset": "disconnect"}
"""Why something is not whole, by the decoder's first words, in the standard's."""

Fields = list[tuple[str, str]]


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
    with path.open("xb") as file:
        archive = _Archive(file, provenance)
        servers = {server.connection: server for server in decoded.servers}
        began: dict[int, datetime] = {}
        for exchange in decoded.exchanges:
            first = began.get(exchange.connection, exchange.started_at)
            began[exchange.connection] = min(first, exchange.started_at)
        for server in decoded.servers:
            archive.server(server, began.get(server.connection, provenance.captured_at))
        for exchange in decoded.exchanges:
            archive.exchange(exchange, servers.get(exchange.connection))
        if decoded.problems:
            problems = [
                {"connection": problem.connection, "host": problem.host, "reason": problem.reason}
                for problem in decoded.problems
            ]
            archive.document("metadata", "urn:wire:problems", "application/json", problems, provenance.captured_at)


class _Archive:
    """A WARC that is being written."""

    def __init__(self, file: BinaryIO, provenance: Provenance) -> None:
        self._writer: Any = WARCWriter(file, gzip=True, warc_version=_VERSION)
        self._provenance = provenance
        self._count = 0
        self._certificates: set[str] = set()
        self._space = _SPACE
        self._information = self._describe()
        self._space = uuid.UUID(self._information[10:-1])

    def server(self, server: Server, at: datetime) -> None:
        """The TLS connection, then each certificate that no connection before it showed."""
        certificates = [digest(certificate) for certificate in server.chain]
        connection = {part.name: getattr(server, part.name) for part in fields(server) if part.name != "chain"}
        connection["certificates_sha256"] = certificates
        about = self.document(
            "metadata", f"urn:wire:connection:{server.connection}", "application/json", connection, at
        )
        for certificate, sha256 in zip(server.chain, certificates, strict=True):
            if sha256 in self._certificates:
                continue
            self._certificates.add(sha256)
            where = [("WARC-Target-URI", f"urn:certificate:sha256:{sha256}"), ("WARC-Concurrent-To", about)]
            self._add("resource", where, "application/pkix-cert", at, _Block.of(certificate))

    def exchange(self, exchange: Exchange, server: Server | None) -> None:
        """The response as far as it came, the request, WebSocket messages, and what else is to be said."""
        shared = _shared(exchange, server)
        missing = _missing(exchange)
        cut = [("WARC-Truncated", _truncated(missing))]
        concurrent: Fields = []
        head = messages.response(exchange)
        if head is not None:
            body = exchange.response_body
            block = _Block(head.text, body.open, body.size, body.sha256)
            about = [*shared, *(cut if body.truncated else []), *_rendering(head)]
            response = self._add("response", about, "application/http; msgtype=response", exchange.started_at, block)
            concurrent = [("WARC-Concurrent-To", response)]
        head = messages.request(exchange)
        body = exchange.request_body
        block = _Block(head.text, body.open, body.size, body.sha256)
        about = [*shared, *concurrent, *(cut if body.truncated else []), *_rendering(head)]
        request = self._add("request", about, "application/http; msgtype=request", exchange.started_at, block)
        concurrent = concurrent or [("WARC-Concurrent-To", request)]
        self._messages(exchange, concurrent)
        self._remarks(exchange, concurrent, missing)

    def document(self, kind: str, uri: str, media_type: str, value: object, at: datetime) -> str:
        """A record that we make ourselves, in JSON; returns its id."""
        return self._add(kind, [("WARC-Target-URI", uri)], media_type, at, _Block.of(canonical_json(value)))

    def _messages(self, exchange: Exchange, concurrent: Fields) -> None:
        """The WebSocket messages of an exchange, one a line; text where it is UTF-8, else base64."""
        if not exchange.websocket:
            return
        with tempfile.NamedTemporaryFile() as lines:
            for message in exchange.websocket:
                line = {
                    "at": _date(message.at),
                    "direction": message.direction,
                    "opcode": message.opcode,
                    "truncated": message.truncated,
                    **_payload(message.payload),
                }
                lines.write(canonical_json(line) + b"\n")
            lines.flush()
            block = _Block(b"", lambda: Path(lines.name).open("rb"), lines.tell())
            about = [("WARC-Target-URI", f"urn:wire:websocket:{concurrent[0][1][10:-1]}"), *concurrent]
            self._add("metadata", about, "application/x-ndjson", exchange.started_at, block)

    def _remarks(self, exchange: Exchange, concurrent: Fields, missing: str) -> None:
        """Why an exchange is not whole, and trailers, for which an HTTP message without chunks has no place."""
        lines = [b"incomplete: " + missing.encode()] if missing else []
        for name, value in exchange.response_trailers:
            lines.append(b"trailer: " + messages.field(name, value))
        if lines:
            block = _Block.of(b"".join(line + b"\r\n" for line in lines))
            about = [("WARC-Target-URI", messages.target_uri(exchange.url)), *concurrent]
            self._add("metadata", about, "application/warc-fields", exchange.started_at, block)

    def _describe(self) -> str:
        of = self._provenance
        lines = {
            "software": of.software,
            "format": "WARC file version 1.1",
            "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
            "isPartOf": f"{of.case}, attempt {of.attempt}",
            "vantage": of.vantage,
            "robots": "ignore",  # a person's browser does not ask for robots.txt, and this one stands for a person
            "description": of.description,
        }
        text = "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in lines.items())
        return self._add("warcinfo", [], "application/warc-fields", of.captured_at, _Block.of(text.encode()))

    def _add(self, kind: str, about: Fields, media_type: str, at: datetime, block: _Block) -> str:
        """Write a record; returns its id."""
        block_digest = block.digest()
        self._count += 1
        record = f"<urn:uuid:{uuid.uuid5(self._space, f'{self._count} {kind} {block_digest}')}>"
        digests = [("WARC-Block-Digest", f"sha256:{block_digest}")]
        if kind != "warcinfo":
            digests.append(("WARC-Payload-Digest", f"sha256:{block.payload or block_digest}"))
            digests.append(("WARC-Warcinfo-ID", self._information))
        head = [("WARC-Type", kind), ("WARC-Record-ID", record), ("WARC-Date", _date(at)), *about, *digests]
        # No HTTP headers are given: warcio would write them its own way, and these must stay as they were sent.
        headers = StatusAndHeaders("", head, protocol=_VERSION)
        with block.stream() as stream:
            written = ArcWarcRecord("warc", kind, headers, stream, None, media_type, block.size)
            self._writer.write_record(written)
        return record


class _Block:
    """The block of a record: a head that is in memory, then a body that need not be."""

    def __init__(self, head: bytes, body: Callable[[], BinaryIO], size: int, payload: str | None = None) -> None:
        self.size = len(head) + size
        self.payload = payload
        self._head = head
        self._body = body

    @classmethod
    def of(cls, content: bytes) -> _Block:
        """A block that is all in memory."""
        return cls(content, BytesIO, 0)

    def digest(self) -> str:
        """SHA-256 of the block, which is read once for it."""
        hashed = hashlib.sha256()
        with self._body() as body:
            stream = _Joined(self._head, body)
            while piece := stream.read(_PIECE):
                hashed.update(piece)
        return hashed.hexdigest()

    @contextmanager
    def stream(self) -> Generator[_Joined]:
        """The block from its beginning."""
        with self._body() as body:
            yield _Joined(self._head, body)


class _Joined:
    """Reads bytes in memory, then a stream."""

    def __init__(self, head: bytes, body: BinaryIO) -> None:
        self._head = BytesIO(head)
        self._body = body

    def read(self, size: int) -> bytes:
        return self._head.read(size) or self._body.read(size)


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


def _date(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
