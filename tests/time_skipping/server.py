"""The server of Temporal's Java SDK, whose clock jumps to the next thing that is due: fetched once, kept for good.

An optional tier, for Temporal means to retire it. ``make test`` runs this module before the tests, because the tests
themselves run on an island from which nothing can be fetched.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

from precinto import devserver

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


class Missing(Exception):
    """The server is not to be had here; the message says why."""


def program() -> Path:
    """The script that starts the server, fetched if it is not there.

    Raises:
        Missing: Java or Maven is not installed, or Maven cannot fetch it.
    """
    folder = devserver.cache_folder() / "temporal-test-server" / VERSION
    for needed in ("java", "mvn"):
        if shutil.which(needed) is None:
            raise Missing(f"the time-skipping server needs {needed}, which is not on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of one test run fetch it once
        script = folder / "temporal-test-server"
        if not script.exists():
            _fetch(folder, script)
        return script


def _fetch(folder: Path, script: Path) -> None:
    (folder / "pom.xml").write_text(_POM, encoding="utf-8")
    fetched = subprocess.run(["mvn", *_FETCH], cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    if fetched.returncode:
        raise Missing(f"Maven could not fetch the time-skipping server {VERSION}: {fetched.stdout[-500:]}")
    fresh = script.with_suffix(".new")
    fresh.write_text(f'#!/bin/sh\nexec java -cp "{folder}/lib/*" io.temporal.testserver.TestServer "$@"\n')
    fresh.chmod(0o755)
    fresh.rename(script)  # last: it is there only when all of it is


if __name__ == "__main__":
    try:
        program()
    except Missing as missing:
        print(f"{missing}: its tests will be skipped")  # noqa: T201
