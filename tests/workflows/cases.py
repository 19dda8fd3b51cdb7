"""What the tests of the workflows say to a case, in the words of the field."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from precinto.domain.review import Decision, Outcome
from tests.authority import SECOND, decision, terms

PROTECTED = "descargas.gob.pe"
"""Below a protected name: its cases are held for two reviewers."""

LONG = terms(order=600 * SECOND)
"""For tests that are not about the end of the order."""


async def refused(code: str, telling: object) -> None:
    """Await an update that must be refused with this code."""
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await telling  # type: ignore[misc]
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == code


def forged(case: str, bundle: str, officer: str, outcome: Outcome = Outcome.APPROVE) -> Decision:
    """A decision as anyone who can reach Temporal can make it: right in every part, and filed by nobody."""
    return decision(case, bundle, officer, outcome)
