"""A reader that goes wrong, inside its limits.

The readers here are stubs, small programs that do on purpose what a parser does by accident: no file is known that
makes the real ones do each of these on every version.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from precinto.adapters.crawlers.apps.isolation import Limits, isolated
from precinto.domain.apps import Reading

LIMITS = Limits(seconds=30, cpu_seconds=1, memory=300 * 2**20, answer=10_000)


async def run(script: str, limits: Limits = LIMITS) -> Reading:
    return await isolated("stub", [sys.executable, "-I", "-c", script], limits)


def reason(reading: Reading) -> str:
    (problem,) = reading.problems
    assert problem.reader == "stub"
    return problem.reason


async def test_an_answer_is_taken() -> None:
    reading = await run("""print('{"kind": "apk", "urls": ["https://pirata.test/"]}')""")
    assert reading == Reading.model_validate({"kind": "apk", "urls": ("https://pirata.test/",)})


async def test_one_that_hangs_is_ended_and_what_it_called_too(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = (
        "import subprocess, time, os, sys\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)"
    )
    began = time.monotonic()
    assert reason(await run(script, Limits(seconds=1))) == "it took longer than 1 s"
    assert time.monotonic() - began < 5
    for pid in map(int, pids.read_text().split()):
        assert not _runs(pid)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("while True: pass", "it used more than 1 s of processor time"),
        ("bytearray(1 << 30)", "it ended with code 1"),
        ("import os; os.abort()", "it was ended by SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "it was ended by SIGSEGV"),
        ("print('x' * 20_000)", "its answer is longer than 10000 bytes"),
        ('print(\'{"kind": "virus"}\')', "its answer is no reading: Input should be 'apk'"),
        ("print('[' * 5_000)", "its answer is no reading: Invalid JSON"),
        ("", "its answer is no reading: Invalid JSON"),
        ("import sys; sys.exit(3)", "it ended with code 3"),
    ],
)
async def test_whatever_ends_it_has_a_name(script: str, told: str) -> None:
    assert reason(await run(script)).startswith(told)


async def test_one_that_writes_for_ever_is_ended() -> None:
    assert reason(await run("while True: print('x' * 1000)")) == "its answer is longer than 10000 bytes"


async def test_it_writes_no_file_of_any_size(tmp_path: Path) -> None:
    path = tmp_path / "written"
    reading = await run(f"open({str(path)!r}, 'wb').write(bytes(1 << 20))")
    assert reason(reading) == "it ended with code 1"
    assert path.stat().st_size <= 4096


async def test_it_finds_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECINTO_SECRET", "hunter2")
    script = "import os, json; print(json.dumps({'urls': sorted(os.environ)}))"
    assert set((await run(script)).urls) <= {"PATH", "LANG", "LC_CTYPE", "PWD", "OLDPWD", "SHLVL", "_"}


async def test_one_that_is_given_up_does_not_stay() -> None:
    before = _children()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await run("import time; time.sleep(60)")
    assert _children() <= before


def _children() -> set[int]:
    return {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
