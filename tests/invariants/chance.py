"""What can happen next, and how often: the machine draws from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from precinto.domain.review import Outcome
from tests.invariants.outside import DAY, EFFECTS, HONEST, HOUR, ISPS, MINUTE, NAMES, TARGETS, TRICKS, Mood

if TYPE_CHECKING:
    from tests.invariants.machine import Enforcement


@dataclass(frozen=True)
class Deed:
    """Something that can happen: how often, what it takes, and how chance fills in the rest."""

    weight: int
    do: Callable[[Enforcement, Random], None]
    needs: Callable[[Enforcement], object] = lambda machine: machine.cases


def _in_force(machine: Enforcement) -> object:
    return machine.witness.orders


def _anybody(chance: Random) -> str:
    return chance.choice(NAMES)


def _any(chance: Random) -> int:
    return chance.randrange(12)


def _heads(chance: Random) -> bool:
    return chance.random() < 0.5


def _effect(chance: Random) -> str:
    return chance.choice(EFFECTS) if _heads(chance) else ""


REVIEWERS = ("reviewer-1", "reviewer-2", "legal-head")
SHORT = (MINUTE, 5 * MINUTE, 20 * MINUTE, HOUR, 5 * HOUR)
LONG = (12 * HOUR, DAY, 2 * DAY, 3 * DAY, 40 * DAY)

DEEDS = (
    Deed(
        5,
        lambda m, c: m.refer(
            c.randrange(len(TARGETS)),
            _anybody(c) if c.random() < 0.2 else "operator-1",
            "reviewer-2" if c.random() < 0.1 else "ifpi",
            _heads(c),
        ),
        lambda m: True,
    ),
    Deed(9, lambda m, c: m.capture(_any(c), c.choice((0, 0, 0, 1, 2, 3)), c.random() < 0.1, c.random() < 0.1)),
    Deed(2, lambda m, c: m.stamp(c.choice((0, 0, 1, 3)))),
    Deed(9, lambda m, c: m.approve_as_is_right(_any(c))),
    Deed(5, lambda m, c: m.decide(_any(c), _anybody(c), c.choice(list(Outcome)), c.choice(HONEST))),
    Deed(12, lambda m, c: m.decide_what_fits(_any(c), c.choice(REVIEWERS), c.choice(HONEST), c), _in_force),
    Deed(6, lambda m, c: m.release(_any(c), c.choice(HONEST)), lambda m: m.witness.standing),
    Deed(6, lambda m, c: m.decide(_any(c), _anybody(c), c.choice(list(Outcome)), c.choice(TRICKS))),
    Deed(4, lambda m, c: m.again(_any(c), _any(c), _heads(c)), lambda m: m.decisions),
    Deed(1, lambda m, c: m.junk(_any(c), c.randbytes(24).decode("latin-1"))),
    Deed(2, lambda m, c: m.tamper(_any(c), _anybody(c)), lambda m: m.decisions),
    Deed(1, lambda m, c: m.escalate(_any(c))),
    Deed(
        2,
        lambda m, c: m.draft(c.choice(("operator-1", "reviewer-1")), c.randrange(1, 4), c.random() < 0.8),
        lambda m: len(m.witness.standing) < 3,
    ),
    Deed(1, lambda m, c: m.enact(_any(c), _anybody(c), _heads(c)), lambda m: m.witness.standing),
    Deed(1, lambda m, c: m.revoke_standing_order(_any(c), _anybody(c), _heads(c)), lambda m: m.witness.standing),
    Deed(4, lambda m, c: m.object(_any(c), _heads(c), c.choice((*NAMES, *["operator-1"] * 6))), _in_force),
    Deed(2, lambda m, c: m.open_proceeding(_any(c), c.choice(("reviewer-1", "legal-head", "operator-1"))), _in_force),
    Deed(14, lambda m, c: m.notify(_any(c), _heads(c), _effect(c), _heads(c), _any(c)), _in_force),
    Deed(9, lambda m, c: m.end(_any(c), _effect(c), _heads(c), _any(c)), _in_force),
    Deed(6, lambda m, c: m.everything_catches_up(), _in_force),
    Deed(9, lambda m, c: m.sweep(c.choice(ISPS), c.random() < 0.1), _in_force),
    Deed(2, lambda m, c: m.watch(c.random() < 0.8)),
    Deed(9, lambda m, c: m.wait(c.choice(SHORT))),
    Deed(3, lambda m, c: m.wait(c.choice(LONG))),
    Deed(6, lambda m, c: m.change_mood(c.choice(ISPS), Mood.OBEYS if _heads(c) else c.choice(list(Mood)))),
    Deed(4, lambda m, c: m.wake(c.choice(ISPS))),
    Deed(1, lambda m, c: m.leave_or_return(c.choice(ISPS))),
    Deed(2, lambda m, c: m.come_and_go(_anybody(c), _heads(c))),
    Deed(1, lambda m, c: m.renew_key(_anybody(c))),
)
