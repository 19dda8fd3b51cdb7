"""An authority on the time-skipping server; skipped, with the reason, where that server is not to be had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta, tzinfo

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities import notification, verification
from precinto import engine, stubs
from precinto.store import Store
from tests.authority import Authority, open_authority
from tests.fakes import FakeIsp
from tests.time_skipping.server import Missing, program


@pytest.fixture(scope="session")
async def skipping() -> AsyncGenerator[WorkflowEnvironment]:
    """The server; its clock stands still unless a test lets it go."""
    try:
        script = await asyncio.to_thread(program)
    except Missing as missing:
        pytest.skip(str(missing))
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(script),
        test_server_startup_timeout=timedelta(minutes=1),
        plugins=[engine.plugin()],
    ) as server:
        types = {
            name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")
            for name, kind in stubs.SEARCH_ATTRIBUTES.items()
        }
        await server.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace="default", search_attributes=types)
        )
        yield server


class _ServersClock(datetime):
    """For activities, which ask their own machine when a notice was delivered: here the server's clock runs ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """When the server says that the activity was started."""
        return activity.info().started_time.astimezone(tz)


@pytest.fixture
async def authority(
    skipping: WorkflowEnvironment, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Authority]:
    """Two ISPs that obey."""

    async def registered(_: Client) -> set[str]:
        """This server can register search attributes, but not list them."""
        return set(stubs.SEARCH_ATTRIBUTES)

    monkeypatch.setattr(engine, "registered_attributes", registered)
    for module in (notification, verification):
        monkeypatch.setattr(module, "datetime", _ServersClock)
    async with open_authority(skipping.client, sqlite_store, {"isp0": FakeIsp(), "isp1": FakeIsp()}) as opened:
        yield opened
