"""A workflow that imports what it must not: the guard in ``test_sandbox`` is shown to fail on it."""

from __future__ import annotations

import sqlmodel
from temporalio import workflow


@workflow.defn(name="Leaky")
class Leaky:
    """Brings a database library into the sandbox, once for every case that is at work."""

    @workflow.run
    async def run(self) -> str:
        """Never run."""
        return sqlmodel.__name__
