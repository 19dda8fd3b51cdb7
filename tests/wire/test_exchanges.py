"""A whole record decoded: held against the journal of the site that served it, against another tool, and damaged."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import shutil
import ssl
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.certificates import CertificateAuthority
from lab.showcase import H1_PORT, H2_PORT, Showcase, open_showcase
from precinto.wire.content import decoded_content
from precinto.wire.exchanges import decode
from precinto.wire.pcapng import WireRecorder
from tests.wire.relay import SEEN_AT, open_relay
from tests.wire.talk import GET, HOST, OK, Said, Tls, record
from tests.wire.test_http2 import Talk

NAMES = ("showcase.test", "frame.test")
GZIP = gzip.compress(b"hola " * 50, mtime=0)
ANSWERS = (
    OK,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(GZIP) + GZIP,
)


@dataclass(frozen=True)
class Visit:
    """The showcase as it was served, the record of a visit, and the certificate that it shows on each port."""

    site: Showcase
    record: Path
    certificates: dict[int, bytes]


@pytest.fixture(scope="module")
async def visit(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """The showcase, visited by a client of HTTP/2 and one of HTTP/1.1."""
    folder = tmp_path_factory.mktemp("visit")
    ca = CertificateAuthority(folder)
    async with open_showcase(ca, NAMES) as site:
        context = ssl.create_default_context(cafile=str(ca.pem))
        certificates = {port: await shown(site, port, context) for port in (H2_PORT, H1_PORT)}
        async with open_relay(folder, site.ports) as relay:
            context.keylog_filename = str(relay.key_log)
            for http2, port in ((True, ""), (False, f":{H1_PORT}")):
                async with httpx.AsyncClient(
                    http2=http2, verify=context, proxy=f"http://{relay.address}", trust_env=False
                ) as client:
                    base = f"https://{NAMES[0]}{port}"
                    await asyncio.gather(*(client.get(base + path) for path in sorted(site.files)))
                    await client.get(f"https://{NAMES[1]}{port}/missing")
                    await client.post(f"{base}/form", content=b"a=1&b=2")
                    await client.head(f"{base}/picture.png")
        return Visit(site, relay.record, certificates)


async def shown(site: Showcase, port: int, context: ssl.SSLContext) -> bytes:
    """The certificate that a visitor sees."""
    _, writer = await asyncio.open_connection(site.address, site.ports[port], ssl=context, server_hostname=NAMES[0])
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate


def test_every_request_that_arrived_is_there_once_and_as_it_was_served(visit: Visit) -> None:
    served = Counter(
        (hit.host, hit.path, hit.method, hit.protocol, hit.status, hit.sha256) for hit in visit.site.journal
    )
    with decode(visit.record) as said:
        found = Counter(
            (urlsplit(e.url).hostname, urlsplit(e.url).path, e.method, {"h2": "2"}.get(e.protocol, "1.1"), e.status,
             e.response_body.sha256) for e in said.exchanges
        )  # fmt: skip
        assert found == served
        assert len(found) == 2 * (len(visit.site.files) + 3)
        assert said.problems == ()
        assert {e.incomplete for e in said.exchanges} == {None}
        assert all(e.started_at <= (e.finished_at or e.started_at) for e in said.exchanges)
        starts = [e.started_at for e in said.exchanges]
        assert starts == sorted(starts)


def test_bodies_are_those_of_the_files(visit: Visit) -> None:
    with decode(visit.record) as said:
        for exchange in said.exchanges:
            path = urlsplit(exchange.url).path
            if exchange.method == "GET" and exchange.status == 200:
                assert exchange.response_body.read() == visit.site.files[path].body
                assert hashlib.sha256(exchange.response_body.read()).hexdigest() == exchange.response_body.sha256
        (compressed, _) = [e for e in said.exchanges if e.url.endswith("/text.gz")]
        assert decoded_content(compressed.response_body, "gzip", 10**6).data.startswith("Esta página".encode())
        (form, _) = [e for e in said.exchanges if e.method == "POST"]
        assert form.request_body.read() == b"a=1&b=2"


def test_servers_show_the_certificate_that_the_site_has(visit: Visit) -> None:
    with decode(visit.record) as said:
        shown = [server for server in said.servers if not server.resumed]
        assert {(server.port, server.chain[0]) for server in shown} == set(visit.certificates.items())
        assert {server.signature for server in shown} == {"ecdsa_secp256r1_sha256"}
        assert {(server.host, server.sni, server.port, server.alpn) for server in said.servers} == {
            (name, name, port, alpn) for name in NAMES for port, alpn in ((443, "h2"), (H1_PORT, "http/1.1"))
        }
        assert {server.address for server in said.servers} == {SEEN_AT}


def test_nothing_is_left_when_the_decoding_ends(visit: Visit) -> None:
    with decode(visit.record) as said:
        body = said.exchanges[0].response_body
        assert body.read(1)
    with pytest.raises(ValueError, match="closed"):
        body.read(1)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not on this machine (apt install tshark)")
def test_another_tool_sees_the_same_requests(visit: Visit) -> None:
    """tshark opens the record with the keys that are in it, and knows nothing of us."""
    names = ("http2.headers.method", "http2.headers.path", "http.request.method", "http.request.uri")
    fields = [word for name in names for word in ("-e", name)]
    command = [
        "tshark",
        "-r",
        str(visit.record),
        "-T",
        "fields",
        "-Y",
        "http.request or http2.headers.method",
        *fields,
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    seen: Counter[tuple[str, str]] = Counter()
    for methods, paths, method, path in (line.split("\t") for line in lines):
        seen.update(zip(methods.split(","), paths.split(","), strict=True) if methods else [(method, path)])
    with decode(visit.record) as said:
        assert seen == Counter((e.method, urlsplit(e.url).path) for e in said.exchanges)


def test_plain_requests_one_to_a_connection(tmp_path: Path) -> None:
    """As the guard carries them: each in a connection of its own, here two at a time."""
    recorder = WireRecorder(tmp_path / "spool")
    numbers = [recorder.opened(HOST, 80, SEEN_AT) for _ in range(2)]
    for number in numbers:
        recorder.sent(number, GET.replace(b"GET /", b"GET /%d" % number))
    for number in reversed(numbers):
        recorder.received(number, OK.replace(b"ok", b"%02d" % number))
        recorder.closed(number)
    recorder.finish(b"", tmp_path / "wire.pcapng")
    with decode(tmp_path / "wire.pcapng") as said:
        assert [(e.connection, e.url, e.response_body.read()) for e in said.exchanges] == [
            (1, f"http://{HOST}/1", b"01"),
            (2, f"http://{HOST}/2", b"02"),
        ]
        assert said.servers == ()


# ------------------------------------------------------------------------------------------------------------ damage

ANY = st.integers(min_value=0, max_value=10**6)
HARD = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def facts(path: Path) -> list[tuple[str, str, int | None, str | None, str]]:
    """What a record claims, with the digest of each answer that it calls whole."""
    with decode(path) as said:
        return [
            (e.method, e.url, e.status, e.incomplete, e.response_body.sha256 if e.incomplete is None else "")
            for e in said.exchanges
        ]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Said], bytes]:
    """A record of some exchanges over HTTP/1.1 and HTTP/2 in TLS; the chunks of the first; and the key log."""
    folder = tmp_path_factory.mktemp("original")
    key_log = folder / "keys.log"
    tls = Tls(key_log)
    for answer in ANSWERS:
        tls.say(True, GET)
        tls.say(False, answer)
    talk, h2 = Talk(), Tls(key_log, protocols=("h2",))
    for number in range(3):
        talk.answer(talk.ask(f"/{number}"), b"%d" % number * 100)
    for sent, data in talk.chunks:
        h2.say(sent, data)
    recorder = WireRecorder(folder / "spool")
    for chunks in (tls.chunks, h2.chunks):
        number = recorder.opened(HOST, 443, SEEN_AT)
        for sent, data in chunks:
            (recorder.sent if sent else recorder.received)(number, data)
        recorder.closed(number)
    recorder.finish(key_log.read_bytes(), folder / "wire.pcapng")
    assert len(facts(folder / "wire.pcapng")) == 6
    return (folder / "wire.pcapng").read_bytes(), tls.chunks, key_log.read_bytes()


def believable(claims: list[tuple[str, str, int | None, str | None, str]], truth: set[tuple[str, ...]]) -> bool:
    """Whether nothing is claimed that was not."""
    whole = {(method, url, str(status), sha256) for method, url, status, missing, sha256 in claims if missing is None}
    asked = {(method, url) for method, url, *_ in claims}
    return whole <= truth and asked <= {(fact[0], fact[1]) for fact in truth}


def truth(path: Path) -> set[tuple[str, ...]]:
    return {(method, url, str(status), sha256) for method, url, status, _, sha256 in facts(path)}


@given(place=ANY, bit=st.integers(min_value=0, max_value=7), cut=st.booleans())
@HARD
def test_a_damaged_record_invents_nothing(
    tmp_path: Path, original: tuple[bytes, list[Said], bytes], place: int, bit: int, cut: bool
) -> None:
    """Cut at any byte, or any bit of it flipped."""
    path = tmp_path / "wire.pcapng"
    path.write_bytes(original[0])
    known = truth(path)
    content = bytearray(original[0])
    place %= len(content)
    content[place] ^= 1 << bit
    path.write_bytes(content[:place] if cut else content)
    assert believable(facts(path), known)


@given(chunk=ANY, place=ANY, bit=st.integers(min_value=0, max_value=7), cut=st.booleans())
@HARD
def test_bytes_that_were_changed_on_their_way_invent_nothing(
    tmp_path: Path, original: tuple[bytes, list[Said], bytes], chunk: int, place: int, bit: int, cut: bool
) -> None:
    """The record is sound, the TLS in it is not: every record of TLS is under a seal of its own."""
    _, chunks, key_log = original
    known = truth(record(tmp_path, chunks, key_log, port=443))
    talk = list(chunks)
    sent, data = talk[chunk % len(talk)]
    place %= len(data)
    changed = data[:place] if cut else data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
    talk[chunk % len(talk)] = sent, changed
    assert believable(facts(record(tmp_path, talk, key_log, port=443)), known)


UPGRADE = b"Connection: upgrade\r\nUpgrade: websocket\r\n"
CLEAR = [
    (GET, b"HTTP/1.1 200 OK\r\n"),
    (
        GET[:-2] + UPGRADE + b"\r\n",
        b"HTTP/1.1 101 X\r\n" + UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    ),
    (Talk().chunks[0][1], b"\0\0\0\4\0\0\0\0\0"),
]
SECURE = [
    (b"\x16\3\1", b"\x16\3\3"),
    (b"\x16\3\1\0\x7a\1\0\0\x76\3\3", b"\x16\3\3\0\x7a\2\0\0\x76\3\3"),
]


@pytest.mark.parametrize("secure", [True, False], ids=["tls", "clear"])
@given(data=st.data())
@HARD
def test_whatever_is_sent_is_decoded_or_told(tmp_path: Path, secure: bool, data: st.DataObject) -> None:
    """Junk that begins as TLS, HTTP/1.1, HTTP/2 or WebSocket begins."""
    asks, answers = data.draw(st.sampled_from(SECURE if secure else CLEAR))
    junk = st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=6)
    talk = [(True, asks), (False, answers), *((sent, piece) for sent, piece in data.draw(junk) if piece)]
    facts(record(tmp_path, talk, port=443 if secure else 80))
