"""TLS opened with the browser's keys: OpenSSL speaks, in memory or as a program, and what passed is decoded."""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator
from pathlib import Path

import brotli
import pytest
import trustme
import zstandard

from lab.certificates import CertificateAuthority
from lab.showcase import H1_PORT, Showcase, open_showcase
from precinto.wire.handshake import decompressed
from precinto.wire.keys import read_key_log
from precinto.wire.limits import Limits, Undecodable
from tests.wire.relay import Relay, open_relay
from tests.wire.talk import GET, HOST, OK, Tls, asked, decoded, record

RSA, ECDSA = trustme.KeyType.RSA, trustme.KeyType.ECDSA
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
WHOLE = [("GET", f"https://{HOST}/", 200, None)]
TLS12_SUITES = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", ECDSA, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ecdsa_secp256r1_sha256"),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", ECDSA, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ecdsa_secp256r1_sha256"),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        ECDSA,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ecdsa_secp256r1_sha256",
    ),
    ("ECDHE-RSA-AES128-GCM-SHA256", RSA, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "rsa_pss_rsae_sha256"),
    ("ECDHE-RSA-AES256-GCM-SHA384", RSA, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "rsa_pss_rsae_sha256"),
    ("ECDHE-RSA-CHACHA20-POLY1305", RSA, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "rsa_pss_rsae_sha256"),
    ("AES128-GCM-SHA256", RSA, "TLS_RSA_WITH_AES_128_GCM_SHA256", None),
]


@pytest.fixture
def key_log(tmp_path: Path) -> Path:
    """Where OpenSSL writes the keys."""
    return tmp_path / "keys.log"


def visited(tls: Tls) -> Tls:
    """A talk in which the browser has asked for a page and got it."""
    tls.say(True, GET)
    tls.say(False, OK)
    return tls


@pytest.mark.parametrize(("cipher", "key_type", "name", "signature"), TLS12_SUITES, ids=[s[0] for s in TLS12_SUITES])
def test_tls_1_2(
    tmp_path: Path, key_log: Path, cipher: str, key_type: trustme.KeyType, name: str, signature: str | None
) -> None:
    tls = visited(Tls(key_log, version=TLS12, ciphers=cipher, key_type=key_type))
    said, bodies = decoded(record(tmp_path, tls.chunks, key_log.read_bytes(), port=443))
    (server,) = said.servers
    assert (server.version, server.cipher, server.signature) == ("TLS 1.2", name, signature)
    assert (server.alpn, server.sni, len(server.chain)) == ("http/1.1", HOST, 1)
    assert (asked(said), bodies, said.problems) == (WHOLE, [b"ok"], ())


@pytest.mark.parametrize("key_type", [RSA, ECDSA], ids=["rsa", "ecdsa"])
@pytest.mark.parametrize("curve", ["", "secp384r1"], ids=["at once", "hello retried"])
def test_tls_1_3(tmp_path: Path, key_log: Path, curve: str, key_type: trustme.KeyType) -> None:
    """With a curve that the browser has not guessed, the site asks for another hello."""
    tls = visited(Tls(key_log, curve=curve, key_type=key_type))
    said, bodies = decoded(record(tmp_path, tls.chunks, key_log.read_bytes(), port=443))
    (server,) = said.servers
    assert (server.version, server.alpn, server.sni, len(server.chain)) == ("TLS 1.3", "http/1.1", HOST, 1)
    assert server.signature == ("rsa_pss_rsae_sha256" if key_type is RSA else "ecdsa_secp256r1_sha256")
    assert (asked(said), bodies, said.problems) == (WHOLE, [b"ok"], ())


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_resumed_session_shows_no_certificate_and_says_so(
    tmp_path: Path, key_log: Path, version: ssl.TLSVersion
) -> None:
    first = visited(Tls(key_log, version=version))
    again = visited(Tls(key_log, after=first))
    said, bodies = decoded(record(tmp_path, again.chunks, key_log.read_bytes(), port=443))
    (server,) = said.servers
    assert (server.resumed, server.chain, server.signature) == (True, (), None)
    assert (asked(said), bodies, said.problems) == (WHOLE, [b"ok"], ())


