"""Procedures as data: what the law says of one kind of case, each term with its source.

A procedure is a TOML file (``procedures/*.toml``). A case takes a snapshot of it at its start, with the holidays that
its dates are counted by: a changed file changes new cases only, and every date can be counted again years later.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from precinto.domain.calendars import Calendar
from precinto.domain.errors import BadInput, NotFound
from precinto.domain.model import Value
from precinto.domain.review import Outcome, Role
from precinto.domain.toml_file import read_toml

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$")]
"""A short code that orders and decisions name, for example ``PE-822-37``."""

GroundCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,39}$")]
"""A code as a signed statement can hold it."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
"""Something said in words; never empty."""

Language = Literal["es", "en"]
_MOST_DAYS = 3653
"""Ten years: longer terms are typing mistakes."""
_MOST_SECONDS = _MOST_DAYS * 86_400
_DECIDES = frozenset({Role.REVIEWER, Role.LEGAL_HEAD, Role.DUTY_OFFICER})
_NEED_GROUNDS = (
    Outcome.APPROVE,
    Outcome.REJECT,
    Outcome.RETURN,
    Outcome.REVOKE,
    Outcome.STAY,
    Outcome.UPHOLD,
    Outcome.DISMISS,
)
"""What happens under every procedure: without a ground, nobody could say it."""
_EXACT = frozenset({"order", "renewal", "lapse", "remind", "recheck"})
"""Terms that are spans from moment to moment. A block is not lengthened by a holiday."""


class Kind(StrEnum):
    """What kind of procedure it is."""

    ORDINARY = "ordinary"
    """The operator is heard, then the authority decides."""
    PRECAUTIONARY = "precautionary"
    """The authority acts first, for a short time, and the proceeding follows."""
    LIVE_EVENT = "live_event"
    """Blocks for the time of an event, released under an order that was given before it."""
    VOLUNTARY = "voluntary"
    """The operator is asked to take the content down; only what stays is decided on."""


class Heard(StrEnum):
    """When the operator of the target is heard."""

    BEFORE = "before"
    AFTER = "after"
    NONE = "none"


class Skip(StrEnum):
    """Why a hearing before the order may be skipped."""

    OPERATOR_UNKNOWN = "operator_unknown"
    WOULD_DEFEAT = "would_defeat"


class Bilingual(Value):
    """The same in Spanish and in English."""

    es: Text
    en: Text


