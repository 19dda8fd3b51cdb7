"""What reading a wire record costs: ``python -m bench.decoding [--rounds N] [--quick]``.

The records are real: a client asks the lab's showcase over HTTP/2 in TLS 1.3, through the guard, which records. Each
reader is a process of its own and reads the very same file; the packet analyser tshark stands beside ours, where it
is on this machine. The run fails where a reader does not find every answer that the site served.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.figures import head, publish, table
from bench.readers import PEERS, READERS, Reader, archive, verifier
from bench.records import LARGE, SMALL, Recorded, Shape, record
from bench.report import MEGABYTE, Spread
from bench.showcase import open_place
from bench.stopwatch import Taken
from precinto.adapters.archives import reading
from precinto.adapters.archives.wire import RECORD
from tests.bundle.sealing import Sealing, stamping


@dataclass(frozen=True)
class Plan:
    """How often all of it is done, and on which records."""

    rounds: int
    shapes: tuple[Shape, ...]


FULL = Plan(5, (Shape("large", LARGE, 5), Shape("large", LARGE, 20), Shape("small", SMALL, 5_000)))
QUICK = Plan(1, (Shape("large", LARGE, 1), Shape("large", LARGE, 2), Shape("small", SMALL, 20)))
"""The first two hold the same, the second more of it: how cost grows is taken from them."""


@dataclass(frozen=True)
class Measured:
    """One reading of one record."""

    reader: str
    shape: Shape
    record_bytes: int
    taken: Taken

    def line(self) -> str:
        """What to print while a run goes on."""
        taken = self.taken
        what = f"{self.shape.answers} {self.shape.name}, {self.record_bytes / MEGABYTE:.1f} MB"
        return f"{self.reader:24} {what}: {taken.seconds:.2f} s, {taken.peak_bytes / MEGABYTE:.0f} MB"


def measure(plan: Plan) -> Iterator[Measured]:
    """Carry out a plan; yields every reading as it is measured."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        records, trust = asyncio.run(_prepare(plan.shapes, Path(folder)))
        readers: dict[str, Reader] = {**READERS, "precinto: verify": verifier(trust)}
        names = [name for name in readers if name not in PEERS or shutil.which("tshark")]
        for number in range(plan.rounds):
            turn = number % len(names)
            for recorded in records:
                for name in names[turn:] + names[:turn]:
                    taken = readers[name](recorded)
                    yield Measured(name, recorded.shape, recorded.path.stat().st_size, taken)


async def _prepare(shapes: Sequence[Shape], folder: Path) -> tuple[list[Recorded], Path]:
    """Make the records, and beside each a sealed bundle of it and its archive; returns them, and whom to trust."""
    async with open_place(folder) as place:
        records = [await record(place, shape, Path(tempfile.mkdtemp(dir=folder))) for shape in shapes]
    async with stamping(folder / "clocks", ("uno", "dos")) as clocks:
        sealing = Sealing.own(folder / "authority", clocks)
        for recorded in records:
            archive(recorded)
            items = {name: (recorded.folder / name).read_bytes() for name in (RECORD, *reading.FILES)}
            await sealing.bundle(recorded.folder / "bundle.zip", items)
    return records, sealing.folder


def write(measured: Sequence[Measured]) -> str:
    """The whole report, in Markdown."""
    shapes = list(dict.fromkeys(one.shape for one in measured))
    readers = list(dict.fromkeys(one.reader for one in measured))
    columns = ["record", "reader", "seconds", "CPU s", "CPU to decode", "MB/CPU s", "answers/CPU s", "peak MB"]
    rows: list[list[str]] = []
    rounds = len([one for one in measured if (one.reader, one.shape) == (readers[0], shapes[0])])
    for shape in shapes:
        base = [one for one in measured if (one.reader, one.shape) == (readers[0], shape)]
        size = base[0].record_bytes / MEGABYTE
        for reader in readers:
            mine = [one for one in measured if (one.reader, one.shape) == (reader, shape)]
            taken = [one.taken for one in mine]
            # By CPU: every reader has one thread, and this says the same on a machine that others use as well.
            cpu = [one.cpu_seconds for one in taken]
            to = [one / other.taken.cpu_seconds for one, other in zip(cpu, base, strict=True)]
            rows.append(
                [
                    f"{shape.answers} {shape.name}, {size:.1f} MB",
                    reader,
                    Spread(tuple(one.seconds for one in taken)).text(2),
                    Spread(tuple(cpu)).text(2),
                    Spread(tuple(to)).text(1),
                    Spread(tuple(size / one for one in cpu)).text(0),
                    Spread(tuple(shape.answers / one for one in cpu)).text(0),
                    Spread(tuple(one.peak_bytes / MEGABYTE for one in taken)).text(0),
                ]
            )
    growth = [_growth(measured, reader, shapes[0], shapes[1]) for reader in readers]
    return "\n\n".join([head(rounds, _tshark()), table(columns, rows), "\n".join(growth)])


def _growth(measured: Sequence[Measured], reader: str, less: Shape, more: Shape) -> str:
    """What more answers cost, taken in each round."""
    few, many = ([one for one in measured if (one.reader, one.shape) == (reader, shape)] for shape in (less, more))
    pairs = list(zip(many, few, strict=True))
    cpu = Spread(tuple(one.taken.cpu_seconds / other.taken.cpu_seconds for one, other in pairs))
    memory = Spread(tuple(one.taken.peak_bytes / other.taken.peak_bytes for one, other in pairs))
    size = many[0].record_bytes / few[0].record_bytes
    return f"- {reader}: {size:.1f} times the bytes take {cpu.text(1)} times the CPU, {memory.text(1)} the memory"


def _tshark() -> str:
    if (program := shutil.which("tshark")) is None:
        return "tshark not there"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return f"tshark {said.split()[2].rstrip('.')}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, check, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.decoding", description="What reading a record costs.")
    parser.add_argument("--rounds", type=int, help=f"rounds of all readers ({FULL.rounds})")
    parser.add_argument("--quick", action="store_true", help="a smoke run: small records, figures that mean nothing")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    measured: list[Measured] = []
    for one in measure(Plan(options.rounds or plan.rounds, plan.shapes)):
        measured.append(one)
        print(one.line(), file=sys.stderr, flush=True)
    text = write(measured)
    print(text)
    if not options.quick:
        publish("decoding", text, [asdict(one) for one in measured])
    return 0


if __name__ == "__main__":
    sys.exit(main())
