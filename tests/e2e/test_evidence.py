"""The showcase captured whole, over HTTP/2 and over HTTP/1.1: what the evidence says is held against what happened.

A real browser visits real servers. The site's own journal tells what it served, the site itself which certificates it
shows; a packet analyser and a player of other people say what they find in the files that the capture leaves.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shutil
import ssl
import subprocess
import zipfile
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from warcio.archiveiterator import ArchiveIterator

from lab.certificates import CertificateAuthority
from lab.showcase import H1_PORT, H2_PORT, LARGE_BYTES, RECIPE, Showcase, open_showcase
from precinto.adapters.archives.wire import WireArchiver
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.domain.evidence import Clock, Manifest
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.domain.recipes import RecipeBook
from precinto.ports import Archive, Capture, CapturedFile, Subject
from precinto.wire.exchanges import decode
from tests.adapters.crawlers.web.captures import ONLY_OPEN, own_temporary_folder, url
from tests.adapters.internet import names, response, web
from tests.wire.replay.player import player
from tests.wire.replay.setup import Missing, environment

pytestmark = pytest.mark.xdist_group("showcase")  # one capture of a kind for all of them

PAGE, FRAME = "showcase.example", "frame.example"
H2, H1 = f"https://{PAGE}", f"https://{PAGE}:{H1_PORT}"
NOTHING = hashlib.sha256(b"").hexdigest()

ONCE = (
    "/", "/page.js", "/picture.png", "/favicon.ico", "/worker.js", "/data.json", "/text.gz", "/text.br", "/old",
    "/new", "/form", "/live/master.m3u8", "/live/live.m3u8", *(f"/live/segment-{number}.ts" for number in range(4)),
    "/socket", "/large.bin",
)  # fmt: skip
"""What the page asks its own host for; beside that, a frame of another host, and three things over HTTP/1.1."""

LIVE = tuple(path for path in ONCE if path.startswith("/live/"))
OVER_H1 = ("/socket", "/data.json", "/large.bin")


@dataclass(frozen=True)
class Shown:
    """A capture of the showcase, and what really happened.

    Attributes:
        origin: Where the page was.
        site: The site, with its journal of this visit alone.
        chains: The certificates that it shows at each port, DER, its own first.
        subject, started, capture, archive, folder: What was captured, when, and what came of it.
    """

    origin: str
    site: Showcase
    chains: dict[int, list[bytes]]
    subject: Subject
    started: datetime
    capture: Capture
    archive: Archive
    folder: Path

    def facts(self, name: str) -> Any:
        """A JSON file of the capture."""
        return json.loads((self.folder / name).read_bytes())

    @property
    def exchanges(self) -> list[dict[str, Any]]:
        """What ``exchanges.json`` lists."""
        return self.facts("exchanges.json")["exchanges"]

    @property
    def record(self) -> Path:
        """The wire record."""
        return self.folder / "wire.pcapng"


@pytest.fixture(scope="module", params=[H2, H1], ids=["h2", "h1"])
async def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Shown]:
    """A capture, made as the evidence stage makes it."""
    folder, ca = tmp_path_factory.mktemp("capture"), CertificateAuthority(tmp_path_factory.mktemp("ca"))
    subject = Subject(case="case-1", target=normalise(TargetKind.URL, f"{request.param}/"), service=Service.OTHER)
    with own_temporary_folder():
        async with names() as resolver, open_showcase(ca, [PAGE, FRAME]) as site:
            resolver.answers = {PAGE: (site.address,), FRAME: (site.address,)}
            book, patience = RecipeBook(recipes=(RECIPE,)), timedelta(seconds=120)
            crawler = WebCrawler(None, [resolver.address], site.ports, ca.pem, patience, book)
            started = datetime.now(UTC)
            capture = await crawler.capture(subject, folder)
            archive = await WireArchiver().archive(subject, 1, started, capture, folder)
            chains = {port: await _chain(site, ca.pem, port) for port in (H2_PORT, H1_PORT)}
            yield Shown(request.param, site, chains, subject, started, capture, archive, folder)


async def _chain(site: Showcase, ca: Path, port: int) -> list[bytes]:
    """The certificates that the site sends to anyone who asks at this port."""
    context = ssl.create_default_context(cafile=str(ca))
    _, writer = await asyncio.open_connection(site.address, site.ports[port], ssl=context, server_hostname=PAGE)
    connection = writer.get_extra_info("ssl_object")._sslobj  # public from Python 3.13 on
    sent = [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in connection.get_unverified_chain()]
    writer.close()
    return sent


def _asked(origin: str) -> Counter[str]:
    """Every URL that the page asks for, and how often: once, but for what it asks over HTTP/1.1 both ways."""
    here = [f"{origin}{path}" for path in ONCE]
    return Counter([*here, f"https://{FRAME}/frame", *(f"{H1}{path}" for path in OVER_H1)])


def _as_https(url: str) -> str:
    return url.replace("wss://", "https://")


def test_the_visit_did_all_that_there_is_to_do(shown: Shown) -> None:
    assert (shown.capture.failure, shown.capture.missing) == (None, ())
    assert b"all done" in (shown.folder / "end.html").read_bytes()
    assert [step["outcome"] for step in shown.facts("steps.json")["steps"]] == ["done"] * len(RECIPE.steps)
    downloaded = (shown.folder / "download-1.bin").read_bytes()
    assert len(downloaded) == LARGE_BYTES
    assert downloaded == shown.site.files["/large.bin"].body


def test_every_exchange_is_there_and_nothing_is_missing(shown: Shown) -> None:
    assert Counter(_as_https(one["url"]) for one in shown.exchanges) == _asked(shown.origin)
    assert shown.archive.missing == ()
    assert [one["url"] for one in shown.exchanges if one["incomplete"] or not one["finished_at"]] == []


def test_the_site_was_asked_once_for_each_and_served_what_is_recorded(shown: Shown) -> None:
    """By the site's own journal: nothing was fetched a second time to be kept, and each body is the one served."""
    protocols = {"h2": "2", "http/1.1": "1.1"}
    recorded = Counter(
        (protocols[one["protocol"]], _host(one["url"]), _path(one["url"]), one["received"]["sha256"])
        for one in shown.exchanges
    )
    journal = Counter((hit.protocol, hit.host, hit.path, hit.sha256) for hit in shown.site.journal)
    assert recorded == journal
    assert sum(journal.values()) == sum(_asked(shown.origin).values())
    served = {path: hashlib.sha256(file.body).hexdigest() for path, file in shown.site.files.items()}
    served |= {"/socket": NOTHING, "/form": hashlib.sha256(b'{"bytes":7}').hexdigest()}
    assert {(path, sha256) for _, _, path, sha256 in recorded} <= set(served.items())


