"""Every type that enters Temporal history: one model in, one model out, frozen and versioned.

History holds progress: ids, digests, counts, deadlines. No free text, no names of people, no lists of targets or
ISPs; those are facts and live in the database. New fields get a default, so that a history of last year still
replays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from precinto.domain.case import Closure, Stage
from precinto.domain.model import Digest, Instant, Value


class CaseStart(Value):
    """What a case is started with: its id. Its terms and everything else are in the database.

    Version 1, of release 0.1, held terms; such a case is taken up by a new run (docs/adr/0017).

    Attributes:
        resumed: The case is at work already: this run asks the database where it stands, and goes on there.
        dropped: Signals that the run before dropped unread, and that the ledger has not been told of.
    """

    v: Literal[2] = 2
    case: str
    resumed: bool = False
    dropped: int = 0


class CaseRef(Value):
    """A case, by id."""

    v: Literal[1] = 1
    case: str


class Place(Value):
    """Where a case stands, by its files: what the workflow goes by.

    Attributes:
        stage: The stage.
        round: The round of the review that runs or comes next, from 1.
        closure: Why the case is closed.
        due: End of the term that runs now.
        order: The newest order.
        version: Its version: each thing that is asked of the ISPs under it has one.
        over: It has been revoked, in whatever way: it is to be ended now.
        bundle: The newest bundle; for a run that takes the case up.
    """

    v: Literal[1] = 1
    stage: Stage
    round: int
    closure: Closure | None = None
    due: Instant | None = None
    order: str | None = None
    version: int = 0
    over: bool = False
    bundle: Digest | None = None


class CaptureTask(Value):
    """Capture the evidence of a case; ``round`` counts from 1: a reviewer may ask for another.

    An attempt that fails half-way is tried again in the same round, as an attempt and a bundle of its own.
    """

    v: Literal[2] = 2
    case: str
    round: int


class Sealed(Value):
    """A sealed bundle: its digest, the number of its files, and when the reviewers' term ends."""

    v: Literal[2] = 2
    bundle: Digest
    items: int
    due: Instant


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


class WatchTask(Value):
    """Go round once; rounds follow one another in this time."""

    v: Literal[1] = 1
    every: timedelta


class Watched(Value):
    """What a round of the watch found, in numbers.

    Attributes:
        ended: Orders that it ended, because their armed end did not fire.
        reminders: Reminders to reviewers.
        overdue: Objections and stays that wait for a decision beyond their term.
        unreached: ISPs that could not be told in time.
        resumed: Cases that had lost their run, and got another.
        addressed: Escalations that were put before somebody.
        woken: Cases that had not heard that their block is to be lifted, and were told again.
        unclosed: Cases whose release is beyond its term, and that nothing has closed.
    """

    v: Literal[1] = 1
    ended: int
    reminders: int
    overdue: int
    unreached: int
    resumed: int
    addressed: int
    woken: int = 0
    unclosed: int = 0


class Escalation(Value):
    """The reviewers' term has passed at ``due`` and a human must be told; ``at`` is now."""

    v: Literal[2] = 2
    case: str
    due: Instant
    at: Instant


class Escalated(Value):
    """The next term of the review."""

    v: Literal[1] = 1
    due: Instant


class Filed(Value):
    """What a case is told of a decision: the id under which its officer has filed it, signed."""

    v: Literal[1] = 1
    decision: str = Field(max_length=64)


class Signed(Value):
    """A decision as its officer signed it, for those who tell a case by signal. Its reasons must be on file."""

    v: Literal[1] = 1
    envelope: str = Field(max_length=4096)


class AdmitTask(Value):
    """Admit decisions, in this order, at ``at``: those told by update by their id, those told by signal as envelopes.

    ``dropped``: signals that were dropped unread since the last time.
    """

    v: Literal[1] = 1
    case: str
    at: Instant
    decisions: tuple[str, ...] = ()
    envelopes: tuple[str, ...] = ()
    dropped: int = 0


class Admission(Value):
    """What came of one decision.

    Attributes:
        code: The rule that refused it; None where it was admitted.
        reason: Why, in words.
        needed: Approvals that are still needed.
    """

    v: Literal[2] = 2
    code: str | None = None
    reason: str | None = None
    needed: int = 0


class Admitted(Value):
    """The answer to a decision that was admitted: how many approvals are still needed."""

    v: Literal[1] = 1
    needed: int


class Admissions(Value):
    """What came of each decision that was told, and where the case stands after them."""

    v: Literal[1] = 1
    each: tuple[Admission, ...]
    place: Place


class OrderTask(Value):
    """Tell every ISP what an order asks of it now. ``remind``: also those that were told and do not hold."""

    v: Literal[2] = 2
    case: str
    order: str
    remind: bool = False


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


class EndTask(Value):
    """See an order to its end: at its time tell every ISP, and see it measured. When that is, the database knows."""

    v: Literal[2] = 2
    case: str
    order: str


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

    v: Literal[2] = 2
    stage: Stage
    bundle: Digest | None
    order: str | None
    due: Instant | None
    refused: int


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
