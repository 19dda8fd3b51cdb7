"""Servers that tests of adapters share."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import trustme

from tests.adapters.names import PolicyServers, policy_servers


@pytest.fixture(scope="session")
async def policy(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[PolicyServers]:
    """A policy zone's primary and a resolver that enforces it."""
    async with policy_servers(tmp_path_factory.mktemp("policy")) as servers:
        yield servers


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of this test run."""
    return trustme.CA()
