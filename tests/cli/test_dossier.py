"""The ledger in words: each row says who did what, rows of release 0.1 too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from precinto.cli.dossier import told
from precinto.store.overview import LedgerLine

MOMENT = "2026-11-25T16:11:09+00:00"


@pytest.mark.parametrize(
    ("action", "body", "words"),
    [
        ("order_ended", {"order": "o", "reason": "expired", "at": MOMENT}, "order ended, expired: every ISP is told"),
        ("order_ended", {"reason": "standing_order", "at": MOMENT}, "order ended, standing order: every ISP"),
        ("order_ended", {"order": "o", "revoked": True, "at": MOMENT}, "order ended, revoked: every ISP"),
        ("order_ended", {"order": "o", "revoked": False, "at": MOMENT}, "order ended, expired: every ISP"),
        (
            "order_renewed",
            {"from": MOMENT, "until": "2026-12-25T16:11:09+00:00"},
            "order renewed: it ends at 2026-12-25T16:11:09, not at 2026-11-25T16:11:09",
        ),
        ("signals_dropped", {"count": 12}, "12 signals dropped unread"),
        ("officer_key_enrolled", {"officer": "reviewer-1"}, "admin enrols a key of reviewer-1"),
        ("ledger_anchored", {"anchor": 1, "last": 17}, "ledger anchored, up to row 17"),
        ("something_new", {}, "something new"),
    ],
)
def test_a_row_in_words(action: str, body: dict[str, Any], words: str) -> None:
    row = LedgerLine(seq=1, at=datetime(2026, 11, 25, tzinfo=UTC), case=None, action=action, actor="admin", body=body)
    assert told(row).startswith(words)
