"""The authority that seals in these tests, and one good bundle of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.timestamps import Clock
from precinto.bundle.writer import Parts
from tests.bundle.sealing import Sealing, stamping, unpack


@dataclass(frozen=True)
class GoodBundle:
    """A bundle to spoil copies of: what it was made of, and its ZIP."""

    parts: Parts
    path: Path

    def unpacked(self, folder: Path) -> Path:
        """A folder of it."""
        return unpack(self.path, folder)


@pytest.fixture(scope="session")
async def clocks(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[dict[str, Clock]]:
    """Three time-stamp authorities; the third is trusted by nobody."""
    async with stamping(tmp_path_factory.mktemp("clocks"), ("uno", "dos", "tres")) as opened:
        yield opened


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory, clocks: dict[str, Clock]) -> Sealing:
    """The authority, with the trust of one who checks it."""
    return Sealing.own(tmp_path_factory.mktemp("authority"), {name: clocks[name] for name in ("uno", "dos")})


@pytest.fixture(scope="session")
async def good(tmp_path_factory: pytest.TempPathFactory, authority: Sealing) -> GoodBundle:
    """A good bundle."""
    path = tmp_path_factory.mktemp("good") / "bundle.zip"
    return GoodBundle(await authority.bundle(path), path)
