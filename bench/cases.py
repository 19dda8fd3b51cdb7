"""The benchmark of cases: ``python -m bench.cases [--rounds N] [--pace X] [--at-once N ...] [--waiting N] [--quick]``.

Each round runs every subject on a stage of its own, in an order that turns from round to round, so that a slow hour
of the machine hits all alike. The run fails where a case was lost or doubled, or where the twin's history is not
Precinto's event for event: its figures would mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bench import figures
from bench.plan import Load, Wrong
from bench.report import Machine, write
from bench.stage import Measured, Stage
from bench.subjects import SUBJECTS

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Plan:
    """What a run consists of.

    Attributes:
        rounds: How often all of it is done.
        warm_up: Carried first and not counted: imports, caches and prepared statements are in place after it.
        loads: Cases that are carried to their end.
        first_waiting: Cases left waiting before memory is read for the first time.
        waiting: Cases left waiting between the first and the second reading.
    """

    rounds: int
    warm_up: Load
    loads: tuple[Load, ...]
    first_waiting: Load
    waiting: Load


def _waiting(name: str, cases: int) -> Load:
    return Load(name, cases=cases, at_once=cases, tick=60, decide=False)


FULL = Plan(
    rounds=3,
    warm_up=Load("warm", cases=20, at_once=10, tick=1),
    loads=(
        Load("one", cases=10, at_once=1, tick=0.5),
        Load("fifty", cases=200, at_once=50, tick=1),
        Load("five-hundred", cases=500, at_once=500, tick=10),
    ),
    first_waiting=_waiting("before", 50),
    waiting=_waiting("waiting", 1000),
)
"""Ticks grow with the load: an order must last longer than the queue before it."""

QUICK = Plan(
    rounds=1,
    warm_up=Load("warm", cases=2, at_once=2, tick=1),
    loads=(Load("one", cases=1, at_once=1, tick=1), Load("five", cases=10, at_once=5, tick=1)),
    first_waiting=_waiting("before", 5),
    waiting=_waiting("waiting", 20),
)


def measure(plan: Plan) -> Iterator[Measured]:
    """Carry out a plan; yields every load of every subject as it is measured."""
    for number in range(plan.rounds):
        turn = number % len(SUBJECTS)
        for subject in SUBJECTS[turn:] + SUBJECTS[:turn]:
            with Stage(subject) as stage:
                stage.run(plan.warm_up)
                for load in plan.loads:
                    yield stage.run(load)
            # Memory on a stage of its own: what a heap has once been given back to it, it does not grow by.
            with Stage(subject) as stage:
                stage.run(plan.first_waiting)
                yield stage.run(plan.waiting)


def check_shapes(measured: Sequence[Measured]) -> None:
    """Compare the twin's history with Precinto's, where cases are carried one at a time and cannot interleave.

    Raises:
        Wrong: They differ; says at which event.
    """
    alone = [one for one in measured if one.load.decide and one.load.at_once == 1]
    shapes = {
        name: [shape for one in alone if one.subject == name for shape in one.carried.shapes]
        for name in ("precinto", "twin")
    }
    wanted, *others = shapes["precinto"]
    for name, shape in [("precinto", s) for s in others] + [("twin", s) for s in shapes["twin"]]:
        for number, (ours, theirs) in enumerate(zip_longest(wanted, shape), start=1):
            if ours != theirs:
                raise Wrong(f"event {number} of a case is {ours} in precinto, but {theirs} in another of {name}")


def machine() -> Machine:
    """What the figures depend on; nothing that names the machine."""
    return Machine(
        cores=os.cpu_count() or 0,
        python=platform.python_version(),
        temporal_sdk=version("temporalio"),
        precinto=version("precinto"),
        on=datetime.now(UTC).date().isoformat(),
        load=os.getloadavg()[2],
    )


def keep(measured: Sequence[Measured], on: Machine) -> Path:
    """Write everything that was measured to ``bench/results``."""
    results: list[dict[str, Any]] = [asdict(one) for one in measured]
    path = HERE / "results" / f"cases-{on.on}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": asdict(on), "measured": results}, indent=1) + "\n")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, check, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.cases", description="What a case costs.")
    parser.add_argument("--rounds", type=int, help=f"rounds of all subjects ({FULL.rounds})")
    parser.add_argument("--quick", action="store_true", help="a smoke run: small loads, figures that mean nothing")
    parser.add_argument("--pace", type=float, default=1, help="makes orders so many times as long: for a busy machine")
    parser.add_argument("--at-once", type=int, nargs="+", help="only the loads with so many cases at once")
    parser.add_argument("--waiting", type=int, help=f"cases left waiting to be weighed ({FULL.waiting.cases})")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else FULL

    def paced(load: Load) -> Load:
        return replace(load, tick=load.tick * options.pace)

    plan = replace(
        plan,
        rounds=options.rounds or plan.rounds,
        warm_up=paced(plan.warm_up),
        loads=tuple(paced(load) for load in plan.loads if not options.at_once or load.at_once in options.at_once),
        waiting=_waiting("waiting", options.waiting) if options.waiting else plan.waiting,
    )
    measured: list[Measured] = []
    for one in measure(plan):
        measured.append(one)
        print(one.line(), file=sys.stderr, flush=True)
    check_shapes(measured)
    on = machine()
    text = write(measured, on)
    print(text)
    if not options.quick:
        print(f"written to {keep(measured, on).relative_to(HERE.parent)} and bench/README.md", file=sys.stderr)
        figures.replace("cases", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
