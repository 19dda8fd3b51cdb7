"""The main proceeding: without it an order lapses; with it, only its date ends it."""

from __future__ import annotations

import json

import pytest
from sqlmodel import select

from precinto.domain.errors import BadInput, NotFound
from precinto.domain.procedures import Snapshot
from precinto.domain.review import Outcome
from precinto.store import Store, ledger
from precinto.store.database import now
from precinto.store.orders import OrderRow
from precinto.store.proceedings import open_proceeding
from tests.authority import terms
from tests.fakes import OFFICERS
from tests.store.steps import MINUTE, decide, end, issue, open_case, refusal

HOUR = 60 * MINUTE


def lapsing() -> Snapshot:
    """An order of 30 hours that lapses after 20."""
    return terms(order=30 * HOUR, comply=MINUTE, lapse=20 * HOUR)


@pytest.fixture
async def case(store: Store) -> str:
    """A case whose order lapses unless a proceeding is opened."""
    opened = await open_case(store, terms=lapsing())
    await issue(store, opened)
    return opened


async def opening(store: Store, case: str, number: str = "000123-2026/CDA", officer: str = "reviewer-1") -> OrderRow:
    """An officer says that it was opened."""
    return await open_proceeding(store.database, case, number, officer, OFFICERS)


async def test_it_lifts_the_lapse(store: Store, case: str) -> None:
    order = await opening(store, case)
    assert (order.proceeding, order.lapses_at) == ("000123-2026/CDA", None)
    ending = await end(store, case, order.id, order.valid_from + 21 * HOUR)
    assert (ending.ended, ending.ends_at) == (False, order.valid_until)
    async with store.database.read() as session:
        rows = select(ledger.LedgerRow).where(ledger.LedgerRow.action == "proceeding_opened")
        (row,) = await session.exec(rows)
    expected = {"order": order.id, "proceeding": "000123-2026/CDA"}
    assert (json.loads(row.body), row.actor, row.case) == (expected, "reviewer-1", case)


async def test_without_it_the_order_lapses(store: Store, case: str) -> None:
    order = (await store.gate.place(case)).order or ""
    ending = await end(store, case, order, now() + 21 * HOUR)
    async with store.database.read() as session:
        row = await session.get_one(OrderRow, order)
    assert (ending.ended, row.end_reason, row.ended_at) == (True, "lapsed", row.lapses_at)


async def test_said_again_it_is_the_same_and_another_is_none(store: Store, case: str) -> None:
    await opening(store, case)
    before = await ledger.verify(store.database)
    await opening(store, case, " 000123-2026/CDA ", "legal-head")
    assert await ledger.verify(store.database) == before
    assert await refusal(opening(store, case, "000124-2026/CDA")) == "proceeding_open"


async def test_after_the_lapse_it_comes_too_late(store: Store, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the engine was away at that moment, and the order is still to be ended."""
    late = now() + 21 * HOUR
    monkeypatch.setattr("precinto.store.proceedings.now", lambda: late)
    assert await refusal(opening(store, case)) == "not_in_force"
    await end(store, case, (await store.gate.place(case)).order or "", late)
    assert await refusal(opening(store, case)) == "not_in_force"


async def test_a_stayed_order_takes_it_and_one_that_is_over_does_not(store: Store, case: str) -> None:
    await decide(store, case, "duty-1", Outcome.STAY)
    assert (await opening(store, case)).lapses_at is None
    await decide(store, case, "duty-1", Outcome.REVOKE)
    assert await refusal(opening(store, case)) == "not_in_force"
    assert await refusal(opening(store, await open_case(store, "flvto.biz", terms=lapsing()))) == "not_in_force"
    with pytest.raises(NotFound):
        await opening(store, "nobody-1")


@pytest.mark.parametrize(
    ("officer", "code"), [("operator-1", "not_entitled"), ("duty-1", "not_entitled"), ("nobody", "unknown_officer")]
)
async def test_who_is_not_appointed(store: Store, case: str, officer: str, code: str) -> None:
    assert await refusal(opening(store, case, officer=officer)) == code


@pytest.mark.parametrize("number", [" ", "x" * 65, "a\u202eb", "a\nb"])
async def test_what_cannot_be_a_number(store: Store, case: str, number: str) -> None:
    with pytest.raises(BadInput):
        await opening(store, case, number)
