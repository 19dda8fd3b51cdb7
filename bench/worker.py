"""The worker process of one subject: ``python -m bench.worker <subject> <address> <folder>``.

Says ``ready`` on standard output, and stops when its standard input ends. With ``BENCH_PROFILE`` set to a file name,
it writes what cProfile saw there.
"""

from __future__ import annotations

import asyncio
import cProfile
import os
import sys
from pathlib import Path

from bench.answers import answers
from bench.subjects import subject


async def main(name: str, address: str, folder: str) -> None:
    """Work until standard input ends."""
    stage = answers()
    one = subject(name)
    client = await one.connect(address)
    async with one.worker(client, Path(folder)):
        stage.write("ready\n")
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    if profile := os.environ.get("BENCH_PROFILE"):
        profiler = cProfile.Profile()
        profiler.runcall(asyncio.run, main(*sys.argv[1:]))
        profiler.dump_stats(f"{profile}.{sys.argv[1]}")
    else:
        asyncio.run(main(*sys.argv[1:]))
    sys.stdout.flush()
    os._exit(0)  # the SDK may crash an interpreter that takes itself apart (sdk-python#300)
