"""The crawler against real servers, friendly and hostile; every test starts a real browser."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import tempfile
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from precinto.adapters.crawlers import browser, chromium
from precinto.adapters.crawlers.guard.door import SILENCED
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.adapters.crawlers.web.lens import PICTURE
from precinto.domain.errors import BadInput, CannotHere, Unavailable
from precinto.domain.evidence import EvidenceItem
from precinto.domain.intake import Target, TargetKind, normalise
from precinto.domain.model import digest
from precinto.ports import Capture
from tests.adapters.internet import Names, Trap, Web, names, response, trap, web

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Web]:
    async with web(tmp_path_factory.mktemp("web")) as started:
        yield started


@pytest.fixture(scope="session")
async def resolver() -> AsyncGenerator[Names]:
    async with names() as started:
        loopback = ("127.0.0.1",)
        started.answers = dict.fromkeys(
            ("example.com", "www.example.com", "example.org", "example.net", "down.example.com"), loopback
        )
        started.answers["down.example.com"] = ("127.0.0.2",)
        yield started


@pytest.fixture
async def forbidden() -> AsyncGenerator[Trap]:
    async with trap() as started:
        yield started


@pytest.fixture
async def crawler(servers: Web, resolver: Names) -> AsyncGenerator[WebCrawler]:
    servers.pages.clear()
    servers.hits.clear()
    made = WebCrawler(
        executable=None,
        resolvers=[resolver.address],
        ports=servers.ports,
        ca=servers.ca,
        timeout=timedelta(seconds=60),
    )
    yield made
    await made.close()


def url(address: str) -> Target:
    return normalise(TargetKind.URL, address)


def domain(name: str) -> Target:
    return normalise(TargetKind.DOMAIN, name)


def content(capture: Capture, name: str) -> bytes:
    return next(file.content for file in capture.files if file.name == name)


def facts(capture: Capture, name: str) -> Any:
    return json.loads(content(capture, name))


def rules(capture: Capture) -> dict[str, str]:
    """Host and port to the rule by which it was refused."""
    return {f"{r['host']}:{r['port']}": r["rule"] for r in facts(capture, "refused.json")["refusals"]}


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24])


@pytest.fixture(scope="module", autouse=True)
def _captures_of_this_process() -> Iterator[None]:
    """Captures keep their homes in a folder of this process's own, because other tests capture at the same time.

    It is not below pytest's: the browser's sockets are in there, and a socket's path is short (unix(7)).
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="pc-") as folder:
        tempfile.tempdir = folder
        yield
        tempfile.tempdir = before


