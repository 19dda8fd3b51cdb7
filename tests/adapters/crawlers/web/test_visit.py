"""Visits that follow a capture recipe: at the lab's sites with our own recipes, and at pages made for one point."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lab import media
from lab.lab import Lab
from precinto.adapters.crawlers.web import browser
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.domain.evidence import MISSING, EvidenceItem
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.domain.recipes import (
    AnyStep,
    Click,
    Consent,
    Download,
    Open,
    Picture,
    Play,
    Recipe,
    RecipeBook,
    Type,
    Wait,
)
from precinto.ports import Capture, Subject
from precinto.recipes import read_recipes
from tests.adapters.crawlers.web.captures import content, domain, facts, leftovers, size
from tests.adapters.internet import Names, Web, response

RECIPES = read_recipes(Path(__file__).resolve().parents[4] / "recipes")
OPEN = Open(do="open", seconds=10)
FOUND = {"viewport.png", "page.html", "screenshot.png", "page.pdf"}
ATTACHED = 'Content-Disposition: attachment; filename="Some Song.MP3"'

Visiting = Callable[..., Awaitable[Capture]]


@pytest.fixture
def visit(servers: Web, resolver: Names, tmp_path: Path) -> Visiting:
    """Visits ``example.com``, opens it and follows these steps."""
    servers.pages.clear()
    servers.hits.clear()

    async def follow(*steps: AnyStep, seconds: float = 60) -> Capture:
        values = {"link": "https://video.test/1"}
        recipe = Recipe(
            id="test", services=(Service.OTHER,), description="A test.", values=values, steps=(OPEN, *steps)
        )
        time, book = timedelta(seconds=seconds), RecipeBook(recipes=(recipe,))
        crawler = WebCrawler(None, [resolver.address], servers.ports, servers.ca, time, book)
        return await crawler.capture(domain("example.com"), tmp_path)

    return follow


async def in_the_lab(lab: Lab, folder: Path, name: str, service: Service, recipes: RecipeBook = RECIPES) -> Capture:
    resolver = f"{lab.control.address}:{lab.control.port}"
    crawler = WebCrawler(None, [resolver], lab.ports, lab.ca, timedelta(seconds=120), recipes)
    target = normalise(TargetKind.DOMAIN, name)
    return await crawler.capture(Subject(case="case-1", target=target, service=service), folder)


def page(body: str) -> bytes:
    return response(f"<!doctype html><meta charset=utf-8><title>page</title><h1>here</h1>{body}")


def steps(capture: Capture) -> list[dict[str, Any]]:
    return facts(capture, "steps.json")["steps"]


def outcomes(capture: Capture) -> list[str]:
    return [f"{step['do']}: {step['outcome']}" for step in steps(capture)]


def missing(capture: Capture) -> dict[str, str]:
    return {missing.what: missing.reason for missing in capture.missing}


def names(capture: Capture) -> set[str]:
    return {file.name for file in capture.files}


class TestOurRecipesInTheLab:
    async def test_a_ripper_is_used_from_the_link_to_the_file(self, lab: Lab, tmp_path: Path) -> None:
        capture = await in_the_lab(lab, tmp_path, "flvto.biz", Service.STREAM_RIPPER)
        recipe = RECIPES.recipe(Service.STREAM_RIPPER)
        assert capture.failure is None
        assert {step["outcome"] for step in steps(capture)} == {"done"}
        assert missing(capture) == {}

        assert capture.recipe == recipe.digest() == hashlib.sha256(content(capture, "recipe.json")).hexdigest()
        typed = next(step for step in steps(capture) if step["do"] == "type")
        clicked = next(step for step in steps(capture) if step["do"] == "click")
        assert typed["typed"] == recipe.values["test_url"]
        assert [element["text"] for element in clicked["clicked"]] == ["Convert"]
        assert typed["started_at"] < typed["finished_at"] <= clicked["started_at"]

        assert b'class="consent"' not in content(capture, "page.html")  # as it was found, the banner answered
        assert b"<h1>Ready</h1>" in content(capture, "end.html")
        assert {"picture-pasted.png", "picture-converted.png", "end.png", *FOUND} < names(capture)
        assert size(content(capture, "picture-converted.png")) == browser.VIEWPORT
        assert content(capture, "page.pdf").startswith(b"%PDF-")
        assert "not what the window showed" in facts(capture, "response.json")["page.pdf"]

        (download,) = facts(capture, "response.json")["downloads"]
        sound = media.tone(220 + 20 * (sum(recipe.values["test_url"].encode()) % 30))
        assert content(capture, "download-1.wav") == sound
        assert (download["name"], download["size"]) == ("download-1.wav", len(sound))
        assert download["sha256"] == hashlib.sha256(sound).hexdigest()
        assert download["suggested"].startswith("FLVto-")
        assert download["url"].startswith("https://flvto.biz/download/")
        for file in capture.files:
            EvidenceItem(name=file.name, media_type=file.media_type, size=1, sha256="0" * 64)

    async def test_a_live_stream_plays_and_its_frames_have_their_times(self, lab: Lab, tmp_path: Path) -> None:
        shipped = RECIPES.recipe(Service.LIVE_STREAM)
        short = [
            s.model_copy(update={"play_seconds": 3, "frames": 3}) if isinstance(s, Play) else s for s in shipped.steps
        ]
        recipe = shipped.model_copy(update={"steps": tuple(short), "services": (Service.LIVE_STREAM, Service.OTHER)})
        capture = await in_the_lab(
            lab, tmp_path, "roja-directa-lab.test", Service.LIVE_STREAM, RecipeBook(recipes=(recipe,))
        )
        assert capture.failure is None, steps(capture)
        play = next(step for step in steps(capture) if step["do"] == "play")
        (player,) = play["players_at_end"]
        assert (player["width"], player["height"], player["paused"]) == (512, 288, False)
        assert player["pictures"] > 10
        assert play["played_ms"] > 1_000

        frames = facts(capture, "frames.json")["frames"]
        assert [frame["name"] for frame in frames] == ["frame-0001.jpg", "frame-0002.jpg", "frame-0003.jpg"]
        assert len({frame["sha256"] for frame in frames}) == 3
        moments = [datetime.fromisoformat(step) for step in (play["started_at"], play["finished_at"])]
        times = [datetime.fromisoformat(frame["at"]) for frame in frames]
        assert moments[0] < times[0] < times[1] < times[2] < moments[1]
        for frame in frames:
            picture = content(capture, frame["name"])
            assert picture.startswith(b"\xff\xd8\xff")
            assert (len(picture), hashlib.sha256(picture).hexdigest()) == (frame["size"], frame["sha256"])
            grass = Image.open(io.BytesIO(picture)).getpixel((260, 300))  # beside the pitch, where nobody plays
            assert all(abs(shown - drawn) < 12 for shown, drawn in zip(grass, (46, 125, 50), strict=True))
        requests = [request["url"] for request in facts(capture, "network.json")["requests"]]
        assert any(request.endswith(".ts") for request in requests)

    async def test_what_is_optional_and_not_there_is_skipped_and_named(self, lab: Lab, tmp_path: Path) -> None:
        capture = await in_the_lab(lab, tmp_path, "libreria.test", Service.OTHER)
        assert capture.failure is None
        assert outcomes(capture) == ["open: done", "consent: skipped", "scroll: done"]
        reason = "skipped: nothing that it names was to be seen within 2 s"
        assert missing(capture) == {"step 2 (consent)": reason}
        assert names(capture) > FOUND
        assert "end.png" not in names(capture)  # nothing was done to the page


class TestWhatAVisitorDoes:
    async def test_elements_are_found_in_frames_of_other_sites_and_in_shadow_trees(
        self, visit: Visiting, servers: Web
    ) -> None:
        banner = "<button onclick='this.remove(); parent.postMessage(1, \"*\")'>  Aceptar\n todo! </button>"
        servers.pages |= {
            "example.com/": page(
                "<script>onmessage = () => document.title = 'agreed'</script><div id=host></div>"
                "<iframe src=https://example.org/banner></iframe>"
                "<script>host.attachShadow({mode: 'open'}).innerHTML = '<input name=q>'</script>"
            ),
            "example.org/banner": response(banner),
        }
        capture = await visit(
            Consent(do="consent", texts=("Accept", "aceptar todo")),
            Type(do="type", value="link", selectors=("input[name=q]",)),
        )
        assert capture.failure is None
        assert b"<title>agreed</title>" in content(capture, "page.html")
        (clicked,) = steps(capture)[1]["clicked"]
        assert (clicked["frame"], clicked["text"]) == ("https://example.org/banner", "Aceptar todo!")

    async def test_what_lies_over_an_element_gets_the_click_and_it_is_noted(
        self, visit: Visiting, servers: Web
    ) -> None:
        servers.pages["example.com/"] = page(
            "<button onclick='document.title = \"converted\"'>Convert</button>"
            "<div style='position: fixed; inset: 0' onclick='this.remove(); window.open(\"/ad\")'></div>"
        )
        click = Click(do="click", texts=("Convert",))
        capture = await visit(click, click)
        assert capture.failure is None
        assert [step["clicked"][0]["covered"] for step in steps(capture)[1:]] == [True, False]
        assert b"<title>converted</title>" in content(capture, "end.html")
        assert b"<title>page</title>" in content(capture, "page.html")
        assert "window" in [event["kind"] for event in facts(capture, "console.json")["events"]]

    async def test_ten_thousand_elements_are_no_more_than_one(self, visit: Visiting, servers: Web) -> None:
        many = "".join(
            f"<p hidden><button>Go</button><p><button onclick='open({n})'>Go</button>" for n in range(5_000)
        )
        servers.pages["example.com/"] = page(many)
        capture = await visit(Click(do="click", seconds=8, selectors=("button",), texts=("Go",)))
        assert outcomes(capture) == ["open: done", "click: done"]

    async def test_a_page_that_comes_late_is_waited_for(self, visit: Visiting, servers: Web) -> None:
        servers.pages |= {
            "example.com/": page("<a href=/next>Next</a>"),
            "example.com/next": page("<script>setTimeout(() => document.body.append('', done), 900)</script>"
                                     "<template><b></b></template><b id=done hidden></b>"),
        }  # fmt: skip
        capture = await visit(
            Click(do="click", texts=("next",)),
            Wait(do="wait", idle=True),
            Wait(do="wait", seconds=1),
            Picture(do="picture", name="then"),
        )
        assert capture.failure is None
        assert facts(capture, "response.json")["url"] == "https://example.com/"
        assert facts(capture, "response.json")["left"] == "https://example.com/next"
        assert "picture-then.png" in names(capture)


class TestAStepThatFails:
    async def test_it_ends_the_recipe_and_everything_else_is_kept(self, visit: Visiting, servers: Web) -> None:
        servers.pages["example.com/"] = page("<img src=https://down.example.com/x.png><button hidden>Convert</button>")
        capture = await visit(
            Click(do="click", seconds=1, texts=("Convert",)),
            Download(do="download", texts=("Download",)),
        )
        why = "nothing that it names was to be seen within 1 s"
        assert capture.failure == f"step 2 (click): {why}"
        assert outcomes(capture) == ["open: done", "click: failed", "download: not reached"]
        assert names(capture) > FOUND | {"end.png", "end.html", "steps.json", "recipe.json", "response.json"}
        lost = missing(capture)
        assert lost.pop("https://down.example.com/x.png").startswith("net::ERR_")
        assert lost == {
            "step 2 (click)": f"failed: {why}",
            "step 3 (download)": "not reached: step 2 (click) failed",
        }

    async def test_what_the_guard_refused_is_named_with_its_reason(self, visit: Visiting, servers: Web) -> None:
        servers.pages["example.com/"] = page("<img src=https://10.0.0.1/x.png>")
        capture = await visit()
        assert "an address in place of a name" in missing(capture)["https://10.0.0.1/x.png"]

    async def test_what_is_missing_without_end_is_counted(self, visit: Visiting, servers: Web) -> None:
        script = "for (let n = 0; n < 2100; n++) fetch('https://example.com:1/' + n).catch(() => 0)"
        servers.pages["example.com/"] = page(f"<script>{script}</script>")
        capture = await visit()
        assert capture.failure is None
        assert len(capture.missing) == MISSING
        assert missing(capture)["https://example.com:1/0"] == "net::ERR_UNSAFE_PORT"
        assert missing(capture)["further things"].endswith("beyond the 1999 that are named")

    async def test_a_selector_that_is_none_is_said_to_be_so(self, visit: Visiting, servers: Web) -> None:
        servers.pages["example.com/"] = page("")
        capture = await visit(Click(do="click", selectors=("a[[",)))
        assert str(capture.failure).startswith("step 2 (click): not a selector: ")

    async def test_the_time_of_the_visit_ends_the_recipe_and_the_page_is_kept(
        self, visit: Visiting, servers: Web
    ) -> None:
        servers.pages["example.com/"] = page("<button>Convert</button>")
        capture = await visit(Wait(do="wait", seconds=60), Click(do="click", texts=("Convert",)), seconds=20)
        assert outcomes(capture) == ["open: done", "wait: failed", "click: not reached"]
        assert names(capture) > FOUND

    async def test_scripts_that_are_halted_end_it(self, visit: Visiting, servers: Web) -> None:
        storm = "while (true) alert(1)"
        servers.pages["example.com/"] = page(f"<button onclick='{storm}'>Convert</button>")
        capture = await visit(
            Click(do="click", seconds=20, texts=("Convert",)), Type(do="type", value="link", selectors=("input",))
        )
        assert missing(capture)["step 3 (type)"] == "not reached: its scripts were halted: 20 dialogs"
        assert names(capture) > FOUND | {"end.png"}

    async def test_a_page_that_brings_its_process_down_is_a_failure(self, visit: Visiting, servers: Web) -> None:
        async def crash(_: asyncio.StreamWriter) -> None:
            """End the browser's process for this page, as a fault in the browser would."""
            for process in Path("/proc").glob("[0-9]*"):
                if (line := _command(process)) and "--type=renderer" in line and line in leftovers():
                    os.kill(int(process.name), signal.SIGKILL)

        servers.pages |= {
            "example.com/": page("<button onclick='fetch(\"/crash\")'>Go</button>"),
            "example.com/crash": crash,
        }
        capture = await visit(Click(do="click", texts=("Go",)), Wait(do="wait", seconds=2), Wait(do="wait", seconds=1))
        assert capture.failure is not None
        assert "crashed" in capture.failure
        assert names(capture) > FOUND


