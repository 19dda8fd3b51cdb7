"""What a capture costs, and what of it the recorder takes: ``python -m bench.captures [--rounds N] [--quick]``.

A real browser visits the lab's showcase, with the recorder and without it, one capture at a time and two. Each kind
has a fresh process, and all kinds have their turn in each round, so that a slow hour of the machine hits all alike.
The run fails where a capture is not whole, where the record is not what the site's own journal says was served, or
where the site was asked for more or less than in the first capture.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from bench.figures import head, publish, table
from bench.plan import Wrong
from bench.report import MEGABYTE, Spread
from bench.showcase import Place, Served, open_place
from bench.visitor import Captured, Task, Visited


@dataclass(frozen=True)
class Kind:
    """A way to capture."""

    recorder: bool
    slots: int

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{'with' if self.recorder else 'without'} the recorder, {self.slots} at once"


RECORDED, UNRECORDED, TWO = Kind(recorder=True, slots=1), Kind(recorder=False, slots=1), Kind(recorder=True, slots=2)
KINDS = (RECORDED, UNRECORDED, TWO)


@dataclass(frozen=True)
class Plan:
    """How often all of it is done, and how many captures each slot makes in a round."""

    rounds: int
    captures: int


FULL, QUICK = Plan(rounds=10, captures=1), Plan(rounds=1, captures=1)


@dataclass(frozen=True)
class Measured:
    """One kind in one round."""

    kind: Kind
    visited: Visited

    def mean(self, figure: Callable[[Captured], float]) -> float:
        """The mean of a figure over the captures."""
        return mean(figure(one) for one in self.visited.captured)

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of the capturing process, a capture."""
        return self.visited.cpu_seconds / len(self.visited.captured)

    @property
    def per_minute(self) -> float:
        """Captures per minute; with the recorder, the archive made of each is in it."""
        return 60 * len(self.visited.captured) / self.visited.seconds

    def line(self) -> str:
        """What to print while a run goes on."""
        seconds, browser = self.mean(_seconds), self.mean(_browser) / MEGABYTE
        return f"{self.kind.name}: {seconds:.2f} s, {self.per_minute:.1f}/min, browser {browser:.0f} MB"


