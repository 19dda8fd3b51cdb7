"""``doctor``, ``bootstrap``, ``setup`` and ``up``, short of a whole installation: that is in ``tests/e2e``."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.testing import WorkflowEnvironment

from precinto import devserver, stubs
from precinto import engine as temporal_engine
from precinto.store import Database, Store
from tests.authority import TERMS, Authority, referral, until
from tests.cli.conftest import ISPS, ROOT, Command


def by_name(checks: list[dict[str, Any]]) -> dict[str, str]:
    """Each check's status."""
    return {check["what"]: check["status"] for check in checks}


class TestDoctor:
    """It looks at everything, changes nothing, and says what helps."""

    def test_an_empty_home(self, command: Command, home: Path) -> None:
        answer = command("doctor", "--json")
        assert (answer.code, answer.err) == (1, "")
        found = answer.json
        assert found["ok"] is False
        status = by_name(found["checks"])
        assert (status["registry"], status["procedure"]) == ("ok", "ok")
        assert (status["database"], status["engine"]) == ("fail", "warn")
        assert "ledger" not in status
        for check in found["checks"]:
            assert check["status"] == "ok" or check["hint"], f"{check['what']}: says nothing that helps"
        assert not home.exists()

    def test_nothing_but_a_wrong_registry_and_procedure(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("REGISTRY", "PROCEDURE"):
            (tmp_path / f"{name}.toml").write_text("name = 1\n")
            monkeypatch.setenv(f"PRECINTO_{name}", str(tmp_path / f"{name}.toml"))
        found = {check["what"]: check for check in command("doctor", "--json").json["checks"]}
        for name in ("registry", "procedure"):
            assert found[name]["status"] == "fail"
            assert found[name]["found"].startswith(f"{name.upper()}.toml: ")
            assert f"PRECINTO_{name.upper()}" in found[name]["hint"]

    def test_programs_that_are_missing(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setattr("precinto.provision._SBIN", str(tmp_path))
        found = {check["what"]: check for check in command("doctor", "--json").json["checks"]}
        assert (found["chromium"]["status"], found["named"]["status"]) == ("fail", "warn")
        assert found["chromium"]["hint"].endswith("apt-get install chromium")
        assert found["temporal"] == {
            "status": "warn",
            "what": "temporal",
            "found": "not here yet",
            "hint": "python starter.py setup fetches or builds it",
        }

    def test_an_engine_that_does_not_answer_and_a_database_that_does_not(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret = "correct-horse"  # noqa: S105 - looked for where it must not be
        monkeypatch.setenv("PRECINTO_TEMPORAL_ADDRESS", "127.0.0.1:1")
        monkeypatch.setenv("PRECINTO_DATABASE_URL", f"postgresql+psycopg://precinto:{secret}@127.0.0.1:1/precinto")
        answer = command("doctor", "--json")
        status = by_name(answer.json["checks"])
        assert (status["engine"], status["database"]) == ("fail", "fail")
        assert secret not in answer.out

    @pytest.mark.usefixtures("engine", "database")
    def test_an_installation_without_a_worker(self, command: Command) -> None:
        found = command("doctor", "--json").json
        queues = {name: status for name, status in by_name(found["checks"]).items() if name.startswith("queue ")}
        assert queues == dict.fromkeys(
            [f"queue {name}" for name in ("cases", "capture", "notify", "probe.isp0", "probe.isp1")], "fail"
        )

    async def test_an_installation_that_is_well(
        self, authority: Authority, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PRECINTO_CHROMIUM", sys.executable)  # any program: the crawler is not of this test

        async def well() -> bool:
            return (await asyncio.to_thread(command, "doctor")).code == 0

        await until(well, "every queue to be polled")
        answer = await asyncio.to_thread(command, "doctor")
        assert "the chain holds" in answer.out
        assert "a worker asks for work" in answer.out
        assert not any(line.startswith("fail") for line in answer.out.splitlines())


class TestBootstrap:
    """Database, search attributes and schedules, for installations with a cluster."""

    async def test_everything_is_brought_to_this_version_and_again_is_the_same(
        self, temporal: WorkflowEnvironment, engine: str, home: Path, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await temporal.client.workflow_service.register_namespace(
            RegisterNamespaceRequest(
                namespace=home.parent.name, workflow_execution_retention_period=Duration(seconds=86_400)
            )
        )
        monkeypatch.setenv("PRECINTO_TEMPORAL_NAMESPACE", home.parent.name)
        monkeypatch.setenv("PRECINTO_SWEEP_SECONDS", "60")
        for _ in range(2):
            answer = await asyncio.to_thread(command, "bootstrap")
            assert (answer.code, answer.out) == (0, "")
        client = await temporal_engine.connect(engine, home.parent.name)
        assert set(stubs.SEARCH_ATTRIBUTES) <= await temporal_engine.registered_attributes(client)
        for isp in ISPS:
            schedule = (await client.get_schedule_handle(f"sweep/{isp}").describe()).schedule
            assert [one.every for one in schedule.spec.intervals] == [timedelta(minutes=1)]
        database = Database(f"sqlite+aiosqlite:///{home / 'precinto.db'}")
        assert await database.ready()

        store = Store(database)
        case = (await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)).case
        for taken_up in (1, 0):  # it has no run; then it has one
            answer = await asyncio.to_thread(command, "bootstrap", "--json")
            assert answer.json["taken_up"] == taken_up
        assert (await client.get_workflow_handle(stubs.case_workflow(case)).describe()).status is not None
        await database.close()

    def test_on_one_machine_up_does_it_all(self, command: Command, home: Path) -> None:
        answer = command("bootstrap", "--json")
        assert answer.code == 2
        assert answer.error["message"].startswith("PRECINTO_TEMPORAL_ADDRESS: ")
        assert not home.exists()


def test_setup_answers_with_what_it_installed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that has everything; the programs are fakes, because what this machine lacks is unknown."""
    for name in ("chromium", "setpriv", "prlimit", "temporal"):
        program(tmp_path / "bin" / name, "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    answer = command("setup", "--json")
    assert answer.code == 0
    assert answer.json == {"installed": [], "temporal": str(tmp_path / "bin" / "temporal")}


def program(path: Path, text: str) -> Path:
    """A shell script as a program."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@asynccontextmanager
async def up(home: Path, path: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """``up`` as a process, with programs of ours before those of the machine."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "starter.py"), "up",
        env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "PRECINTO_HOME": str(home)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class TestUp:
    """What happens to ``up`` before it is up. Its Temporal is a script: the real one starts too well for this."""

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
    async def test_it_can_be_stopped_while_it_starts(self, home: Path, tmp_path: Path, how: signal.Signals) -> None:
        program(tmp_path / "bin" / "temporal", f"echo $$ > {tmp_path}/pid; exec sleep 600")
        async with up(home, tmp_path / "bin") as process:

            async def started() -> bool:
                assert process.returncode is None
                return (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n")

            await until(started, "its Temporal to be started")
            child = psutil.Process(int((tmp_path / "pid").read_text()))
            process.send_signal(how)
            assert await asyncio.wait_for(process.wait(), 20) == 0
            assert not child.is_running()
            assert not (home / "up.env").exists()

    async def test_a_server_that_ends_at_its_start_is_told_with_its_log(self, home: Path, tmp_path: Path) -> None:
        program(tmp_path / "bin" / "temporal", "echo 'the database is locked' >&2; exit 1")
        async with up(home, tmp_path / "bin") as process:
            _, errors = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 7
        assert errors.decode().endswith("not reachable: temporal ended at its start: the database is locked\n")
        assert not (home / "up.env").exists()

    async def test_a_home_has_one_installation(self, home: Path, tmp_path: Path) -> None:
        program(tmp_path / "bin" / "temporal", f"echo started > {tmp_path}/pid; exec sleep 600")
        async with up(home, tmp_path / "bin") as first:

            async def started() -> bool:
                assert first.returncode is None
                return (tmp_path / "pid").exists()

            await until(started, "the first installation to hold its home")
            async with up(home, tmp_path / "bin") as second:
                _, errors = await asyncio.wait_for(second.communicate(), 30)
                assert second.returncode == 2
            assert f"another installation runs in {home}" in errors.decode()
            assert first.returncode is None


def test_what_is_kept_of_the_machine_lies_outside_the_checkout() -> None:
    assert ROOT not in devserver.cache_folder().parents