class Term(Value):
    """One term as the law states it: days, or working days, or hours, minutes and seconds (added up).

    Milliseconds are for trials and tests, where the law has no time.

    Attributes:
        source: Law and article, or whose practice it is.
        verify: True where counsel has still to check it against the primary text.
    """

    days: int = Field(default=0, ge=0, le=_MOST_DAYS)
    working_days: int = Field(default=0, ge=0, le=_MOST_DAYS)
    hours: int = Field(default=0, ge=0, le=_MOST_SECONDS // 3600)
    minutes: int = Field(default=0, ge=0, le=_MOST_SECONDS // 60)
    seconds: int = Field(default=0, ge=0, le=_MOST_SECONDS)
    milliseconds: int = Field(default=0, ge=0, le=_MOST_SECONDS * 1000)
    source: Text
    verify: bool = False

    @model_validator(mode="after")
    def _one_way_of_counting(self) -> Term:
        if [bool(self.days), bool(self.working_days), bool(self._clock)].count(True) != 1:
            raise ValueError("give days, or working_days, or hours, minutes and seconds: one of these, more than zero")
        return self

    @property
    def span(self) -> timedelta:
        """Its plain length; a working day counts as a day, so that it is never longer than the term itself."""
        return timedelta(days=self.days + self.working_days) + self._clock

    @property
    def said(self) -> str:
        """The term in words, for people: ``5 working days``."""
        lengths = (
            ("day", self.days),
            ("working day", self.working_days),
            ("hour", self.hours),
            ("minute", self.minutes),
            ("second", self.seconds),
            ("millisecond", self.milliseconds),
        )
        return ", ".join(f"{count} {unit}{'' if count == 1 else 's'}" for unit, count in lengths if count)

    @property
    def _clock(self) -> timedelta:
        return timedelta(hours=self.hours, minutes=self.minutes, seconds=self.seconds, milliseconds=self.milliseconds)


class Hearing(Value):
    """The right of the target's operator to be heard.

    Attributes:
        when: Before the order, after it, or not at all.
        term: Time to answer; None where nobody is heard.
        skip: Reasons for which a hearing before the order may be skipped.
    """

    when: Heard
    term: Term | None = Field(default=None, validate_default=True)
    skip: tuple[Skip, ...] = Field(default=(), validate_default=True)

    @field_validator("term")
    @classmethod
    def _term_where_heard(cls, term: Term | None, info: ValidationInfo) -> Term | None:
        if (heard := info.data.get("when")) and (heard is Heard.NONE) != (term is None):
            raise ValueError("a hearing needs its term" if term is None else "nobody is heard: there is no term")
        return term

    @field_validator("skip")
    @classmethod
    def _skip_what_comes_before(cls, skip: tuple[Skip, ...], info: ValidationInfo) -> tuple[Skip, ...]:
        if skip and info.data.get("when") is not Heard.BEFORE:
            raise ValueError("only a hearing before the order can be skipped")
        return skip


class Ground(Value):
    """A reason that the law gives for a decision.

    Attributes:
        code: Short code, unique in its procedure.
        outcomes: What it can be a reason for.
        es: The reason in Spanish, as the order prints it.
        en: The same in English.
        source: Law and article.
        verify: True where counsel has still to check it against the primary text.
    """

    code: GroundCode
    outcomes: tuple[Outcome, ...] = Field(min_length=1)
    es: Text
    en: Text
    source: Text
    verify: bool = False


class Procedure(Value):
    """A procedure file.

    Attributes:
        v: Version of the format.
        name: Its name; that of its file.
        title: What people call it.
        kind: What kind of procedure it is.
        country: Whose holidays count, ISO 3166-1 (two letters).
        subdivision: The part of the country whose holidays count too, ISO 3166-2 without the country.
        time_zone: Where days begin and end, by its name in the IANA database.
        closed: Further days on which the authority does not work, for example by decree.
        basis: Legal basis that an order names, as a short code.
        basis_text: The same in words, as the order prints it.
        source: What the procedure as a whole is after.
        hearing: When the operator is heard.
        review: Time for the reviewers; when it passes, the review escalates. It never approves.
        reminders: Parts of the review term, in percent, after which the reviewers are reminded.
        order: Length of an order in force, from moment to moment; a block cannot outlive it.
        renewals: How often an order may be renewed.
        renewal: What one renewal adds, from moment to moment.
        lapse: Where no proceeding was opened within it, the order ends; None: no such rule.
        comply: Time an ISP has, from delivery of a notice, to give effect to it.
        remind: Time between two reminders to the same ISP on the same order.
        release: Time after an order's end in which its unblock must have been measured everywhere.
        recheck: How often the end of an order is looked at again until the unblock was measured.
        objection: Time to object to an order; None: as long as it lasts.
        objection_decision: Time to decide on an objection.
        stay: Time in which a duty officer decides whether an order is suspended.
        appeal: Time to appeal.
        appeal_suspends: Whether an appeal suspends the order.
        deciders: Who may approve, renew and enact standing orders.
        revokers: Who may revoke, stay and resume.
        grounds: The reasons that decisions can give.
        documents: Languages of the order document.
        redress: How to object and to appeal, as the order prints it.
    """

    v: Literal[1]
    name: Code
    title: Bilingual
    kind: Kind
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    subdivision: str | None = None
    time_zone: str
    closed: tuple[date, ...] = ()
    basis: Code
    basis_text: Bilingual
    source: Text
    hearing: Hearing
    review: Term
    reminders: tuple[Annotated[int, Field(ge=1, le=99)], ...] = ()
    order: Term
    renewals: int = Field(default=0, ge=0, le=100)
    renewal: Term | None = Field(default=None, validate_default=True)
    lapse: Term | None = None
    comply: Term
    remind: Term
    release: Term
    recheck: Term
    objection: Term | None = None
    objection_decision: Term
    stay: Term
    appeal: Term
    appeal_suspends: bool
    deciders: tuple[Role, ...] = Field(min_length=1)
    revokers: tuple[Role, ...] = Field(min_length=1)
    grounds: tuple[Ground, ...] = Field(min_length=1, max_length=100)
    documents: tuple[Language, ...] = Field(min_length=1)
    redress: Bilingual

    @field_validator("time_zone")
    @classmethod
    def _zone_that_there_is(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:  # unknown, a path, a folder of zones
            raise ValueError(f"{name!r} is not a time zone that this machine knows") from error
        return name

    @field_validator(*sorted(_EXACT))
    @classmethod
    def _exact(cls, term: Term | None) -> Term | None:
        if term and term.working_days:
            raise ValueError("runs from moment to moment: it cannot be in working days")
        return term

    @field_validator("reminders")
    @classmethod
    def _ascending(cls, reminders: tuple[int, ...]) -> tuple[int, ...]:
        if list(reminders) != sorted(set(reminders)):
            raise ValueError("must ascend")
        return reminders

    @field_validator("renewal")
    @classmethod
    def _renewal_where_renewed(cls, renewal: Term | None, info: ValidationInfo) -> Term | None:
        renewals = info.data.get("renewals")
        if renewals is not None and (renewals > 0) != (renewal is not None):
            raise ValueError("renewals needs its term" if renewal is None else "nothing is renewed: renewals is 0")
        return renewal

    @field_validator("comply")
    @classmethod
    def _within_the_order(cls, comply: Term, info: ValidationInfo) -> Term:
        if (order := info.data.get("order")) and comply.span >= order.span:
            raise ValueError("an ISP must have complied before the order ends")
        return comply

    @field_validator("deciders", "revokers")
    @classmethod
    def _who_decides(cls, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        if others := [str(role) for role in roles if role not in _DECIDES]:
            raise ValueError(f"never decides: {', '.join(others)}")
        return roles

    @field_validator("documents")
    @classmethod
    def _once(cls, languages: tuple[Language, ...]) -> tuple[Language, ...]:
        if len(set(languages)) < len(languages):
            raise ValueError("each language once")
        return languages

    @field_validator("grounds")
    @classmethod
    def _grounds_to_decide_by(cls, grounds: tuple[Ground, ...]) -> tuple[Ground, ...]:
        codes = [ground.code for ground in grounds]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"twice: {', '.join(twice)}")
        reasons = {outcome for ground in grounds for outcome in ground.outcomes}
        if missing := [str(one) for one in _NEED_GROUNDS if one not in reasons]:
            raise ValueError(f"no ground to {', '.join(missing)}")
        return grounds

    @property
    def terms(self) -> dict[str, Term]:
        """The terms that it states, by the name of their field."""
        stated = {name: getattr(self, name) for name in type(self).model_fields if name != "hearing"}
        stated = {"hearing": self.hearing.term, **stated}
        return {name: term for name, term in stated.items() if isinstance(term, Term)}

    @property
    def unverified(self) -> list[str]:
        """What counsel has still to check: names of terms, and ``grounds.CODE``."""
        return [name for name, term in self.terms.items() if term.verify] + [
            f"grounds.{ground.code}" for ground in self.grounds if ground.verify
        ]


class Snapshot(Value):
    """What a case keeps of its procedure: enough to count every date again without any library or file.

    Attributes:
        procedure: The whole procedure.
        holidays: Public holidays and closed days of the years that the snapshot covers. Every year has some.
        holidays_source: Where they are from, for example ``holidays 0.109, PE``.
    """

    procedure: Procedure
    holidays: tuple[date, ...]
    holidays_source: str

    def due(self, term: str, start: datetime) -> datetime:
        """When a term that began at ``start`` is over; what happens at that very moment is still in time.

        Args:
            term: Name of its field in the procedure.
            start: The event that it runs from, aware.

        Returns:
            The moment, in UTC.

        Raises:
            BadInput: ``start`` is naive, or the term ends in a year whose holidays the snapshot does not hold.
            NotFound: The procedure states no such term.
        """
        if start.tzinfo is None:
            raise BadInput(f"{term}: {start.isoformat()}: a time needs its time zone")
        stated = self._term(term)
        if term in _EXACT or not (stated.days or stated.working_days):
            return start.astimezone(UTC) + stated.span
        calendar = Calendar(
            ZoneInfo(self.procedure.time_zone), frozenset(self.holidays), {day.year for day in self.holidays}
        )
        if stated.working_days:
            return calendar.after_working_days(start, stated.working_days)
        return calendar.after_days(start, stated.days)

    def span(self, term: str) -> timedelta:
        """The length of a term that needs no calendar; days are of 24 hours.

        Raises:
            BadInput: It is in working days.
            NotFound: The procedure states no such term.
        """
        stated = self._term(term)
        if stated.working_days:
            raise BadInput(f"{term}: {stated.said} have no length without a calendar")
        return stated.span

    def ground(self, code: str) -> Ground:
        """A ground by its code.

        Raises:
            NotFound: The procedure has no such ground.
        """
        for ground in self.procedure.grounds:
            if ground.code == code:
                return ground
        raise NotFound(f"{code!r} is not a ground of the procedure {self.procedure.name}")

    def _term(self, name: str) -> Term:
        try:
            return self.procedure.terms[name]
        except KeyError:
            raise NotFound(f"the procedure {self.procedure.name} states no term {name!r}") from None


def read_procedure(text: str, where: str) -> Procedure:
    """Read a procedure file.

    Args:
        text: The file's TOML text.
        where: Name of the file, for error messages.

    Raises:
        BadInput: Not TOML, or a key is missing, unknown or wrong; names file, key and reason.
    """
    return read_toml(Procedure, text, where)
