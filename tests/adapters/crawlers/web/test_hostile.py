"""Pages that mean harm to whoever looks at them: each ends as a capture, or as a failure with its reason."""

from __future__ import annotations

import asyncio
import gzip
import html
import json
import os
import time
from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from precinto.adapters.crawlers.web import browser
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.adapters.crawlers.web.limits import Limits
from precinto.domain.recipes import Download, Open, RecipeBook, Wait
from precinto.ports import Capture
from precinto.wire.pcapng import read_wire
from tests.adapters.crawlers.web.captures import ONLY_OPEN, content, domain, facts, leftovers, rules, size, url
from tests.adapters.internet import Names, Web, response

MB = 1_000_000
LIMITS = Limits(memory=1_000 * MB, disk=60 * MB, files=2_000, network=8 * MB)
"""Small, so that a page reaches them soon; a plain page takes 520 MB of memory, and 7 MB of disk in 150 files."""

SECONDS = 30.0
PATIENCE = 20
"""Seconds that a page has to reach a limit where its load goes on for so long: what a slow machine takes for it."""


@pytest.fixture
async def small(crawler: WebCrawler, servers: Web, resolver: Names) -> AsyncGenerator[WebCrawler]:
    """A crawler with small limits; ``crawler`` has emptied the servers."""
    made = WebCrawler(
        None, [resolver.address], servers.ports, servers.ca, timedelta(seconds=SECONDS), ONLY_OPEN, LIMITS
    )
    yield made
    await made.close()


@pytest.fixture
async def patient(crawler: WebCrawler, servers: Web, resolver: Names) -> AsyncGenerator[WebCrawler]:
    """A crawler with small limits that waits for a page's load as long as a slow machine takes to reach one."""
    steps = (Open(do="open", seconds=PATIENCE), Download(do="download", selectors=("#film",), bytes=200 * MB))
    book = RecipeBook(recipes=(ONLY_OPEN.recipes[0].model_copy(update={"steps": steps}),))
    made = WebCrawler(
        None, [resolver.address], servers.ports, servers.ca, timedelta(seconds=2 * PATIENCE), book, LIMITS
    )
    servers.pages["example.com/never.png"] = never
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def _nothing_is_left_and_the_time_is_kept() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert leftovers() == []
    assert time.monotonic() - started < 2 * PATIENCE + 12  # the browser's end, and a busy machine


def kept(capture: Capture) -> bool:
    """Whether it was kept what the visitor saw."""
    return size(content(capture, "viewport.png")) == browser.VIEWPORT and b"<h1>here</h1>" in content(
        capture, "page.html"
    )


def page(script: str, body: str = "") -> bytes:
    return response(f"<!doctype html><meta charset=utf-8><h1>here</h1>{body}<script>{script}</script>")


async def never(writer: asyncio.StreamWriter) -> None:
    """An answer that does not come: while it is awaited, the page is loading, and the visit goes on."""
    await writer.wait_closed()


def hog(script: str) -> bytes:
    """A page that runs a script, and is loading until the capture ends."""
    return page(f"setTimeout(() => {{ {script} }}, 300)", "<img src=/never.png>")


def film_that_unfolds() -> bytes:
    """A download of 400 MB that goes over the wire as less than two."""
    return response(
        gzip.compress(bytes(400 * MB), 1), "200 OK", "application/octet-stream", "Content-Encoding: gzip",
        'Content-Disposition: attachment; filename="film.bin"',
    )  # fmt: skip


def told(capture: Capture, kind: str) -> list[dict[str, str]]:
    return [event for event in facts(capture, "console.json")["events"] if event["kind"] == kind]


