"""What is asked of a bundle, and what the verifier says of it: one line for each check, fit for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from precinto.domain.evidence import STAMPS_NEEDED

MOST_PROBLEMS = 50
"""Problems of one check that are told one by one."""

_LONGEST_TEXT = 500


@dataclass(frozen=True)
class Rules:
    """What is asked of the times in a bundle.

    Attributes:
        window: How long after the capture's end a time stamp may be.
        skew: How much two clocks may differ: a stamp may be this much before the capture's end.
        stamps: How many independent time-stamp authorities must have stamped it.
    """

    window: timedelta = timedelta(hours=24)
    skew: timedelta = timedelta(minutes=1)
    stamps: int = STAMPS_NEEDED


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        found: What was seen.
        problems: What is wrong, and where; none when it is as it must be.
    """

    name: str
    found: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What the verifier found.

    Attributes:
        bundle: Digest of the manifest, which decisions name; None where there is no manifest.
        checks: Every check, in the order in which they were made.
    """

    bundle: str | None
    checks: tuple[Check, ...]

    @property
    def good(self) -> bool:
        """Whether every check says so."""
        return not any(check.problems for check in self.checks)


def line(name: str, found: str, problems: Iterable[str]) -> Check:
    """A line whose texts may quote a hostile bundle: no control characters, not too long, not too many."""
    told = [_printable(problem) for problem in problems]
    if (more := len(told) - MOST_PROBLEMS) > 0:
        told[MOST_PROBLEMS:] = [f"and {more} more of this kind"]
    return Check(_printable(name), _printable(found), tuple(told))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST_TEXT])
