"""The right to be heard: whoever runs a service is told, and may answer, before or after an order is issued."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from precinto.domain.case import BEFORE_ORDER, Stage
from precinto.domain.errors import Refused
from precinto.domain.model import Instant, Value
from precinto.domain.procedures import Heard, Hearing, Skip


class HearingStep(StrEnum):
    """What is recorded of a hearing."""

    SERVED = "served"
    """The operator was told, and the term to answer runs."""
    ANSWERED = "answered"
    SKIPPED = "skipped"
    """Nobody is heard before the order, for a reason that the law allows."""
    CEASED = "ceased"
    """The operator says that the infringement is over; a reviewer looks, and rejects the case if it is."""


class HearingRecord(Value):
    """One step of a hearing: what, when, and until when an answer is in time."""

    step: HearingStep
    at: Instant
    due_at: Instant | None = None


def is_heard(hearing: Hearing, records: Sequence[HearingRecord], at: datetime) -> bool:
    """Whether an order may be approved at a moment, as far as the right to be heard goes.

    Served twice, the later term counts: whoever was not reached the first time has the whole term.
    """
    if hearing.when is not Heard.BEFORE:
        return True
    if any(one.step in {HearingStep.ANSWERED, HearingStep.SKIPPED} for one in records):
        return True
    terms = [one.due_at for one in records if one.due_at is not None]
    return bool(terms) and max(terms) < at


def may_record(hearing: Hearing, step: HearingStep, stage: Stage, skip: Skip | None) -> None:
    """Whether a step can be recorded in a case that is in this stage.

    Raises:
        Refused: ``no_hearing``, ``hearing_over`` or ``skip_not_allowed``.
    """
    if step is HearingStep.CEASED:
        if stage is Stage.CLOSED:
            raise Refused("hearing_over", "the case is closed")
        return
    if hearing.when is Heard.NONE:
        raise Refused("no_hearing", "the case's procedure hears nobody; whoever is affected may object to an order")
    over = stage is Stage.CLOSED or (hearing.when is Heard.BEFORE and stage not in BEFORE_ORDER)
    if over:
        raise Refused("hearing_over", f"the time for it is over: the case is in {stage.value}")
    if step is HearingStep.SKIPPED and skip not in hearing.skip:
        allowed = ", ".join(one.value for one in hearing.skip) or "none"
        raise Refused("skip_not_allowed", f"the procedure does not allow it; reasons that it allows: {allowed}")
