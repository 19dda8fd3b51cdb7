"""The WARC: what was exchanged is in it as it was served, it says what is missing, and hostile parts break nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from precinto.wire.archive import write_warc
from precinto.wire.bodies import Spool
from precinto.wire.exchanges import Decoded, Exchange, Problem, decode
from precinto.wire.pcapng import WireRecorder
from precinto.wire.websocket import Message
from tests.wire.samples import AT, PROVENANCE, Samples, decoded, server


@pytest.fixture
def samples() -> Iterator[Samples]:
    """Makes exchanges."""
    with Spool() as spool:
        yield Samples(spool)


class Record:
    """A record as another program reads it."""

    def __init__(self, record: Any) -> None:
        self.kind: str = record.rec_type
        self.head: list[tuple[str, str]] = record.rec_headers.headers
        self.http: Any = record.http_headers
        self.body: bytes = record.raw_stream.read()

    def __getitem__(self, name: str) -> str:
        return next(value for key, value in self.head if key == name)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.head if key == name]


def written(what: Decoded, folder: Path) -> list[Record]:
    """The records of the WARC that these exchanges make."""
    path = folder / "data.warc.gz"
    path.unlink(missing_ok=True)
    write_warc(what, path, PROVENANCE)
    with path.open("rb") as file:
        return [Record(record) for record in ArchiveIterator(file, check_digests="raise")]


def written_of(exchange: Exchange, folder: Path) -> dict[str, Record]:
    """The records of one exchange, by kind; of metadata in another form also by their media type."""
    records = written(decoded(exchange), folder)
    return {record.kind: record for record in records} | {
        f"{record.kind}: {record['Content-Type']}": record for record in records
    }


def test_the_first_record_says_what_made_the_file_and_for_which_case(tmp_path: Path) -> None:
    (first,) = written(decoded(), tmp_path)
    assert first.kind == "warcinfo"
    assert first["WARC-Date"] == "2026-11-25T10:30:00.123456Z"
    assert first.body.decode().splitlines() == [
        "software: Precinto 0.1.0",
        "format: WARC file version 1.1",
        "conformsTo: http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        "isPartOf: ESP-2026-00017, attempt 1",
        "vantage: madrid-1",
        "robots: ignore",
        "description: A stream ripper, visited with a test address",
    ]


def test_an_http_2_exchange_is_written_as_http_1_1_and_says_so(tmp_path: Path, samples: Samples) -> None:
    """Fields keep their order and spelling; the pseudo fields are in the start line and in Host."""
    exchange = samples.exchange(
        "https://ripper.example/convert?v=1",
        b"{}",
        method="POST",
        request_headers=(
            (b"cookie", b"a=1"),
            (b"cookie", b"b=2"),
        ),
        request_body=samples.body(b"url=1"),
        response_headers=((b"set-cookie", b"x=1"), (b"content-type", b"application/json"), (b"set-cookie", b"y=2")),
    )
    records = {record.kind: record for record in written(decoded(exchange, servers=(server(),)), tmp_path)}
    request, response = records["request"], records["response"]
    assert request["WARC-Concurrent-To"] == response["WARC-Record-ID"]
    assert request.http.protocol == "POST"
    assert request.http.statusline == "/convert?v=1 HTTP/1.1"
    assert request.http.headers == [("Host", "ripper.example"), ("cookie", "a=1"), ("cookie", "b=2")]
    assert request.body == b"url=1"
    assert (response.http.protocol, response.http.statusline) == ("HTTP/1.1", "200")
    assert response.http.headers == [
        ("set-cookie", "x=1"),
        ("content-type", "application/json"),
        ("set-cookie", "y=2"),
    ]
    for record in request, response:
        assert record["WARC-Target-URI"] == "https://ripper.example/convert?v=1"
        assert record["WARC-IP-Address"] == "192.0.2.7"
        assert record.all("WARC-Protocol") == ["h2", "tls/1.3"]
        assert record["WARC-Cipher-Suite"] == "TLS_AES_128_GCM_SHA256"
        assert (record["Wire-Connection"], record["Wire-Stream"]) == ("1", "1")
        assert record["WARC-Warcinfo-ID"] == records["warcinfo"]["WARC-Record-ID"]


def test_a_body_is_kept_as_served_and_its_digest_is_that_of_sha256sum(tmp_path: Path, samples: Samples) -> None:
    content = bytes(range(256)) * 4_000
    response = written_of(
        samples.exchange("https://cdn.example/a.mp3", content, headers=((b"content-encoding", b"br"),)), tmp_path
    )["response"]
    assert response.body == content
    assert response["WARC-Payload-Digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    block = b"HTTP/1.1 200 \r\ncontent-encoding: br\r\n\r\n" + content
    assert response["WARC-Block-Digest"] == f"sha256:{hashlib.sha256(block).hexdigest()}"


def test_a_transfer_coding_that_is_gone_leaves_its_field_under_another_name(tmp_path: Path, samples: Samples) -> None:
    exchange = samples.exchange(
        content=b"5\r\nnot a chunk",
        headers=((b"Server", b"nginx"), (b"Transfer-Encoding", b"chunked"), (b"Connection", b"close")),
        protocol="http/1.1",
        stream=None,
        reason=b"Fine",
    )
    response = written_of(exchange, tmp_path)["response"]
    assert response.http.statusline == "200 Fine"
    assert [name for name, _ in response.http.headers] == ["Server", "X-Orig-Transfer-Encoding", "Connection"]
    assert response.body == b"5\r\nnot a chunk"
    assert response["Wire-Rendering"].startswith("transfer coding removed")


@pytest.mark.parametrize(
    ("incomplete", "truncated"),
    [
        ("reset by the browser", "disconnect"),
        ("the connection was cut", "disconnect"),
        ("limit: a body longer than 268435456 bytes", "length"),
        ("still open when the capture ended", "time"),
        ("the header fields cannot be read: no such index", "unspecified"),
    ],
)
def test_a_response_that_is_not_whole_says_why(
    tmp_path: Path, samples: Samples, incomplete: str, truncated: str
) -> None:
    body = samples.body(b"half of", truncated=True)
    records = written_of(samples.exchange(response_body=body, incomplete=incomplete, finished_at=None), tmp_path)
    assert records["response"].body == b"half of"
    assert records["response"]["WARC-Truncated"] == truncated
    assert records["metadata"].body.decode() == f"incomplete: {incomplete}\r\n"
    assert records["metadata"]["WARC-Concurrent-To"] == records["response"]["WARC-Record-ID"]


def test_a_request_without_an_answer_stands_alone_with_the_reason(tmp_path: Path, samples: Samples) -> None:
    exchange = samples.exchange(
        status=None, response_headers=(), incomplete="the connection was cut", finished_at=None
    )
    records = written_of(exchange, tmp_path)
    assert "response" not in records
    assert records["metadata"]["WARC-Concurrent-To"] == records["request"]["WARC-Record-ID"]
    assert records["metadata"].body == b"incomplete: the connection was cut\r\n"


def test_trailers_have_a_record_of_their_own(tmp_path: Path, samples: Samples) -> None:
    records = written_of(samples.exchange(response_trailers=((b"grpc-status", b"0\r\n"),)), tmp_path)
    assert records["metadata"].body == b"trailer: grpc-status: 0%0D%0A\r\n"


def test_each_connection_is_described_and_each_certificate_kept_once(tmp_path: Path, samples: Samples) -> None:
    servers = (server(1, (b"leaf", b"issuer")), server(2, (b"other", b"issuer")), server(3, ()))
    later = samples.exchange(connection=2, started_at=AT + timedelta(minutes=5))
    records = written(decoded(later, servers=servers), tmp_path)
    connections = {record["WARC-Target-URI"]: record for record in records if record.kind == "metadata"}
    assert list(connections) == [f"urn:wire:connection:{number}" for number in (1, 2, 3)]
    second = connections["urn:wire:connection:2"]
    assert second["WARC-Date"] == "2026-11-25T10:35:00.123456Z"
    assert json.loads(second.body) == {
        "connection": 2,
        "host": "ripper.example",
        "port": 443,
        "address": "192.0.2.7",
        "version": "TLS 1.3",
        "cipher": "TLS_AES_128_GCM_SHA256",
        "alpn": "h2",
        "sni": "ripper.example",
        "resumed": False,
        "early_data": False,
        "signature": None,
        "chain": [hashlib.sha256(part).hexdigest() for part in (b"other", b"issuer")],
    }
    certificates = [record for record in records if record.kind == "resource"]
    assert [certificate.body for certificate in certificates] == [b"leaf", b"issuer", b"other"]
    assert certificates[0]["Content-Type"] == "application/pkix-cert"
    assert certificates[0]["WARC-Target-URI"].endswith(hashlib.sha256(b"leaf").hexdigest())


def test_websocket_messages_follow_the_handshake_that_opened_them(tmp_path: Path, samples: Samples) -> None:
    exchange = samples.exchange(
        "wss://chat.example/live",
        b"",
        method="CONNECT",
        incomplete="still open when the capture ended",
        websocket=(
            Message("sent", "text", "¿qué?".encode(), AT),
            Message("received", "binary", b"\xff\x00", AT + timedelta(seconds=1)),
        ),
    )
    records = written_of(exchange, tmp_path)
    assert records["response"]["WARC-Target-URI"] == "https://chat.example/live"
    assert not records["response"].all("WARC-Truncated")
    assert records["request"].http.statusline == "/live HTTP/1.1"
    assert records["request"]["Wire-Rendering"].startswith("extended CONNECT")
    messages = records["metadata: application/x-ndjson"]
    assert records["metadata"].body == b"incomplete: still open when the capture ended\r\n"
    assert messages["WARC-Concurrent-To"] == records["response"]["WARC-Record-ID"]
    assert [json.loads(line) for line in messages.body.splitlines()] == [
        {
            "at": "2026-11-25T10:30:00.123456Z",
            "direction": "sent",
            "opcode": "text",
            "truncated": False,
            "text": "¿qué?",
        },
        {
            "at": "2026-11-25T10:30:01.123456Z",
            "direction": "received",
            "opcode": "binary",
            "truncated": False,
            "base64": "/wA=",
        },
    ]


def test_what_could_not_be_decoded_is_listed_last(tmp_path: Path) -> None:
    last = written(decoded(problems=(Problem(7, "cdn.example", "no key"),)), tmp_path)[-1]
    assert last["WARC-Target-URI"] == "urn:wire:problems"
    assert json.loads(last.body) == [{"connection": 7, "host": "cdn.example", "reason": "no key"}]


def test_the_same_exchanges_make_the_same_file_and_others_make_another(tmp_path: Path, samples: Samples) -> None:
    """So that whoever has the wire record can make the archive again, and compare."""
    exchanges = decoded(samples.exchange(), samples.exchange("https://ripper.example/2"), servers=(server(),))
    files = [tmp_path / name for name in ("first", "again", "other")]
    write_warc(exchanges, files[0], PROVENANCE)
    write_warc(exchanges, files[1], PROVENANCE)
    write_warc(exchanges, files[2], replace(PROVENANCE, attempt=2))
    assert files[0].read_bytes() == files[1].read_bytes()
    ids = [_ids(file) for file in files]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]


def test_whoever_has_the_wire_record_can_make_the_archive_again(tmp_path: Path) -> None:
    """From the packets on: another decoding, another temporary file, the same archive."""
    recorder = WireRecorder(tmp_path / "spool")
    one, two = recorder.opened("site.example", 80, "192.0.2.7"), recorder.opened("cdn.example", 80, "192.0.2.8")
    recorder.sent(one, b"GET /a HTTP/1.1\r\nHost: site.example\r\n\r\n")
    recorder.sent(two, b"GET /b HTTP/1.1\r\nHost: cdn.example\r\n\r\n")
    recorder.received(two, b"HTTP/1.1 200 Fine\r\nContent-Length: 100\r\n\r\nhalf")
    recorder.received(one, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n")
    recorder.closed(one)
    recorder.closed(two, reset=True)
    recorder.finish(b"", tmp_path / "wire.pcapng")
    for name in ("first", "again"):
        with decode(tmp_path / "wire.pcapng") as read:
            write_warc(read, tmp_path / name, PROVENANCE)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    with (tmp_path / "first").open("rb") as file:
        whole, _, half, *_ = [Record(record) for record in ArchiveIterator(file) if record.rec_type != "warcinfo"]
    assert (whole["WARC-Target-URI"], whole.body) == ("http://site.example/a", b"whole")
    assert (half["WARC-Target-URI"], half.body) == ("http://cdn.example/b", b"half")
    assert half["WARC-Truncated"] == "disconnect"


def test_no_file_is_written_over(tmp_path: Path) -> None:
    written(decoded(), tmp_path)
    with pytest.raises(FileExistsError):
        write_warc(decoded(), tmp_path / "data.warc.gz", PROVENANCE)


def test_a_line_break_in_a_field_forges_neither_a_field_nor_a_record(tmp_path: Path, samples: Samples) -> None:
    """HTTP/2 can carry it. The bytes are written so that they can be told, and the record says that they are."""
    forged = b"a\r\n\r\nbody\r\n\r\nWARC/1.1\r\nWARC-Type: response\r\n"
    exchange = samples.exchange(
        "https://evil.example/\r\nWARC-Type: resource\r\nX: <ñ>",
        b"true body",
        response_headers=((b"x\r\nforged: 1", b"1"), (b"note", forged), (b"latin", b"a\xf1o"), (b"", b"no name")),
    )
    records = written(decoded(exchange), tmp_path)
    assert [record.kind for record in records] == ["warcinfo", "response", "request"]
    response = records[1]
    assert response["WARC-Target-URI"] == ("https://evil.example/%0D%0AWARC-Type:%20resource%0D%0AX:%20%3C%F1%3E")
    assert response.body == b"true body"
    assert [name for name, _ in response.http.headers] == ["x%0D%0Aforged%3A%201", "note", "latin", ""]
    assert response.http.get_header("latin") == "año"
    assert response["Wire-Rendering"] == "bytes that may not stand in a header written as %XX"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    url=st.text(st.characters(max_codepoint=0x17F, categories=None), max_size=40),
    method=st.text(st.characters(max_codepoint=0x7F), min_size=1, max_size=10),
    fields=st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=30)), max_size=5),
    content=st.binary(max_size=200),
    reason=st.binary(max_size=20),
)
def test_whatever_was_sent_every_record_can_be_read_and_its_digests_hold(
    tmp_path: Path, url: str, method: str, fields: list[tuple[bytes, bytes]], content: bytes, reason: bytes
) -> None:
    with Spool() as spool:
        samples = Samples(spool)
        exchange = samples.exchange(
            "https://evil.example/" + url,
            content,
            method=method,
            request_headers=tuple(fields),
            response_headers=tuple(fields),
            reason=reason,
        )
        records = written(decoded(exchange, samples.exchange()), tmp_path)
    assert [record.kind for record in records] == ["warcinfo", "response", "request", "response", "request"]
    assert records[1].body == content


def test_warcio_checks_all_digests(tmp_path: Path, samples: Samples) -> None:
    """The program that any archive has; and it finds one flipped bit."""
    path = tmp_path / "data.warc.gz"
    write_warc(decoded(samples.exchange(), servers=(server(),)), path, PROVENANCE)
    assert _check(path).returncode == 0
    plain = tmp_path / "data.warc"
    content = gzip.decompress(path.read_bytes())
    plain.write_bytes(content.replace(b"<h1>Ripper</h1>", b"<h1>Rapper</h1>"))
    assert _check(plain).returncode == 1


def test_a_large_body_passes_through_little_memory(tmp_path: Path, samples: Samples) -> None:
    part = b"\x00" * 2**20
    exchange = samples.exchange("https://cdn.example/film", (part for _ in range(100)))
    tracemalloc.start()
    try:
        write_warc(decoded(exchange), tmp_path / "data.warc.gz", PROVENANCE)
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()


def _ids(path: Path) -> set[str]:
    with path.open("rb") as file:
        return {record.rec_headers.get_header("WARC-Record-ID") for record in ArchiveIterator(file)}


def _check(path: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "warcio.cli", "check", path], check=False, capture_output=True)