def test_the_page_came_over_the_version_of_http_that_it_was_asked_over(shown: Shown) -> None:
    version = "h2" if shown.origin == H2 else "http/1.1"
    assert {one["protocol"] for one in shown.exchanges if one["url"].startswith(f"{shown.origin}/")} == {version}


def test_websockets_are_read_message_by_message(shown: Shown) -> None:
    said = b"hola " * 100
    with decode(shown.record) as decoded:
        sockets = [one for one in decoded.exchanges if one.scheme == "wss"]
    assert [one.method for one in sockets] == (["CONNECT", "GET"] if shown.origin == H2 else ["GET", "GET"])
    for one in sockets:
        passed = [(message.direction, message.opcode, message.payload) for message in one.websocket]
        assert passed[:2] == [("sent", "text", said), ("received", "text", said)]
        assert [message[:2] for message in passed[2:]] == [("sent", "close"), ("received", "close")]


def test_the_certificates_are_those_that_the_site_shows(shown: Shown) -> None:
    servers = shown.facts("certificates.json")["servers"]
    for server in servers:
        chain = [base64.b64decode(certificate) for certificate in server["chain"]]
        assert chain == ([] if server["resumed"] else shown.chains[server["port"]])
        assert server["resumed"] or server["signature"]
    whole = {server["host"] for server in servers if not server["resumed"]}
    assert whole == {PAGE, FRAME}
    assert {one["connection"] for one in shown.exchanges} <= {server["connection"] for server in servers}


def test_another_reader_finds_the_same_bodies_in_the_archive(shown: Shown) -> None:
    """warcio, with every digest checked."""
    found: Counter[tuple[str, str]] = Counter()
    with zipfile.ZipFile(shown.folder / "capture.wacz") as wacz, wacz.open("archive/data.warc.gz") as warc:
        for record in cast("Any", ArchiveIterator)(warc, check_digests="raise"):
            body = record.raw_stream.read()
            if record.rec_type == "response":
                found[record.rec_headers["WARC-Target-URI"], hashlib.sha256(body).hexdigest()] += 1
    assert found == Counter((_as_https(one["url"]), one["received"]["sha256"]) for one in shown.exchanges)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not on this machine (apt install tshark)")
