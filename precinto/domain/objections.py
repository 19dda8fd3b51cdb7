"""Objections and appeals: what anybody affected by an order can say against it, and how fast an error is corrected.

*Suspend first, decide later*: where somebody claims that a block hits what it must not, a second and shorter term
runs, within which an officer on duty decides whether the order is stayed.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from precinto.domain.intake import unwritable
from precinto.domain.model import Instant, Value

LONGEST_TEXT = 20_000
"""Characters of an objection, and of what an operator answers."""


def _writable(text: str) -> str:
    """What strangers write goes to a terminal and into a database: nothing that steers either.

    Raises:
        ValueError: It holds control characters.
    """
    if unwritable(text):
        raise ValueError("holds control characters")
    return text


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\r\n]*$"),
    AfterValidator(_writable),
]
Prose = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT),
    AfterValidator(_writable),
]
"""What a person says, 20,000 characters at most."""

_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without those that look like others: people read the id out on the telephone."""


class Capacity(StrEnum):
    """In what capacity somebody objects."""

    OWNER = "owner"
    """Owns the blocked name or app."""
    OPERATOR = "operator"
    """Runs the service."""
    USER = "user"
    THIRD_PARTY = "third_party"
    """Is hit beside the target, for example on the same server."""
    ISP = "isp"


class Instance(StrEnum):
    """Before whom an order is challenged."""

    OBJECTION = "objection"
    """Before those who issued it."""
    APPEAL = "appeal"
    """Before the instance above them."""


class ObjectionState(StrEnum):
    """What became of an objection."""

    OPEN = "open"
    UPHELD = "upheld"
    DISMISSED = "dismissed"
    MOOT = "moot"
    """The order ended before anybody decided."""


class Protest(Value):
    """What somebody says against an order, as it is taken in.

    Attributes:
        instance: Objection or appeal.
        capacity: In what capacity.
        collateral: Whether harm beside the target is claimed.
        name: Who; personal.
        contact: How to answer; personal.
        text: Why; personal.
    """

    instance: Instance = Instance.OBJECTION
    capacity: Capacity
    collateral: bool = False
    name: Line
    contact: Line
    text: Prose


def new_objection_id() -> str:
    """A short public id, ``OB-`` and 8 letters and digits (39 random bits)."""
    return "OB-" + "".join(secrets.choice(_LETTERS) for _ in range(8))


@dataclass(frozen=True)
class Lifting:
    """A time in which an order's block had to be gone: a stay, or what follows its end."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True)
class Open:
    """One measurement that found a measure open at an ISP."""

    measure: str
    isp: str
    at: datetime


class Correction(Value):
    """How an objection was answered at the ISPs, by what was measured.

    Attributes:
        lifted_at: When the ISPs were first asked to lift while it waited; None: never.
        open_at: When the last of them was measured open; None: not all were.
        seconds: From its filing to then, a begun one as whole: 0 where it was lifted and measured open already.
        waiting: ISPs that were asked to lift and were not measured open.
    """

    lifted_at: Instant | None = None
    open_at: Instant | None = None
    seconds: int | None = None
    waiting: tuple[str, ...] = ()

    @property
    def minutes(self) -> int | None:
        """Minutes to correct, begun ones as whole."""
        return None if self.seconds is None else -(-self.seconds // 60)


def correction(
    filed_at: datetime, liftings: Sequence[Lifting], places: Collection[tuple[str, str]], seen: Sequence[Open]
) -> Correction:
    """How an objection was answered: nothing is taken on an ISP's word.

    Args:
        filed_at: When the objection was filed.
        liftings: Times in which the block had to be gone for its sake.
        places: Each measure and ISP at which the block had to go.
        seen: Measurements that found one open.
    """
    if not liftings:
        return Correction()
    first: dict[tuple[str, str], datetime] = {}
    for one in seen:
        place = (one.measure, one.isp)
        if any(lifting.since < one.at and _before(one.at, lifting.until) for lifting in liftings):
            first[place] = min(one.at, first.get(place, one.at))
    lifted_at = max(filed_at, min(lifting.since for lifting in liftings))
    waiting = tuple(sorted({isp for measure, isp in places if (measure, isp) not in first}))
    if waiting or not places:
        return Correction(lifted_at=lifted_at, waiting=waiting)
    open_at = max(filed_at, *(first[place] for place in places))
    seconds = -((filed_at - open_at) // timedelta(seconds=1))
    return Correction(lifted_at=lifted_at, open_at=open_at, seconds=seconds)


def _before(moment: datetime, until: datetime | None) -> bool:
    return until is None or moment <= until
