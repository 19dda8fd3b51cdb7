"""Runs a program and says what it took, as JSON: ``python -m bench.stopwatch <output> <program> ...``.

A small process of its own between the benchmark and the program: what the kernel says of a child's peak memory is
never less than what the process had that began it (getrusage(2)).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.plan import Wrong


@dataclass(frozen=True)
class Taken:
    """What a program took: seconds, CPU seconds (user and system), and the most memory that it had, in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def timed(command: Sequence[str], output: Path, told: bytes = b"") -> Taken:
    """Run a program to its end; what it prints goes to ``output``.

    Raises:
        Wrong: It failed.
    """
    stopwatch = [sys.executable, "-m", "bench.stopwatch", str(output), *command]
    ran = subprocess.run(stopwatch, input=told, capture_output=True, check=False)
    if ran.returncode != 0:
        raise Wrong(f"{' '.join(command)}: {ran.stderr.decode(errors='replace').strip()[-2_000:]}")
    return Taken(**json.loads(ran.stdout))


def main() -> int:
    """Run it, and say what it took."""
    began = time.monotonic()
    with Path(sys.argv[1]).open("wb") as output:
        code = subprocess.run(sys.argv[2:], stdout=output, check=False).returncode
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = {
        "seconds": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
    }
    print(json.dumps(taken))
    return code


if __name__ == "__main__":
    sys.exit(main())
