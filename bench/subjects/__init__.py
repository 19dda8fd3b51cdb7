"""What is measured: Precinto, its bare-SDK twin, and the naive shape.

A subject has two halves, one in a worker process and one in a client process, so that the CPU seconds of each (and
of the server) can be told apart. The client half plays the people: it opens cases, and decides as a reviewer would
as soon as it hears that a case waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from temporalio.client import Client, WorkflowHandle

from bench.mailbox import Inbox
from bench.plan import Load

SUBJECTS = ("precinto", "twin", "naive")


class Desk(Protocol):
    """The client half: the people around the cases."""

    async def open(self, name: str, load: Load) -> WorkflowHandle[Any, Any]:
        """Open a case."""
        ...

    async def decide(self, name: str, handle: WorkflowHandle[Any, Any]) -> None:
        """Wait until the case is under review and approve it."""
        ...

    async def sweep(self, tick: str) -> None:
        """Run one round of verification at every vantage; nothing where sweeps are the workflow's own."""
        ...

    async def audit(self, results: Mapping[str, Any]) -> None:
        """Look at what came of a load; name of case to result of its workflow, for those that were decided.

        Raises:
            Wrong: Something was lost, doubled or ended otherwise.
        """
        ...


class Subject(Protocol):
    """One thing that is measured."""

    async def connect(self, address: str) -> Client:
        """A client as this subject configures it."""
        ...

    def worker(self, client: Client, folder: Path) -> AbstractAsyncContextManager[None]:
        """Its workers, running."""
        ...

    def desk(self, client: Client, folder: Path, inbox: Inbox) -> AbstractAsyncContextManager[Desk]:
        """Its people."""
        ...


def subject(name: str) -> Subject:
    """The subject of this name, one of :data:`SUBJECTS`; only its own modules are loaded."""
    return cast(Subject, import_module(f"bench.subjects.{name}").SUBJECT)
