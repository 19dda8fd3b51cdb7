"""Figures: as a table, in ``bench/results``, and between their marks in ``bench/README.md``."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def head(rounds: int, *programs: str) -> str:
    """What the figures depend on; nothing that names the machine."""
    what = (
        datetime.now(UTC).date().isoformat(),
        f"{os.cpu_count()} cores with a load of {os.getloadavg()[2]:.1f} in the last 15 minutes",
        f"Python {platform.python_version()}",
        *programs,
        f"Precinto {version('precinto')}",
    )
    return f"{', '.join(what)}; {rounds} interleaved round{'s' if rounds > 1 else ''}: median (min-max)."


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *rows))


def replace(name: str, text: str) -> None:
    """Replace the figures of this name in ``bench/README.md``."""
    readme = _HERE / "README.md"
    begin, end = f"<!-- figures of {name} -->", f"<!-- end of figures of {name} -->"
    before, _, rest = readme.read_text().partition(begin)
    _, _, after = rest.partition(end)
    readme.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def publish(name: str, text: str, measured: Sequence[Any]) -> Path:
    """Replace the figures of this name, and keep all that was measured; returns where."""
    replace(name, text)
    path = _HERE / "results" / f"{name}-{datetime.now(UTC).date()}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"on": text.partition(";")[0], "measured": measured}, indent=1) + "\n")
    return path
