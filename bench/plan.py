"""What is run: how many cases, how many at once, and the lengths of the waits that every subject shares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

VANTAGES = tuple(f"isp-{number}" for number in range(1, 6))
"""The five ISPs of every case; each is a vantage too."""

SWEEPS = 3
"""Rounds of verification that an order is long enough for."""


class Wrong(Exception):
    """Something was lost, doubled or decided otherwise: what was measured means nothing."""


@dataclass(frozen=True)
class Load:
    """One measured load.

    Attributes:
        name: Prefix of the names of its cases; unique within a run.
        cases: How many cases are carried from intake to their end.
        at_once: How many of them are open at the same time; when one ends, the next is opened.
        tick: Seconds between two rounds of sweeps; an order lasts :data:`SWEEPS` of them, and its end is looked at
            again after one.
        decide: False leaves every case waiting for its review (to weigh it).
    """

    name: str
    cases: int
    at_once: int
    tick: float
    decide: bool = True

    @property
    def order(self) -> timedelta:
        """Length of an order."""
        return timedelta(seconds=self.tick * SWEEPS)

    @property
    def recheck(self) -> timedelta:
        """Time after which the end of an order is looked at again."""
        return timedelta(seconds=self.tick)

    def names(self) -> list[str]:
        """The names of its cases; each is a label that a domain name can be made of."""
        return [f"{self.name}-{number}" for number in range(self.cases)]


@dataclass(frozen=True)
class Carried:
    """What a client says of a load that it has carried.

    Attributes:
        seconds: From the opening of the first case to the end of the last.
        rounds: Rounds of sweeps in this time (each is one workflow per vantage).
        events: History events of a case, one number for each case looked at.
        history_bytes: Bytes of its history, as the server counts them.
        shapes: Names of the events of each of them, in order.
    """

    seconds: float
    rounds: int
    events: list[int]
    history_bytes: list[int]
    shapes: list[list[str]]

    @staticmethod
    def of(values: dict[str, Any]) -> Carried:
        """From what was read out of JSON."""
        return Carried(**values)
