"""The machine, with the whole of Precinto bound to its clock."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import activities.evidence
import activities.notification
import activities.verification
import activities.watch
from precinto.store import Database, Store
from precinto.store import database as database_module
from tests import fakes
from tests.invariants.machine import Enforcement
from tests.invariants.outside import CLOCK, OFFICERS, START, enrol_key

ASK_FOR_THE_TIME = (activities.evidence, activities.notification, activities.verification, activities.watch, fakes)


class _Clocked(datetime):
    """What the activities ask for the time."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return CLOCK.now()


@pytest.fixture(scope="module")
def clocked() -> Iterator[None]:
    """Everything goes by the machine's clock; one notice is under way at a time, so that every run is the same."""
    real_now = database_module.now
    with capture_logs(), pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("precinto.") and getattr(module, "now", None) is real_now:
                patch.setattr(module, "now", CLOCK.now)
        for module in ASK_FOR_THE_TIME:
            patch.setattr(module, "datetime", _Clocked)
        patch.setattr(activities.notification, "AT_ONCE", 1)
        yield


@pytest.fixture(scope="module")
def machine(clocked: None, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> type[Enforcement]:
    """The machine, on a database in which every officer has a key."""
    path = Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("invariants") / "precinto.db"))

    async def enrol() -> None:
        CLOCK.at = START
        database = Database(f"sqlite+aiosqlite:///{path}")
        for officer in OFFICERS:
            await enrol_key(Store(database), officer.id, officer.id)
        await database.close()

    asyncio.run(enrol())
    Enforcement.template = path
    return Enforcement
