"""Every error that Precinto raises on purpose, as one tree.

::

    PrecintoError
    ├── BadInput             what was given is wrong; names the place          (never retried)
    │   └── BadTarget        a target that cannot be normalised
    ├── Refused              a rule says no; carries a code and the reason     (never retried)
    │   └── IllegalTransition  the case cannot go from this stage to that one
    ├── NotFound             the case, order or notice does not exist          (never retried)
    ├── CannotHere           something this machine lacks; says what and how   (retried)
    ├── Unavailable          the other side does not answer now                (retried)
    │   └── Throttled        it said when to come back (``retry_after``)
    └── NotYet               nothing is wrong: the moment has not come         (retried, benign)

``precinto.engine`` maps this tree, once, to Temporal's ``ApplicationError`` types.
"""

from __future__ import annotations

from datetime import timedelta


class PrecintoError(Exception):
    """The root: everything that Precinto raises on purpose."""


class BadInput(PrecintoError):
    """What was given is wrong; the message names the place and the reason."""


class BadTarget(BadInput):
    """A target that cannot be normalised."""


class Refused(PrecintoError):
    """A rule of the procedure says no.

    ``code`` is stable and machine-readable (for example ``referrer_may_not_decide``).
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class IllegalTransition(Refused):
    """The case cannot go from this stage to that one."""


class NotFound(PrecintoError):
    """The case, order or notice does not exist."""


class CannotHere(PrecintoError):
    """Something that this machine lacks; the message says what, and how to get it."""


class Unavailable(PrecintoError):
    """The other side does not answer now; trying again may help."""


class Throttled(Unavailable):
    """The other side said when to come back."""

    def __init__(self, reason: str, retry_after: timedelta) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class NotYet(PrecintoError):
    """Nothing is wrong: the moment has not come. ``wait`` says when to look again."""

    def __init__(self, reason: str, wait: timedelta) -> None:
        super().__init__(reason)
        self.wait = wait
