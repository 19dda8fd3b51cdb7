"""The ledger: an append-only chain that names the first row with which something is wrong."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from precinto.store import Database, Store, ledger
from precinto.store.ledger import BrokenChain, LedgerRow
from tests.store.steps import open_case

CHAIN = 6
"""Rows that the fixture writes: three referrals, three cases accepted."""


@pytest.fixture
async def chain(store: Store) -> Database:
    """A ledger with six rows."""
    for n in range(3):
        await open_case(store, f"site{n}.example.com")
    return store.database


async def as_a_thief(database: Database, *statements: str) -> None:
    """Change the ledger as somebody who may do everything in the database, past the triggers that forbid it."""
    async with database.write() as session:
        connection = await session.connection()
        if database.url.drivername.startswith("postgresql"):
            await connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            names = await connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
            for (name,) in names.all():
                await connection.execute(text(f'DROP TRIGGER "{name}"'))
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def test_an_untouched_ledger_verifies_to_its_head(chain: Database) -> None:
    rows, head = await ledger.verify(chain)
    async with chain.read() as session:
        last = (await session.exec(select(LedgerRow).where(LedgerRow.seq == CHAIN))).one()
    assert (rows, head) == (CHAIN, last.hash)


async def test_an_empty_ledger_verifies(database: Database) -> None:
    assert await ledger.verify(database) == (0, ledger.GENESIS)


@pytest.mark.parametrize(
    ("tampering", "bad_row"),
    [
        ("UPDATE ledger SET actor = 'reviewer-2' WHERE seq = 3", 3),
        ("UPDATE ledger SET action = 'case_closed' WHERE seq = 4", 4),
        ("""UPDATE ledger SET "case" = 'another-1' WHERE seq = 2""", 2),
        ("""UPDATE ledger SET "case" = NULL WHERE seq = 2""", 2),
        ("UPDATE ledger SET at = '2020-01-01 00:00:00.000000' WHERE seq = 5", 5),
        ("""UPDATE ledger SET body = '{"hold":true}' WHERE seq = 2""", 2),
        ("UPDATE ledger SET body = 'not JSON' WHERE seq = 2", 2),
        ("""UPDATE ledger SET body = '{"hold":1.5}' WHERE seq = 2""", 2),
        # A reader that takes the first of two equal keys would see a case on hold.
        ("""UPDATE ledger SET body = '{"hold":true,"hold":false}' WHERE seq = 2""", 2),
        ("UPDATE ledger SET hash = '" + "0" * 64 + "' WHERE seq = 2", 2),
        ("UPDATE ledger SET prev = '" + "0" * 64 + "' WHERE seq = 4", 4),
        ("DELETE FROM ledger WHERE seq = 1", 1),
        ("DELETE FROM ledger WHERE seq = 3", 3),
        ("UPDATE ledger SET seq = 9 WHERE seq = 6", 6),
        (
            'INSERT INTO ledger SELECT 7, at, "case", action, actor, body, prev, \'' + "f" * 64 + "'"
            " FROM ledger WHERE seq = 6",
            7,
        ),
    ],
    ids=lambda value: re.sub(r"\W+", "-", value)[:45] if isinstance(value, str) else "",
)
async def test_tampering_is_found_at_the_first_bad_row(chain: Database, tampering: str, bad_row: int) -> None:
    await as_a_thief(chain, tampering)
    with pytest.raises(BrokenChain) as broken:
        await ledger.verify(chain)
    assert broken.value.seq == bad_row


async def test_a_cut_off_end_shows_only_against_a_head_kept_elsewhere(chain: Database) -> None:
    """What a chain cannot see by itself, and why the head is to be kept elsewhere."""
    rows, head = await ledger.verify(chain)
    await as_a_thief(chain, "DELETE FROM ledger WHERE seq > 4")
    assert await ledger.verify(chain) != (rows, head)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET actor = 'nobody' WHERE seq = 1",
        "DELETE FROM ledger WHERE seq = 6",
        "DELETE FROM ledger",
    ],
)
async def test_the_database_itself_refuses_to_change_a_row(chain: Database, statement: str) -> None:
    async def change() -> None:
        async with chain.write() as session:
            await (await session.connection()).execute(text(statement))

    with pytest.raises(DBAPIError, match="append-only"):
        await change()
    assert (await ledger.verify(chain))[0] == CHAIN


async def test_a_change_that_fails_leaves_no_row(store: Store) -> None:
    """The change and its row are one transaction."""
    case = await open_case(store)
    before = await ledger.verify(store.database)

    async def fail_half_way() -> None:
        async with store.database.write() as session:
            await ledger.append(session, "test", {}, case=case)
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        await fail_half_way()
    assert await ledger.verify(store.database) == before
