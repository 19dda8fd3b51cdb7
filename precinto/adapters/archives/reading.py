"""The process that reads a record: ``python -I -m precinto.adapters.archives.reading <record> <folder> <bytes>``.

Reads the record within so many bytes of memory, writes ``FILES`` into the folder, and says on standard output what is
missing. Where the archive comes from is told on standard input, as JSON.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from precinto.domain.evidence import Missing, named
from precinto.domain.model import canonical_json
from precinto.wire.archive import Provenance, write_warc
from precinto.wire.exchanges import Decoded, Exchange, decode
from precinto.wire.wacz import Page, write_wacz

FILES = {
    "capture.wacz": "application/wacz",
    "exchanges.json": "application/json",
    "certificates.json": "application/json",
}
"""What is written, with its media type."""

_CPU_SECONDS = 150
_FILE_BYTES = 2**30
_TEXT = 2_000
_WHAT = 2_100


def main() -> None:
    """Read, write, answer."""
    for limit, value in (
        (resource.RLIMIT_AS, int(sys.argv[3])),
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    record, folder = Path(sys.argv[1]), Path(sys.argv[2])
    told: dict[str, Any] = json.load(sys.stdin)
    captured_at = datetime.fromisoformat(told.pop("captured_at"))
    provenance = Provenance(captured_at=captured_at, **told)
    with decode(record) as decoded:
        (folder / "exchanges.json").write_bytes(canonical_json({"exchanges": [_line(e) for e in decoded.exchanges]}))
        (folder / "certificates.json").write_bytes(canonical_json({"servers": list(_servers(decoded))}))
        warc = folder / "capture.warc.gz"
        write_warc(decoded, warc, provenance)
        write_wacz(warc, pages(decoded.exchanges), folder / "capture.wacz", provenance)
        warc.unlink()  # the WACZ holds it whole
        sys.stdout.write(json.dumps([one.model_dump() for one in named(_missing(decoded))]))


def pages(exchanges: Iterable[Exchange]) -> tuple[Page, ...]:
    """Where a replay can start: the documents that the browser itself went to."""
    found: dict[str, Page] = {}
    for one in exchanges:
        fields = {name.lower(): value for name, value in one.request_headers}
        whole = fields.get(b"sec-fetch-dest") == b"document" and fields.get(b"sec-fetch-mode") == b"navigate"
        if whole and one.status == 200:
            found.setdefault(one.url, Page(url=one.url, title=one.url[:_TEXT], at=one.started_at))
    return tuple(found.values())


def _line(one: Exchange) -> dict[str, Any]:
    """An exchange as ``exchanges.json`` lists it; bodies by size and SHA-256, as they were served."""
    return {
        "connection": one.connection,
        "stream": one.stream,
        "protocol": one.protocol,
        "address": one.address,
        "method": one.method[:100],
        "url": one.url[:_TEXT],
        "status": one.status,
        "started_at": one.started_at.isoformat(),
        "finished_at": one.finished_at.isoformat() if one.finished_at else None,
        "sent": {"bytes": one.request_body.size, "sha256": one.request_body.sha256},
        "received": {"bytes": one.response_body.size, "sha256": one.response_body.sha256},
        "messages": len(one.websocket),
        "incomplete": one.incomplete,
    }


def _servers(decoded: Decoded) -> Iterator[dict[str, Any]]:
    """Each TLS connection, with the certificates that the server showed on it."""
    for server in decoded.servers:
        yield {
            "connection": server.connection,
            "host": server.host,
            "port": server.port,
            "address": server.address,
            "sni": server.sni,
            "tls": server.version,
            "cipher": server.cipher,
            "alpn": server.alpn,
            "resumed": server.resumed,
            "early_data": server.early_data,
            "signature": server.signature,
            "chain": [base64.b64encode(certificate).decode() for certificate in server.chain],
        }


def _missing(decoded: Decoded) -> Iterator[Missing]:
    for one in decoded.exchanges:
        if one.incomplete:
            yield Missing(what=f"{one.method[:100]} {one.url}"[:_WHAT], reason=one.incomplete[:500])
    for problem in decoded.problems:
        what = f"connection {problem.connection} to {problem.host[:_TEXT]}"
        yield Missing(what=what, reason=problem.reason[:500])


if __name__ == "__main__":
    main()
