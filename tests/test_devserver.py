"""Where the Temporal server comes from, and how it is started.

The programs here are fakes, small shell scripts: the real build takes minutes and needs the Go module proxy, and the
real download goes to the internet, from compiled code that no test can hold back. That the real binary runs with the
real command is seen by every test that uses the ``temporal`` fixture.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from temporalio.testing import WorkflowEnvironment

from precinto import devserver, stubs
from precinto.devserver import LIMITS, VERSION, cache_folder, installed, server_command, temporal_binary
from precinto.domain.errors import CannotHere
from workflows.case import LONG

BUILDS = """
while [ $# -gt 0 ]; do [ "$1" = -o ] && output=$2; shift; done
printf '#!/bin/sh\\necho built in %s\\n' "$(pwd)" > "$output"
chmod +x "$output"
"""
"""A fake ``go`` that writes the file it is asked for."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, no Temporal, no Go and no way out; its folder ``bin`` is all of the PATH."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "setpriv").symlink_to(shutil.which("setpriv") or "setpriv is missing")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    async def no_way_out(**_: Any) -> WorkflowEnvironment:
        raise RuntimeError("Failed starting test server: error sending request")

    monkeypatch.setattr(WorkflowEnvironment, "start_local", no_way_out)
    return tmp_path


def program(path: Path, text: str = "") -> Path:
    """A shell script as a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")
    path.chmod(0o755)
    return path


def kept(machine: Path) -> Path:
    """Where the binary is kept."""
    return machine / "cache" / "precinto" / "temporal" / VERSION / "temporal"


def downloads(machine: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the SDK's download succeed; the list says what it was asked for."""
    asked: list[str] = []

    class Server:
        async def shutdown(self) -> None:
            asked.append("shut down")

    async def start_local(*, download_dest_dir: str, dev_server_download_version: str) -> Server:
        asked.append(dev_server_download_version)
        server = program(Path(download_dest_dir) / "temporal-from-somewhere", "echo downloaded")
        os.utime(server, (0, 0))  # an archive may carry the time at which it was packed
        return Server()

    monkeypatch.setattr(WorkflowEnvironment, "start_local", start_local)
    return asked


