"""Builds the environment of the player (pywb) and the validator (py-wacz) from their own lock, once for each lock.

``make test`` runs this module before the tests, because the tests themselves run on an island from which nothing can
be fetched. The player needs Python 3.11: it imports modules that later versions have not.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from precinto import devserver

_LOCK = Path(__file__).with_name("requirements.lock")
_OURS = Path(__file__).parents[3] / ".tools" / "bin" / "uv"
_PYTHON = "3.11"


class Missing(Exception):
    """The environment is not to be had here; the message says why."""


def environment() -> Path:
    """The folder of the environment's programs.

    Raises:
        Missing: It was never built.
    """
    folder = _folder()
    if not (folder / "ready").exists():
        raise Missing("the player is not installed (python -m tests.wire.replay.setup)")
    return folder / "bin"


def build() -> None:
    """Build the environment if it is not there.

    Raises:
        Missing: There is no uv and this Python is not 3.11, or the packages cannot be fetched.
    """
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs build it once
        if (folder / "ready").exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        for command in _commands(folder):
            _run(command)
        (folder / "ready").touch()  # last: it is there only when all of it is


def _commands(folder: Path) -> list[list[str]]:
    python = str(folder / "bin" / "python")
    uv = shutil.which("uv") or (str(_OURS) if _OURS.exists() else None)
    if uv:
        return [
            [uv, "venv", "--quiet", "--python", _PYTHON, str(folder)],
            [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(_LOCK)],
        ]
    if sys.version_info[:2] != (3, 11):
        raise Missing(f"the player needs Python {_PYTHON}, and there is no uv to get it with")
    return [
        [sys.executable, "-m", "venv", str(folder)],
        [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(_LOCK)],
    ]


def _folder() -> Path:
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]
    return devserver.cache_folder() / f"replay-{digest}"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise Missing(f"the player cannot be installed: {done.stderr[-500:]}")


if __name__ == "__main__":
    try:
        build()
    except Missing as missing:
        print(f"{missing}: its tests will be skipped")  # noqa: T201
