"""The demo's record: what it says of decisions is found out anew, by the envelopes and the enrolled keys."""

from __future__ import annotations

from typing import Any

import pytest

from precinto.cli.record import blocked_again, decision_on_record, rests_on_what_was_signed
from precinto.domain.statements import key_id, public_text
from precinto.store.officer_keys import OfficerKeyRow
from tests.authority import REASONS, envelope, key_of

BUNDLE, OTHER = "ab" * 32, "cd" * 32


def key_row(officer: str) -> OfficerKeyRow:
    """The enrolled key of an officer."""
    public = key_of(officer).public_key()
    return OfficerKeyRow(id=key_id(public), officer=officer, public=public_text(public))  # type: ignore[call-arg]


KEYS = {row.id: row for row in map(key_row, ("reviewer-1", "reviewer-2"))}


def row(officer: str = "reviewer-1", **changed: Any) -> dict[str, Any]:
    """A decision as the database has it."""
    return {
        "officer": officer,
        "outcome": "approve",
        "bundle": BUNDLE,
        "state": "admitted",
        "key": key_id(key_of(officer).public_key()),
        "envelope": envelope("c-1", BUNDLE, officer),
        "reasons": REASONS,
    } | changed


def test_a_decision_that_its_officer_signed_is_signed() -> None:
    assert decision_on_record(row(), "c-1", KEYS)["signed"]


@pytest.mark.parametrize(
    "changed",
    [
        {"officer": "reviewer-2"},
        {"outcome": "reject"},
        {"bundle": OTHER},
        {"reasons": "Others."},
        {"key": "A" * 43},
        {"key": key_id(key_of("reviewer-2").public_key())},
        {"envelope": envelope("c-2", BUNDLE, "reviewer-1")},
        {"envelope": envelope("c-1", OTHER, "reviewer-1")},
        {"envelope": envelope("c-1", BUNDLE, "reviewer-2")},
        {"envelope": "nothing that was signed"},
        {"envelope": None},
    ],
)
def test_a_decision_that_says_anything_else_is_not(changed: dict[str, Any]) -> None:
    assert not decision_on_record(row() | changed, "c-1", KEYS)["signed"]


def case(*decisions: dict[str, Any], hold: bool = False, bundle: str = BUNDLE) -> dict[str, Any]:
    """A case with one order, on this bundle."""
    found = [decision_on_record(one, "c-1", KEYS) for one in decisions]
    return {"hold": hold, "decisions": found, "orders": [{"bundle": bundle}]}


def test_an_order_rests_on_what_was_signed() -> None:
    first, second = row(), row("reviewer-2")
    assert rests_on_what_was_signed(case(first))
    assert rests_on_what_was_signed(case(first, second, hold=True))
    assert not rests_on_what_was_signed(case(first, bundle=OTHER))
    assert not rests_on_what_was_signed(case(first, first, hold=True))
    assert not rests_on_what_was_signed(case(first, second | {"state": "refused"}, hold=True))
    assert not rests_on_what_was_signed(case(row(reasons="Others.")))
    assert not rests_on_what_was_signed(case(first) | {"orders": []})


@pytest.mark.parametrize(
    ("moves", "again"),
    [
        (["compliant", "released", "compliant", "released"], True),
        (["lapsed", "compliant", "released", "compliant", "overstaying", "released"], True),
        (["compliant", "released"], False),
        (["released", "compliant"], False),
        ([], False),
    ],
)
def test_blocked_again_is_what_was_measured_so(moves: list[str], again: bool) -> None:
    standings = [{"isp": "sur", "to": to} for to in moves] + [{"isp": "norte", "to": "compliant"}]
    assert blocked_again({"standings": standings}, "sur") is again
