"""The demo's story under fire: worker and Temporal server are killed in mid-flight, and it ends the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("faults")  # one demo for all of them

ROOT = Path(__file__).resolve().parents[2]

KILLS = (
    ("case accepted", "worker"),  # while browsers capture
    ("order 2", "temporal"),  # while decisions are told and notices go out
    ("order ended", "worker"),  # while the releases go out
)
"""Which line of the timeline is waited for, and which service is then killed with SIGKILL; in this order."""


@pytest.fixture(scope="module")
def record(folder: Path) -> Iterator[dict]:
    """The record of a demo during which three processes were killed."""
    command = [
        sys.executable, "starter.py", "demo", "--json", "--pace", "2",
        "--home", str(folder / "home"), "--output", str(folder / "demo.json"),
    ]  # fmt: skip
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        timeline = kill_along(demo, folder / "home" / "run")
        assert demo.wait(60) == 0, "\n".join(timeline)
        yield json.loads((folder / "demo.json").read_text())
    finally:
        demo.kill()
        demo.wait()


def kill_along(demo: subprocess.Popen[str], run: Path) -> list[str]:
    """Follow the timeline and kill each service at its line; returns what was told."""
    assert demo.stderr is not None
    left, timeline = list(KILLS), []
    for line in demo.stderr:
        timeline.append(line.rstrip())
        if left and left[0][0] in line:
            service = left.pop(0)[1]
            os.kill(int((run / f"{service}.pid").read_text()), signal.SIGKILL)
    assert not left, f"never came to: {left}\n" + "\n".join(timeline)
    return timeline


def test_the_killed_processes_were_started_again(record: dict) -> None:
    assert record["restarts"] == {"worker": 2, "temporal": 1}


def test_every_case_ends_as_told(record: dict) -> None:
    assert record["ok"], [check["what"] for check in record["checks"] if not check["holds"]]
    closures = Counter(case["closure"] for case in record["cases"])
    assert closures == {"unblocked": 3, "rejected": 1}


@pytest.mark.parametrize("isp", ["sur", "andes"])
def test_each_isp_took_each_version_of_each_order_exactly_once(record: dict, isp: str) -> None:
    first = [one for one in record["isps"][isp]["taken"] if not one["reminder"]]
    taken = Counter((one["order"], one["version"]) for one in first)
    assert set(taken.values()) == {1}
    told = {order: [one["action"] for one in first if one["order"] == order] for order, _ in taken}
    # One order was stayed and resumed in between.
    assert sorted(told.values()) == [["block", "release"]] * 2 + [["block", "release"] * 2]


def test_the_zone_of_the_third_isp_is_empty_again(record: dict) -> None:
    assert record["isps"]["norte"]["names_in_zone"] == []


def test_the_ledger_is_whole(record: dict) -> None:
    assert record["ledger"]["rows"] > 0
