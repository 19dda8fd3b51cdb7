"""From measurements to a table: medians with their spread, and ratios taken within each round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.figures import table
from bench.stage import ROLES, Measured

MEGABYTE = 1_000_000
GOAL_CPU, GOAL_MEMORY, GOAL_NAIVE = 1.3, 1.0, 2.0
"""At most this many times the twin's CPU; MB for a waiting case; at least this many times the naive cases/s."""


@dataclass(frozen=True)
class Machine:
    """What the figures depend on; ``load`` is the mean of the last 15 minutes."""

    cores: int
    python: str
    temporal_sdk: str
    precinto: str
    on: str
    load: float


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    def text(self, digits: int) -> str:
        """``median (min-max)``."""
        if len(self.values) == 1:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({min(self.values):.{digits}f}-{max(self.values):.{digits}f})"


Figure = Callable[[Measured], float]


class Results:
    """Every measurement of a run."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        self._measured = measured
        self.subjects = list(dict.fromkeys(sorted((one.subject for one in measured), key=_place)))
        self.loads = list(dict.fromkeys(one.load for one in measured if one.load.decide))
        self.waiting = next(one.load for one in measured if not one.load.decide)

    def of(self, subject: str, load: object) -> list[Measured]:
        """The rounds of one subject under one load, in order."""
        return [one for one in self._measured if one.subject == subject and one.load == load]

    def spread(self, subject: str, load: object, figure: Figure) -> Spread:
        """A figure over the rounds."""
        return Spread(tuple(map(figure, self.of(subject, load))))

    def ratio(self, subject: str, to: str, load: object, figure: Figure) -> Spread:
        """The ratio of two subjects, taken in each round."""
        pairs = zip(self.of(subject, load), self.of(to, load), strict=True)
        return Spread(tuple(figure(one) / figure(other) for one, other in pairs))


def _place(subject: str) -> int:
    return ("precinto", "twin", "naive").index(subject)


def write(measured: Sequence[Measured], on: Machine) -> str:
    """The whole report, in Markdown."""
    results = Results(measured)
    rounds = len(results.of("precinto", results.waiting))
    head = (
        f"{on.on}, {on.cores} cores with a load of {on.load:.1f} in the last 15 minutes, Python {on.python}, "
        f"Temporal SDK {on.temporal_sdk}, Precinto {on.precinto}; "
        f"{rounds} interleaved round{'s' if rounds > 1 else ''}: median (min-max)."
    )
    parts = [head, _speed(results), _memory(results), _history(results), _goals(results)]
    return "\n\n".join(parts)


def _speed(results: Results) -> str:
    head = [
        "at once",
        "order s",
        "subject",
        "cases/s",
        "CPU ms/case",
        *ROLES,
        "CPU to twin",
        "cases/s to naive",
    ]
    rows: list[list[str]] = []
    for load in results.loads:
        for subject in results.subjects:
            figures = [
                results.spread(subject, load, lambda one, role=role: one.cpu_per_case(role) * 1000)
                for role in ("", *ROLES)
            ]
            rows.append(
                [
                    str(load.at_once),
                    f"{load.order.total_seconds():g}" if subject != "naive" else "-",
                    subject,
                    results.spread(subject, load, _speed_of).text(2),
                    *(figure.text(0) for figure in figures),
                    results.ratio(subject, "twin", load, Measured.cpu_per_case).text(2),
                    results.ratio(subject, "naive", load, _speed_of).text(2),
                ]
            )
    return table(head, rows)


def _memory(results: Results) -> str:
    load = results.waiting
    head = [f"{load.cases} cases waiting", "worker kB/case", "server kB/case", "both kB/case", "to twin"]
    rows = [
        [
            subject,
            results.spread(subject, load, lambda one: one.memory_per_case("worker") / 1000).text(0),
            results.spread(subject, load, lambda one: one.memory_per_case("server") / 1000).text(0),
            results.spread(subject, load, lambda one: _held(one) / 1000).text(0),
            results.ratio(subject, "twin", load, _held).text(2),
        ]
        for subject in results.subjects
    ]
    return table(head, rows)


def _history(results: Results) -> str:
    head = ["at once", "subject", "events/case", "history bytes/case", "stored bytes/case", "sweep rounds"]
    rows = [
        [
            str(load.at_once),
            subject,
            results.spread(subject, load, lambda one: _mean(one.carried.events)).text(1),
            results.spread(subject, load, lambda one: _mean(one.carried.history_bytes)).text(0),
            results.spread(subject, load, lambda one: sum(one.stored.values()) / one.load.cases).text(0),
            results.spread(subject, load, lambda one: one.carried.rounds).text(0) if subject != "naive" else "its own",
        ]
        for load in results.loads
        for subject in results.subjects
    ]
    return table(head, rows)


def _goals(results: Results) -> str:
    lines: list[str] = []
    for load in results.loads:
        cpu = results.ratio("precinto", "twin", load, Measured.cpu_per_case)
        lines.append(_goal(f"CPU at {load.at_once}: <= {GOAL_CPU} times the twin", cpu, cpu.median <= GOAL_CPU))
    held = results.spread("precinto", results.waiting, lambda one: _held(one) / MEGABYTE)
    lines.append(_goal(f"memory of a waiting case: <= {GOAL_MEMORY:.0f} MB", held, held.median <= GOAL_MEMORY))
    fifty = min(results.loads, key=lambda load: abs(load.at_once - 50))
    speed = results.ratio("precinto", "naive", fifty, _speed_of)
    what = f"cases/s at {fifty.at_once}: >= {GOAL_NAIVE:.0f} times the naive shape"
    lines.append(_goal(what, speed, speed.median >= GOAL_NAIVE))
    return "\n".join(lines)


def _goal(what: str, figure: Spread, met: bool) -> str:
    return f"- {what}: {figure.text(2)}, {'met' if met else '**missed**'}"


def _speed_of(one: Measured) -> float:
    return one.cases_per_second


def _held(one: Measured) -> float:
    return one.memory_per_case("worker") + one.memory_per_case("server")


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)
