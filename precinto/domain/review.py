"""Review: who may decide what. One set of rules, asked at the desk and, for good, where a decision is admitted.

* A named human decides, on exactly the bundle that was sealed, by a signed statement.
* Whoever referred or opened a case may not approve it.
* A case on hold needs two different reviewers.
* Silence escalates; it never approves.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from precinto.domain.case import Stage
from precinto.domain.errors import Refused
from precinto.domain.model import Digest, Instant, Value


class Outcome(StrEnum):
    """What an officer can decide."""

    APPROVE = "approve"
    REJECT = "reject"
    RETURN = "return"
    RELEASE = "release"
    """Approves under a standing order: its officers have approved title, scope and window before."""
    REVOKE = "revoke"
    """Ends an order in force before its time; one officer suffices, for lifting a block harms nobody's defence."""
    STAY = "stay"
    """Suspends an order in force: its block is lifted, and may come back."""
    RESUME = "resume"
    """Ends a stay: the block comes back, for what is left of the order."""
    RENEW = "renew"
    """Lengthens an order in force, before its end."""
    UPHOLD = "uphold"
    """An objection is right: the order ends."""
    DISMISS = "dismiss"
    """An objection is wrong: the order stands."""
    ENACT = "enact"
    """Approves a standing order."""


OF_REVIEW = frozenset({Outcome.APPROVE, Outcome.REJECT, Outcome.RETURN, Outcome.RELEASE})
"""Decided on a bundle under review."""
OF_ORDERS = frozenset({Outcome.REVOKE, Outcome.STAY, Outcome.RESUME, Outcome.RENEW, Outcome.UPHOLD, Outcome.DISMISS})
"""Decided on an order in force."""


class Role(StrEnum):
    """What an officer is appointed to do."""

    OPERATOR = "operator"
    REVIEWER = "reviewer"
    LEGAL_HEAD = "legal_head"
    DUTY_OFFICER = "duty_officer"
    AUDITOR = "auditor"
    PARTNER = "partner"
    ISP = "isp"


class Absence(Value):
    """A time in which an officer is away, and a deputy acts."""

    since: Instant
    until: Instant


class Officer(Value):
    """A person of the authority, by pseudonym: names stay in the authority's own directory.

    Attributes:
        id: The pseudonym.
        roles: What the officer is appointed to do.
        deputy: Who stands in for the officer during an absence.
        away: The absences.
    """

    id: str
    roles: tuple[Role, ...]
    deputy: str | None = None
    away: tuple[Absence, ...] = ()

    def is_away(self, at: datetime) -> bool:
        """Whether the officer is away at a moment."""
        return any(one.since <= at < one.until for one in self.away)


class Said(Value):
    """What the rules look at of a decision: what, on which bundle, by whom, and what it is about."""

    outcome: Outcome
    subject: Digest
    officer: str
    about: str | None = None


class Docket(Value):
    """What the rules need to know of a case.

    Attributes:
        stage: Where the case is.
        bundle: Digest of the newest bundle; None while there is none.
        barred: Officers who referred or opened the case.
        hold: True where two different reviewers must approve.
        stamped: Whether the bundle has its time stamps.
        heard: Whether the right to be heard before an order has been given, where there is one.
        approvals: Officers who have approved this bundle so far.
        renewals: Officers who have approved the next renewal so far.
        deciders: Officers whose decisions carry the order in force.
        objections: Objections that wait for a decision, by id; appeals too.
        appeals: Which of them are appeals.
        suspending: Which of them suspend the order by the law alone.
        dismissers: Officers who have dismissed an objection to the order in force.
    """

    stage: Stage
    bundle: Digest | None
    barred: tuple[str, ...]
    hold: bool
    stamped: bool = True
    heard: bool = True
    approvals: tuple[str, ...] = ()
    renewals: tuple[str, ...] = ()
    deciders: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()
    appeals: tuple[str, ...] = ()
    suspending: tuple[str, ...] = ()
    dismissers: tuple[str, ...] = ()

    @property
    def approvals_needed(self) -> int:
        """How many different officers must approve."""
        return 2 if self.hold else 1

    @property
    def still_needed(self) -> int:
        """How many approvals are missing: of the bundle under review, or of the renewal that was begun."""
        if self.stage is Stage.REVIEW:
            return max(self.approvals_needed - len(self.approvals), 0)
        return max(self.approvals_needed - len(self.renewals), 0) if self.renewals else 0

    @property
    def is_decidable(self) -> bool:
        """Whether there is something to decide: a bundle under review, or an order in force."""
        return self.stage is Stage.REVIEW or self.stage in IN_FORCE