class TestDownloads:
    async def test_a_file_that_comes_through_a_window_of_its_own_is_kept(self, visit: Visiting, servers: Web) -> None:
        servers.pages |= {
            "example.com/": page("<a href=/song target=_blank>Download</a>"),
            "example.com/song": response(b"ID3 song", "200 OK", "audio/mpeg", ATTACHED),
        }
        capture = await visit(Download(do="download", texts=("Download",), seconds=10))
        assert capture.failure is None
        assert content(capture, "download-1.mp3") == b"ID3 song"
        assert facts(capture, "response.json")["downloads"][0]["suggested"] == "Some Song.MP3"

    async def test_a_file_that_comes_before_it_is_asked_for_is_the_same_file(
        self, visit: Visiting, servers: Web
    ) -> None:
        servers.pages |= {
            "example.com/": page("<script>setTimeout(() => location = '/song', 300)</script>"),
            "example.com/song": response(b"ID3 song", "200 OK", "audio/mpeg", ATTACHED),
        }
        capture = await visit(Wait(do="wait", seconds=1), Download(do="download", texts=("Download",)))
        assert capture.failure is None
        assert content(capture, "download-1.mp3") == b"ID3 song"
        assert "clicked" not in steps(capture)[2]
        assert missing(capture) == {}

    async def test_a_file_that_comes_while_it_is_looked_for_is_the_same_file(
        self, visit: Visiting, servers: Web
    ) -> None:
        """As after a countdown, on a page that has nothing to click on."""
        servers.pages |= {
            "example.com/": page("<script>onload = () => setTimeout(() => location = '/song', 4000)</script>"),
            "example.com/song": response(b"ID3 song", "200 OK", "audio/mpeg", ATTACHED),
        }
        capture = await visit(Download(do="download", texts=("Download",)))
        assert capture.failure is None
        assert content(capture, "download-1.mp3") == b"ID3 song"

    async def test_a_page_that_offers_no_file_is_not_waited_for_as_long_as_one_that_does(
        self, visit: Visiting, servers: Web
    ) -> None:
        servers.pages["example.com/"] = page("")
        capture = await visit(Download(do="download", texts=("Download",), seconds=90, find_seconds=2))
        why = "nothing that it names was to be seen, and no file came, within 2 s"
        assert capture.failure == f"step 2 (download): {why}"
        began, ended = (datetime.fromisoformat(steps(capture)[1][at]) for at in ("started_at", "finished_at"))
        assert timedelta(seconds=1.9) < ended - began < timedelta(seconds=5)

    async def test_a_file_that_nobody_asked_for_is_refused_and_named(self, visit: Visiting, servers: Web) -> None:
        servers.pages |= {
            "example.com/": page("<script>setTimeout(() => location = '/song', 100)</script>"),
            "example.com/song": response(b"MZ", "200 OK", "audio/mpeg", ATTACHED),
        }
        capture = await visit(Wait(do="wait", seconds=1))
        assert capture.failure is None
        what = "download Some Song.MP3 of https://example.com/song"
        assert missing(capture)[what] == "no step of the recipe asks for it"
        assert not [name for name in names(capture) if name.startswith("download")]

    @pytest.mark.parametrize(
        ("limit", "seconds", "why"),
        [
            (300_000, 20, "Some Song.MP3: more than the 300000 bytes of the recipe"),
            (10_000_000, 2, "not done within 2 s"),
        ],
        ids=["too large", "too long"],
    )
    async def test_a_file_without_end_is_broken_off(
        self, limit: int, seconds: int, why: str, visit: Visiting, servers: Web
    ) -> None:
        ended = asyncio.Event()

        async def endless(writer: asyncio.StreamWriter) -> None:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n{ATTACHED}\r\n\r\n".encode())
            try:
                while True:
                    writer.write(b"x" * 20_000)
                    await writer.drain()
                    await asyncio.sleep(0.02)
            finally:
                ended.set()

        servers.pages |= {"example.com/": page("<a href=/song>Download</a>"), "example.com/song": endless}
        capture = await visit(Download(do="download", texts=("Download",), bytes=limit, seconds=seconds))
        assert capture.failure == f"step 2 (download): {why}"
        assert missing(capture)["step 2 (download)"] == f"failed: {why}"
        assert not [name for name in names(capture) if name.startswith("download")]
        assert names(capture) > FOUND | {"end.png"}
        await asyncio.wait_for(ended.wait(), 5)


