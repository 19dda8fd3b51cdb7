"""Escalations: whom something that waits is put before. Silence decides nothing; it only makes more people look.

A term that has passed goes to the legal head, and while that officer is away to the deputy. A reminder within a term
goes to those who can still end the wait.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from precinto.domain.policy import on_duty
from precinto.domain.review import Officer, Role

REVIEW_REMINDER = "review_reminder"
"""The one escalation that comes within a term; every other says that something is late or wrong."""


def reminder_due(since: datetime, due: datetime, percents: Sequence[int], at: datetime) -> int | None:
    """The part of a term, in percent, of which its reviewers are to be reminded at a moment.

    After an outage it is the last that has passed: what was not said in time is not said twice.

    Args:
        since: When the term began.
        due: When it ends; from then on it is overdue, and nobody is reminded of it.
        percents: At which parts the procedure reminds.
        at: The moment.
    """
    if at >= due:
        return None
    passed = [percent for percent in percents if at >= since + (due - since) * percent / 100]
    return max(passed, default=None)


def graced(recheck: timedelta) -> timedelta:
    """How long after its end an order's armed end has time to fire, before it is taken for dead."""
    return 2 * recheck + timedelta(seconds=60)


def addressees(
    officers: Sequence[Officer],
    what: str,
    at: datetime,
    deciders: Sequence[Role] = (),
    without: Collection[str] = (),
) -> tuple[str, ...]:
    """Whom an escalation is put before: officers who are there, or stand in for one who is away; empty: nobody is.

    Args:
        officers: The registry's officers.
        what: Kind of the escalation.
        at: The moment.
        deciders: Of a reminder: the roles that decide, in the order in which they are asked.
        without: Of a reminder: who cannot end the wait, having approved already, or having referred the case.
    """
    if what == REVIEW_REMINDER:
        for role in deciders:
            if able := tuple(one for one in on_duty(officers, role, at) if one not in without):
                return able
    return on_duty(officers, Role.LEGAL_HEAD, at)


def reads_for(officers: Sequence[Officer], officer: str, at: datetime) -> frozenset[str]:
    """Whose escalations an officer sees to at a moment: their own, and of those away whom they stand in for."""
    return frozenset({officer, *(one.id for one in officers if one.deputy == officer and one.is_away(at))})
