"""Notices for tests, made as the store makes them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from precinto.domain.notification import Action, Measure, Method, Notice, measure_id, notice_id
from precinto.domain.order_document import Letter, OrderDocument

BEGIN = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


def new_target() -> str:
    """A host that no other test has used."""
    return f"{uuid.uuid4().hex[:12]}.test"


LETTER = Letter(language="en", jws="eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl", pdf=b"%PDF-1.7 \xff\x00" * 3_000)
DOCUMENTS = tuple(
    OrderDocument(language=language, content="c" * 64, jws="a" * 64, pdf="b" * 64) for language in ("en", "es")
)


def with_letter(sent: Notice) -> Notice:
    """The same notice with the order's documents."""
    return sent.model_copy(update={"documents": DOCUMENTS, "letter": LETTER})


def notice(action: Action, *targets: str, order: str = "", reminder: int = 0, isp: str = "isp") -> Notice:
    """A notice on these targets, a release as version 2; without an order's number, under one that they make up."""
    number = order or str(uuid.uuid5(uuid.NAMESPACE_DNS, " ".join(targets)))
    version = 2 if action is Action.RELEASE else 1
    return Notice(
        id=notice_id(number, version, isp, reminder),
        order=number,
        version=version,
        isp=isp,
        action=action,
        reminder=reminder,
        reminds_of=notice_id(number, version, isp, 0) if reminder else None,
        valid_from=BEGIN,
        valid_until=BEGIN + timedelta(days=180),
        items=tuple(Measure(id=measure_id(number, t, Method.DNS), target=t) for t in targets),
    )
