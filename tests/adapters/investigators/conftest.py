"""Servers that tests of investigations share."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.adapters.investigators.world import World, open_world


@pytest.fixture(scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    """Names, sites and registries, all real."""
    async with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened
