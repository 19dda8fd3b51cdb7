"""The ledger: an append-only chain that names the first row with which something is wrong."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from precinto.domain.ledger import Entry
from precinto.store import Database, Store, ledger
from precinto.store.database import MIGRATIONS
from precinto.store.ledger import BrokenChain, LedgerRow
from tests.store.steps import filed_stamp, referred, seal

CHAIN = 6
"""Rows that the fixture writes: two referrals of each of three cases."""


@pytest.fixture
async def chain(store: Store) -> Database:
    """A ledger with six rows."""
    for n in range(3):
        await referred(store, f"site{n}.example.com")
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
            ", v, case_seq, case_prev FROM ledger WHERE seq = 6",
            7,
        ),
        ("UPDATE ledger SET v = 1 WHERE seq = 3", 3),
        ("UPDATE ledger SET case_seq = 7 WHERE seq = 3", 3),
        ("UPDATE ledger SET case_prev = hash WHERE seq = 4", 4),
    ],
    ids=lambda value: re.sub(r"\W+", "-", value)[:45] if isinstance(value, str) else "",
)
async def test_tampering_is_found_at_the_first_bad_row(chain: Database, tampering: str, bad_row: int) -> None:
    await as_a_thief(chain, tampering)
    with pytest.raises(BrokenChain) as broken:
        await ledger.verify(chain)
    assert broken.value.seq == bad_row


async def test_an_end_cut_off_before_it_was_anchored_shows_only_against_a_head_kept_elsewhere(chain: Database) -> None:
    """What a chain cannot see by itself, and why the head is to be kept elsewhere."""
    rows, head = await ledger.verify(chain)
    await as_a_thief(chain, "DELETE FROM ledger WHERE seq > 4")
    assert await ledger.verify(chain) != (rows, head)


@pytest.mark.parametrize("tampering", ["UPDATE ledger SET at = 'once' WHERE seq = 4", "UPDATE ledger SET at = 7"])
async def test_a_value_that_is_none_of_its_column_is_found_too(sqlite_store: Store, tampering: str) -> None:
    """SQLite keeps whatever it is given; PostgreSQL does not take it."""
    for n in range(3):
        await referred(sqlite_store, f"site{n}.example.com")
    await as_a_thief(sqlite_store.database, tampering)
    with pytest.raises(BrokenChain) as broken:
        await ledger.verify(sqlite_store.database)
    assert (broken.value.seq, broken.value.reason[:14]) == (4 if "WHERE" in tampering else 1, "cannot be read")


@pytest.mark.parametrize("left", [CHAIN, 3])
async def test_an_end_cut_off_after_it_was_anchored_is_found(chain: Database, store: Store, left: int) -> None:
    """The row that tells of the anchor is the seventh; with it go, in the second case, three that it covers."""
    assert await store.anchors.anchor()
    await as_a_thief(chain, f"DELETE FROM ledger WHERE seq > {left:d}")  # noqa: S608 - a number
    with pytest.raises(BrokenChain, match="anchor 1") as broken:
        await ledger.verify(chain)
    assert broken.value.seq == left + 1


CHANGES = (
    "UPDATE ledger SET actor = 'nobody' WHERE seq = 1",
    "DELETE FROM ledger WHERE seq = 6",
    "DELETE FROM ledger",
    "UPDATE anchors SET last = 5",
    "DELETE FROM anchors",
    "UPDATE anchor_stamps SET token = 'another'",
    "DELETE FROM anchor_stamps",
)

REPLACEMENTS = (
    "INSERT OR REPLACE INTO ledger SELECT * FROM ledger WHERE seq = 1",
    # Another number, but the hash of a row that is there: that row would make room.
    'INSERT OR REPLACE INTO ledger SELECT 99, at, "case", action, actor, body, prev, hash, v, case_seq, case_prev'
    " FROM ledger WHERE seq = 1",
    "UPDATE OR REPLACE ledger SET seq = 2 WHERE seq = 1",
    "INSERT OR REPLACE INTO anchors SELECT * FROM anchors",
    "INSERT OR REPLACE INTO anchor_stamps SELECT * FROM anchor_stamps",
)

TRUNCATIONS = ("TRUNCATE ledger", "TRUNCATE anchors CASCADE", "TRUNCATE anchor_stamps")

UPSERTS = (
    "INSERT INTO ledger SELECT * FROM ledger WHERE seq = 1 ON CONFLICT (seq) DO UPDATE SET actor = 'nobody'",
    "INSERT INTO anchors SELECT * FROM anchors WHERE anchor = 1 ON CONFLICT (anchor) DO UPDATE SET last = 5",
)


@pytest.fixture
async def whole(chain: Database, store: Store) -> Database:
    """The ledger with an anchor and its time stamp: nine tenths of what a thief would like to change."""
    taken = await store.anchors.anchor()
    assert taken
    await store.anchors.stamped(taken.anchor, filed_stamp("uno"))
    return chain


async def test_the_database_itself_refuses_to_change_a_row(whole: Database) -> None:
    async def change(statement: str) -> None:
        async with whole.write() as session:
            await (await session.connection()).exec_driver_sql(statement)

    postgresql = whole.url.drivername.startswith("postgresql")
    for statement in (*CHANGES, *UPSERTS, *(TRUNCATIONS if postgresql else REPLACEMENTS)):
        with pytest.raises(DBAPIError, match="append-only"):
            await change(statement)
    assert (await ledger.verify(whole))[0] == CHAIN + 1


@pytest.mark.parametrize("statement", [*CHANGES, *REPLACEMENTS])
async def test_so_does_the_file_whoever_opens_it(sqlite_store: Store, statement: str) -> None:
    """A connection of somebody else's does not ask SQLite to fire triggers for what a replacement deletes."""
    await referred(sqlite_store)
    taken = await sqlite_store.anchors.anchor()
    assert taken
    await sqlite_store.anchors.stamped(taken.anchor, filed_stamp("uno"))
    before = await ledger.verify(sqlite_store.database)
    path = sqlite_store.database.url.database
    assert path
    with (
        contextlib.closing(sqlite3.connect(path)) as opened,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        opened.execute(statement.replace("seq = 6", "seq = 2"))
    assert await ledger.verify(sqlite_store.database) == before


async def test_each_case_has_a_chain_of_its_own(store: Store) -> None:
    cases = [await referred(store, f"site{n}.example.com") for n in range(2)]
    async with store.database.write() as session:
        for case in (*cases, None, *cases):
            await ledger.append(session, "test", {}, case=case)
    await seal(store, cases[0])
    async with store.database.read() as session:
        rows = (await session.exec(select(LedgerRow).order_by(col(LedgerRow.seq)))).all()
        for case in cases:
            own = [row for row in rows if row.case == case]
            assert [row.case_seq for row in own] == list(range(1, len(own) + 1))
            assert [row.case_prev for row in own] == [ledger.GENESIS, *(row.hash for row in own[:-1])]
            assert [entry.hash async for entry in ledger.rows_of_case(session, case)] == [row.hash for row in own]
    assert [(row.case_seq, row.case_prev) for row in rows if row.case is None] == [(None, None)]
    await ledger.verify(store.database)


async def test_a_ledger_of_before_goes_on_and_its_cases_too(empty_url: str) -> None:
    """Migrated from the version without chains for cases: old rows keep their hash, new ones follow them."""
    database = Database(empty_url)
    old = [_old(1, "a-1", ledger.GENESIS)]
    old.append(_old(2, "a-1", old[0].hash))
    await _migrate(database, "0003")
    async with database.write() as session:
        connection = await session.connection()
        for row in old:
            await connection.execute(
                text(
                    'INSERT INTO ledger (seq, at, "case", action, actor, body, prev, hash) '
                    "VALUES (:seq, :at, :case, :action, :actor, :body, :prev, :hash)"
                ).bindparams(bindparam("at", type_=LedgerRow.__table__.c.at.type)),  # pyright: ignore
                {
                    name: getattr(row, name)
                    for name in ("seq", "at", "case", "action", "actor", "body", "prev", "hash")
                },
            )
    await database.migrate()
    async with database.write() as session:
        await ledger.append(session, "test", {}, case="a-1")
        await ledger.append(session, "test", {}, case="b-1")
        await ledger.append(session, "test", {}, case="a-1")
    assert (await ledger.verify(database))[0] == 5
    async with database.read() as session:
        chain = [(one.v, one.case_seq) async for one in ledger.rows_of_case(session, "a-1")]
    assert chain == [(1, None), (1, None), (2, 3), (2, 4)]
    await database.close()


async def test_the_step_back_refuses_to_take_away_what_hashes_are_over(empty_url: str) -> None:
    database = Database(empty_url)
    await database.migrate()
    await _migrate(database, "0003")
    await database.migrate()
    async with database.write() as session:
        await ledger.append(session, "test", {})
    with pytest.raises(RuntimeError, match="go back to a backup"):
        await _migrate(database, "0003")
    assert (await ledger.verify(database))[0] == 1
    await database.close()


def _old(seq: int, case: str, prev: str) -> Entry:
    """A row as the first version of the ledger wrote it."""
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    entry = Entry(seq, at, case, "test", "engine", "{}", prev, "", 1, None, None)
    return replace(entry, hash=entry.expected())


async def _migrate(database: Database, version: str) -> None:
    """Bring the schema to a version, up or down."""

    def move(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        here = MigrationContext.configure(connection).get_current_revision()
        (command.downgrade if here and here > version else command.upgrade)(config, version)

    async with database.write() as session:
        await (await session.connection()).run_sync(move)


async def test_a_change_that_fails_leaves_no_row(store: Store) -> None:
    """The change and its row are one transaction."""
    case = await referred(store)
    before = await ledger.verify(store.database)

    async def fail_half_way() -> None:
        async with store.database.write() as session:
            await ledger.append(session, "test", {}, case=case)
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        await fail_half_way()
    assert await ledger.verify(store.database) == before