def test_a_packet_analyser_decrypts_the_record_and_finds_the_same_requests(shown: Shown) -> None:
    one, two = ("http.request.method", "http.host", "http.request.uri"), ("method", "authority", "path")
    fields = [*one, *(f"http2.headers.{name}" for name in two)]
    command = ["tshark", "-r", str(shown.record), "-Y", "http.request or http2.headers.method", "-T", "fields"]
    command += [word for field in fields for word in ("-e", field)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found: Counter[tuple[str, ...]] = Counter()
    for line in said.splitlines():
        values = [value.split(",") for value in line.split("\t")]
        found.update(request for request in zip(*values[:3], strict=True) if all(request))
        found.update(request for request in zip(*values[3:], strict=True) if all(request))
    assert found == Counter(
        (one["method"], _as_https(one["url"]).split("/")[2], _path(one["url"])) for one in shown.exchanges
    )


def test_a_player_plays_what_the_site_served(shown: Shown, tmp_path: Path) -> None:
    try:
        programs = environment()
    except Missing as missing:
        pytest.skip(str(missing))
    with player(programs, shown.folder / "capture.wacz", tmp_path) as pywb:
        for path in ("/", "/page.js", "/worker.js", "/text.gz", "/text.br", "/large.bin", *LIVE):
            played, file = pywb.play(f"{shown.origin}{path}"), shown.site.files[path]
            assert (played.status, played.headers["content-type"], played.body) == (200, file.media_type, file.body)
            assert file.headers == tuple((name, played.headers[name]) for name, _ in file.headers)
        assert pywb.play(f"https://{FRAME}/frame").body == shown.site.files["/frame"].body
        assert pywb.play(f"{shown.origin}/absent").status == 404


async def test_whoever_has_the_record_and_the_manifest_makes_the_archive_again(shown: Shown, tmp_path: Path) -> None:
    """Byte for byte, from nothing else."""
    sealed = Manifest(
        case=shown.subject.case,
        attempt=1,
        target=shown.subject.target,
        service=shown.subject.service,
        recipe=shown.capture.recipe,
        started_at=shown.started,
        finished_at=datetime.now(UTC),
        vantage=shown.capture.vantage,
        clock=Clock(synchronised=False, offset_us=None, error_us=None, source="this test"),
        tools={**shown.capture.tools, **shown.archive.tools},
        addresses=shown.capture.addresses,
        items=(),
    ).canonical()
    told = Manifest.model_validate_json(sealed)
    record = Path(shutil.copy(shown.record, tmp_path))
    capture = Capture(
        files=(CapturedFile(name=record.name, media_type="", path=record),),
        addresses={},
        tools={},
        vantage=told.vantage,
    )
    subject = Subject(case=told.case, target=told.target, service=told.service)
    archive = await WireArchiver().archive(subject, told.attempt, told.started_at, capture, tmp_path)
    assert archive.tools.items() <= told.tools.items()
    assert {file.name for file in archive.files} == {file.name for file in shown.archive.files}
    for file in archive.files:
        assert file.path.read_bytes() == (shown.folder / file.name).read_bytes()


async def test_every_request_that_got_no_whole_answer_is_listed_with_its_reason(tmp_path: Path) -> None:
    """By the record where something passed, and by the visit where the guard let nothing out."""
    script = """
      const read = (path, options) => fetch(path, options).then((answer) => answer.arrayBuffer()).catch(() => {});
      read("/whole"); read("/empty"); read("/cut"); read("/slow", {signal: AbortSignal.timeout(1000)});
      read("https://example.com:444/");
    """
    page = f"<!doctype html><link rel=icon href=data:,><script>{script}</script>"
    authority, folder = tmp_path / "ca", tmp_path / "capture"
    authority.mkdir()
    folder.mkdir()
    with own_temporary_folder():
        async with web(authority) as site, names() as resolver:
            resolver.answers["example.com"] = ("127.0.0.1",)
            site.pages |= {
                "example.com/": response(page),
                "example.com/whole": response("whole"),
                "example.com/empty": response("", "204 No Content"),
                "example.com/cut": _half,
                "example.com/slow": _half_and_nothing_more,
            }
            crawler = WebCrawler(None, [resolver.address], site.ports, site.ca, timedelta(seconds=60), ONLY_OPEN)
            capture = await crawler.capture(url("https://example.com/"), folder)
            archive = await WireArchiver().archive(url("https://example.com/"), 1, datetime.now(UTC), capture, folder)
    origin = "https://example.com"
    listed = json.loads((folder / "exchanges.json").read_bytes())["exchanges"]
    assert Counter(one["url"] for one in listed) == Counter(f"https://{hit}" for hit in site.hits)
    assert {one["url"]: (one["status"], one["received"]["bytes"]) for one in listed} == {
        f"{origin}/": (200, len(page)),
        f"{origin}/whole": (200, 5),
        f"{origin}/empty": (204, 0),
        f"{origin}/cut": (200, 2),
        f"{origin}/slow": (200, 2),
    }
    ended = "the connection ended before the answer did"
    assert {missing.what: missing.reason for missing in archive.missing} == {
        f"GET {origin}/cut": ended,
        f"GET {origin}/slow": ended,
    }
    assert {missing.what: missing.reason for missing in capture.missing} == {
        f"{origin}/cut": "net::ERR_CONTENT_LENGTH_MISMATCH",
        f"{origin}/slow": "net::ERR_ABORTED",
        f"{origin}:444/": "net::ERR_TUNNEL_CONNECTION_FAILED (port 444 is not open to captures)",
    }


async def _half(writer: asyncio.StreamWriter) -> None:
    writer.write(response("half")[:-2])
    await writer.drain()
    writer.close()


async def _half_and_nothing_more(writer: asyncio.StreamWriter) -> None:
    writer.write(response("half")[:-2])
    await writer.drain()
    while not writer.is_closing():  # noqa: ASYNC110 - until the browser has had enough
        await asyncio.sleep(0.05)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _path(url: str) -> str:
    return urlsplit(url).path
