"""The database: SQLite by default, PostgreSQL by one setting, the same rules on both.

Writers are serialised, because every write appends to one hash chain: on SQLite by ``BEGIN IMMEDIATE`` (a deferred
transaction that reads first and then writes loses to SQLITE_BUSY under load), on PostgreSQL by an advisory lock
taken first thing, so that two writers can never wait for each other crosswise.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.errors import BadInput, CannotHere

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

_WRITERS = 0x7072656369
"""Key of the advisory lock that PostgreSQL writers take ("preci")."""

SQLModel.metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def now() -> datetime:
    """The moment a row is written, aware and in UTC."""
    return datetime.now(UTC)


class Database:
    """One database; ``async with database.write() as session`` is one transaction.

    Args:
        url: ``sqlite+aiosqlite:///path`` or ``postgresql+psycopg://...``.

    Raises:
        BadInput: Another kind of address.
    """

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
        except ArgumentError as error:
            raise BadInput("database_url: not an address of a database") from error
        self._file: Path | None = None
        match self.url.drivername:
            case "sqlite+aiosqlite":
                self._file = Path(self.url.database) if self.url.database else None
                # One connection writes, so writers queue here instead of in SQLite's busy handler.
                self._writer = _sqlite(url, "BEGIN IMMEDIATE", pool_size=1)
                self._reader = _sqlite(url, "BEGIN", pool_size=4)
            case "postgresql+psycopg":
                self._writer = self._reader = create_async_engine(url, pool_size=10, pool_pre_ping=True)
            case other:
                raise BadInput(f"database_url: {other} is not sqlite+aiosqlite or postgresql+psycopg")

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """One transaction of a writer: all of it, or nothing."""
        async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
            if self._writer.dialect.name == "postgresql":
                connection = await session.connection()
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """One consistent look at the facts: every query in it sees the same moment."""
        async with AsyncSession(self._reader, expire_on_commit=False) as session, session.begin():
            if self._reader.dialect.name == "postgresql":
                await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    async def migrate(self) -> None:
        """Bring the schema to the newest version; idempotent, also when several processes start together."""
        if self._file:
            await asyncio.to_thread(self._file.parent.mkdir, parents=True, exist_ok=True)
        async with self._writer.begin() as connection:  # on SQLite, this alone shuts the others out
            if self._writer.dialect.name == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
            await connection.run_sync(_upgrade)

    async def ready(self) -> bool:
        """Whether the schema is there, in the newest version; looking leaves no file where there was none."""
        if self._file and not await asyncio.to_thread(self._file.exists):
            return False
        async with self._reader.connect() as connection:
            return await connection.run_sync(_is_newest)

    async def check(self) -> None:
        """Whether this version can work with it.

        Raises:
            CannotHere: There are no tables yet, or they are of another version.
        """
        if await self.ready():
            return
        found = await self._revision() if self._file is None or await asyncio.to_thread(self._file.exists) else None
        state = "has no tables yet" if found is None else "is of another version and needs migrating"
        raise CannotHere(f"the database {state}: run 'python starter.py up', or 'bootstrap'")

    async def _revision(self) -> str | None:
        async with self._reader.connect() as connection:
            return await connection.run_sync(_current)

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        await self._reader.dispose()


def _sqlite(url: str, begin: str, pool_size: int) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=pool_size, max_overflow=0, pool_timeout=120, connect_args={"isolation_level": None}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def pragmas(connection: Any, _: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout=30000")
        _write_ahead(cursor)
        for pragma in (
            "synchronous=FULL",  # a decision survives power loss
            "foreign_keys=ON",
            "recursive_triggers=ON",  # or INSERT OR REPLACE walks round a delete trigger
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.exec_driver_sql(begin)

    return engine


def _write_ahead(cursor: Any) -> None:
    """Switch to write-ahead logging. Where others open the same empty file, SQLite says "locked" without waiting."""
    patience = 300
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            patience -= 1
            if not patience:
                raise
            await_only(asyncio.sleep(0.1))
        else:
            return


def _upgrade(connection: Connection) -> None:
    from alembic import command

    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _is_newest(connection: Connection) -> bool:
    from alembic.script import ScriptDirectory

    return _current(connection) == ScriptDirectory.from_config(_alembic()).get_current_head()


def _current(connection: Connection) -> str | None:
    from alembic.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
