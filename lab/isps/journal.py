"""What an ISP was asked, one line a request: a test reads here that an order arrived, and that it arrived once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict

from lab.isps.orders import Order
from precinto.domain.notification import Action


class Entry(BaseModel):
    """One request that held a readable order.

    Attributes:
        at: When it came.
        notice: Id of the notice.
        order: The order it belongs to.
        version: Of the order: each thing that is asked under it has one.
        action: Block or release.
        reminder: 0 for the notice itself.
        repeated: This notice had been taken before.
        taken: The ISP took the order (now or before); False where it turned the request away.
        answer: What the sender was told: an SMTP or HTTP status, ``none`` where it was told nothing.
    """

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    notice: str
    order: str
    version: int
    action: Action
    reminder: int
    repeated: bool
    taken: bool
    answer: str


class Journal:
    """The requests in memory and, the same, in ``journal.jsonl`` of the ISP's folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self.path.touch()
        self.entries: list[Entry] = []

    def note(self, order: Order, answer: str, *, repeated: bool = False, taken: bool = True) -> None:
        """Write a request down."""
        entry = Entry(
            at=datetime.now(UTC), notice=order.notice, order=order.order, version=order.version,
            action=order.action, reminder=order.reminder, repeated=repeated, taken=taken, answer=answer,
        )  # fmt: skip
        with self.path.open("a") as file:
            file.write(entry.model_dump_json() + "\n")
        self.entries.append(entry)

    def of(self, notice: str) -> list[Entry]:
        """The requests about one notice, oldest first."""
        return [entry for entry in self.entries if entry.notice == notice]

    def taken(self) -> list[Entry]:
        """Each order that the ISP took, when it first took it."""
        return [entry for entry in self.entries if entry.taken and not entry.repeated]
