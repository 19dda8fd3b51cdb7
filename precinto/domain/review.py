"""Review: who may decide what. The same rules are asked at the desk, in the workflow and at the gate.

* A named human decides, on exactly the bundle that was sealed.
* Whoever referred or opened a case may not approve it.
* A case on hold needs two different reviewers.
* Silence escalates; it never approves.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from enum import StrEnum

from precinto.domain.errors import Refused
from precinto.domain.model import Digest, Value

_NAMESPACE = uuid.UUID("0e1b7c57-6d0c-5a46-8f5e-5a2c9bb4a7d2")


ORDER_OVER = "order_over"
"""Code of the one refusal at the gate that is nobody's fault: an outage outlasted the order that was to be issued."""


class Outcome(StrEnum):
    """What a reviewer can say."""

    APPROVE = "approve"
    REJECT = "reject"
    RETURN = "return"
    RELEASE = "release"
    """Approves under a standing order: its officers have approved title, scope and window before."""
    REVOKE = "revoke"
    """Ends an order in force before its time; one reviewer suffices, for lifting a block harms nobody's defence."""
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


class Role(StrEnum):
    """What an officer is appointed to do."""

    OPERATOR = "operator"
    REVIEWER = "reviewer"
    LEGAL_HEAD = "legal_head"
    DUTY_OFFICER = "duty_officer"
    AUDITOR = "auditor"
    PARTNER = "partner"
    ISP = "isp"


class Officer(Value):
    """A person of the authority, by pseudonym: names stay in the authority's own directory."""

    id: str
    roles: tuple[Role, ...]


class Decision(Value):
    """What of a decision enters history: who, what, on which evidence; never its free text.

    Attributes:
        id: Id of the decision. Not that of the Temporal update that carries it: this one can be computed by
            anyone, and Temporal would answer a second update of the same id without asking the case.
        officer: Pseudonymous id of the officer.
        outcome: What was decided.
        bundle: Digest of the bundle that was read.
        basis: Legal basis as a short code.
        reasons: Digest of the reasons, whose text the database holds.
    """

    v: int = 1
    id: str
    officer: str
    outcome: Outcome
    bundle: Digest
    basis: str
    reasons: Digest


def decision_id(case: str, bundle: str, officer: str, outcome: Outcome) -> str:
    """The id of a decision: an officer who says the same of the same bundle again has decided once."""
    return str(uuid.uuid5(_NAMESPACE, f"{case}|{bundle}|{officer}|{outcome.value}"))


class Docket(Value):
    """What the rules need to know of a case under review.

    Attributes:
        bundle: Digest of the bundle under review; None while there is nothing to decide on.
        barred: Officers who referred or opened the case.
        hold: True where two different reviewers must approve.
        approvals: Officers who have approved this bundle so far.
        stamped: Whether the bundle has its time stamps. The workflow cannot know; the desk and the gate do.
    """

    bundle: Digest | None
    barred: tuple[str, ...]
    hold: bool
    approvals: tuple[str, ...] = ()
    stamped: bool = True

    @property
    def approvals_needed(self) -> int:
        """How many different officers must approve."""
        return 2 if self.hold else 1


def admit(decision: Decision, docket: Docket) -> None:
    """Let a decision in, or say why not.

    Raises:
        Refused: ``not_under_review``, ``other_bundle``, ``referrer_may_not_decide``, ``same_officer_twice``,
            ``time_pending``.
    """
    if docket.bundle is None:
        raise Refused("not_under_review", "the case is not under review")
    if decision.bundle != docket.bundle:
        raise Refused(
            "other_bundle",
            f"the decision is on bundle {decision.bundle[:12]}, under review is {docket.bundle[:12]}",
        )
    if decision.outcome is Outcome.REVOKE:
        raise Refused("not_in_force", "there is no order in force that could be revoked")
    if decision.officer in docket.barred:
        raise Refused(
            "referrer_may_not_decide", f"{decision.officer} referred or opened the case and may not decide it"
        )
    if decision.officer in docket.approvals:
        raise Refused(
            "same_officer_twice", f"{decision.officer} has approved already; a second, different reviewer must"
        )
    if decision.outcome is Outcome.APPROVE and not docket.stamped:
        raise Refused(
            "time_pending", "the bundle still lacks a time stamp: what has no proven time cannot be approved"
        )


