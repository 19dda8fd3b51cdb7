"""What the client halves share: a decision that the case may not be ready for yet, and the look at the results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from bench.plan import Wrong

READ = 0.05
"""Seconds a reviewer takes; the case hears of its own evidence in this time, unless the machine is busy."""


async def persist(decide: Callable[[], Awaitable[object]]) -> None:
    """Send a decision, again after a while where the case is not under review yet.

    Raises:
        Wrong: The case refuses it for another reason, for good.
    """
    pause = READ
    while True:
        await asyncio.sleep(pause)
        try:
            await decide()
        except WorkflowUpdateFailedError as failed:
            if not isinstance(failed.cause, ApplicationError) or failed.cause.type != "not_under_review":
                raise Wrong(f"a decision was refused: {failed.cause}") from failed
            pause *= 2
        else:
            return


def expect(results: Mapping[str, Any], wanted: Callable[[str], Any]) -> None:
    """Compare the results of a load with what each case should have come to.

    Raises:
        Wrong: Names the first that differs.
    """
    for name, result in results.items():
        if result != wanted(name):
            raise Wrong(f"case {name} ended with {result!r} instead of {wanted(name)!r}")
