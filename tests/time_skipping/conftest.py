"""The server of Temporal's Java SDK, whose clock jumps to the next thing that is due.

An optional tier: it needs Java and Maven, and is skipped, with the reason, where they are missing. Maven keeps the
server in its own repository and in our cache folder, so the second run fetches nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from precinto import devserver, engine, stubs
from precinto.store import Store
from tests.authority import Authority, open_authority
from tests.fakes import FakeIsp

VERSION = "1.32.0"

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>precinto</groupId><artifactId>time-skipping</artifactId><version>{VERSION}</version>
  <dependencies>
    <dependency>
      <groupId>io.temporal</groupId><artifactId>temporal-test-server</artifactId><version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

_FETCH = ("-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime")


def _program(folder: Path) -> Path:
    """The script that starts the server, fetched into ``folder`` if it is not there."""
    for needed in ("java", "mvn"):
        if shutil.which(needed) is None:
            pytest.skip(f"the time-skipping server needs {needed}, which is not on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of one test run fetch it once
        program = folder / "temporal-test-server"
        if not program.exists():
            _fetch(folder, program)
        return program


def _fetch(folder: Path, program: Path) -> None:
    (folder / "pom.xml").write_text(_POM, encoding="utf-8")
    fetched = subprocess.run(["mvn", *_FETCH], cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    if fetched.returncode:
        pytest.skip(f"Maven could not fetch the time-skipping server {VERSION}: {fetched.stdout[-500:]}")
    fresh = program.with_suffix(".new")
    fresh.write_text(f'#!/bin/sh\nexec java -cp "{folder}/lib/*" io.temporal.testserver.TestServer "$@"\n')
    fresh.chmod(0o755)
    fresh.rename(program)  # last: it is there only when all of it is


@pytest.fixture(scope="session")
async def skipping() -> AsyncGenerator[WorkflowEnvironment]:
    """The server; its clock stands still unless a test lets it go."""
    program = await asyncio.to_thread(_program, devserver.cache_folder() / "temporal-test-server" / VERSION)
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(program), plugins=[engine.plugin()]
    ) as server:
        types = {
            name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")
            for name, kind in stubs.SEARCH_ATTRIBUTES.items()
        }
        await server.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace="default", search_attributes=types)
        )
        yield server


@pytest.fixture
async def authority(
    skipping: WorkflowEnvironment, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Authority]:
    """Two ISPs that obey."""

    async def registered(_: Client) -> set[str]:
        """This server can register search attributes, but not list them."""
        return set(stubs.SEARCH_ATTRIBUTES)

    monkeypatch.setattr(engine, "registered_attributes", registered)
    async with open_authority(skipping.client, sqlite_store, {"isp0": FakeIsp(), "isp1": FakeIsp()}) as opened:
        yield opened
