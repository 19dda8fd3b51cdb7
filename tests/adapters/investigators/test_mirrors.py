"""The search for mirrors, from captures of a real browser: a copy under another name is found, other sites are not."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from precinto.adapters.archives.wire import WireArchiver
from precinto.adapters.crawlers.web.crawler import WebCrawler
from precinto.domain.fingerprints import Fingerprints, Sign, similar
from precinto.ports import Investigation
from tests.adapters.crawlers.web.captures import ONLY_OPEN, domain
from tests.adapters.investigators.world import World

MIRRORS = {"y2mate.com", "y2mate.lol"}
OTHERS = {"flvto.biz", "libreria.test"}


@pytest.fixture(scope="module")
async def investigations(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Investigation]:
    """Each site captured, its archive made and it investigated, two at a time."""
    resolvers = [str(world.resolver)] * 2
    crawler = WebCrawler(None, resolvers, world.ports, world.ca, timedelta(seconds=60), ONLY_OPEN)
    slots = asyncio.Semaphore(2)

    async def investigate(host: str) -> Investigation:
        folder, subject = tmp_path_factory.mktemp("capture"), domain(host)
        async with slots:
            capture = await crawler.capture(subject, folder)
            assert capture.failure is None
            await WireArchiver().archive(subject, 1, datetime.now(UTC), capture, folder)
            return await world.investigator().investigate(subject, capture, folder)

    hosts = sorted(MIRRORS | OTHERS)
    found = await asyncio.gather(*(investigate(host) for host in hosts))
    await crawler.close()
    return dict(zip(hosts, found, strict=True))


@pytest.fixture(scope="module")
def prints(investigations: dict[str, Investigation]) -> dict[str, Fingerprints]:
    return {host: Fingerprints.model_validate_json(_content(found)) for host, found in investigations.items()}


def test_a_mirror_is_found_by_several_signs(prints: dict[str, Fingerprints]) -> None:
    found = similar(prints["y2mate.com"], prints["y2mate.lol"])
    assert found.alike
    assert set(found.signs) == {Sign.ICON, Sign.NAME, Sign.TITLE, Sign.VIEW, Sign.SHAPE}


def test_other_sites_are_not_even_those_made_from_the_same_kit(prints: dict[str, Fingerprints]) -> None:
    pairs = [pair for pair in itertools.combinations(sorted(prints), 2) if set(pair) != MIRRORS]
    likenesses = {pair: similar(prints[pair[0]], prints[pair[1]]) for pair in pairs}
    assert [pair for pair, likeness in likenesses.items() if likeness.alike] == []
    assert Sign.SHAPE in likenesses[("flvto.biz", "y2mate.com")].signs  # one template, two brands


def test_a_visit_with_its_archive_leaves_nothing_unknown_but_the_neighbours(
    investigations: dict[str, Investigation],
) -> None:
    for host, found in investigations.items():
        assert {one.what for one in found.missing} == {"facts.json: neighbours"}, host
        assert set(found.facts.certificate_names) == {host, f"www.{host}"}
        assert ("server", "lab") in found.facts.headers


def _content(found: Investigation) -> bytes:
    return next(file for file in found.files if file.name == "fingerprints.json").path.read_bytes()