def leftovers() -> list[str]:
    """Command lines of processes that belong to a capture of this process."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if f"{tempfile.gettempdir()}/precinto-capture-" in line:
            found.append(line)
    return found


class TestAPageThatIsThere:
    async def test_it_is_kept_as_a_visitor_saw_it(self, crawler: WebCrawler, servers: Web) -> None:
        servers.pages |= {
            "example.com/": response("", "302 Found", "text/html", "Location: https://www.example.com/start"),
            "www.example.com/start": response(
                "<!doctype html><title>Ripper</title><p style='height:3000px'>paste a link<img src=/logo.png>"
                "<script>document.title = 'changed'; console.log('ready \\ud800')</script>",
                "200 OK",
                "text/html; charset=utf-8",
                "X-Twice: one",
                "x-twice: two",
            ),
            "www.example.com/logo.png": response(PIXEL, "200 OK", "image/png"),
        }
        capture = await crawler.capture(domain("example.com"))
        assert capture.failure is None
        assert [EvidenceItem(name=f.name, media_type=f.media_type, size=len(f.content), sha256=digest(f.content))
                for f in capture.files]  # fmt: skip
        page = content(capture, "page.html").decode()
        assert page.startswith("<!DOCTYPE html>\n<html>")
        assert "<title>changed</title>" in page
        assert size(content(capture, "viewport.png")) == browser.VIEWPORT
        assert size(content(capture, "screenshot.png"))[1] > 3000

        answer = facts(capture, "response.json")
        assert answer["url"] == "https://www.example.com/start"
        assert answer["chain"] == [
            {"status": 302, "url": "https://example.com/"},
            {"status": 200, "url": "https://www.example.com/start"},
        ]
        assert [field for field in answer["headers"] if field[0].lower() == "x-twice"] == [
            ["X-Twice", "one"],
            ["x-twice", "two"],
        ]
        assert answer["server"] == {"host": "www.example.com", "port": 443, "address": "127.0.0.1"}
        assert answer["tls"]["protocol"] == "TLS 1.3"
        assert answer["tls"]["subject"] == "example.com"
        assert (answer["halted"], answer["cut"], answer["missing"]) == (None, [], [])

        requests = {r["url"]: r for r in facts(capture, "network.json")["requests"]}
        assert requests["https://www.example.com/logo.png"]["status"] == 200
        assert requests["https://www.example.com/logo.png"]["type"] == "image"
        assert {"kind": "console", "type": "log", "text": "ready ?"}.items() <= facts(capture, "console.json")[
            "events"
        ][0].items()
        assert capture.addresses == {"example.com": ("127.0.0.1",), "www.example.com": ("127.0.0.1",)}
        assert {"chromium", "playwright", "sandbox"} == set(capture.tools)
        assert set(rules(capture)) <= {f"{host}:{port}" for host in SILENCED for port in (80, 443)}
        assert leftovers() == []

    async def test_a_site_that_speaks_no_tls_is_opened_over_http(
        self, servers: Web, resolver: Names, crawler: WebCrawler
    ) -> None:
        servers.pages["example.org/"] = response("<h1>plain</h1>")
        plain_only = WebCrawler(None, [resolver.address], {80: servers.ports[80]}, servers.ca, timedelta(seconds=60))
        capture = await plain_only.capture(domain("example.org"))
        assert capture.failure is None
        assert b"<h1>plain</h1>" in content(capture, "page.html")
        opened = facts(capture, "response.json")["opened"]
        assert [entry["url"] for entry in opened] == ["https://example.org/", "http://example.org/"]
        assert "port 443 is not open" in opened[0]["failure"]
        assert facts(capture, "response.json")["tls"] is None

    async def test_a_page_without_end_is_cut_and_says_so(self, crawler: WebCrawler, servers: Web) -> None:
        servers.pages["example.com/"] = response("<p style='height:90000px'>")
        capture = await crawler.capture(domain("example.com"))
        assert size(content(capture, "screenshot.png"))[1] == PICTURE[1]
        assert any("screenshot.png" in cut for cut in facts(capture, "response.json")["cut"])


class TestASiteThatFails:
    async def test_one_that_is_down_is_a_failure_that_names_the_reason(
        self, crawler: WebCrawler, resolver: Names
    ) -> None:
        capture = await crawler.capture(domain("down.example.com"))
        assert capture.failure is not None
        assert "ERR_EMPTY_RESPONSE" in capture.failure
        assert "no connection" in capture.failure
        opened = facts(capture, "response.json")["opened"]
        assert [entry["url"] for entry in opened] == ["https://down.example.com/", "http://down.example.com/"]
        assert {f.name for f in capture.files} == {"response.json", "network.json", "console.json", "refused.json"}
        assert rules(capture)["down.example.com:443"] == rules(capture)["down.example.com:80"] == "connect"
        assert capture.addresses == {"down.example.com": ("127.0.0.2",)}

    async def test_a_name_that_does_not_exist_is_said_to_be_so(self, crawler: WebCrawler) -> None:
        capture = await crawler.capture(url("http://gone.example.com/"))
        assert "NXDOMAIN" in str(capture.failure)
        assert rules(capture)["gone.example.com:80"] == "dns"

    async def test_a_certificate_of_another_authority_is_refused_and_not_gone_round(
        self, crawler: WebCrawler, servers: Web
    ) -> None:
        servers.pages["example.net/"] = response("nobody may see this")
        capture = await crawler.capture(domain("example.net"))
        assert capture.failure == "https://example.net/: net::ERR_CERT_AUTHORITY_INVALID"
        assert servers.hits == []

    async def test_an_http_error_is_a_failure_with_its_page(self, crawler: WebCrawler, servers: Web) -> None:
        servers.pages["example.com/"] = response("<h1>seized</h1>", "451 Unavailable For Legal Reasons")
        capture = await crawler.capture(domain("example.com"))
        assert capture.failure == "https://example.com/: answered 451 Unavailable For Legal Reasons"
        assert b"<h1>seized</h1>" in content(capture, "page.html")
        assert facts(capture, "response.json")["status"] == 451

    async def test_a_body_without_end_is_cut_by_the_clock(
        self, crawler: WebCrawler, servers: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chromium, "LOAD_SECONDS", 2)

        async def endless(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<h1>so far</h1>")
            while True:
                writer.write(b"<p>more</p>" * 100)
                await writer.drain()
                await asyncio.sleep(0.01)

        servers.pages["example.com/"] = endless
        capture = await crawler.capture(domain("example.com"))
        assert capture.failure == "https://example.com/: not loaded within 2 s"
        assert b"<h1>so far</h1>" in content(capture, "page.html")
        assert size(content(capture, "viewport.png")) == browser.VIEWPORT
        assert facts(capture, "response.json")["halted"] == "not loaded within 2 s"

    async def test_a_download_is_refused_and_named(self, crawler: WebCrawler, servers: Web) -> None:
        servers.pages["example.com/setup.exe"] = response(
            b"MZ" * 1000, "200 OK", "application/octet-stream", 'Content-Disposition: attachment; filename="setup.exe"'
        )
        capture = await crawler.capture(url("https://example.com/setup.exe"))
        assert str(capture.failure).startswith("https://example.com/setup.exe: ")
        event = next(e for e in facts(capture, "console.json")["events"] if e["kind"] == "download")
        assert (event["text"], event["url"]) == ("setup.exe", "https://example.com/setup.exe")


class TestAHostilePage:
    async def test_it_reaches_nothing_but_the_web_whatever_it_writes(
        self, crawler: WebCrawler, servers: Web, resolver: Names, forbidden: Trap
    ) -> None:
        port = forbidden.port
        resolver.answers |= {
            "mixed.example.com": ("127.0.0.1", "10.0.0.1"),
            "inside.example.com": ("192.168.0.1",),
            "metadata.example.com": ("169.254.169.254",),
        }
        tries = [
            "http://169.254.169.254/latest/meta-data/", "http://[::1]/", f"http://[::1]:{port}/",
            f"http://127.0.0.1:{port}/", "http://127.0.0.1/", "http://2130706433/", f"http://0x7f.1:{port}/",
            f"http://localhost:{port}/", "http://[::ffff:7f00:1]/", "http://mixed.example.com/",
            "http://inside.example.com/", "http://metadata.example.com/", "http://example.org:22/",
        ]  # fmt: skip
        script = "".join(
            f"try {{ fetch('{u}', {{mode: 'no-cors'}}).catch(() => 0) }} catch (e) {{}}; new Image().src = '{u}';"
            f"try {{ new WebSocket('{u.replace('http', 'ws', 1)}') }} catch (e) {{}};"
            for u in tries
        )
        frames = f"<iframe src='http://127.0.0.1:{port}/'></iframe><iframe src='file:///etc/passwd'></iframe>"
        servers.pages |= {
            "example.com/": response(f"<h1>hello</h1>{frames}<script>{script}</script><img src=/away>"),
            "example.com/away": response("", "302 Found", "text/html", f"Location: http://127.0.0.1:{port}/x"),
        }
        capture = await crawler.capture(url("http://example.com/"))
        assert capture.failure is None
        assert forbidden.hits == 0
        assert set(servers.hits) <= {"example.com/", "example.com/away", "example.com/favicon.ico"}
        refused = rules(capture)
        assert refused["169.254.169.254:80"] == refused["127.0.0.1:80"] == refused["::1:80"] == "address"
        assert refused["::ffff:7f00:1:80"] == "address"
        assert refused[f"127.0.0.1:{port}"] == refused[f"::1:{port}"] == refused[f"localhost:{port}"] == "port"
        assert {refused[f"{name}.example.com:80"] for name in ("mixed", "inside", "metadata")} == {"address"}
        assert b"root:" not in content(capture, "page.html")

    async def test_questions_without_end_are_dismissed_then_halted(self, crawler: WebCrawler, servers: Web) -> None:
        servers.pages["example.com/"] = response("<h1>win</h1><script>while (true) alert('you have won')</script>")
        capture = await crawler.capture(domain("example.com"))
        answer = facts(capture, "response.json")
        assert answer["halted"] == "20 dialogs"
        assert b"<h1>win</h1>" in content(capture, "page.html")
        assert size(content(capture, "viewport.png")) == browser.VIEWPORT
        dialogs = [e for e in facts(capture, "console.json")["events"] if e["kind"] == "dialog"]
        assert dialogs[0]["text"] == "you have won"
        assert len(dialogs) == 20

    async def test_a_busy_page_is_halted_and_kept(self, crawler: WebCrawler, servers: Web) -> None:
        busy = "<h1>busy</h1><script>addEventListener('load', () => setTimeout(() => { while (true); }, 0))</script>"
        servers.pages["example.com/"] = response(busy)
        capture = await crawler.capture(domain("example.com"))
        assert facts(capture, "response.json")["halted"] == "its scripts kept the page busy"
        assert b"<h1>busy</h1>" in content(capture, "page.html")

    async def test_windows_that_nobody_asked_for_stay_shut(self, crawler: WebCrawler, servers: Web) -> None:
        storm = "<h1>calm</h1><script>for (let i = 0; i < 20; i++) window.open('/ad?' + i)</script>"
        servers.pages["example.com/"] = response(storm)
        capture = await crawler.capture(domain("example.com"))
        assert capture.failure is None
        assert b"<h1>calm</h1>" in content(capture, "page.html")
        assert not [hit for hit in servers.hits if "/ad" in hit]

    async def test_its_bytes_are_counted(
        self, crawler: WebCrawler, servers: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(chromium, "BYTES", 300_000)
        servers.pages |= {
            "example.com/": response("<h1>heavy</h1><script>fetch('/big').then(r => r.blob())</script>"),
            "example.com/big": response(os.urandom(2_000_000), "200 OK", "application/octet-stream"),
        }
        capture = await crawler.capture(url("http://example.com/"))
        assert rules(capture)["example.com:80"] == "budget"
        assert b"<h1>heavy</h1>" in content(capture, "page.html")
        failures = {r["url"]: r["failure"] for r in facts(capture, "network.json")["requests"]}
        assert failures["http://example.com/big"]


class TestTheBrowsersEnd:
    async def test_a_capture_that_is_cancelled_leaves_no_process_and_no_file(
        self, crawler: WebCrawler, servers: Web
    ) -> None:
        arrived = asyncio.Event()

        async def silent(writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await asyncio.Event().wait()

        servers.pages["example.com/"] = silent
        capturing = asyncio.create_task(crawler.capture(domain("example.com")))
        await arrived.wait()
        assert leftovers()
        capturing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await capturing
        assert leftovers() == []

    async def test_cancelled_while_the_browser_starts(self, crawler: WebCrawler) -> None:
        capturing = asyncio.create_task(crawler.capture(domain("example.com")))
        while not any("--proxy-server" in line for line in leftovers()):  # noqa: ASYNC110 - the kernel's list of processes has no event
            await asyncio.sleep(0.01)
        capturing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await capturing
        assert leftovers() == []

    async def test_close_breaks_off_what_runs(self, crawler: WebCrawler) -> None:
        capturing = asyncio.create_task(crawler.capture(domain("example.com")))
        await asyncio.sleep(0)
        await crawler.close()
        assert capturing.cancelled()
        assert leftovers() == []

    async def test_a_browser_that_does_not_start_may_be_tried_again(self, servers: Web, resolver: Names) -> None:
        broken = WebCrawler(Path("/bin/false"), [resolver.address], servers.ports, None, timedelta(seconds=20))
        with pytest.raises(Unavailable, match="did not start"):
            await broken.capture(domain("example.com"))
        assert leftovers() == []


class TestWhatIsNeeded:
    async def test_a_browser_that_is_missing_is_named_with_its_package(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
        with pytest.raises(CannotHere, match="apt install chromium"):
            browser.find_chromium(None)

    async def test_a_configured_browser_must_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(CannotHere, match="not a program"):
            browser.find_chromium(tmp_path / "chromium")

    async def test_playwrights_own_browser_is_the_last_resort(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        program = tmp_path / "chromium-1200" / "chrome-linux" / "chrome"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o700)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
        assert browser.find_chromium(None) == program

    async def test_an_authority_that_is_no_certificate_is_refused(
        self, servers: Web, resolver: Names, tmp_path: Path
    ) -> None:
        (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        crawler = WebCrawler(None, [resolver.address], servers.ports, tmp_path / "ca.pem", timedelta(seconds=20))
        with pytest.raises(CannotHere, match="cannot be made to trust"):
            await crawler.capture(domain("example.com"))

    async def test_an_application_is_not_opened_with_a_browser(self, crawler: WebCrawler) -> None:
        with pytest.raises(BadInput, match="mobile_app"):
            await crawler.capture(normalise(TargetKind.MOBILE_APP, "com.example.app"))
