"""The whole engine is down at the moment an order ends: worker and Temporal server killed, as by a power cut.

The ISPs are the lab's, whose resolvers go on answering meanwhile; the order, the terms and the clocks are real.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from sqlmodel import col, select
from temporalio.client import WorkflowExecutionStatus

from lab.lab import Lab
from precinto import stubs
from precinto.cli.opened import Opened, opened
from precinto.domain.notification import Action
from precinto.domain.review import Outcome
from precinto.store import ledger
from precinto.store.intake import CaseRow
from precinto.store.orders import NoticeRow, OrderRow, StandingRow
from tests.authority import enrol, referral, signatory, until

pytestmark = pytest.mark.xdist_group("faults")

ROOT = Path(__file__).resolve().parents[2]
ISPS = ("andes", "norte", "sur")
YOUT = "yout.com"
PATIENCE = 60.0
ORDER = timedelta(seconds=20)
T = TypeVar("T")


@pytest.fixture
def home(folder: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of an installation that acts on the lab, which is not below it and outlives it."""
    for name in [name for name in os.environ if name.startswith("PRECINTO_")]:
        monkeypatch.delenv(name)
    procedure = (
        (ROOT / "procedures" / "demo.toml")
        .read_text()
        .replace("[order]\nseconds = 18", f"[order]\nseconds = {ORDER.seconds}")
    )
    (folder / "procedure.toml").write_text(procedure)
    said = lab.environment | {
        "PRECINTO_HOME": str(folder / "home"),
        "PRECINTO_PROCEDURE": str(folder / "procedure.toml"),
        "PRECINTO_SWEEP_SECONDS": "1",
    }
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    return folder / "home"


@asynccontextmanager
async def up(home: Path) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """``starter.py up``, once everything runs; gives what kills it, with all that it started, without a warning."""
    with (home.parent / "up.err").open("a") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "starter.py", "up", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=errors
        )
    assert process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    assert first.startswith(b"Temporal "), (home.parent / "up.err").read_text()
    below = psutil.Process(process.pid).children(recursive=True)
    assert {"temporal", "worker.py"} <= {Path(word).name for one in below for word in one.cmdline()[:2]}

    async def kill() -> None:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.to_thread(psutil.wait_procs, below, PATIENCE)
        assert not [one for one in below if one.is_running()]

    try:
        yield kill
    finally:
        if process.returncode is None:
            await kill()


async def blocked_at(lab: Lab) -> list[str]:
    """The ISPs whose customers do not get to the site."""
    return [
        isp
        for isp in ISPS
        if (await lab.resolve(isp, YOUT)).addresses != (await lab.resolve("control", YOUT)).addresses
    ]


async def rows(here: Opened, table: type[T], *where: Any) -> list[T]:
    """Rows of the installation's database."""
    async with here.store.database.read() as session:
        return list(await session.exec(select(table).where(*where)))


async def order_in_force(here: Opened, lab: Lab) -> OrderRow:
    """Refer, wait for the evidence, approve, and wait until every ISP was measured to block."""
    await enrol(here.store, here.registry.officers)
    desk = await here.desk()
    (taken,) = await desk.refer([referral(YOUT)], "operator-1")

    async def under_review() -> bool:
        return (await here.store.review.docket(taken.case)).is_decidable

    await until(under_review, "the sealed evidence", PATIENCE)
    reasons = "The bundle shows a recording being converted and offered for download."
    for officer in ("reviewer-1", "reviewer-2"):
        if (await desk.decide(taken.case, signatory(officer), Outcome.APPROVE, reasons)).needed == 0:
            break

    async def everywhere() -> bool:
        found = await rows(here, StandingRow)
        return len(found) == 3 and all(one.standing == "compliant" for one in found)

    await until(everywhere, "the block, measured at every ISP", PATIENCE)
    assert await blocked_at(lab) == list(ISPS)
    (order,) = await rows(here, OrderRow)
    return order


async def test_an_order_ends_on_its_date_though_everything_was_down_then(home: Path, lab: Lab) -> None:
    async with up(home) as kill, opened() as here:
        order = await order_in_force(here, lab)
        assert datetime.now(UTC) < order.valid_until, "the machine is too slow for an order of this length"
        await kill()
        await asyncio.sleep(max(0.0, (order.valid_until - datetime.now(UTC)).total_seconds()) + 2)
        assert await blocked_at(lab) == list(ISPS)  # nobody was there to end it
        (still,) = await rows(here, OrderRow)
        assert still.ended_at is None
    started = datetime.now(UTC)
    async with up(home), opened() as here:

        async def closed() -> bool:
            return (await rows(here, CaseRow))[0].stage == "closed"

        await until(closed, "the end of the case", PATIENCE)
        (ended,) = await rows(here, OrderRow)
        assert (ended.ended_at, ended.end_reason) == (order.valid_until, "expired")
        (case,) = await rows(here, CaseRow)
        assert case.closure == "unblocked"
        assert await blocked_at(lab) == []
        releases = await rows(here, NoticeRow, col(NoticeRow.action) == Action.RELEASE.value)
        assert sorted(one.isp for one in releases if not one.reminder) == list(ISPS)
        assert all(one.delivered_at is not None and one.delivered_at > started for one in releases)
        for one in await rows(here, StandingRow):
            assert one.standing == "released"
            assert one.measured_at is not None
            assert one.measured_at > started
            assert one.overstay_seconds == 0  # our outage does not run against the ISPs
        workflow = (await here.client()).get_workflow_handle(stubs.case_workflow(case.id))

        async def completed() -> bool:
            return (await workflow.describe()).status is WorkflowExecutionStatus.COMPLETED

        await until(completed, "the end of its workflow", PATIENCE)
        await ledger.verify(here.store.database)
