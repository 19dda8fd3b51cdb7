"""The page that offers an app: a file that the lab was opened with, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.names import host_of
from lab.sites import Sites
from lab.web import Request, Response

HOST = host_of("apks-lab.test")


async def get(sites: Sites, path: str) -> Response:
    assert HOST is not None
    answer = await sites.answer(Request("GET", path, "", HOST.name, {}, b"", HOST.address, secure=True))
    assert isinstance(answer, Response)
    return answer


@pytest.fixture
def offering(tmp_path: Path) -> Sites:
    app = tmp_path / "fútbol ya.apk"
    app.write_bytes(b"PK an app")
    return Sites(app)


async def test_the_page_offers_the_file_that_it_was_given(offering: Sites) -> None:
    page = (await get(offering, "/")).body.decode()
    assert 'href="/files/f%C3%BAtbol%20ya.apk" download' in page
    assert "fútbol ya.apk" in page
    file = await get(offering, "/files/fútbol ya.apk")
    assert (file.status, file.body) == (200, b"PK an app")
    assert file.media_type == "application/vnd.android.package-archive"
    assert dict(file.headers)["Content-Disposition"] == "attachment; filename*=UTF-8''f%C3%BAtbol%20ya.apk"


async def test_without_a_file_it_offers_none() -> None:
    sites = Sites()
    assert "download" not in (await get(sites, "/")).body.decode().replace('class="downloads"', "")
    assert (await get(sites, "/files/x.apk")).status == 404


async def test_plain_http_leads_to_https(offering: Sites) -> None:
    assert HOST is not None
    moved = await offering.answer(Request("GET", "/", "", HOST.name, {}, b"", HOST.address, secure=False))
    assert isinstance(moved, Response)
    assert moved.status == 301
