"""Notification: orders, measures and notices, and the names that make each outside act happen once.

One notice per order, version, ISP and reminder. Its id is derived from these, so a retry of any kind repeats the
same id, and the ISP's side can tell a repetition from a second order (rule 9 of the product).
"""

from __future__ import annotations

import uuid
from datetime import UTC
from enum import StrEnum
from typing import Any

from precinto.domain.model import Instant, Value
from precinto.domain.order_document import Letter, OrderDocument

_NAMESPACE = uuid.UUID("6f0d7f0a-4c5e-5d0e-9a39-0d7d6b0f5a11")


class Method(StrEnum):
    """How a target is blocked. The least intrusive that works; an address is never a target."""

    DNS = "dns"


class Action(StrEnum):
    """What a notice asks for."""

    BLOCK = "block"
    RELEASE = "release"


class Measure(Value):
    """One target by one method under an order.

    Attributes:
        id: Derived from order, target and method.
        target: Host to block.
        method: How.
        also_under: In a release: number of another order in force that blocks the same target. An ISP that keeps
            one list of names leaves the name on it.
    """

    id: str
    target: str
    method: Method = Method.DNS
    also_under: str | None = None

    def document(self) -> dict[str, str]:
        """The item of a notice as ISPs read it."""
        item = {"measure": self.id, "target": self.target, "method": self.method.value}
        return item if self.also_under is None else {**item, "also_under": self.also_under}


class Notice(Value):
    """An order, or its end, as one ISP is told it.

    Attributes:
        id: Derived from order, version, ISP and reminder: the idempotency key of the outside act.
        order: The order's number.
        version: The order's version, from 1: a renewal, a stay, its end and the order's own end each make a new one.
        isp: Id of the ISP.
        action: Block or release.
        reminder: 0 for the notice itself, 1, 2, ... for its reminders.
        reminds_of: Id of the notice itself, in a reminder.
        valid_from: When the order takes effect.
        valid_until: When it ends; a block may not outlive it.
        items: The measures.
        documents: What was made of this version of the order, by language; none where a release goes without.
        letter: The document itself, in the ISP's language.
    """

    id: str
    order: str
    version: int = 1
    isp: str
    action: Action
    reminder: int
    reminds_of: str | None = None
    valid_from: Instant
    valid_until: Instant
    items: tuple[Measure, ...]
    documents: tuple[OrderDocument, ...] = ()
    letter: Letter | None = None

    def document(self) -> dict[str, Any]:
        """The notice as ISPs read it: format ``precinto.notice`` version 1 (docs/reference/notice.md)."""
        return {
            "v": 1,
            "notice": self.id,
            "order": self.order,
            "version": self.version,
            "action": self.action.value,
            "reminder": self.reminder,
            "isp": self.isp,
            "from": self.valid_from.astimezone(UTC).isoformat(timespec="seconds"),
            "until": self.valid_until.astimezone(UTC).isoformat(timespec="seconds"),
            "items": [item.document() for item in self.items],
            "documents": {one.language: {"jws": one.jws, "pdf": one.pdf} for one in self.documents},
        }


class Claim(StrEnum):
    """What an ISP says of one item. A claim, not a fact: facts are measured."""

    ACCEPTED = "accepted"
    ENFORCED = "enforced"
    REJECTED = "rejected"


class Acknowledgement(Value):
    """An ISP's word on one measure of a notice."""

    measure: str
    claim: Claim
    code: str | None = None


class Delivery(Value):
    """What came of one outside act.

    Attributes:
        receipt: What the channel got back: a message id, a zone serial, an HTTP status with its id.
        acknowledgements: What the ISP said per item, where the channel answers at once.
    """

    receipt: str
    acknowledgements: tuple[Acknowledgement, ...] = ()


def notice_id(order: str, version: int, isp: str, reminder: int) -> str:
    """The id of a notice (UUID version 5, RFC 9562): same order, version, ISP and reminder, same id."""
    return str(uuid.uuid5(_NAMESPACE, f"{order}|{version}|{isp}|{reminder}"))


def measure_id(order: str, target: str, method: Method) -> str:
    """The id of a measure, derived as that of a notice."""
    return str(uuid.uuid5(_NAMESPACE, f"{order}|{target}|{method.value}"))
