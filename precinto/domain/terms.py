"""Legal terms as data: how long a review, an order or a reminder may take, each with its source.

A procedure is a TOML file (``procedures/*.toml``). A case snapshots its terms at the start, so a changed file
changes new cases only.
"""

from __future__ import annotations

import tomllib
from datetime import timedelta
from typing import Annotated

from pydantic import Field, ValidationError

from precinto.domain.errors import BadInput
from precinto.domain.model import Value

Span = Annotated[timedelta, Field(gt=timedelta(0))]


class Terms(Value):
    """The terms that one case runs under; durations are positive.

    Attributes:
        procedure: Name of the procedure the terms come from.
        basis: Legal basis that an order names, as a short code.
        review: Time for the reviewers; when it passes, the review escalates. It never approves.
        order: Length of an order in force; a block cannot outlive it.
        comply: Time an ISP has, from delivery of a notice, to give effect to it.
        remind: Time between two reminders to the same ISP on the same order.
        release: Time after an order's end in which its unblock must have been measured everywhere;
            when it passes, the legal head is told which ISPs still block.
        recheck: How often the end of an order is looked at again until the unblock was measured.
    """

    procedure: str
    basis: str
    review: Span
    order: Span
    comply: Span
    remind: Span
    release: Span
    recheck: Span


class Term(Value):
    """One term as its procedure file states it: a duration, and where the law says so."""

    days: int = 0
    hours: int = 0
    minutes: int = 0
    seconds: int = 0
    source: str
    verify: bool = False
    """True where the citation still has to be checked against the primary text."""

    @property
    def span(self) -> timedelta:
        """The duration."""
        return timedelta(days=self.days, hours=self.hours, minutes=self.minutes, seconds=self.seconds)


class Procedure(Value):
    """A procedure file: the named terms with their sources."""

    name: str
    basis: str
    review: Term
    order: Term
    comply: Term
    remind: Term
    release: Term
    recheck: Term

    def terms(self) -> Terms:
        """The snapshot that a case takes at its start."""
        return Terms(
            procedure=self.name,
            basis=self.basis,
            review=self.review.span,
            order=self.order.span,
            comply=self.comply.span,
            remind=self.remind.span,
            release=self.release.span,
            recheck=self.recheck.span,
        )


def read_procedure(text: str, where: str) -> Procedure:
    """Read a procedure file.

    Args:
        text: The file's TOML text.
        where: Name of the file, for error messages.

    Raises:
        BadInput: Not TOML, or a key is missing, unknown or not positive; names file, key and reason.
    """
    try:
        procedure = Procedure.model_validate(tomllib.loads(text))
        procedure.terms()
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{where}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{where}: {key}: {first['msg']}") from error
    return procedure
