"""The crawler against real servers, good and bad; every test starts a real browser."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from pathlib import Path

import pytest

from precinto.adapters.crawlers.guard.door import SILENCED
from precinto.adapters.crawlers.web import browser
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.adapters.crawlers.web.lens import PICTURE
from precinto.domain.errors import BadInput, CannotHere, Unavailable
from precinto.domain.evidence import EvidenceItem
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.domain.model import digest
from precinto.ports import Subject
from precinto.wire.pcapng import read_wire
from tests.adapters.crawlers.web.captures import ONLY_OPEN, content, domain, facts, leftovers, rules, size, url
from tests.adapters.internet import Names, Web, response

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class TestAPageThatIsThere:
    async def test_it_is_kept_as_a_visitor_saw_it(self, crawler: WebCrawler, servers: Web, tmp_path: Path) -> None:
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
        capture = await crawler.capture(domain("example.com"), tmp_path)
        assert capture.failure is None
        for file in capture.files:
            kept = file.path.read_bytes()
            assert EvidenceItem(name=file.name, media_type=file.media_type, size=len(kept), sha256=digest(kept))
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
        assert (answer["halted"], answer["cut"]) == (None, [])

        requests = {r["url"]: r for r in facts(capture, "network.json")["requests"]}
        assert requests["https://www.example.com/logo.png"]["status"] == 200
        assert requests["https://www.example.com/logo.png"]["type"] == "image"
        assert {"kind": "console", "type": "log", "text": "ready ?"}.items() <= facts(capture, "console.json")[
            "events"
        ][0].items()
        assert capture.addresses == {"example.com": ("127.0.0.1",), "www.example.com": ("127.0.0.1",)}
        assert {"chromium", "playwright", "sandbox", "user agent", "visitor"} == set(capture.tools)
        assert set(rules(capture)) <= {f"{host}:{port}" for host in SILENCED for port in (80, 443)}
        assert leftovers() == []

    async def test_a_site_that_speaks_no_tls_is_opened_over_http(
        self, servers: Web, resolver: Names, crawler: WebCrawler, tmp_path: Path
    ) -> None:
        servers.pages["example.org/"] = response("<h1>plain</h1>")
        plain_only = WebCrawler(
            None, [resolver.address], {80: servers.ports[80]}, servers.ca, timedelta(seconds=60), ONLY_OPEN
        )
        capture = await plain_only.capture(domain("example.org"), tmp_path)
        assert capture.failure is None
        assert b"<h1>plain</h1>" in content(capture, "page.html")
        opened = facts(capture, "response.json")["opened"]
        assert [entry["url"] for entry in opened] == ["https://example.org/", "http://example.org/"]
        assert "port 443 is not open" in opened[0]["failure"]
        assert facts(capture, "response.json")["tls"] is None

    async def test_a_page_without_end_is_cut_and_says_so(
        self, crawler: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = response("<p style='height:90000px'>")
        capture = await crawler.capture(domain("example.com"), tmp_path)
        assert size(content(capture, "screenshot.png"))[1] == PICTURE[1]
        assert any("screenshot.png" in cut for cut in facts(capture, "response.json")["cut"])


class TestASiteThatFails:
    async def test_one_that_is_down_is_a_failure_that_names_the_reason(
        self, crawler: WebCrawler, resolver: Names, tmp_path: Path
    ) -> None:
        capture = await crawler.capture(domain("down.example.com"), tmp_path)
        assert capture.failure is not None
        assert "ERR_EMPTY_RESPONSE" in capture.failure
        assert "no connection" in capture.failure
        opened = facts(capture, "response.json")["opened"]
        assert [entry["url"] for entry in opened] == ["https://down.example.com/", "http://down.example.com/"]
        assert not {f.name for f in capture.files} & {"page.html", "viewport.png", "screenshot.png"}
        assert read_wire(tmp_path / "wire.pcapng").connections == ()
        assert rules(capture)["down.example.com:443"] == rules(capture)["down.example.com:80"] == "connect"
        assert capture.addresses == {"down.example.com": ("127.0.0.2",)}

    async def test_a_name_that_does_not_exist_is_said_to_be_so(self, crawler: WebCrawler, tmp_path: Path) -> None:
        capture = await crawler.capture(url("http://gone.example.com/"), tmp_path)
        assert "NXDOMAIN" in str(capture.failure)
        assert rules(capture)["gone.example.com:80"] == "dns"

    async def test_a_certificate_of_another_authority_is_refused_and_not_gone_round(
        self, crawler: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.net/"] = response("nobody may see this")
        capture = await crawler.capture(domain("example.net"), tmp_path)
        assert capture.failure == "https://example.net/: net::ERR_CERT_AUTHORITY_INVALID"
        assert servers.hits == []

    async def test_an_http_error_is_a_failure_with_its_page(
        self, crawler: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = response("<h1>seized</h1>", "451 Unavailable For Legal Reasons")
        capture = await crawler.capture(domain("example.com"), tmp_path)
        assert capture.failure == "https://example.com/: answered 451 Unavailable For Legal Reasons"
        assert b"<h1>seized</h1>" in content(capture, "page.html")
        assert facts(capture, "response.json")["status"] == 451

    async def test_a_download_is_refused_and_named(self, crawler: WebCrawler, servers: Web, tmp_path: Path) -> None:
        servers.pages["example.com/setup.exe"] = response(
            b"MZ" * 1000, "200 OK", "application/octet-stream", 'Content-Disposition: attachment; filename="setup.exe"'
        )
        capture = await crawler.capture(url("https://example.com/setup.exe"), tmp_path)
        assert str(capture.failure).startswith("https://example.com/setup.exe: ")
        event = next(e for e in facts(capture, "console.json")["events"] if e["kind"] == "download")
        assert (event["text"], event["url"]) == ("setup.exe", "https://example.com/setup.exe")


class TestTheWireRecord:
    async def test_it_holds_what_went_over_the_wire_and_the_keys_to_it(
        self, crawler: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages |= {
            "example.com/": response("<h1>plain</h1><img src='https://www.example.com/logo.png'>"),
            "www.example.com/logo.png": response(PIXEL, "200 OK", "image/png"),
        }
        capture = await crawler.capture(url("http://example.com/"), tmp_path)
        kept = next(file for file in capture.files if file.name == "wire.pcapng")
        assert kept.media_type == "application/vnd.tcpdump.pcap"
        wire = read_wire(kept.path)
        assert wire.damage is None
        made = [(one.host, one.port, one.address) for one in wire.connections]
        assert {("example.com", 80, "127.0.0.1"), ("www.example.com", 443, "127.0.0.1")} == set(made)
        assert all(one.closed_at for one in wire.connections)
        plain = next(one.id for one in wire.connections if one.port == 80)
        received = b"".join(chunk.data for chunk in wire.chunks(plain) if not chunk.sent)
        assert received == servers.pages["example.com/"]
        assert b"CLIENT_TRAFFIC_SECRET_0" in wire.key_log
        assert not list(tmp_path.glob("*.spool"))


class TestTheBrowsersEnd:
    async def test_a_capture_that_is_cancelled_leaves_no_process_and_no_file(
        self, crawler: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        arrived = asyncio.Event()

        async def silent(writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await asyncio.Event().wait()

        servers.pages["example.com/"] = silent
        capturing = asyncio.create_task(crawler.capture(domain("example.com"), tmp_path))
        await arrived.wait()
        assert leftovers()
        capturing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await capturing
        assert leftovers() == []

    async def test_cancelled_while_the_browser_starts(self, crawler: WebCrawler, tmp_path: Path) -> None:
        capturing = asyncio.create_task(crawler.capture(domain("example.com"), tmp_path))
        while not any("--proxy-server" in line for line in leftovers()):  # noqa: ASYNC110 - the kernel's list of processes has no event
            await asyncio.sleep(0.01)
        capturing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await capturing
        assert leftovers() == []

    async def test_close_breaks_off_what_runs(self, crawler: WebCrawler, tmp_path: Path) -> None:
        capturing = asyncio.create_task(crawler.capture(domain("example.com"), tmp_path))
        await asyncio.sleep(0)
        await crawler.close()
        assert capturing.cancelled()
        assert leftovers() == []

    async def test_a_browser_that_does_not_start_may_be_tried_again(
        self, servers: Web, resolver: Names, tmp_path: Path
    ) -> None:
        broken = WebCrawler(
            Path("/bin/false"), [resolver.address], servers.ports, None, timedelta(seconds=20), ONLY_OPEN
        )
        with pytest.raises(Unavailable, match="did not start"):
            await broken.capture(domain("example.com"), tmp_path)
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
        crawler = WebCrawler(
            None, [resolver.address], servers.ports, tmp_path / "ca.pem", timedelta(seconds=20), ONLY_OPEN
        )
        with pytest.raises(CannotHere, match="cannot be made to trust"):
            await crawler.capture(domain("example.com"), tmp_path)

    async def test_an_application_is_not_opened_with_a_browser(self, crawler: WebCrawler, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="mobile_app"):
            await crawler.capture(
                Subject(
                    case="case-1",
                    target=normalise(TargetKind.MOBILE_APP, "com.example.app"),
                    service=Service.STREAM_RIPPER,
                ),
                tmp_path,
            )
