"""Where an installation of these tests lives."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short path, for the sockets of the lab's servers are in it (unix(7): 108 bytes)."""
    with tempfile.TemporaryDirectory(prefix="pc-") as name:
        yield Path(name)
