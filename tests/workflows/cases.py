"""What the tests of the workflows say to a case, in the words of the field."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.authority import SECOND, terms

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