class Review(Value):
    """A review as it goes on: what its case is, and which decisions were taken on the bundle under review.

    It is never changed; each act returns the review as it stands after it.
    """

    docket: Docket
    decisions: tuple[Decision, ...] = ()

    def of(self, bundle: str | None, *, hold: bool = False) -> Review:
        """The review of another bundle (None: of nothing yet), on which nobody has decided.

        ``hold``: the evidence holds the case for two reviewers. A hold stays: nothing but a human's decision ends it.
        """
        held = self.docket.hold or hold
        return Review(docket=self.docket.model_copy(update={"bundle": bundle, "approvals": (), "hold": held}))

    def admit(self, decision: Decision) -> None:
        """Let a decision in, or say why not.

        Raises:
            Refused: As :func:`admit`, or ``already_decided``.
        """
        if self.outcome is not None:
            raise Refused("already_decided", "the case has been decided and is being carried out")
        admit(decision, self.docket)

    def take(self, decision: Decision) -> Review:
        """The review with this decision, which was admitted."""
        return self._with((*self.decisions, decision))

    def without(self, at_fault: str | None) -> tuple[Review, tuple[Decision, ...]]:
        """The review without the decision at fault (without any, where it names none); and what was taken out."""
        left = tuple(one for one in self.decisions if one.id != at_fault)
        left = left if at_fault is not None and len(left) < len(self.decisions) else ()
        return self._with(left), tuple(one for one in self.decisions if one not in left)

    @property
    def still_needed(self) -> int:
        """How many approvals are missing; 0 once the case is decided, whichever way."""
        return 0 if self.outcome else self.docket.approvals_needed - len(self.docket.approvals)

    @property
    def outcome(self) -> Outcome | None:
        """What the decisions amount to: any reviewer may reject or return, approval needs them all."""
        for decision in self.decisions:
            if decision.outcome is not Outcome.APPROVE:
                return decision.outcome
        return Outcome.APPROVE if len(self.docket.approvals) >= self.docket.approvals_needed else None

    def _with(self, decisions: tuple[Decision, ...]) -> Review:
        approvals = tuple(one.officer for one in decisions if one.outcome is Outcome.APPROVE)
        docket = self.docket.model_copy(update={"approvals": approvals})
        return Review(docket=docket, decisions=decisions)


def carries_order(decisions: Sequence[Decision], docket: Docket, officers: Sequence[Officer]) -> None:
    """The gate: do these decisions, all on this bundle, carry an order?

    Raises:
        Refused: As :func:`admit` and :func:`reviewer`; ``not_an_approval``; all of these name the decision at
            fault. ``approvals_missing``.
    """
    approvals: tuple[str, ...] = ()
    for decision in decisions:
        try:
            if decision.outcome is not Outcome.APPROVE:
                raise Refused("not_an_approval", f"decision {decision.id} does not approve")
            reviewer(officers, decision.officer)
            admit(decision, docket.model_copy(update={"approvals": approvals}))
        except Refused as refused:
            raise Refused(refused.code, refused.reason, decision.id) from refused
        approvals = (*approvals, decision.officer)
    if len(approvals) < docket.approvals_needed:
        raise Refused(
            "approvals_missing", f"{len(approvals)} of {docket.approvals_needed} approvals by different reviewers"
        )


def operator(officers: Sequence[Officer], officer: str) -> Officer:
    """The officer, if appointed to open cases.

    Raises:
        Refused: ``unknown_officer`` or ``not_an_operator``.
    """
    found = _officer(officers, officer)
    if Role.OPERATOR not in found.roles:
        raise Refused("not_an_operator", f"{officer!r} is not appointed to open cases")
    return found


def reviewer(officers: Sequence[Officer], officer: str) -> Officer:
    """The officer, if appointed to review.

    Raises:
        Refused: ``unknown_officer`` or ``not_a_reviewer``.
    """
    found = _officer(officers, officer)
    if not {Role.REVIEWER, Role.LEGAL_HEAD} & set(found.roles):
        raise Refused("not_a_reviewer", f"{officer!r} is not appointed to review")
    return found


def _officer(officers: Sequence[Officer], officer: str) -> Officer:
    found = next((o for o in officers if o.id == officer), None)
    if found is None:
        raise Refused("unknown_officer", f"{officer!r} is not an officer of this authority")
    return found
