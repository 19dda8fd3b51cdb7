"""Notices for tests, made as the store makes them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from precinto.domain.notification import Action, Measure, Method, Notice, measure_id, notice_id

BEGIN = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


def new_target() -> str:
    """A host that no other test has used."""
    return f"{uuid.uuid4().hex[:12]}.test"


def notice(action: Action, *targets: str, order: str = "", reminder: int = 0, isp: str = "isp") -> Notice:
    """A notice on these targets; without an order's number, under one that they alone make up."""
    number = order or str(uuid.uuid5(uuid.NAMESPACE_DNS, " ".join(targets)))
    return Notice(
        id=notice_id(number, isp, action, reminder),
        order=number,
        isp=isp,
        action=action,
        reminder=reminder,
        valid_from=BEGIN,
        valid_until=BEGIN + timedelta(days=180),
        items=tuple(Measure(id=measure_id(number, t, Method.DNS), target=t) for t in targets),
    )
