"""An authority at work, on a real Temporal server and a real database, for one test."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from temporalio.client import Client

from precinto.store import Store
from tests.authority import Authority, open_authority
from tests.fakes import FakeIsp


@pytest.fixture
async def authority(client: Client, sqlite_store: Store) -> AsyncGenerator[Authority]:
    """Two ISPs that obey, and workers that keep their cases in memory."""
    async with open_authority(client, sqlite_store, {"isp0": FakeIsp(), "isp1": FakeIsp()}) as opened:
        yield opened


@pytest.fixture
async def forgetful(client: Client, sqlite_store: Store) -> AsyncGenerator[Authority]:
    """The same, but the workers keep no case in memory: each task replays the case from its first event."""
    isps = {"isp0": FakeIsp(), "isp1": FakeIsp()}
    async with open_authority(client, sqlite_store, isps, cached_workflows=0) as opened:
        yield opened
