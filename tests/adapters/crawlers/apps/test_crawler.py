"""A capture of an app: the page where it is offered, the file, what the file says, and whether it is the one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab, open_lab
from precinto.adapters.crawlers.apps.crawler import AppCrawler
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.domain.apps import AppFacts
from precinto.domain.errors import BadInput, CannotHere
from precinto.domain.evidence import EvidenceItem, Missing
from precinto.domain.intake import Service, Target, TargetKind, normalise
from precinto.domain.model import digest
from precinto.domain.recipes import RecipeBook, read_recipe
from precinto.ports import Capture, CapturedFile, Subject
from tests.adapters.crawlers.web.captures import own_temporary_folder

RECIPE = Path(__file__).parents[4] / "recipes" / "apps" / "app-download.toml"
APPIUM = normalise(TargetKind.MOBILE_APP, "io.appium.settings")
PAGE = "https://apks-lab.test/"


def subject(target: Target, page: str | None = PAGE) -> Subject:
    return Subject(case="case-1", target=target, service=Service.LIVE_STREAM, page=page)


class Pages:
    """Stands in for the crawler of pages where a test is about what happens around it: it has already been there.

    Attributes:
        visited: What it was asked to capture.
    """

    def __init__(self, download: bytes | None, failure: str | None = None) -> None:
        self.visited: list[Subject] = []
        self._download = download
        self._failure = failure

    async def capture(self, subject: Subject, folder: Path) -> Capture:
        self.visited.append(subject)
        files: list[CapturedFile] = []
        for name, content in (("page.html", b"<p>"), ("download-1.apk", self._download), ("download-2.apk", b"")):
            if content is not None:
                (folder / name).write_bytes(content)
                files.append(CapturedFile(name=name, media_type="application/octet-stream", path=folder / name))
        return Capture(
            files=tuple(files),
            addresses={"apks-lab.test": ("127.0.1.10",)},
            tools={"chromium": "1"},
            vantage="control",
            failure=self._failure,
        )


@pytest.fixture(scope="module")
async def offering(settings_apk: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Lab]:
    """A lab whose download page offers an app."""
    async with open_lab(tmp_path_factory.mktemp("lab"), app=settings_apk) as opened:
        yield opened


@pytest.fixture
async def crawler(offering: Lab) -> AsyncGenerator[AppCrawler]:
    """The real one; it does not look as long for a file as the recipe says."""
    recipe = read_recipe(RECIPE.read_text().replace("find_seconds = 10", "find_seconds = 4"), RECIPE.name)
    pages = WebCrawler(
        executable=None,
        resolvers=[str(offering.control)],
        ports=offering.ports,
        ca=offering.ca,
        timeout=timedelta(seconds=120),
        recipes=RecipeBook(recipes=(recipe,)),
    )
    with own_temporary_folder():
        made = AppCrawler(pages)
        yield made
        await made.close()


def facts(capture: Capture) -> dict[str, Any]:
    (file,) = [file for file in capture.files if file.name == "app.json"]
    return json.loads(file.path.read_bytes())


class TestAroundThePage:
    async def test_the_file_must_be_the_app_that_was_referred(self, settings_apk: Path, tmp_path: Path) -> None:
        pages = Pages(settings_apk.read_bytes())
        capture = await AppCrawler(pages).capture(subject(APPIUM), tmp_path)
        assert (capture.failure, capture.missing) == (None, ())
        assert AppFacts.model_validate(facts(capture)).identity == "io.appium.settings"
        assert capture.tools.keys() >= {"chromium", "androguard", "apkInspector"}
        assert capture.addresses == {"apks-lab.test": ("127.0.1.10",)}
        (visited,) = pages.visited
        assert (visited.target.value, visited.target.kind, visited.case) == (PAGE, TargetKind.URL, "case-1")

    async def test_another_app_is_a_failure_that_is_kept(self, settings_apk: Path, tmp_path: Path) -> None:
        pages = Pages(settings_apk.read_bytes())
        other = normalise(TargetKind.MOBILE_APP, "test.pirate.player")
        capture = await AppCrawler(pages).capture(subject(other), tmp_path)
        assert capture.failure == (
            "the file's package or bundle id is io.appium.settings; the target's is test.pirate.player"
        )
        assert {file.name for file in capture.files} >= {"page.html", "download-1.apk", "app.json"}

    @pytest.mark.parametrize("wanted", [True, False])
    async def test_a_program_is_known_by_its_digest(self, forms_exe: Path, tmp_path: Path, wanted: bool) -> None:
        content = forms_exe.read_bytes()
        target = normalise(TargetKind.DESKTOP_APP, digest(content if wanted else b"another"))
        capture = await AppCrawler(Pages(content)).capture(subject(target), tmp_path)
        assert (capture.failure is None) is wanted
        assert facts(capture)["sha256"] == digest(content)

    async def test_a_store_that_hands_no_file_to_a_browser_is_no_failure(self, tmp_path: Path) -> None:
        capture = await AppCrawler(Pages(None)).capture(subject(APPIUM), tmp_path)
        assert capture.failure is None
        assert [missing.what for missing in capture.missing] == ["app.json"]

    async def test_a_page_that_failed_stays_a_failure(self, settings_apk: Path, tmp_path: Path) -> None:
        other = normalise(TargetKind.MOBILE_APP, "test.pirate.player")
        pages = Pages(settings_apk.read_bytes(), failure="the site answered with status 500")
        failure = (await AppCrawler(pages).capture(subject(other), tmp_path)).failure
        assert failure is not None
        assert failure.startswith("the site answered with status 500; the file's package or bundle id is io.appium")

    async def test_what_could_not_be_read_is_missing(self, tmp_path: Path) -> None:
        capture = await AppCrawler(Pages(b"PK\x03\x04 torn")).capture(subject(APPIUM), tmp_path)
        assert capture.missing == (Missing(what="app.json: kind", reason="it has no end of a ZIP directory"),)
        assert capture.failure is not None
        assert "is not to be read" in capture.failure

    @pytest.mark.parametrize(
        ("page", "reason"),
        [
            (None, "the referral's field page is missing"),
            ("ftp://apks-lab.test/", "the referral's field page: 'ftp://apks-lab.test/' is not an http or https"),
            ("https://10.0.0.1/app.apk", "the referral's field page: '10.0.0.1' is an address"),
        ],
    )
    async def test_a_page_that_is_none_is_a_failure_that_names_the_field(
        self, tmp_path: Path, page: str | None, reason: str
    ) -> None:
        pages = Pages(None)
        failure = (await AppCrawler(pages).capture(subject(APPIUM, page), tmp_path)).failure
        assert failure is not None
        assert failure.startswith(reason)
        assert pages.visited == []

    async def test_a_site_is_no_app(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="a target of kind domain is no app"):
            await AppCrawler(Pages(None)).capture(subject(normalise(TargetKind.DOMAIN, "flvto.biz")), tmp_path)

    async def test_a_machine_without_the_programs_that_set_limits_says_so_before_it_visits(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        pages = Pages(None)
        with pytest.raises(CannotHere, match="prlimit, setpriv: apt install util-linux"):
            await AppCrawler(pages).capture(subject(APPIUM), tmp_path)
        assert pages.visited == []


class TestWithABrowser:
    """The real browser at the lab's page, by the recipe that captures of apps follow."""

    async def test_page_and_file_are_in_one_capture(
        self, crawler: AppCrawler, settings_apk: Path, tmp_path: Path
    ) -> None:
        capture = await crawler.capture(subject(APPIUM), tmp_path)
        assert (capture.failure, capture.missing) == (None, ())
        paths = {file.name: file.path for file in capture.files}
        assert paths["download-1.apk"].read_bytes() == settings_apk.read_bytes()
        assert paths.keys() >= {"app.json", "recipe.json", "steps.json", "screenshot.png", "page.html", "wire.pcapng"}
        assert json.loads(paths["recipe.json"].read_bytes())["id"] == "app-download"
        assert capture.recipe == digest(paths["recipe.json"].read_bytes())
        assert facts(capture)["android"]["package"] == "io.appium.settings"
        assert b"Descargar APK" in paths["page.html"].read_bytes()
        for name, path in paths.items():
            EvidenceItem(name=name, media_type="x/y", size=path.stat().st_size, sha256=digest(path.read_bytes()))

    async def test_a_page_without_a_file_is_captured_all_the_same(self, crawler: AppCrawler, tmp_path: Path) -> None:
        capture = await crawler.capture(subject(APPIUM, "https://panaderia.test/"), tmp_path)
        assert capture.failure is None
        reasons = {missing.what: missing.reason for missing in capture.missing}
        assert "app.json" in reasons
        assert reasons["step 5 (download)"] == (
            "skipped: nothing that it names was to be seen, and no file came, within 4 s"
        )
        assert "screenshot.png" in {file.name for file in capture.files}

    async def test_a_capture_that_is_broken_off_leaves_nothing_running(
        self, crawler: AppCrawler, tmp_path: Path
    ) -> None:
        capturing = asyncio.create_task(crawler.capture(subject(APPIUM), tmp_path))
        await asyncio.sleep(1)
        await crawler.close()
        assert capturing.cancelled()
