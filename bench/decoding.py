"""What reading a wire record costs: ``python -m bench.decoding [--rounds N] [--quick]``.

The records are real: a client asks the lab's showcase over HTTP/2 in TLS 1.3, through the guard, which records. Each
reader is a process of its own and reads the very same file; the packet analyser tshark stands beside ours, where it
is on this machine. The run fails where a reader does not find every answer that the site served.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from bench.figures import head, publish, table
from bench.plan import Wrong
from bench.report import MEGABYTE, Spread
from bench.showcase import PAGE, Place, open_place
from bench.stopwatch import Taken, timed
from precinto.adapters.archives import reading
from precinto.adapters.archives.wire import RECORD
from precinto.adapters.crawlers.guard.egress import Guard
from precinto.wire.pcapng import WireRecorder
from tests.bundle.sealing import Sealing, stamping

LARGE, SMALL = "/large.bin", "/picture.png"
"""5 MiB, and some hundred bytes."""

READER_BYTES = 2**31
"""Address space of the process that writes the archive: as the product gives it."""

_AT_ONCE = {LARGE: 1, SMALL: 50}
_A_CONNECTION = 500  # what a client asks for over one; the site itself ends a connection after a thousand

Answers = Counter[tuple[str, str]]
"""Path, and SHA-256 of the body."""


@dataclass(frozen=True)
class Shape:
    """What a record holds: so many answers, all of one file."""

    name: str
    path: str
    answers: int


@dataclass(frozen=True)
class Plan:
    """How often all of it is done, and on which records."""

    rounds: int
    shapes: tuple[Shape, ...]


FULL = Plan(5, (Shape("large", LARGE, 5), Shape("large", LARGE, 20), Shape("small", SMALL, 5_000)))
QUICK = Plan(1, (Shape("large", LARGE, 1), Shape("small", SMALL, 20)))


@dataclass(frozen=True)
class Recorded:
    """A record that was made, in a folder of its own, and what the site served for it."""

    shape: Shape
    folder: Path
    served: Answers

    @property
    def path(self) -> Path:
        """The record."""
        return self.folder / RECORD


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


Reader = Callable[[Recorded], Taken]
"""Reads a record in a process of its own; raises ``Wrong`` where it does not find what was served."""


def measure(plan: Plan) -> Iterator[Measured]:
    """Carry out a plan; yields every reading as it is measured."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        records, verifies = asyncio.run(_prepare(plan.shapes, Path(folder)))
        readers = {**READERS, **verifies}
        for number in range(plan.rounds):
            names = [name for name in readers if name not in PEERS or shutil.which("tshark")]
            turn = number % len(names)
            for recorded in records:
                for name in names[turn:] + names[:turn]:
                    taken = readers[name](recorded)
                    yield Measured(name, recorded.shape, recorded.path.stat().st_size, taken)


# -------------------------------------------------------------------------------------------------------- records


async def _prepare(shapes: Sequence[Shape], folder: Path) -> tuple[list[Recorded], Mapping[str, Reader]]:
    """Make the records, and a sealed bundle of each with its archive; returns them, and who verifies the bundles."""
    async with open_place(folder) as place:
        records = [await _record(place, shape, Path(tempfile.mkdtemp(dir=folder))) for shape in shapes]
    async with stamping(folder / "clocks", ("uno", "dos")) as clocks:
        sealing = Sealing.own(folder / "authority", clocks)
        for recorded in records:
            _archive(recorded)
            items = {name: (recorded.folder / name).read_bytes() for name in (RECORD, *reading.FILES)}
            await sealing.bundle(recorded.folder / "bundle.zip", items)

    def verify(recorded: Recorded) -> Taken:
        command = [sys.executable, "starter.py", "evidence", "verify", str(recorded.folder / "bundle.zip")]
        return timed([*command, "--trust", str(sealing.folder)], recorded.folder / "verified.txt")

    return records, {"precinto: verify": verify}