IN_FORCE = frozenset({Stage.NOTIFICATION, Stage.VERIFICATION, Stage.STAYED})
"""Stages in which a case has an order in force."""


def admit(said: Said, docket: Docket) -> None:
    """Let a decision in, or say why not.

    Raises:
        Refused: Of a bundle under review: ``not_under_review``, ``other_bundle``, ``referrer_may_not_decide``,
            ``same_officer_twice``, ``time_pending``, ``not_heard``, ``held``. Of an order: ``not_in_force``,
            ``other_bundle``, ``referrer_may_not_decide``, ``same_officer_twice``, ``stayed``, ``not_stayed``,
            ``no_such_objection``, ``own_decision``, ``appeal_pending``.
    """
    if said.outcome in OF_REVIEW:
        _admit_review(said, docket)
    elif said.outcome in OF_ORDERS:
        _admit_order(said, docket)
    else:
        raise Refused("not_under_review", f"a case cannot be decided by {said.outcome.value!r}")


def _admit_review(said: Said, docket: Docket) -> None:
    if docket.bundle is None or docket.stage is not Stage.REVIEW:
        raise Refused("not_under_review", f"the case is not under review, but in {docket.stage.value}")
    _same_bundle(said, docket.bundle)
    _not_barred(said, docket)
    if said.outcome not in {Outcome.APPROVE, Outcome.RELEASE}:
        return
    _not_twice(said, docket.approvals)
    if not docket.stamped:
        raise Refused(
            "time_pending", "the bundle still lacks a time stamp: what has no proven time cannot be approved"
        )
    if not docket.heard:
        raise Refused("not_heard", "whoever runs the service has a right to be heard first, and was not yet")
    if said.outcome is Outcome.RELEASE and docket.hold:
        raise Refused("held", "a case on hold is not released on one person's word: it takes its own order")


def _admit_order(said: Said, docket: Docket) -> None:
    if docket.bundle is None or docket.stage not in IN_FORCE:
        raise Refused("not_in_force", f"there is no order in force: the case is in {docket.stage.value}")
    _same_bundle(said, docket.bundle)
    match said.outcome:
        case Outcome.STAY:
            if docket.stage is Stage.STAYED:
                raise Refused("stayed", "the order is stayed already")
            if said.about is not None:
                _waits(said, docket)
        case Outcome.RESUME:
            if docket.stage is not Stage.STAYED:
                raise Refused("not_stayed", "the order is not stayed: there is nothing to resume")
            if docket.suspending:
                reason = f"appeal {docket.suspending[0]} suspends the order until it is decided: the law says so"
                raise Refused("appeal_pending", reason)
            _not_barred(said, docket)
        case Outcome.RENEW:
            if docket.stage is Stage.STAYED:
                raise Refused("stayed", "a stayed order is not renewed: resume it first")
            _not_barred(said, docket)
            _not_twice(said, docket.renewals)
        case Outcome.UPHOLD | Outcome.DISMISS:
            _waits(said, docket)
            own = {*docket.deciders, *docket.barred, *(docket.dismissers if said.about in docket.appeals else ())}
            if said.outcome is Outcome.DISMISS and said.officer in own:
                # Who has decided may see that it was wrong, but not alone that it was right.
                raise Refused("own_decision", f"{said.officer} may not dismiss an objection to an own act")
        case _:
            pass


def _waits(said: Said, docket: Docket) -> None:
    if said.about not in docket.objections:
        raise Refused("no_such_objection", f"no objection {said.about!r} waits for a decision in this case")


def _same_bundle(said: Said, bundle: str) -> None:
    if said.subject != bundle:
        raise Refused("other_bundle", f"the decision is on bundle {said.subject[:12]}, the case's is {bundle[:12]}")


def _not_barred(said: Said, docket: Docket) -> None:
    if said.officer in docket.barred:
        raise Refused("referrer_may_not_decide", f"{said.officer} referred or opened the case and may not decide it")


def _not_twice(said: Said, approvals: tuple[str, ...]) -> None:
    if said.officer in approvals:
        raise Refused("same_officer_twice", f"{said.officer} has approved already; a second, different reviewer must")
