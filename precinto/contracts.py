"""Every type that enters Temporal history: one model in, one model out, frozen and versioned.

History holds progress: ids, digests, counts, deadlines. No free text, no names of people, no lists of targets or
ISPs; those are facts and live in the database. New fields get a default, so that a history of last year still
replays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import AliasChoices, Field

from precinto.domain.case import Closure, Stage
from precinto.domain.model import Digest, Instant, Value


class CaseStart(Value):
    """What a case is started with: its id, and of its terms those that the workflow itself waits for.

    The whole snapshot of the terms is in the database, written when the case was opened.
    """

    v: Literal[1] = 1
    case: str
    review: timedelta
    order: timedelta


class CaseRef(Value):
    """A case, by id."""

    v: Literal[1] = 1
    case: str


class Accepted(Value):
    """What intake knows of the case.

    Attributes:
        hold: Two different reviewers must approve.
        barred: Officers who referred or opened the case, by id.
    """

    v: Literal[1] = 1
    hold: bool
    barred: tuple[str, ...]


class CaptureTask(Value):
    """Capture the evidence of a case; ``round`` counts from 1: a reviewer may ask for another.

    An attempt that fails half-way is tried again in the same round, as an attempt and a bundle of its own.
    """

    v: Literal[1] = 1
    case: str
    round: int = Field(validation_alias=AliasChoices("round", "attempt"))  # ``attempt`` in histories of 0.1.0
    review_until: Instant


class Sealed(Value):
    """A sealed bundle: its digest and the number of its files. What is in it, the database knows.

    ``hold``: two different reviewers must approve, by what intake and the proportionality file found.
    """

    v: Literal[1] = 1
    bundle: Digest
    items: int
    hold: bool = False


class StampTask(Value):
    """Stamp the bundles that lack a time."""

    v: Literal[1] = 1


class Stamped(Value):
    """What a round of stamping did: stamps that were got, bundles that still wait."""

    v: Literal[1] = 1
    got: int
    waiting: int


class AnchorTask(Value):
    """Anchor the ledger, if its last anchor is this old, and get the time stamps that anchors lack."""

    v: Literal[1] = 1
    every: timedelta = timedelta()


class Anchored(Value):
    """What a round of anchoring did: the last row that a new anchor covers, stamps got, anchors that still wait."""

    v: Literal[1] = 1
    last: int | None
    got: int
    waiting: int


class Escalation(Value):
    """A term has passed and a human must be told."""

    v: Literal[1] = 1
    case: str
    due: Instant


class Refusal(Value):
    """A decision that was refused inside the workflow, for the ledger.

    ``undone``: the case had taken it and took it back, because the files do not bear it out.
    """

    v: Literal[1] = 1
    case: str
    decision: str
    code: str
    undone: bool = False


class Conclusion(Value):
    """A review that ended without an order: rejected, or returned for more evidence, by this decision."""

    v: Literal[1] = 1
    case: str
    decision: str


class OrderTask(Value):
    """Issue the order that these decisions carry, and notify every ISP of it.

    Only ids: what the decisions say is what their officers filed, never what a workflow claims. ``valid_from`` is
    set by the workflow, on the server's clock.
    """

    v: Literal[1] = 1
    case: str
    order: str
    decisions: tuple[str, ...]
    valid_from: Instant


class Notified(Value):
    """What came of a round of notices, in numbers."""

    v: Literal[1] = 1
    order: str
    isps: int
    delivered: int
    undelivered: int


class Lapse(Value):
    """Verification found measures of a case that do not hold. Which ones, the database knows."""

    v: Literal[1] = 1
    case: str
    measures: int


class ReminderTask(Value):
    """Remind every ISP at which a measure of the order has lapsed."""

    v: Literal[1] = 1
    case: str
    order: str


class EndTask(Value):
    """End an order at ``at``, or by the revocation with this id: tell every ISP, see it measured."""

    v: Literal[1] = 1
    case: str
    order: str
    at: Instant
    revocation: str | None = None


class Ended(Value):
    """How an order ended: measured open everywhere, or escalated with ISPs that still block."""

    v: Literal[1] = 1
    closure: Closure
    isps: int
    overstaying: int


class CaseEnd(Value):
    """The result of a case's workflow."""

    v: Literal[1] = 1
    case: str
    closure: Closure
    isps: int = 0
    overstaying: int = 0


class CaseStatus(Value):
    """What the ``status`` query answers: for operators who look into a run. Facts are in the database."""

    v: Literal[1] = 1
    stage: Stage
    bundle: Digest | None
    approvals: int
    approvals_needed: int
    due: Instant | None


class Admission(Value):
    """The answer to a decision that was taken: how many approvals are still needed."""

    v: Literal[1] = 1
    still_needed: int


class SweepTask(Value):
    """One round of verification from one vantage, for every case at once."""

    v: Literal[1] = 1
    vantage: str


class Swept(Value):
    """What a round found, in numbers."""

    v: Literal[1] = 1
    vantage: str
    measured: int
    lapsed: int
