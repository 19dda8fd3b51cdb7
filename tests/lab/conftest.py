"""What the tests of the lab share."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from lab.lab import Lab
from tests.lab.visitor import Visitor


@pytest.fixture
async def visitor(lab: Lab) -> AsyncGenerator[Visitor]:
    """A visitor who has been nowhere yet."""
    async with Visitor(lab) as opened:
        yield opened
