"""The life of a case: its stages, and every step that the law allows between them.

``intake -> evidence -> review -> notification -> verification -> unblocking -> closed``, where an order in force may
be stayed and resumed.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from precinto.domain.errors import IllegalTransition


class Stage(StrEnum):
    """Where a case is."""

    INTAKE = "intake"
    EVIDENCE = "evidence"
    REVIEW = "review"
    NOTIFICATION = "notification"
    VERIFICATION = "verification"
    STAYED = "stayed"
    """The order is suspended: its block is lifted, and may come back."""
    UNBLOCKING = "unblocking"
    CLOSED = "closed"


BEFORE_ORDER = frozenset({Stage.INTAKE, Stage.EVIDENCE, Stage.REVIEW})
"""Stages of the investigation."""


class Closure(StrEnum):
    """Why a closed case is closed."""

    UNBLOCKED = "unblocked"
    """The order ended, and the unblock was measured at every ISP, unless another order carries the block on."""
    ESCALATED = "escalated"
    """The order ended; an ISP did not lift in time, and a human was told, with the names."""
    REJECTED = "rejected"
    """A reviewer decided that no order is issued."""


TRANSITIONS: MappingProxyType[Stage, frozenset[Stage]] = MappingProxyType(
    {
        Stage.INTAKE: frozenset({Stage.EVIDENCE}),
        Stage.EVIDENCE: frozenset({Stage.REVIEW}),
        # Back to evidence when a reviewer returns the case; closed when it is rejected.
        Stage.REVIEW: frozenset({Stage.EVIDENCE, Stage.NOTIFICATION, Stage.CLOSED}),
        # An order that ends while an ISP still cannot be reached goes straight to its end.
        Stage.NOTIFICATION: frozenset({Stage.VERIFICATION, Stage.STAYED, Stage.UNBLOCKING}),
        Stage.VERIFICATION: frozenset({Stage.STAYED, Stage.UNBLOCKING}),
        Stage.STAYED: frozenset({Stage.NOTIFICATION, Stage.UNBLOCKING}),
        Stage.UNBLOCKING: frozenset({Stage.CLOSED}),
        Stage.CLOSED: frozenset(),
    }
)
"""Every legal transition; what is not here does not happen."""


def advance(now: Stage, to: Stage) -> Stage:
    """The next stage, if the law allows the step. Staying where one is, is allowed: activities repeat.

    Raises:
        IllegalTransition: ``to`` does not follow ``now``.
    """
    if to is now or to in TRANSITIONS[now]:
        return to
    raise IllegalTransition("illegal_transition", f"a case in {now} cannot go to {to}")
