"""The proportionality file of a bundle: what was found beside the target, and the mildest method that would work."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Literal

from pydantic import model_validator

from precinto.domain.evidence import Finding
from precinto.domain.guards import ListId
from precinto.domain.intake import Target
from precinto.domain.methods import Alternative, Proposal
from precinto.domain.model import Digest, Value, canonical_json


class Outcome(StrEnum):
    """What the rules say of a case: two humans must decide, or nothing was found and one decides."""

    CLEAR = "clear"
    HOLD = "hold"


class ConsultedList(Value):
    """A guard list as it was when a target was looked up in it: enough to find the very list again."""

    id: ListId
    dated: date
    sha256: Digest


class Proportionality(Value):
    """The proportionality file of a bundle.

    Attributes:
        v: Version of this format.
        target: What was weighed.
        assessed_on: The day, by which the age of lists counts.
        outcome: ``hold`` if one finding holds.
        findings: What was found, what holds first.
        proposal: The least intrusive method that would work.
        alternatives: The other methods.
        lists: The guard lists that were consulted.
    """

    v: Literal[1] = 1
    target: Target
    assessed_on: date
    outcome: Outcome
    findings: tuple[Finding, ...]
    proposal: Proposal
    alternatives: tuple[Alternative, ...]
    lists: tuple[ConsultedList, ...]

    @model_validator(mode="after")
    def _outcome_follows(self) -> Proportionality:
        if (self.outcome is Outcome.HOLD) != any(finding.holds for finding in self.findings):
            raise ValueError("the outcome does not follow from the findings")
        return self

    def canonical(self) -> bytes:
        """The bytes of ``proportionality.json`` in the bundle."""
        return canonical_json(self.model_dump(mode="json"))

    def summary(self) -> tuple[str, ...]:
        """The same for people, a line for each thing."""
        decided = {
            Outcome.HOLD: "HOLD: two different reviewers must decide.",
            Outcome.CLEAR: "CLEAR: nothing was found that needs a second reviewer; one decides.",
        }[self.outcome]
        below = " and everything below" if self.proposal.below else ""
        return (
            decided,
            *(f"{finding.weight}: {finding.detail} [{finding.source}]" for finding in self.findings),
            f"proposed: {self.proposal.method} on {', '.join(self.proposal.scope)}{below}: {self.proposal.why}",
            *(
                f"{'possible' if one.possible else 'not possible'}: {one.method}"
                f"{' on ' if one.scope else ''}{', '.join(one.scope)}: {one.why}"
                for one in self.alternatives
            ),
        )
