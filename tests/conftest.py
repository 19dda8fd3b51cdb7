"""The servers that tests share: one Temporal dev server and one PostgreSQL for each process of the test run.

Both are real. A test gets a database of its own, copied from one that was migrated once.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from lab.lab import Lab, open_lab
from precinto import engine
from precinto.store import Database, Store
from tests import island
from tests.island import Island
from tests.postgres import PostgresCluster, server_binaries
from tests.temporal import temporal_server

_TEMPLATE = "migrated"
_ISLAND = pytest.StashKey[Island | None]()


_A_DAY = Duration(seconds=86_400)


def pytest_configure(config: pytest.Config) -> None:
    """Move each process that runs tests to an island, before it has a second thread."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.stash[_ISLAND] = island.settle()


def pytest_report_header() -> str:
    """Say whether "no packet leaves loopback" is measured in this run."""
    reason = island.impossible()
    return f"network: not on an island, {reason}" if reason else "network: on an island; a packet that leaves it fails"


@pytest.fixture(scope="session", autouse=True)
def nothing_left_loopback(request: pytest.FixtureRequest) -> Iterator[None]:
    """No process of this run sent anything but to this machine."""
    yield
    here = request.config.stash.get(_ISLAND, None)
    assert here is None or here.packets() == []


@pytest.fixture(scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[WorkflowEnvironment]:
    """A Temporal dev server."""
    async with temporal_server(tmp_path_factory.mktemp("temporal")) as server:
        yield server


@pytest.fixture
async def namespace(temporal: WorkflowEnvironment) -> str:
    """A namespace of the test's own, with our search attributes: the same case may exist in every test."""
    name = f"test-{uuid.uuid4()}"
    await temporal.client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=_A_DAY)
    )
    await engine.register_attributes(await engine.connect(address(temporal), name))
    return name


@pytest.fixture
async def client(temporal: WorkflowEnvironment, namespace: str) -> Client:
    """A client of the dev server in this test's namespace, as the engine makes it."""
    return await engine.connect(address(temporal), namespace)


def address(temporal: WorkflowEnvironment) -> str:
    """Where a server listens, ``host:port``."""
    return temporal.client.service_client.config.target_host


@pytest.fixture(scope="session")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Lab]:
    """The small internet on this machine. Shared: a test leaves it as it found it, and ISPs honest."""
    async with open_lab(tmp_path_factory.mktemp("lab")) as opened:
        yield opened


@pytest.fixture(scope="session")
async def postgres() -> AsyncGenerator[PostgresCluster]:
    """A private PostgreSQL cluster with a migrated template database."""
    binaries = server_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server on this machine (initdb); the SQLite half of these tests runs")
    # Not below pytest's own folder: that is closed to the unprivileged user, and too long for a socket's path.
    folder = Path(tempfile.mkdtemp(prefix="precinto-pg-"))
    folder.chmod(0o755)
    cluster = PostgresCluster(binaries, folder / "cluster")
    try:
        await cluster.start()
        await _migrate(await cluster.create(name=_TEMPLATE))
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
async def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "precinto.db"
    await _migrate(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Path | PostgresCluster:
    """Where the databases of this test come from: a file to copy, or a cluster with a template."""
    return request.getfixturevalue("sqlite_template" if request.param == "sqlite" else "postgres")


@pytest.fixture
async def empty_url(databases: Path | PostgresCluster, tmp_path: Path) -> str:
    """Address of a database without any table."""
    if isinstance(databases, Path):
        return f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
    return await databases.create()


@pytest.fixture
async def database(databases: Path | PostgresCluster, tmp_path: Path) -> AsyncGenerator[Database]:
    """A migrated database without any row: the test runs on SQLite and on PostgreSQL."""
    if isinstance(databases, Path):
        url = f"sqlite+aiosqlite:///{shutil.copy(databases, tmp_path / 'precinto.db')}"
    else:
        url = await databases.create(template=_TEMPLATE)
    opened = Database(url)
    yield opened
    await opened.close()


@pytest.fixture
async def store(database: Database) -> Store:
    """The repositories on an empty database of either kind."""
    return Store(database)


@pytest.fixture
async def sqlite_store(sqlite_template: Path, tmp_path: Path) -> AsyncGenerator[Store]:
    """The repositories on SQLite, where a test is not about the database."""
    database = Database(f"sqlite+aiosqlite:///{shutil.copy(sqlite_template, tmp_path / 'precinto.db')}")
    yield Store(database)
    await database.close()


async def _migrate(url: str) -> None:
    database = Database(url)
    await database.migrate()
    await database.close()