async def output(binary: Path) -> str:
    """What a binary prints."""
    process = await asyncio.create_subprocess_exec(binary, stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()


# -------------------------------------------------------------------------------------------------------- the search


async def test_the_one_on_the_path_comes_first(machine: Path) -> None:
    own = program(machine / "bin" / "temporal")
    program(kept(machine))
    told: list[str] = []
    assert installed() == await temporal_binary(told.append) == own
    assert told == []


async def test_then_the_one_kept_from_an_earlier_time(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(machine / "bin" / "go", BUILDS)
    asked = downloads(machine, monkeypatch)
    program(kept(machine))
    told: list[str] = []
    assert installed() == await temporal_binary(told.append) == kept(machine)
    assert told == asked == []


async def test_then_the_download_which_is_kept(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(machine / "bin" / "go", BUILDS)
    asked = downloads(machine, monkeypatch)
    told: list[str] = []
    assert installed() is None
    assert await temporal_binary(told.append) == kept(machine) == installed()
    assert await output(kept(machine)) == "downloaded"
    assert asked == [VERSION, "shut down"]
    assert told == [f"fetching the Temporal dev server {VERSION}"]
    assert list(kept(machine).parent.iterdir()) == [kept(machine)]


async def test_then_a_build_with_go_which_is_kept(machine: Path) -> None:
    program(machine / "bin" / "go", BUILDS)
    assert await temporal_binary(lambda _: None) == kept(machine) == installed()
    assert (await output(kept(machine))).endswith("tools/temporal")
    assert list(kept(machine).parent.iterdir()) == [kept(machine)]


async def test_the_build_is_that_of_the_pinned_sources(machine: Path) -> None:
    program(machine / "bin" / "go", f'printf "%s\\n" "$@" > {machine}/arguments\n{BUILDS}')
    await temporal_binary(lambda _: None)
    arguments = (machine / "arguments").read_text().splitlines()
    assert arguments[0] == "build"
    assert arguments[-1] == "github.com/temporalio/cli/cmd/temporal"
    assert f"-X github.com/temporalio/cli/temporalcli.Version={VERSION[1:]}" in arguments[3]
    pinned = (Path(devserver.__file__).parents[1] / "tools" / "temporal" / "go.mod").read_text()
    assert f"github.com/temporalio/cli {VERSION}" in pinned


async def test_with_none_of_them_it_is_said_what_helps(machine: Path) -> None:
    with pytest.raises(CannotHere) as refused:
        await temporal_binary(lambda _: None)
    for help_ in ("could not be downloaded", "'temporal' is on PATH", "Go 1.25 or later", "PRECINTO_TEMPORAL_ADDRESS"):
        assert help_ in str(refused.value)


def test_the_cache_is_the_users_by_default(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == machine / "cache" / "precinto"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(machine / "home"))
    assert cache_folder() == machine / "home" / ".cache" / "precinto"


def test_a_file_that_is_no_program_is_not_the_server(machine: Path) -> None:
    program(kept(machine)).chmod(0o644)
    assert installed() is None
    kept(machine).unlink()
    kept(machine).mkdir()
    assert installed() is None


# ------------------------------------------------------------------------------------------------------- the build


async def test_a_long_build_is_reported_while_it_lasts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devserver, "_REPORT_SECONDS", 0.01)
    program(machine / "bin" / "go", f"while [ ! -e {machine}/enough ]; do sleep 0.01; done\n{BUILDS}")
    told: list[str] = []

    def progress(text: str) -> None:
        told.append(text)
        if len(told) == 4:
            (machine / "enough").touch()

    await temporal_binary(progress)
    assert told[0] == f"fetching the Temporal dev server {VERSION}"
    assert all(text.startswith(f"building the Temporal dev server {VERSION} with Go, once: 0:0") for text in told[1:])
    assert len(told) >= 4


async def test_a_failed_build_names_its_reason_and_leaves_nothing(machine: Path) -> None:
    program(machine / "bin" / "go", f"{BUILDS}\necho 'go: proxy: no such host' >&2; exit 1")
    with pytest.raises(CannotHere, match="could not be built with Go: go: proxy: no such host"):
        await temporal_binary(lambda _: None)
    assert installed() is None
    assert list(kept(machine).parent.iterdir()) == []


async def test_an_interrupted_build_is_ended_and_never_taken_for_the_real_one(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devserver, "_REPORT_SECONDS", 0.01)
    program(machine / "bin" / "go", f"{BUILDS}\nsleep 600 & echo $! > {machine}/pid; wait")
    half_written = asyncio.Event()

    def progress(_: str) -> None:
        if (machine / "pid").exists() and (machine / "pid").read_text().strip():
            half_written.set()

    building = asyncio.create_task(temporal_binary(progress))
    await half_written.wait()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    compiler = int((machine / "pid").read_text())
    assert not psutil.pid_exists(compiler) or psutil.Process(compiler).status() == psutil.STATUS_ZOMBIE
    assert installed() is None
    assert list(kept(machine).parent.iterdir()) == []


async def test_what_a_killed_build_left_is_not_taken_for_a_download(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(kept(machine).with_name("unfinished-4711"), "echo half a build")
    assert installed() is None
    downloads(machine, monkeypatch)
    assert await output(await temporal_binary(lambda _: None)) == "downloaded"


async def test_a_download_that_hangs_is_given_up_for_a_build(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(**_: Any) -> WorkflowEnvironment:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(WorkflowEnvironment, "start_local", hangs)
    monkeypatch.setattr(devserver, "_DOWNLOAD_SECONDS", 0.01)
    program(machine / "bin" / "go", BUILDS)
    assert (await output(await temporal_binary(lambda _: None))).startswith("built")


# ----------------------------------------------------------------------------------------------------- the command


def options(command: list[str], name: str) -> list[str]:
    """Every value of an option."""
    return [after for before, after in pairwise(command) if before == name]


def test_the_server_keeps_what_it_acknowledged() -> None:
    command = server_command(Path("/opt/temporal"), "127.0.0.1:7233", 8233, Path("/home/temporal.db"))
    assert command[:3] == ["/opt/temporal", "server", "start-dev"]
    assert options(command, "--db-filename") == ["/home/temporal.db"]
    assert options(command, "--sqlite-pragma") == ["journal_mode=wal", "synchronous=full"]


def test_the_server_asks_nobody_for_newer_versions() -> None:
    """Its default is to ask a host of its makers at each start; the island of the tests sees that packet."""
    command = server_command(Path("temporal"), "127.0.0.1:7233", None, Path("db"))
    assert "frontend.enableServerVersionCheck=false" in options(command, "--dynamic-config-value")


def test_the_server_keeps_floods_of_signals_from_a_case() -> None:
    command = server_command(Path("temporal"), "127.0.0.1:7233", None, Path("db"))
    assert {f"{key}={value}" for key, value in LIMITS.items()} <= set(options(command, "--dynamic-config-value"))


def test_a_cluster_is_given_the_same_limits() -> None:
    text = (Path(devserver.__file__).parents[1] / "deploy" / "temporal-limits.yaml").read_text(encoding="utf-8")
    given = re.findall(r"^([\w.]+):\n  - value: (\d+)$", text, re.MULTILINE)
    assert {key: int(value) for key, value in given} == LIMITS


def test_no_flood_that_the_server_lets_in_can_kill_a_case_or_fail_its_tasks() -> None:
    """Against the server's own limits, of which it says what they are in ``common/dynamicconfig/constants.go``."""
    signals, largest = LIMITS["history.maximumSignalsPerExecution"], LIMITS["limit.blobSize.error"]
    assert LONG < signals, "a run that takes no more signals must be one that goes on in another"
    assert signals < LIMITS["history.maximumBufferedEventsBatch"]
    assert signals * largest < LIMITS["history.maximumBufferedEventsSizeInBytes"] <= 4 * 2**20


def test_the_server_listens_where_it_is_told_with_its_interface_or_without() -> None:
    command = server_command(Path("temporal"), "127.0.0.1:7233", 8233, Path("db"))
    assert (options(command, "--ip"), options(command, "--port")) == (["127.0.0.1"], ["7233"])
    assert options(command, "--ui-port") == ["8233"]
    assert "--headless" not in command
    without = server_command(Path("temporal"), "127.0.0.1:7233", None, Path("db"))
    assert "--headless" in without
    assert "--ui-port" not in without


def test_the_server_knows_every_search_attribute_from_its_start() -> None:
    command = server_command(Path("temporal"), "127.0.0.1:7233", None, Path("db"), ["--log-format", "json"])
    registered = {one.partition("=")[2] for one in command if one.startswith("--search-attribute=")}
    assert registered == {f"{name}={kind}" for name, kind in stubs.SEARCH_ATTRIBUTES.items()}
    assert command[-2:] == ["--log-format", "json"]