async def _record(place: Place, shape: Shape, folder: Path) -> Recorded:
    keys = folder / "keys.log"
    recorder = WireRecorder(folder / "spool")
    context = ssl.create_default_context(cafile=str(place.authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = str(keys)
    async with Guard([place.resolver], place.site.ports, 2**30, recorder) as guard:
        for start in range(0, shape.answers, _A_CONNECTION):
            await _ask(guard.address, context, shape, min(_A_CONNECTION, shape.answers - start))
    recorder.finish(keys.read_bytes(), folder / RECORD)
    served: Answers = Counter()
    for (protocol, _, path, sha256), times in place.served().items():
        if protocol != "2":
            raise Wrong(f"{path} was served over HTTP {protocol}")
        served[path, sha256] += times
    if served.total() != shape.answers:
        raise Wrong(f"{served.total()} answers were served, not {shape.answers}")
    return Recorded(shape, folder, served)


async def _ask(proxy: str, context: ssl.SSLContext, shape: Shape, answers: int) -> None:
    """Ask for a file so many times, over one connection."""
    async with httpx.AsyncClient(
        http2=True, verify=context, proxy=f"http://{proxy}", trust_env=False, timeout=60
    ) as client:
        turns = asyncio.Semaphore(_AT_ONCE[shape.path])

        async def get() -> None:
            async with turns:
                await client.get(f"https://{PAGE}{shape.path}")

        await get()  # alone: those that come after it find its connection
        await asyncio.gather(*(get() for _ in range(answers - 1)))


# -------------------------------------------------------------------------------------------------------- readers


def _decode(recorded: Recorded) -> Taken:
    output = recorded.folder / "decoded.json"
    taken = timed([sys.executable, "-m", "bench.decoded", str(recorded.path)], output)
    _same("the decoder", recorded, Counter((path, sha256) for path, sha256 in json.loads(output.read_bytes())))
    return taken


def _archive(recorded: Recorded) -> Taken:
    """Exchanges, certificates, WARC and WACZ, by the very process that makes them in a capture."""
    provenance = {
        "software": "bench",
        "case": "bench",
        "attempt": 1,
        "vantage": "bench",
        "captured_at": "2026-01-01T00:00:00+00:00",
        "description": f"{recorded.shape.answers} answers",
    }
    command = [sys.executable, "-I", "-m", reading.__name__, str(recorded.path), str(recorded.folder)]
    output = recorded.folder / "missing.json"
    for name in reading.FILES:
        (recorded.folder / name).unlink(missing_ok=True)
    taken = timed([*command, str(READER_BYTES)], output, json.dumps(provenance).encode())
    if missing := json.loads(output.read_bytes()):
        raise Wrong(f"the archive says that something is missing: {missing[:3]}")
    exchanges = json.loads((recorded.folder / "exchanges.json").read_bytes())["exchanges"]
    _same("the archive", recorded, Counter((_path(one["url"]), one["received"]["sha256"]) for one in exchanges))
    return taken


def _heads(recorded: Recorded) -> Taken:
    """tshark lists what was asked; bodies are decrypted on the way, and neither put together nor written."""
    output = recorded.folder / "heads.txt"
    wanted = ["-Y", "http2.headers.path", "-T", "fields", "-e", "http2.headers.path"]
    taken = timed(["tshark", "-r", str(recorded.path), *wanted], output)
    found = Counter(path for line in output.read_text().splitlines() for path in line.split(","))
    if found != Counter({recorded.shape.path: recorded.shape.answers}):
        raise Wrong(f"tshark found {dict(found)} where {recorded.shape.answers} were asked for")
    return taken


def _bodies(recorded: Recorded) -> Taken:
    """tshark prints each body, the only form in which it gives out those of HTTP/2: as hexadecimal digits."""
    output = recorded.folder / "bodies.txt"
    wanted = ["-Y", "http2.data.data", "-T", "fields", "-e", "http2.body.reassembled.data", "-e", "http2.data.data"]
    taken = timed(["tshark", "-r", str(recorded.path), *wanted], output)
    found: Answers = Counter()
    with output.open() as lines:
        for line in lines:
            whole, _, pieces = line.rstrip("\n").partition("\t")
            bodies = whole.split(",") if whole else pieces.split(",") if recorded.shape.path == SMALL else []
            found.update((recorded.shape.path, hashlib.sha256(bytes.fromhex(body)).hexdigest()) for body in bodies)
    output.unlink()
    _same("tshark", recorded, found)
    return taken


READERS: Mapping[str, Reader] = {
    "precinto: decode": _decode,
    "precinto: WARC and WACZ": _archive,
    "tshark: heads": _heads,
    "tshark: bodies": _bodies,
}
PEERS = ("tshark: heads", "tshark: bodies")


def _same(who: str, recorded: Recorded, found: Answers) -> None:
    if found != recorded.served:
        raise Wrong(f"{who} found {found.total()} answers that are not the {recorded.served.total()} that were served")


def _path(url: str) -> str:
    return f"/{url.partition('://')[2].partition('/')[2]}"


# --------------------------------------------------------------------------------------------------------- report


def write(measured: Sequence[Measured]) -> str:
    """The whole report, in Markdown."""
    shapes = list(dict.fromkeys(one.shape for one in measured))
    readers = list(dict.fromkeys(one.reader for one in measured))
    columns = ["record", "reader", "seconds", "to decode", "CPU s", "MB/s", "answers/s", "peak MB"]
    rows: list[list[str]] = []
    rounds = len([one for one in measured if (one.reader, one.shape) == (readers[0], shapes[0])])
    for shape in shapes:
        base = [one for one in measured if (one.reader, one.shape) == (readers[0], shape)]
        size = base[0].record_bytes / MEGABYTE
        for reader in readers:
            mine = [one for one in measured if (one.reader, one.shape) == (reader, shape)]
            taken = [one.taken for one in mine]
            to = [one.seconds / other.taken.seconds for one, other in zip(taken, base, strict=True)]
            rows.append(
                [
                    f"{shape.answers} {shape.name}, {size:.1f} MB",
                    reader,
                    Spread(tuple(one.seconds for one in taken)).text(2),
                    Spread(tuple(to)).text(1),
                    Spread(tuple(one.cpu_seconds for one in taken)).text(2),
                    Spread(tuple(size / one.seconds for one in taken)).text(0),
                    Spread(tuple(shape.answers / one.seconds for one in taken)).text(0),
                    Spread(tuple(one.peak_bytes / MEGABYTE for one in taken)).text(0),
                ]
            )
    return "\n\n".join([head(rounds, _tshark()), table(columns, rows)])


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
