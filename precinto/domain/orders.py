"""Orders in force: when one ends, and why. No order has more than one end, and every one has one."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from precinto.domain.model import Instant, Value

_NAMESPACE = uuid.UUID("6f0d7f0a-4c5e-5d0e-9a39-0d7d6b0f5a12")


class OrderKind(StrEnum):
    """What an order rests on."""

    ORDER = "order"
    """Its own approvals."""
    RELEASE = "release"
    """A standing order, under which an officer on duty released it."""


class EndReason(StrEnum):
    """Why an order ended."""

    EXPIRED = "expired"
    """Its date came."""
    LAPSED = "lapsed"
    """No proceeding was opened in the time that its procedure gives."""
    REVOKED = "revoked"
    """An officer revoked it."""
    UPHELD = "upheld"
    """An objection was right."""
    STANDING_ORDER = "standing_order"
    """The standing order it rests on ended before."""


class End(Value):
    """When and why an order ends."""

    at: Instant
    reason: EndReason


def end_of(valid_until: datetime, lapses_at: datetime | None, standing_until: datetime | None = None) -> End:
    """The end that an order comes to if nobody does anything: its date, or before it the lapse.

    One that rests on a standing order ends with that at the latest (``standing_until``).
    """
    end = End(at=valid_until, reason=EndReason.EXPIRED)
    if standing_until is not None and standing_until <= end.at:
        end = End(at=standing_until, reason=EndReason.STANDING_ORDER)
    if lapses_at is not None and lapses_at < end.at:
        end = End(at=lapses_at, reason=EndReason.LAPSED)
    return end


def order_id(case: str, bundle: str) -> str:
    """The id of the order that decides a bundle of a case (UUID version 5, RFC 9562): there is one for each bundle."""
    return str(uuid.uuid5(_NAMESPACE, f"{case}|{bundle}"))
