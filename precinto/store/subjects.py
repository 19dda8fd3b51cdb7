"""Personal text, sealed for one person at a time: to destroy the person's key is to erase every text of theirs.

Each subject has a data key of its own, which the database holds wrapped by the installation's key. The ledger holds
digests of sealed texts alone: a digest of a name can be guessed, that of a sealed one cannot, and an erasure leaves
every chain as it was.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Text, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.errors import BadInput, CannotHere, NotFound, Refused, Unavailable
from precinto.domain.model import canonical_json, digest
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.vault import KEY_BYTES, Vault

LONGEST_TEXT = 200_000
"""Characters of one text."""

_NONCE_BYTES = 12
_PATIENCE_MS = 10_000
_SUBJECT = re.compile(r"[0-9A-Za-z_-]{1,40}")
_TOKEN = re.compile(r"v1:([0-9A-Za-z_-]{1,40}):([0-9A-Za-z+/]+=*)")


class SubjectRow(SQLModel, table=True):
    """A person whose text is sealed. ``key``: the data key, wrapped, as ``KEY:BASE64``; None once it was erased."""

    __tablename__ = "subjects"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=40)
    key: str | None = Field(default=None, max_length=200)
    created_at: datetime
    erased_at: datetime | None = None
    erased_by: str | None = Field(default=None, max_length=64)
    reason: str | None = Field(default=None, sa_type=Text)


class Place(NamedTuple):
    """Where a sealed text stands; moved to another row, it does not open."""

    table: str
    row: str
    field: str


class Subjects:
    """Seals and opens personal text within the transaction of what it belongs to."""

    def __init__(self, vault: Vault) -> None:
        """Wrap the data keys with the newest key of this vault."""
        self._vault = vault

    async def seal_text(self, session: AsyncSession, subject: str, place: Place, plain: str) -> str:
        """Seal a text of a subject, who need not be known yet; the token ``v1:SUBJECT:BASE64``.

        AES-256-GCM under the subject's key, with a random nonce, bound to the place.

        Args:
            session: A writer's.
            subject: Id of the person: letters, digits, ``-`` and ``_``, at most 40. It must say nothing of them.
            place: Where the token will stand.
            plain: At most ``LONGEST_TEXT`` characters.

        Raises:
            BadInput: The id is no such id, or the text is too long.
            Refused: ``subject_erased``.
            CannotHere: The vault cannot be used.
        """
        if not _SUBJECT.fullmatch(subject):
            raise BadInput(f"{subject!r} is not the id of a subject")
        if len(plain) > LONGEST_TEXT:
            raise BadInput(f"a text of {len(plain)} characters; {LONGEST_TEXT} may be sealed")
        row = await session.get(SubjectRow, subject)
        key = self._unwrap(row) if row else await self._enrol(session, subject)
        if key is None:
            raise Refused("subject_erased", f"the texts of subject {subject} were erased, and none is added")
        return f"v1:{subject}:{_seal(key, plain.encode(), [*place, subject])}"

    async def open_text(self, session: AsyncSession, token: str, place: Place) -> str | None:
        """The text of a token; None where its subject was erased.

        Raises:
            NotFound: The subject is not known here.
            Refused: ``sealed_text``: this is no token, was altered, or was sealed for another place.
            CannotHere: The vault cannot be used, or lacks the key.
        """
        read = _TOKEN.fullmatch(token)
        if read is None:
            raise Refused("sealed_text", "this is not a sealed text")
        row = await session.get(SubjectRow, read[1])
        if row is None:
            raise NotFound(f"no subject {read[1]}")
        key = self._unwrap(row)
        if key is None:
            return None
        try:
            return _open(key, read[2], [*place, read[1]]).decode()
        except (InvalidTag, ValueError) as error:
            reason = f"a text of subject {read[1]} was altered, or sealed for another place"
            raise Refused("sealed_text", reason) from error

    async def rewrap(self, database: Database) -> int:
        """Wrap every data key anew, with a new key of the vault, and forget its older ones; how many data keys.

        After it, copies of the database that were made before do not open with the vault of now. Broken off at any
        point, it leaves every text open, and can be begun anew.

        Raises:
            CannotHere: The vault cannot be used, or lacks a key.
        """
        older = set(self._vault.keys())
        self._vault.add()
        async with database.write() as session:
            rows = (await session.exec(select(SubjectRow).where(col(SubjectRow.key).is_not(None)))).all()
            for row in rows:
                if (key := self._unwrap(row)) is not None:
                    row.key = self._wrap(row.id, key)
                    session.add(row)
            await ledger.append(session, "subjects_rewrapped", {"subjects": len(rows)})
        await scrub(database)
        self._vault.forget(older)
        return len(rows)

    async def _enrol(self, session: AsyncSession, subject: str) -> bytes:
        if not self._vault.keys():
            first = select(SubjectRow.id).where(col(SubjectRow.key).is_not(None)).limit(1)
            if (await session.exec(first)).first() is not None:
                raise CannotHere("the file of the vault is gone, and there are texts that it opened: put it back")
            self._vault.add()
        key = os.urandom(KEY_BYTES)
        session.add(SubjectRow(id=subject, key=self._wrap(subject, key), created_at=now()))
        await session.flush()
        return key

    def _wrap(self, subject: str, key: bytes) -> str:
        name, own = next(iter(self._vault.keys().items()))
        return f"{name}:{_seal(own, key, ['subjects', subject, 'key', name])}"

    def _unwrap(self, row: SubjectRow) -> bytes | None:
        if row.key is None:
            return None
        name, _, wrapped = row.key.partition(":")
        own = self._vault.keys().get(name)
        if own is None:
            raise CannotHere(f"the vault lacks the key {name}, which opens the texts of subject {row.id}")
        try:
            return _open(own, wrapped, ["subjects", row.id, "key", name])
        except (InvalidTag, ValueError) as error:
            raise Refused("sealed_text", f"the key of subject {row.id} was altered") from error


async def erase(session: AsyncSession, subject: str, by: str, reason: str) -> None:
    """Destroy a subject's key, and with it what every text of theirs says. Idempotent; ``scrub`` after the commit.

    Args:
        session: A writer's.
        subject: Whose.
        by: Id of the officer.
        reason: Why, without a word on who the person is: it is kept, and the ledger holds its digest.

    Raises:
        NotFound: No such subject.
        Refused: ``reasons_missing``.
    """
    if not reason.strip():
        raise Refused("reasons_missing", "an erasure states its reason")
    row = await session.get(SubjectRow, subject)
    if row is None:
        raise NotFound(f"no subject {subject}")
    if row.erased_at is not None:
        return
    if session.get_bind().dialect.name == "sqlite":
        await (await session.connection()).execute(text("PRAGMA secure_delete = ON"))
    row.key, row.erased_at, row.erased_by, row.reason = None, now(), by, reason
    session.add(row)
    body = {"subject": subject, "reason": digest(reason.encode())}
    await ledger.append(session, "subject_erased", body, actor=by)


async def scrub(database: Database) -> None:
    """Take what was overwritten out of the database's own files, as far as the database allows.

    SQLite: its write-ahead log is emptied. PostgreSQL: the table's dead rows are freed, not overwritten, and its
    write-ahead log and backups keep the wrapped key: ``Subjects.rewrap`` is what makes those worthless.

    Raises:
        Unavailable: A reader holds SQLite's log. What was done stands; call it again.
    """
    engine = create_async_engine(database.url, isolation_level="AUTOCOMMIT")  # neither is allowed in a transaction
    try:
        async with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                await connection.execute(text("VACUUM subjects"))
                return
            await connection.execute(text(f"PRAGMA busy_timeout = {_PATIENCE_MS}"))
            (busy, *_) = (await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))).one()
    finally:
        await engine.dispose()
    if busy:
        raise Unavailable("somebody reads the database, so its log still holds what was overwritten: say it again")


async def subjects_of(database: Database) -> Sequence[SubjectRow]:
    """Every subject, oldest first."""
    async with database.read() as session:
        return (await session.exec(select(SubjectRow).order_by(col(SubjectRow.created_at), col(SubjectRow.id)))).all()


def _seal(key: bytes, plain: bytes, bound_to: Sequence[str]) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, canonical_json(list(bound_to)))).decode()


def _open(key: bytes, sealed: str, bound_to: Sequence[str]) -> bytes:
    content = base64.b64decode(sealed, validate=True)
    return AESGCM(key).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], canonical_json(list(bound_to)))
