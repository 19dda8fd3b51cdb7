"""Standing orders: what is approved before an event, so that single targets can be released under it within minutes.

Two officers enact its terms once: which services, names, partners and kinds of target, how many, and when. While its
window lasts, one officer releases cases under it, each on its own sealed bundle. Whatever is outside the terms takes
an order of its own. (After the pattern of the Belgian and British dynamic orders: criteria, caps and window are
decided before, and each target within them by a named human.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from precinto.domain.errors import BadInput, BadTarget, NotFound, Refused
from precinto.domain.intake import Service, TargetKind, normalise, registrable_domain
from precinto.domain.model import Value, canonical_json
from precinto.domain.procedures import Bilingual, Code, Snapshot
from precinto.domain.review import Outcome, Role
from precinto.domain.statements import Id, Moment
from precinto.domain.toml_file import read_toml

ENACTING = 2
"""Officers who must enact a standing order; one of them is a legal head."""

LONGEST_WINDOW = timedelta(days=366)
MOST_RELEASES = 1_000
ANY_NAME = "*"

_LEAST_LETTERS = 3
"""Letters and digits that a pattern spells out: one that fits almost anything is no criterion."""
_MOST_STARS = 2
_LABEL = re.compile(r"^[a-z0-9*]([a-z0-9*-]{0,61}[a-z0-9*])?$")
_SUFFIX = re.compile(r"^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$")


def _name(text: str) -> str:
    """A pattern in its one form.

    Raises:
        ValueError: It fits names that nobody could have had in mind, or none.
    """
    if text == ANY_NAME:
        return text
    if "*" not in text:
        try:
            target = normalise(TargetKind.DOMAIN, text)
        except BadTarget as error:
            raise ValueError(str(error)) from error
        if target.value != target.registrable:
            raise ValueError(f"{text!r} is below a registrable domain: give {target.registrable}")
        return target.value
    label, _, suffix = text.partition(".")
    if not _LABEL.match(label) or label.count("*") > _MOST_STARS:
        raise ValueError(
            f"{text!r}: a pattern is a label of a-z, 0-9 and - with at most {_MOST_STARS} *, and a suffix"
        )
    if len(re.sub("[*-]", "", label)) < _LEAST_LETTERS:
        raise ValueError(f"{text!r} fits too much: spell out {_LEAST_LETTERS} letters or digits of the name")
    if suffix != "*" and (not _SUFFIX.match(suffix) or registrable_domain(f"x.{suffix}") != f"x.{suffix}"):
        raise ValueError(f"{text!r}: after the first dot comes a public suffix such as com or com.pe, or *")
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=253), AfterValidator(_name)]
"""A registrable domain; or its first label with ``*`` in it, and a public suffix or ``*`` for any; or ``*`` alone."""


class Scope(Value):
    """What a release must be about; each of these must hold.

    Attributes:
        services: What the service does.
        kinds: What is referred.
        partners: Who refers; one of a case's partners suffices.
        names: Patterns, one of which fits the target's registrable domain. ``*`` alone: any name, for mirrors that
            nobody knows before the event; whoever enacts that sees it.
    """

    services: tuple[Service, ...] = Field(min_length=1, max_length=20)
    kinds: tuple[TargetKind, ...] = Field(min_length=1, max_length=20)
    partners: tuple[Id, ...] = Field(min_length=1, max_length=100)
    names: tuple[Name, ...] = Field(min_length=1, max_length=200)

    @field_validator("names")
    @classmethod
    def _any_name_alone(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if ANY_NAME in names and len(names) > 1:
            raise ValueError("* fits every name: give it alone, or not at all")
        return names


class Caps(Value):
    """How many cases may be released.

    Attributes:
        total: In all; what ended since counts too.
        per_day: On one day of the procedure's time zone.
    """

    total: int = Field(ge=1, le=MOST_RELEASES)
    per_day: int = Field(ge=1, le=MOST_RELEASES)

    @field_validator("per_day")
    @classmethod
    def _within_the_total(cls, per_day: int, info: ValidationInfo) -> int:
        if per_day > info.data.get("total", MOST_RELEASES):
            raise ValueError("more than the total")
        return per_day


class Window(Value):
    """The time in which cases may be released; at ``until`` every release ends. A changed event takes a new order."""

    since: Moment
    until: Moment

    @field_validator("until")
    @classmethod
    def _after_its_begin(cls, until: datetime, info: ValidationInfo) -> datetime:
        since = info.data.get("since")
        if since is not None and not since < until <= since + LONGEST_WINDOW:
            raise ValueError(f"must be after since, and within {LONGEST_WINDOW.days} days of it")
        return until


class Terms(Value):
    """What the file of a standing order says.

    Attributes:
        v: Version of the format.
        title: What it is for, as people call it.
        procedure: Name of the procedure that its cases run under.
        grounds: Codes of that procedure on which it rests.
        scope: What may be released.
        caps: How much of it.
        window: When.
    """

    v: Literal[1]
    title: Bilingual
    procedure: Code
    grounds: tuple[Code, ...] = Field(min_length=1, max_length=8)
    scope: Scope
    caps: Caps
    window: Window


class StandingOrder(Value):
    """What its officers sign: the terms, with the whole procedure as it was when they were drafted."""

    terms: Terms
    snapshot: Snapshot

    def canonical(self) -> bytes:
        """The bytes whose SHA-256 is the subject of what is signed: terms that differ in anything have another."""
        return canonical_json(self.model_dump(mode="json"))


class Candidate(Value):
    """What the scope looks at of a case."""

    procedure: str
    service: Service
    kind: TargetKind
    registrable: str | None
    partners: tuple[str, ...]


class Released(Value):
    """How many cases were released under a standing order: in all, and on the day that counts."""

    total: int
    on_day: int


class StandingState(StrEnum):
    """Where a standing order is."""

    DRAFT = "draft"
    WAITING = "waiting"
    """Enacted; its window has not begun."""
    OPEN = "open"
    """Cases can be released under it now."""
    OVER = "over"
    REVOKED = "revoked"


def state_of(window: Window, at: datetime, enacted_at: datetime | None, revoked_at: datetime | None) -> StandingState:
    """Where a standing order is at a moment."""
    if revoked_at is not None:
        return StandingState.REVOKED
    if window.until <= at:
        return StandingState.OVER
    if enacted_at is None:
        return StandingState.DRAFT
    return StandingState.OPEN if window.since <= at else StandingState.WAITING


def still_needed(enacting: Iterable[tuple[str, Role]]) -> int:
    """How many officers must still enact, after these have: two different ones, one of them a legal head."""
    signed = set(enacting)
    has_head = any(role is Role.LEGAL_HEAD for _, role in signed)
    return max(ENACTING - len({officer for officer, _ in signed}), 0 if has_head else 1)


def permit(terms: Terms, candidate: Candidate, at: datetime, released: Released) -> None:
    """Let a case be released, or say what forbids it.

    Raises:
        Refused: ``outside_window``, ``outside_scope`` (the reason names the criterion), ``cap_reached``.
    """
    window = terms.window
    if not window.since <= at < window.until:
        reason = f"the window is from {window.since.isoformat()} until {window.until.isoformat()}"
        raise Refused("outside_window", reason)
    _within_scope(terms, candidate)
    if released.total >= terms.caps.total:
        raise Refused("cap_reached", f"total: {released.total} cases were released, as many as may be")
    if released.on_day >= terms.caps.per_day:
        raise Refused("cap_reached", f"per_day: {released.on_day} cases were released this day, as many as may be")


def _within_scope(terms: Terms, candidate: Candidate) -> None:
    scope = terms.scope
    if candidate.procedure != terms.procedure:
        _outside("procedure", f"the case runs under {candidate.procedure}, not under {terms.procedure}")
    if candidate.service not in scope.services:
        _outside("services", f"{candidate.service.value} is not among {', '.join(scope.services)}")
    if candidate.kind not in scope.kinds:
        _outside("kinds", f"{candidate.kind.value} is not among {', '.join(scope.kinds)}")
    if not set(candidate.partners) & set(scope.partners):
        _outside("partners", f"the case was referred by {', '.join(candidate.partners)}")
    if not any(fits(pattern, candidate.registrable) for pattern in scope.names):
        _outside("names", f"no pattern fits {candidate.registrable or 'a target without a domain'}")


def _outside(criterion: str, why: str) -> None:
    raise Refused("outside_scope", f"{criterion}: {why}")


def fits(pattern: str, registrable: str | None) -> bool:
    """Whether a pattern fits a registrable domain; ``*`` alone fits a target that has none, too."""
    if pattern == ANY_NAME:
        return True
    if registrable is None:
        return False
    label, _, suffix = pattern.partition(".")
    own, _, public = registrable.partition(".")
    return fnmatchcase(own, label) and suffix in {"*", public}


def day_of(at: datetime, time_zone: str) -> tuple[datetime, datetime]:
    """The day that a moment is in, where that time zone is: from its first moment to that of the next, in UTC."""
    zone = ZoneInfo(time_zone)
    day = at.astimezone(zone).date()
    begin, end = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
    return begin.astimezone(UTC), end.astimezone(UTC)


def read_terms(text: str, where: str) -> Terms:
    """Read the file of a standing order.

    Args:
        text: The file's TOML text.
        where: Name of the file, for error messages.

    Raises:
        BadInput: Not TOML, or a key is missing, unknown or wrong; names file, key and reason.
    """
    return read_toml(Terms, text, where)


def drafted(terms: Terms, snapshot: Snapshot, where: str) -> StandingOrder:
    """Terms together with the procedure that they name.

    Raises:
        BadInput: It is another procedure, or a ground is not one to enact by; names file, key and reason.
    """
    if terms.procedure != snapshot.procedure.name:
        raise BadInput(f"{where}: procedure: {terms.procedure!r} is not {snapshot.procedure.name!r}")
    for code in terms.grounds:
        try:
            ground = snapshot.ground(code)
        except NotFound as error:
            raise BadInput(f"{where}: grounds: {error}") from error
        if Outcome.ENACT not in ground.outcomes:
            raise BadInput(f"{where}: grounds: {code} is not a ground to enact")
    return StandingOrder(terms=terms, snapshot=snapshot)
