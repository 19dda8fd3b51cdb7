"""The watch over what a browser uses, here over plain programs: what counts, and what is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from precinto.adapters.crawlers.web.limits import Limits, Watch

MB = 1_000_000


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a program as a browser is started: in a group of its own, its folder in its command line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_memory_of_its_children_counts_and_all_are_killed(
    run: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    hog = "import time; a = bytes([1]) * 120_000_000; time.sleep(60)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{hog}'])"
    with Watch(tmp_path, Limits(memory=100 * MB)) as watch:
        assert run(child).wait(timeout=30) == -9
    assert watch.use.exceeded == f"the browser took more than {100 * MB} bytes of memory"
    assert 100 * MB < watch.use.memory < 300 * MB


def test_what_is_on_disk_counts_not_what_a_file_claims_to_hold(
    run: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    sparse = "import sys, time; f = open(sys.argv[1] + '/sparse', 'wb'); f.truncate(10**12); time.sleep(60)"
    with Watch(tmp_path, Limits(disk=20 * MB)) as watch:
        process = run(sparse)
        time.sleep(1)
        assert process.poll() is None
        (tmp_path / "full").write_bytes(bytes(30 * MB))
        assert process.wait(timeout=30) == -9
    assert watch.use.exceeded == f"the browser took more than {20 * MB} bytes of disk"


def test_files_count(run: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path) -> None:
    many = "import sys, time\nfor i in range(300): open(f'{sys.argv[1]}/{i}', 'w')\ntime.sleep(60)"
    with Watch(tmp_path, Limits(files=200)) as watch:
        assert run(many).wait(timeout=30) == -9
    assert watch.use.exceeded == "the browser wrote more than 200 files"
    assert watch.use.files == 201


def test_within_its_limits_it_is_left_alone(run: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path) -> None:
    with Watch(tmp_path, Limits()) as watch:
        process = run("import time; time.sleep(60)")
        time.sleep(1)
    assert process.poll() is None
    assert watch.use.exceeded is None
    assert watch.use.memory > MB