def test_a_hello_in_many_pieces(tmp_path: Path, key_log: Path) -> None:
    """A browser's hello with keys of post-quantum size comes in several segments; here in single bytes."""
    tls = visited(Tls(key_log))
    pieces = [(sent, data[i : i + 1]) for sent, data in tls.chunks for i in range(len(data))]
    said, _ = decoded(record(tmp_path, pieces, key_log.read_bytes(), port=443))
    assert (asked(said), said.problems) == (WHOLE, ())


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_without_keys_the_site_is_named_and_nothing_is_opened(
    tmp_path: Path, key_log: Path, version: ssl.TLSVersion
) -> None:
    tls = visited(Tls(key_log, version=version))
    said, _ = decoded(record(tmp_path, tls.chunks, b"", port=443))
    assert said.exchanges == ()
    assert [problem.reason.partition(":")[0] for problem in said.problems] == ["no key"]
    assert said.servers[0].sni == HOST
    assert len(said.servers[0].chain) == (1 if version is TLS12 else 0)  # TLS 1.2 shows it in the clear


def test_a_foreign_key_opens_nothing(tmp_path: Path, key_log: Path) -> None:
    tls = visited(Tls(key_log))
    foreign = b"\n".join(line[:-4] + b"0000" for line in key_log.read_bytes().splitlines())
    said, _ = decoded(record(tmp_path, tls.chunks, foreign, port=443))
    assert said.exchanges == ()
    assert "cannot be opened" in said.problems[0].reason


def test_a_changed_byte_ends_what_is_believed(tmp_path: Path, key_log: Path) -> None:
    tls = Tls(key_log)
    visited(tls)
    visited(tls)
    sent, data = tls.chunks[-1]
    tls.chunks[-1] = sent, data[:-1] + bytes([data[-1] ^ 1])
    said, bodies = decoded(record(tmp_path, tls.chunks, key_log.read_bytes(), port=443))
    assert bodies == [b"ok", b""]
    assert [status for _, _, status, _ in asked(said)] == [200, None]
    assert "damaged" in (said.exchanges[1].incomplete or "")


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_browser_that_refuses_the_certificate_is_told_of(
    tmp_path: Path, key_log: Path, version: ssl.TLSVersion
) -> None:
    tls = Tls(key_log, version=version, trusted=False)
    said, _ = decoded(record(tmp_path, tls.chunks, key_log.read_bytes(), port=443))
    assert [problem.reason for problem in said.problems] == ["alert by the browser: unknown_ca"]
    assert len(said.servers[0].chain) == 1


@pytest.mark.parametrize(
    ("number", "compress"),
    [(1, zlib.compress), (2, brotli.compress), (3, zstandard.ZstdCompressor().compress)],
    ids=["zlib", "brotli", "zstd"],
)
def test_compressed_certificates(number: int, compress: object) -> None:
    """RFC 8879; Chromium offers brotli."""
    message = b"\0" + b"certificate " * 300
    assert callable(compress)
    data = compress(message)

    def packed(size: int, body: bytes) -> bytes:
        return number.to_bytes(2, "big") + size.to_bytes(3, "big") + len(body).to_bytes(3, "big") + body

    assert decompressed(packed(len(message), data), 2**20) == message
    for size, body, limit in ((len(message) - 1, data, 2**20), (len(message), data[:-9], 2**20), (9999, data, 9998)):
        with pytest.raises(Undecodable):
            decompressed(packed(size, body), limit)


def test_a_key_log_with_junk_in_it() -> None:
    random, secret = "ab" * 32, "cd" * 48
    lines = ["# comment", "", "one two", f"LABEL {random} zz", f"LABEL {random} {'00' * 100}", f"SHORT 00 {secret}"]
    text = "\r\n".join([*lines, f"CLIENT_RANDOM {random} {secret}", "\xff\xfe\0"]).encode()
    assert read_key_log(text) == {bytes.fromhex(random): {"CLIENT_RANDOM": bytes.fromhex(secret)}}


