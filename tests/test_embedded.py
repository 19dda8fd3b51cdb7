"""An installation by one command, here beside a Temporal that runs already; the whole of it is in ``tests/e2e``."""

from __future__ import annotations

import os
import signal
import socket
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from temporalio.testing import WorkflowEnvironment

from precinto import engine, stubs
from precinto.domain.errors import BadInput, Unavailable
from precinto.embedded import Ports, any_free_port, embedded
from precinto.settings import Settings, load_settings
from precinto.store import Database
from tests.authority import until
from tests.cli.conftest import ISPS, ROOT, STAMPERS, registry
from tests.conftest import address


@pytest.fixture
def settings(
    temporal: WorkflowEnvironment, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of an installation in a home of its own, on the tests' Temporal."""
    for name in [name for name in os.environ if name.startswith("PRECINTO_")]:
        monkeypatch.delenv(name)
    (tmp_path / "registry.toml").write_text(registry())
    for name in STAMPERS:
        (tmp_path / f"{name}.pem").touch()  # nothing is stamped here
    return Settings(
        home=tmp_path / "home",
        registry=tmp_path / "registry.toml",
        procedure=ROOT / "procedures" / "peru-precautionary.toml",
        temporal_address=address(temporal),
        temporal_namespace=namespace,
        sweep_seconds=300,
    )


async def test_everything_is_there_while_it_runs_and_gone_afterwards(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    async with embedded(settings, told.append) as running:
        assert told == ["starting the worker"]
        assert running.ui is None  # that Temporal is not ours
        worker = psutil.Process(running.supervisor.pids["worker"])
        assert await engine.polled(running.client, stubs.CASES)
        for isp in ISPS:
            schedule = (await running.client.get_schedule_handle(f"sweep/{isp}").describe()).schedule
            assert [one.every for one in schedule.spec.intervals] == [timedelta(minutes=5)]
        database = Database(settings.database)
        assert await database.ready()
        await database.close()
        monkeypatch.setenv("PRECINTO_HOME", str(settings.home))
        assert load_settings() == running.settings
    assert not settings.running.exists()
    assert not worker.is_running()


async def test_a_killed_worker_is_replaced_and_told_of(settings: Settings) -> None:
    told: list[str] = []
    async with embedded(settings, told.append) as running:
        killed = running.supervisor.pids["worker"]
        os.kill(killed, signal.SIGKILL)

        async def replaced() -> bool:
            return running.supervisor.pids.get("worker", killed) != killed

        await until(replaced, "another worker")
        assert told == ["starting the worker", "worker had died and was started again"]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
async def test_a_worker_that_cannot_serve_is_told_with_the_end_of_its_log(settings: Settings) -> None:
    """A copy of settings is not checked again: only the worker finds out that this is no list."""
    wrong = settings.model_copy(update={"vantages": "norte"})
    with pytest.raises(Unavailable, match=r"(?s)^worker ended at its start: .*PRECINTO_VANTAGES: not JSON"):
        async with embedded(wrong, lambda _: None):
            pass
    assert not settings.running.exists()


async def test_what_a_killed_installation_announced_is_cleared_away_and_its_home_taken(settings: Settings) -> None:
    settings.home.mkdir()
    settings.running.write_text("PRECINTO_TEMPORAL_ADDRESS='127.0.0.1:1'\n")
    async with embedded(settings, lambda _: None) as running:
        assert settings.temporal_address in settings.running.read_text()
        with pytest.raises(BadInput, match=f"^PRECINTO_HOME: another installation runs in {settings.home}"):
            async with embedded(settings, lambda _: None):
                pass
        assert settings.running.exists()
        assert set(running.supervisor.pids) == {"worker"}


async def test_a_registry_that_is_wrong_is_told_before_anything_starts(settings: Settings) -> None:
    settings.registry.write_text("authority = 1\n")
    with pytest.raises(BadInput, match=r"^registry\.toml: "):
        async with embedded(settings, lambda _: None):
            pass
    assert not settings.home.exists()


class TestPorts:
    """Two installations that start together never take the same port."""

    def test_the_wanted_port_where_it_is_free(self) -> None:
        wanted, ports = any_free_port(), Ports()
        assert ports.take(wanted) == wanted
        ports.release()

    def test_another_one_where_somebody_listens(self) -> None:
        ports = Ports()
        with socket.create_server(("127.0.0.1", 0)) as server:
            taken = server.getsockname()[1]
            assert ports.take(taken) != taken
        ports.release()

    def test_another_one_where_another_installation_is_about_to_listen(self) -> None:
        wanted, first, second = any_free_port(), Ports(), Ports()
        assert first.take(wanted) == wanted
        assert second.take(wanted) != wanted
        first.release()
        assert second.take(wanted) == wanted
        second.release()
