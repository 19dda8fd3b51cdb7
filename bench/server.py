"""The Temporal server of a benchmark: the dev server, with the pragmas that an installation gives it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def temporal(address: str, database: Path) -> list[str]:
    """The command that starts it."""
    binary = os.environ.get("PRECINTO_TEMPORAL") or shutil.which("temporal") or "/tmp/w/gotool/bin/temporal"
    host, _, port = address.partition(":")
    return [
        binary, "server", "start-dev", "--headless", "--ip", host, "--port", port,
        "--db-filename", str(database), "--log-level", "never",
        "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=full",
    ]
