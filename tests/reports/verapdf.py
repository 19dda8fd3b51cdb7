"""veraPDF, the reference validator of PDF/A: fetched once by Maven, kept for good.

``make test`` runs this module before the tests, because the tests themselves run on an island from which nothing can
be fetched.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

from precinto import devserver

VERSION = "1.28.1"

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>precinto</groupId><artifactId>verapdf</artifactId><version>{VERSION}</version>
  <dependencies>
    <dependency>
      <groupId>org.verapdf</groupId><artifactId>validation-model</artifactId><version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

_FETCH = ("-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=fresh", "-DincludeScope=runtime")
_VALIDATE = Path(__file__).parent / "Validate.java"


class Missing(Exception):
    """The validator is not to be had here; the message says why."""


def validate(*files: Path) -> str:
    """What is wrong with these files as PDF/A-2b; empty when nothing is.

    Raises:
        Missing: The validator was never fetched, or there is no Java.
    """
    library = _folder() / "lib"
    if not library.exists() or shutil.which("java") is None:
        raise Missing("there is no veraPDF here (python -m tests.reports.verapdf)")
    command = ["java", "-cp", f"{library}/*", str(_VALIDATE), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def fetch() -> None:
    """Fetch the validator if it is not there.

    Raises:
        Missing: Java or Maven is not installed, or Maven cannot fetch it.
    """
    for needed in ("java", "javac", "mvn"):
        if shutil.which(needed) is None:
            raise Missing(f"veraPDF needs {needed}, which is not on PATH")
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs fetch it once
        if not (folder / "lib").exists():
            _fetch(folder)


def _fetch(folder: Path) -> None:
    (folder / "pom.xml").write_text(_POM, encoding="utf-8")
    fetched = subprocess.run(["mvn", *_FETCH], cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    if fetched.returncode:
        raise Missing(f"Maven could not fetch veraPDF {VERSION}: {fetched.stdout[-500:]}")
    (folder / "fresh").rename(folder / "lib")  # last: it is there only when all of it is


def _folder() -> Path:
    return devserver.cache_folder() / "verapdf" / VERSION


if __name__ == "__main__":
    try:
        fetch()
    except Missing as missing:
        print(f"{missing}: its test will be skipped")  # noqa: T201