async def measure(plan: Plan) -> AsyncGenerator[Measured]:
    """Carry out a plan; yields every kind as it is measured."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with open_place(Path(folder)) as place:
            # One capture that does not count: program and fonts are in memory after it, and what is asked is known.
            warm = await _visit(place, RECORDED, 1)
            wanted = place.served()
            check(RECORDED, warm, wanted, wanted)
            for number in range(plan.rounds):
                turn = number % len(KINDS)
                for kind in KINDS[turn:] + KINDS[:turn]:
                    visited = await _visit(place, kind, plan.captures * kind.slots)
                    check(kind, visited, place.served(), wanted)
                    yield Measured(kind, visited)


def check(kind: Kind, visited: Visited, served: Counter[Served], wanted: Counter[Served]) -> None:
    """Hold captures against the site's journal of them; ``wanted``: what one capture asks for.

    Raises:
        Wrong: They are not whole, or not what was served.
    """
    count = len(visited.captured)
    if wrong := [why for one in visited.captured for why in one.wrong]:
        raise Wrong(f"{kind.name}: {wrong[0]}")
    if served != Counter({what: times * count for what, times in wanted.items()}):
        raise Wrong(f"{kind.name}: {count} captures asked for {served.total()}, and one for {wanted.total()}")
    recorded = Counter(what for one in visited.captured for what in one.exchanges)
    if recorded != (served if kind.recorder else Counter()):
        raise Wrong(f"{kind.name}: the records have {recorded.total()} exchanges, the site served {served.total()}")


async def _visit(place: Place, kind: Kind, captures: int) -> Visited:
    """Make captures in a process of its own."""
    ports = tuple(place.site.ports.items())
    task = Task(kind.recorder, captures, kind.slots, place.resolver, ports, str(place.authority))
    visitor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.visitor", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await visitor.communicate(json.dumps(asdict(task)).encode())
    if visitor.returncode != 0:
        raise Wrong(f"{kind.name}: the visitor failed, its error is above")
    told: dict[str, Any] = json.loads(answer)
    captured = tuple(_captured(one) for one in told.pop("captured"))
    return Visited(captured=captured, **told)


def _captured(told: dict[str, Any]) -> Captured:
    exchanges = tuple((version, host, path, sha256) for version, host, path, sha256 in told.pop("exchanges"))
    return Captured(exchanges=exchanges, **told)


# --------------------------------------------------------------------------------------------------------- report


def _seconds(one: Captured) -> float:
    return one.seconds


def _archive(one: Captured) -> float:
    return one.archive_seconds


def _browser(one: Captured) -> float:
    return one.browser_bytes


def _of(measured: Sequence[Measured], kind: Kind) -> list[Measured]:
    return [one for one in measured if one.kind == kind]


def _ratio(measured: Sequence[Measured], kind: Kind, to: Kind, figure: Callable[[Measured], float]) -> Spread:
    """The ratio of two kinds, taken in each round."""
    pairs = zip(_of(measured, kind), _of(measured, to), strict=True)
    return Spread(tuple(figure(one) / figure(other) for one, other in pairs))


def write(measured: Sequence[Measured]) -> str:
    """The whole report, in Markdown."""
    columns = ["captures", "seconds", "archive s", "browser MB", "our CPU s", "our MB", "captures/min"]
    rows: list[list[str]] = []
    for kind in KINDS:
        mine = _of(measured, kind)
        rows.append(
            [
                kind.name,
                Spread(tuple(one.mean(_seconds) for one in mine)).text(2),
                Spread(tuple(one.mean(_archive) for one in mine)).text(2) if kind.recorder else "-",
                Spread(tuple(one.mean(_browser) / MEGABYTE for one in mine)).text(0),
                Spread(tuple(one.cpu_seconds for one in mine)).text(2),
                Spread(tuple(one.visited.peak_bytes / MEGABYTE for one in mine)).text(0),
                Spread(tuple(one.per_minute for one in mine)).text(1),
            ]
        )
    figures: tuple[tuple[str, Kind, Kind, Callable[[Measured], float]], ...] = (
        ("seconds of a capture, with the recorder to without", RECORDED, UNRECORDED, lambda one: one.mean(_seconds)),
        ("memory of the browser, with the recorder to without", RECORDED, UNRECORDED, lambda one: one.mean(_browser)),
        ("our CPU, with the recorder to without", RECORDED, UNRECORDED, lambda one: one.cpu_seconds),
        ("our memory, with the recorder to without", RECORDED, UNRECORDED, lambda one: one.visited.peak_bytes),
        ("captures per minute, two at once to one", TWO, RECORDED, lambda one: one.per_minute),
    )
    ratios = [f"- {what}: {_ratio(measured, kind, to, figure).text(2)}" for what, kind, to, figure in figures]
    first = measured[0].visited.captured[0]
    sizes = [one for each in _of(measured, RECORDED) for one in each.visited.captured]
    overhead = Spread(tuple(one.record_bytes / one.network_bytes for one in sizes))
    ratios.append(f"- size of the record, to the {first.network_bytes / MEGABYTE:.1f} MB carried: {overhead.text(3)}")
    records = [one for each in measured if each.kind.recorder for one in each.visited.captured]
    cut = sum(bool(one.cut) for one in records)
    ratios.append(f"- records that say that the browser cut off the answer to a redirect: {cut} of {len(records)}")
    mine = _of(measured, RECORDED)
    ratios.append(f"- captures of each slot in a round: {len(mine[0].visited.captured)}")
    return "\n\n".join([head(len(mine), f"Chromium {first.browser}"), table(columns, rows), "\n".join(ratios)])


async def run(plan: Plan) -> list[Measured]:
    """Carry out a plan, and say how it goes."""
    measured: list[Measured] = []
    async for one in measure(plan):
        measured.append(one)
        print(one.line(), file=sys.stderr, flush=True)
    return measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, check, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.captures", description="What a capture costs.")
    parser.add_argument("--rounds", type=int, help=f"rounds of all kinds ({FULL.rounds})")
    parser.add_argument("--quick", action="store_true", help="a smoke run: figures that mean nothing")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL
    measured = asyncio.run(run(Plan(options.rounds or plan.rounds, plan.captures)))
    text = write(measured)
    print(text)
    if not options.quick:
        publish("captures", text, [asdict(one) for one in measured])
    return 0


if __name__ == "__main__":
    sys.exit(main())
