"""The little internet that captures are made of, shared, and a crawler that sees it as the lab is seen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta

import pytest

from precinto.adapters.crawlers.web.crawler import WebCrawler
from tests.adapters.crawlers.web.captures import ONLY_OPEN, own_temporary_folder
from tests.adapters.internet import Names, Trap, Web, names, trap, web


@pytest.fixture(scope="package")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Web]:
    """Web servers."""
    async with web(tmp_path_factory.mktemp("web")) as started:
        yield started


@pytest.fixture(scope="package")
async def resolver() -> AsyncGenerator[Names]:
    """A resolver that knows them."""
    async with names() as started:
        loopback = ("127.0.0.1",)
        started.answers = dict.fromkeys(
            ("example.com", "www.example.com", "example.org", "example.net", "down.example.com"), loopback
        )
        started.answers["down.example.com"] = ("127.0.0.2",)
        yield started


@pytest.fixture
async def forbidden() -> AsyncGenerator[Trap]:
    """A server that nobody may reach."""
    async with trap() as started:
        yield started


@pytest.fixture(scope="package", autouse=True)
def _captures_of_this_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    tmp_path_factory.getbasetemp()  # pytest's own folder stays where it is
    with own_temporary_folder():
        yield


@pytest.fixture
async def crawler(servers: Web, resolver: Names) -> AsyncGenerator[WebCrawler]:
    """A crawler in lab mode; the servers start empty."""
    servers.pages.clear()
    servers.hits.clear()
    made = WebCrawler(
        executable=None,
        resolvers=[resolver.address],
        ports=servers.ports,
        ca=servers.ca,
        timeout=timedelta(seconds=60),
        recipes=ONLY_OPEN,
    )
    yield made
    await made.close()
