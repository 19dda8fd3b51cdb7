"""The Temporal dev server of the tests: the product's own binary, started as the product starts it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from precinto import engine
from precinto.devserver import server_command, temporal_binary
from precinto.embedded import any_free_port
from precinto.supervisor import Service, supervised

# A namespace that was just made knows its search attributes at once; an installation has one namespace, and waits.
_OPTIONS = ("--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=true")

SOON_FULL = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=40")
"""For servers that ask a case to go on in another run after 40 events; in an installation they do after thousands."""


@asynccontextmanager
async def temporal_server(folder: Path, *options: str) -> AsyncGenerator[WorkflowEnvironment]:
    """A server whose database and log are in this folder; it is gone when the block ends, or this process."""
    address = f"127.0.0.1:{any_free_port()}"
    command = server_command(
        await temporal_binary(print), address, None, folder / "temporal.db", (*_OPTIONS, *options)
    )
    async with supervised(folder) as supervisor:
        await supervisor.start(Service("temporal", command), lambda: engine.ready(address))
        yield WorkflowEnvironment.from_client(await engine.connect(address))
