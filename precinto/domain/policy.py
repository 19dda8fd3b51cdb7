"""Who may do what: one function, and one table that it reads.

An officer holds the roles of the registry; while a colleague is away, that colleague's deputy holds theirs too. What
is not in the table is refused. What hangs on the case as well (whoever referred it may not approve it) is in
:mod:`precinto.domain.review`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from precinto.domain.errors import Refused
from precinto.domain.procedures import Procedure
from precinto.domain.review import Officer, Outcome, Role


class Deed(StrEnum):
    """What people do beside deciding."""

    REFER = "refer"
    """Take in referrals."""
    OBJECT = "object"
    """File somebody's objection, or an appeal."""
    HEAR = "hear"
    """Record that an operator was served notice, answered, or took the content down."""
    SKIP = "skip"
    """Say that nobody is heard before an order: it takes a right away, so whoever decides says it."""
    PROCEED = "proceed"
    """Record that the main proceeding was opened."""
    DRAFT = "draft"
    """Draft a standing order."""


_DECIDERS = (Role.REVIEWER, Role.LEGAL_HEAD)
_ON_DUTY = (Role.DUTY_OFFICER, *_DECIDERS)

MAY: MappingProxyType[Outcome | Deed, tuple[Role, ...]] = MappingProxyType(
    {
        Deed.REFER: (Role.OPERATOR,),
        Deed.OBJECT: (Role.OPERATOR, *_ON_DUTY),
        Deed.HEAR: (Role.OPERATOR, *_DECIDERS),
        Deed.SKIP: _DECIDERS,
        Deed.PROCEED: _DECIDERS,
        Deed.DRAFT: (Role.OPERATOR, *_DECIDERS),
        Outcome.APPROVE: _DECIDERS,
        Outcome.REJECT: _DECIDERS,
        Outcome.RETURN: _DECIDERS,
        Outcome.RELEASE: _ON_DUTY,
        # To lift a block harms nobody's defence, so one person on duty may.
        Outcome.REVOKE: _ON_DUTY,
        Outcome.STAY: _ON_DUTY,
        Outcome.RESUME: _DECIDERS,
        Outcome.RENEW: _DECIDERS,
        Outcome.UPHOLD: _DECIDERS,
        Outcome.DISMISS: _DECIDERS,
        # Who is both acts as the legal head, without whom no standing order is enacted.
        Outcome.ENACT: (Role.LEGAL_HEAD, Role.REVIEWER),
    }
)
"""The roles that each act needs one of; the first that an officer holds is the one in which they act."""


def can(
    officers: Sequence[Officer], actor: str, act: Outcome | Deed, at: datetime, procedure: Procedure | None = None
) -> Role:
    """The role in which an officer may do something at a moment; a procedure may narrow who.

    Raises:
        Refused: ``unknown_officer`` or ``not_entitled``.
    """
    held, may = roles(officers, actor, at), entitling(act, procedure)
    for role in may:
        if role in held:
            return role
    needed = " or ".join(role.value.replace("_", " ") for role in may)
    raise Refused("not_entitled", f"{actor!r} is not appointed to {act.value}: that takes a {needed}")


def entitled(
    officers: Sequence[Officer], actor: str, act: Outcome, at: datetime, role: Role, procedure: Procedure
) -> None:
    """Whether an officer may do this in the very role that a statement claims.

    Raises:
        Refused: As :func:`can`.
    """
    can(officers, actor, act, at, procedure)
    if role not in roles(officers, actor, at) or role not in entitling(act, procedure):
        raise Refused("not_entitled", f"{actor!r} may not {act.value} as {role.value.replace('_', ' ')}")


def entitling(act: Outcome | Deed, procedure: Procedure | None) -> tuple[Role, ...]:
    """The roles that may do something, under a procedure that may narrow them."""
    if procedure is None:
        return MAY[act]
    match act:
        case Outcome.APPROVE | Outcome.RENEW | Outcome.ENACT:
            return tuple(role for role in MAY[act] if role in procedure.deciders)
        case Outcome.REVOKE | Outcome.STAY | Outcome.RESUME:
            return tuple(role for role in MAY[act] if role in procedure.revokers)
        case _:
            return MAY[act]


def officer(officers: Sequence[Officer], actor: str) -> Officer:
    """The officer of this id.

    Raises:
        Refused: ``unknown_officer``.
    """
    found = next((one for one in officers if one.id == actor), None)
    if found is None:
        raise Refused("unknown_officer", f"{actor!r} is not an officer of this authority")
    return found


def roles(officers: Sequence[Officer], actor: str, at: datetime) -> frozenset[Role]:
    """The roles that an officer holds at a moment, those of whom they stand in for included.

    Raises:
        Refused: ``unknown_officer``.
    """
    found = officer(officers, actor)
    deputised = (one for one in officers if one.deputy == actor and one.is_away(at))
    return frozenset(found.roles).union(*(one.roles for one in deputised))


def on_duty(officers: Sequence[Officer], role: Role, at: datetime) -> tuple[str, ...]:
    """Whom something that this role must see is put before: who holds it and is there, or stands in for one away."""
    there = [one.id for one in officers if not one.is_away(at) and role in roles(officers, one.id, at)]
    return tuple(sorted(there))