class TestQuestionsAndWindows:
    async def test_questions_without_end_are_dismissed_then_halted(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = page("while (true) alert('you have won')")
        capture = await small.capture(domain("example.com"), tmp_path)
        assert facts(capture, "response.json")["halted"] == "20 dialogs"
        assert kept(capture)
        assert {event["text"] for event in told(capture, "dialog")} == {"you have won"}
        assert len(told(capture, "dialog")) == 20

    @pytest.mark.parametrize(
        "script",
        [
            "onbeforeunload = e => { e.preventDefault(); return 'stay' }; setTimeout(() => location = '/next', 50)",
            "for (let i = 0; i < 5; i++) print()",
            "Notification.requestPermission(); navigator.geolocation.getCurrentPosition(() => 0);"
            "navigator.mediaDevices.getUserMedia({audio: true, video: true}).catch(() => 0);"
            "document.documentElement.requestFullscreen().catch(() => 0); navigator.clipboard.readText()",
            "location = 'chrome://settings/'; navigator.registerProtocolHandler('mailto', '/?%s')",
        ],
        ids=["beforeunload", "print", "permissions", "settings"],
    )
    async def test_what_asks_the_visitor_something_does_not_hold_the_visit_up(
        self, script: str, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages |= {"example.com/": page(script), "example.com/next": page("")}
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure is None
        assert kept(capture)

    async def test_a_link_to_another_program_starts_none(
        self, small: WebCrawler, servers: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program, started = tmp_path / "xdg-open", tmp_path / "started"
        program.write_text(f"#!/bin/sh\ntouch {started}\n")
        program.chmod(0o755)
        tmp_path.chmod(0o777)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        (tmp_path / "capture").mkdir()
        servers.pages["example.com/"] = page("location = 'mailto:a@example.com'")
        capture = await small.capture(url("https://example.com/"), tmp_path / "capture")
        assert capture.failure is None
        assert kept(capture)
        assert not started.exists()

    @pytest.mark.parametrize("to", ["mailto:a@example.com", "intent://example.com/#Intent;end", "tel:1"])
    async def test_a_page_that_hands_its_visitor_to_another_program_stays_and_is_kept_whole(
        self, to: str, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        """Its load event never comes, in no browser; what it loads does."""

        async def slow(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(1.5)
            writer.write(response("document.title = 'late'", "200 OK", "text/javascript"))

        servers.pages |= {
            "example.com/": page(f"location = '{to}'", "<script async src=/late.js></script>"),
            "example.com/late.js": slow,
        }
        capture = await small.capture(url("https://example.com/"), tmp_path)
        answer = facts(capture, "response.json")
        assert (capture.failure, answer["halted"]) == (None, None)
        assert kept(capture)
        assert b"<title>late</title>" in content(capture, "page.html")
        assert answer["url"] == "https://example.com/"
        assert answer["chain"][1]["url"].startswith(to.partition("#")[0])

    async def test_windows_that_nobody_asked_for_stay_shut(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = page("for (let i = 0; i < 50; i++) window.open('/ad?' + i)")
        capture = await small.capture(domain("example.com"), tmp_path)
        assert capture.failure is None
        assert kept(capture)
        assert not [hit for hit in servers.hits if "/ad" in hit]

    async def test_a_page_cannot_close_the_window_that_is_looked_at(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = page("window.close()")
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure is None
        assert kept(capture)


class TestTime:
    @pytest.mark.parametrize(
        ("script", "halted"),
        [
            (
                "addEventListener('load', () => setTimeout(() => { while (true); }, 0))",
                "its scripts kept the page busy",
            ),
            ("for (let i = 0; ; i++) history.pushState(i, '', '/h' + i)", "not loaded within 5 s"),
        ],
        ids=["loop", "history"],
    )
    async def test_a_page_that_is_busy_for_ever_is_halted_and_kept(
        self, script: str, halted: str, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = page(script)
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert facts(capture, "response.json")["halted"] == halted
        assert kept(capture)

    async def test_a_body_without_end_is_cut_by_the_clock(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        async def endless(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<h1>here</h1>")
            while True:
                writer.write(b"<p>more</p>" * 10)
                await writer.drain()
                await asyncio.sleep(0.01)

        servers.pages["example.com/"] = endless
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure == "https://example.com/: not loaded within 5 s"
        assert kept(capture)

    async def test_a_page_that_loads_itself_again_and_again_ends(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = page("setTimeout(() => location.reload(), 0)")
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure == "https://example.com/: not loaded within 5 s"
        assert kept(capture)

    @pytest.mark.parametrize(
        ("script", "why"),
        [
            ("location = 'about:blank'", "the page went to about:blank"),
            ("location = 'https://nowhere.example.com/'", "the name does not exist (NXDOMAIN))"),
            ("location = 'https://example.com:22/'", "net::ERR_UNSAFE_PORT at https://example.com:22/"),
        ],
        ids=["blank", "no name", "port"],
    )
    async def test_a_page_that_goes_away_before_it_is_seen_is_a_failure_that_says_where(
        self, script: str, why: str, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = page(script)
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert str(capture.failure).startswith("https://example.com/: ")
        assert str(capture.failure).endswith(why)

    async def test_a_page_that_goes_away_while_it_is_looked_at_is_a_failure_too(
        self, servers: Web, resolver: Names, tmp_path: Path
    ) -> None:
        scroll = (*ONLY_OPEN.recipes[0].steps, Wait(do="wait", seconds=3))
        book = RecipeBook(recipes=(ONLY_OPEN.recipes[0].model_copy(update={"steps": scroll}),))
        crawler = WebCrawler(
            None, [resolver.address], servers.ports, servers.ca, timedelta(seconds=SECONDS), book, LIMITS
        )
        servers.pages["example.com/"] = page(
            "onload = () => setTimeout(() => location = 'https://nowhere.example.com/', 2500)"
        )
        capture = await crawler.capture(url("https://example.com/"), tmp_path)
        assert "at https://nowhere.example.com/ (does not resolve" in str(capture.failure)
        assert {file.name for file in capture.files} & {"viewport.png", "page.html"} == {"viewport.png"}

    async def test_a_page_that_makes_itself_anew_is_kept_as_it_is(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = page(
            "location = URL.createObjectURL(new Blob(['<h1>here</h1> moved'], {type: 'text/html'}))"
        )
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure is None
        assert kept(capture)
        assert b"moved" in content(capture, "page.html")

    async def test_redirects_without_end_are_a_failure(self, small: WebCrawler, servers: Web, tmp_path: Path) -> None:
        servers.pages["example.com/"] = response("", "302 Found", "text/html", "Location: /")
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure == "https://example.com/: net::ERR_TOO_MANY_REDIRECTS"


class TestMemoryAndDisk:
    @pytest.mark.parametrize(
        "script",
        [
            "const all = []; for (;;) all.push(new Uint8Array(4e6).fill(1))",
            "const make = () => new Worker(URL.createObjectURL(new Blob(['let a = [];"
            "for (;;) a.push(new Uint8Array(1e6).fill(1))']))); for (let i = 0; i < 40; i++) make()",
        ],
        ids=["arrays", "workers"],
    )
    async def test_a_page_that_takes_all_memory_is_ended(
        self, script: str, patient: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = hog(script)
        capture = await patient.capture(url("https://example.com/"), tmp_path)
        assert capture.failure == f"the browser took more than {LIMITS.memory} bytes of memory"
        used = facts(capture, "limits.json")
        assert LIMITS.memory < used["memory_bytes"]["peak"] < 3 * LIMITS.memory
        assert used["exceeded"] == capture.failure
        wire = read_wire(tmp_path / "wire.pcapng")
        assert (wire.damage, wire.connections[0].host) == (None, "example.com")
        assert b"CLIENT_TRAFFIC_SECRET_0" in wire.key_log

    async def test_a_body_that_unfolds_a_thousandfold_is_ended(
        self, patient: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        bomb = gzip.compress(b"<p>" + b"a" * 400 * MB, 1)
        servers.pages["example.com/"] = response(bomb, "200 OK", "text/html", "Content-Encoding: gzip")
        capture = await patient.capture(url("https://example.com/"), tmp_path)
        assert capture.failure == f"the browser took more than {LIMITS.memory} bytes of memory"
        assert facts(capture, "limits.json")["network_bytes"]["used"] < 3 * MB

    async def test_a_download_that_unfolds_a_thousandfold_is_ended(
        self, patient: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages |= {
            "example.com/": page("", "<a id=film href=/film>the film</a>"),
            "example.com/film": film_that_unfolds(),
        }
        capture = await patient.capture(url("https://example.com/"), tmp_path)
        assert capture.failure == f"the browser took more than {LIMITS.disk} bytes of disk"
        assert facts(capture, "limits.json")["network_bytes"]["used"] < 3 * MB

    async def test_a_download_that_nobody_asked_for_is_broken_off(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = film_that_unfolds()
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure is not None
        assert "no step of the recipe asks for it" in {missing.reason for missing in capture.missing}
        assert not [file.name for file in capture.files if file.name.startswith("download-")]

    async def test_a_page_that_fills_the_disk_is_ended(
        self, patient: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        fill = """(async () => {
            const folder = await navigator.storage.getDirectory();
            for (let i = 0; ; i++) {
                const file = await (await folder.getFileHandle('f' + i, {create: true})).createWritable();
                await file.write(new Uint8Array(5e6).fill(1));
                await file.close();
            }
        })()"""
        servers.pages["example.com/"] = hog(fill)
        capture = await patient.capture(url("https://example.com/"), tmp_path)
        assert told(capture, "error") == []  # where the browser gives the page no room, it says so
        assert capture.failure == f"the browser took more than {LIMITS.disk} bytes of disk"

    async def test_a_page_that_floods_the_console_does_not_flood_the_record(
        self, small: WebCrawler, servers: Web, resolver: Names, tmp_path: Path
    ) -> None:
        hasty = WebCrawler(
            None, [resolver.address], servers.ports, servers.ca, timedelta(seconds=10), ONLY_OPEN, LIMITS
        )
        servers.pages["example.com/"] = page("const t = 'x'.repeat(1e6); for (;;) console.log(t)")
        capture = await hasty.capture(url("https://example.com/"), tmp_path)
        assert capture.failure is not None
        assert len(content(capture, "console.json")) < 2 * MB


class TestBytes:
    async def test_what_goes_over_the_wire_is_counted(self, small: WebCrawler, servers: Web, tmp_path: Path) -> None:
        servers.pages |= {
            "example.com/": page("fetch('/big').then(r => r.blob())"),
            "example.com/big": response(os.urandom(20 * MB), "200 OK", "application/octet-stream"),
        }
        capture = await small.capture(url("http://example.com/"), tmp_path)
        assert rules(capture)["example.com:80"] == "budget"
        assert kept(capture)
        used = facts(capture, "limits.json")["network_bytes"]
        assert used["used"] == used["limit"] == LIMITS.network
        failures = {r["url"]: r["failure"] for r in facts(capture, "network.json")["requests"]}
        assert failures["http://example.com/big"]

    async def test_a_download_of_two_gigabytes_is_cut(self, small: WebCrawler, servers: Web, tmp_path: Path) -> None:
        async def film(writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 2000000000\r\n"
                b"Content-Disposition: attachment; filename=film.mp4\r\n\r\n"
            )
            chunk = os.urandom(65_536)
            while True:
                writer.write(chunk)
                await writer.drain()

        servers.pages["example.com/film.mp4"] = film
        capture = await small.capture(url("https://example.com/film.mp4"), tmp_path)
        assert capture.failure is not None
        assert facts(capture, "limits.json")["network_bytes"]["used"] <= LIMITS.network


class TestNamesAndSchemes:
    @pytest.mark.parametrize(
        "script",
        [
            "location = 'file:///etc/passwd'",
            "document.write('<iframe src=file:///etc/passwd></iframe><meta http-equiv=refresh content=\"0;url=file:///\">')",
            "open('file:///etc/passwd'); const a = document.createElement('a'); a.href = 'file:///etc/passwd';"
            "document.body.append(a); a.click(); fetch('file:///etc/passwd').catch(() => 0)",
        ],
        ids=["location", "frame", "link"],
    )
    async def test_files_of_this_machine_are_not_to_be_seen(
        self, script: str, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = page(script)
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert kept(capture)
        assert b"root:" not in b"".join(file.path.read_bytes() for file in capture.files)

    async def test_a_redirect_to_a_file_is_a_failure(self, small: WebCrawler, servers: Web, tmp_path: Path) -> None:
        servers.pages["example.com/"] = response("", "302 Found", "text/html", "Location: file:///etc/passwd")
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert "ERR_UNSAFE_REDIRECT" in str(capture.failure)

    async def test_names_and_titles_are_kept_as_they_are_and_spoil_nothing(
        self, small: WebCrawler, servers: Web, resolver: Names, tmp_path: Path
    ) -> None:
        long = "a" * 63
        resolver.answers |= {f"{long}.example.com": ("127.0.0.1",), "xn--e1afmkfd.example.com": ("127.0.0.1",)}
        servers.pages |= {
            "example.com/": page(
                "document.title = '\\u202egpj.exe\\u0000\\u001b[2J\\ud800'; console.log('\\u001b[31m\\u202e')",
                f"<img src='https://{long}.example.com/a.png'><img src='https://пример.example.com/b.png'>"
                f"<img src='https://{'b' * 64}.example.com/c.png'><img src='https://{'.'.join([long] * 5)}/d.png'>",
            )
        }
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure is None
        assert kept(capture)
        assert {f"{long}.example.com", "xn--e1afmkfd.example.com"} <= set(capture.addresses)
        assert {f"{long}.example.com/a.png", "xn--e1afmkfd.example.com/b.png"} <= set(servers.hits)
        assert told(capture, "console")


class TestHandshakes:
    async def test_a_page_that_is_different_for_machines_shows_what_it_shows_to_visitors(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        look = """(async () => ({
            agent: navigator.userAgent, driven: navigator.webdriver ?? false, languages: navigator.languages,
            brands: navigator.userAgentData.brands.map(b => b.brand).join(),
            zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
            locale: Intl.DateTimeFormat().resolvedOptions().locale,
        }))()"""
        worker = f"new Worker(URL.createObjectURL(new Blob([`{look}.then(seen => postMessage(seen))`])))"
        script = "const show = (at, seen) => document.getElementById(at).textContent = JSON.stringify(seen);"
        script += f"{look}.then(seen => show('page', seen)); {worker}.onmessage = e => show('worker', e.data)"
        body = "<p id=page></p><p id=worker></p>"
        seen_by_server: list[bytes] = []

        async def answer(writer: asyncio.StreamWriter) -> None:
            seen_by_server.append(servers.heads[-1])
            writer.write(page(script, body))

        servers.pages["example.com/"] = answer
        capture = await small.capture(url("https://example.com/"), tmp_path)
        document = html.unescape(content(capture, "page.html").decode())
        for at in ("page", "worker"):
            seen = json.loads(document.partition(f'<p id="{at}">')[2].partition("</p>")[0])
            assert seen["agent"] == capture.tools["user agent"]
            assert "Headless" not in seen["agent"] + seen["brands"]
            assert not seen["driven"]
            assert seen["languages"] == ["es-PE"]
            assert (seen["zone"], seen["locale"]) == ("America/Lima", "es-PE")
        head = seen_by_server[0]
        assert b"headless" not in head.lower()
        assert b"sec-ch-ua" in head.lower()
        assert f"User-Agent: {capture.tools['user agent']}".encode() in head
        assert b"Accept-Language: es-PE\r\n" in head
        assert capture.tools["visitor"] == "es-PE, America/Lima"

    async def test_a_page_behind_a_password_is_kept_with_its_answer(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = response(
            "<h1>here</h1>", "401 Unauthorized", "text/html", 'WWW-Authenticate: Basic realm="members"'
        )
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure is not None
        assert "401" in capture.failure or "ERR_INVALID_AUTH_CREDENTIALS" in capture.failure

    async def test_a_site_that_wants_a_certificate_gets_none(
        self, small: WebCrawler, servers: Web, resolver: Names, tmp_path: Path
    ) -> None:
        resolver.answers["members.example.com"] = ("127.0.0.1",)
        capture = await small.capture(url("https://members.example.com:8443/"), tmp_path)
        assert str(capture.failure).startswith("https://members.example.com:8443/: net::ERR_")
        assert servers.hits == []

    async def test_mixed_content_is_treated_as_for_every_visitor(
        self, small: WebCrawler, servers: Web, tmp_path: Path
    ) -> None:
        servers.pages |= {
            "example.com/": page("", "<script src='http://www.example.com/a.js'></script>"),
            "www.example.com/a.js": response("document.body.innerHTML = 'changed'", "200 OK", "text/javascript"),
        }
        capture = await small.capture(url("https://example.com/"), tmp_path)
        assert capture.failure is None
        assert kept(capture)
        assert "www.example.com/a.js" not in servers.hits