class TestPlayers:
    PLAY = Play(do="play", selectors=("video",), seconds=2, play_seconds=2, frames=4)

    async def test_a_player_that_does_not_play_fails_with_its_own_words(self, visit: Visiting, servers: Web) -> None:
        servers.pages |= {"example.com/": page("<video src=/film></video>"), "example.com/film": response(b"no film")}
        capture = await visit(self.PLAY)
        assert str(capture.failure).startswith("step 2 (play): nothing plays: 4 ")
        assert len(facts(capture, "frames.json")["frames"]) == 1  # a picture that stands still is kept once

    async def test_pictures_that_change_are_kept_whatever_draws_them(self, visit: Visiting, servers: Web) -> None:
        inside = (
            "<canvas id=c></canvas><script>let n = 0; setInterval(() => { const d = c.getContext('2d');"
            "d.clearRect(0, 0, 300, 150); d.font = '40px sans-serif'; d.fillText(n++, 20, 80) }, 50)</script>"
        )
        servers.pages |= {
            "example.com/": page("<iframe src=https://example.org/player></iframe>"),
            "example.org/player": response(inside),
        }
        capture = await visit(self.PLAY)
        assert capture.failure is None
        assert steps(capture)[1]["different_frames"] == len(facts(capture, "frames.json")["frames"]) == 4


def _command(process: Path) -> str | None:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None  # it ended meanwhile
