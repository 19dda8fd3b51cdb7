"""The worker's process where it cannot serve; at work it is seen in ``tests/e2e``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from precinto.embedded import any_free_port

ROOT = Path(__file__).resolve().parents[1]


def worker(home: Path, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a worker in an empty home; its exit code and its log."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PRECINTO_")}
    ran = subprocess.run(
        [sys.executable, ROOT / "worker.py"],
        env={**clean, "PRECINTO_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == ""
    return ran.returncode, [json.loads(line) for line in ran.stderr.splitlines()]


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"PRECINTO_VANTAGES": "sur"}, "PRECINTO_VANTAGES: not JSON"),
        ({"PRECINTO_TEMPORAL_ADDRESS": ""}, "Temporal's address '' is not host:port"),
        ({"PRECINTO_TEMPORAL_ADDRESS": "127.0.0.1:{port}"}, "Temporal does not answer at 127.0.0.1:"),
    ],
)
def test_what_a_person_can_mend_is_told_in_one_line(tmp_path: Path, environment: dict[str, str], reason: str) -> None:
    code, log = worker(tmp_path, **{key: text.format(port=any_free_port()) for key, text in environment.items()})
    [line] = log
    assert code == 1
    assert (line["event"], line["level"], line["logger"]) == ("worker_cannot_serve", "error", "precinto.worker")
    assert line["reason"].startswith(reason)