def test_handshakes_are_bounded(tmp_path: Path, key_log: Path) -> None:
    tls = visited(Tls(key_log))
    path = record(tmp_path, tls.chunks, key_log.read_bytes(), port=443)
    for limits, word in ((Limits(handshake_bytes=200), "handshake"), (Limits(pieces=3), "pieces")):
        said, _ = decoded(path, limits)
        assert said.exchanges == ()
        assert said.problems[0].reason.startswith("limit:")
        assert word in said.problems[0].reason


# ------------------------------------------------------------------------------- what only the program openssl can do


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Showcase]:
    """The showcase."""
    async with open_showcase(
        CertificateAuthority(tmp_path_factory.mktemp("ca")), ["showcase.test", "frame.test"]
    ) as opened:
        yield opened


async def s_client(relay: Relay, *options: str, lines: list[str], port: int = H1_PORT) -> str:
    """Type requests and commands into ``openssl s_client``, each once the last has had its time."""
    command = ["openssl", "s_client", "-proxy", relay.address, "-connect", f"showcase.test:{port}",
               "-servername", "showcase.test", "-keylogfile", str(relay.key_log), "-crlf", *options]  # fmt: skip
    client = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert client.stdin is not None
    assert client.stdout is not None
    heard = b""
    async with asyncio.timeout(20):
        while b"Verify return code" not in heard:
            heard += await client.stdout.read(2**16)
        for line in [*lines, "Q"]:
            client.stdin.write(f"{line}\n".encode())
            await asyncio.sleep(0.2)
        heard += (await client.communicate())[0]
    return heard.decode("latin-1")


ASK = "GET /data.json HTTP/1.1\nHost: showcase.test\n"
ANSWER = b'{"from":"a worker"}'


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
async def test_each_suite_of_tls_1_3(tmp_path: Path, site: Showcase, suite: str) -> None:
    async with open_relay(tmp_path, site.ports) as relay:
        await s_client(relay, "-ciphersuites", suite, lines=[ASK])
    said, bodies = decoded(relay.record)
    assert (said.servers[0].cipher, bodies, said.problems) == (suite, [ANSWER], ())


async def test_key_updates_of_both_sides(tmp_path: Path, site: Showcase) -> None:
    """``k`` renews the keys of what the client sends, ``K`` those of both."""
    async with open_relay(tmp_path, site.ports) as relay:
        said_by_openssl = await s_client(relay, lines=[ASK, "k", ASK, "K", ASK, "K", ASK])
    assert said_by_openssl.count("KEYUPDATE") == 3
    said, bodies = decoded(relay.record)
    assert (bodies, said.problems) == ([ANSWER] * 4, ())


async def test_early_data(tmp_path: Path) -> None:
    """A request sent along with the hello (0-RTT): taken by the site; sent again with the same ticket, not taken."""
    certificate, session, early = tmp_path / "site.pem", tmp_path / "session.pem", tmp_path / "early.txt"
    leaf = trustme.CA().issue_cert("showcase.test")
    certificate.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    early.write_bytes(GET)
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(certificate), "-early_data", "-quiet",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert server.stdin is not None
    try:
        await listens(port)
        async with open_relay(tmp_path, {443: port}) as relay:
            await s_client(relay, "-sess_out", str(session), lines=[""], port=443)
            for _ in range(2):
                server.stdin.write(OK)
                await s_client(relay, "-sess_in", str(session), "-early_data", str(early), lines=[ASK], port=443)
    finally:
        server.terminate()
        await server.wait()
    said, _ = decoded(relay.record)
    assert [(s.early_data, s.resumed) for s in said.servers] == [(False, False), (True, True), (True, False)]
    assert [(e.connection, e.url) for e in said.exchanges] == [
        (2, f"https://{HOST}/"),
        (2, "https://showcase.test/data.json"),
        (3, "https://showcase.test/data.json"),
    ]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


async def listens(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                return writer.close()
