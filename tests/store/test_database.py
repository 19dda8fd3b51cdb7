"""The database: the same schema and the same guarantees on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlmodel import SQLModel, func, select

from precinto.domain.errors import BadInput
from precinto.store import Database, Store
from precinto.store.intake import CaseRow
from tests.authority import TERMS, referral


def differences(connection: Connection) -> list[object]:
    """What a new migration would have to change."""
    return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), SQLModel.metadata)


async def test_the_migrations_make_exactly_the_tables_that_the_code_declares(empty_url: str) -> None:
    database = Database(empty_url)
    await database.migrate()
    async with database.read() as session:
        connection = await session.connection()
        assert await connection.run_sync(differences) == []
        names = await connection.run_sync(lambda c: inspect(c).get_table_names())
    assert set(names) == set(SQLModel.metadata.tables) | {"alembic_version"}
    await database.close()


async def test_migrating_again_changes_nothing(store: Store) -> None:
    await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)
    await store.database.migrate()
    async with store.database.read() as session:
        assert (await session.exec(select(func.count()).select_from(CaseRow))).one() == 1


async def test_processes_that_start_together_migrate_once(empty_url: str) -> None:
    """A worker and the console come up at the same time on an empty database."""
    databases = [Database(empty_url) for _ in range(4)]
    await asyncio.gather(*(database.migrate() for database in databases))
    for database in databases:
        await database.close()


async def test_a_reader_sees_one_moment(store: Store) -> None:
    """A dossier is read by several queries; a write between two of them must not mix yesterday with today."""
    async with store.database.read() as session:
        count = select(func.count()).select_from(CaseRow)
        assert (await session.exec(count)).one() == 0
        await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)
        assert (await session.exec(count)).one() == 0
    async with store.database.read() as session:
        assert (await session.exec(count)).one() == 1


async def test_a_reader_does_not_wait_for_a_writer(store: Store) -> None:
    async with store.database.write() as session:
        await (await session.connection()).execute(text("DELETE FROM cases"))
        async with asyncio.timeout(5), store.database.read() as reading:
            assert (await reading.exec(select(func.count()).select_from(CaseRow))).one() == 0


async def test_a_writer_that_is_cancelled_lets_the_next_one_in(store: Store) -> None:
    """An activity can be cancelled in the middle of its transaction."""
    inside = asyncio.Event()

    async def hang() -> None:
        async with store.database.write() as session:
            await (await session.connection()).execute(text("DELETE FROM cases"))
            inside.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await inside.wait()
    hanging.cancel()
    await asyncio.wait([hanging])
    async with asyncio.timeout(5):
        assert (await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)).opened


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://root@localhost/x", "postgresql://localhost/x"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="database_url"):
        Database(url)
