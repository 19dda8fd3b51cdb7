"""Personal text: it opens where it was sealed and nowhere else, and not at all once its subject was erased."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from sqlmodel import col, select

from precinto.domain.errors import BadInput, CannotHere, NotFound, Refused
from precinto.domain.model import digest
from precinto.store import Database, Store, Subjects, Vault, ledger
from precinto.store.ledger import LedgerRow
from precinto.store.subjects import LONGEST_TEXT, Place, SubjectRow, erase, scrub, subjects_of

NAME = Place("objections", "obj-1", "name")
PLAIN = "Lucía Ñandú, +51 900 000 000"


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """Where the installation's keys are; there are none yet."""
    return tmp_path / "home" / "vault.key"


@pytest.fixture
def subjects(vault: Path) -> Subjects:
    """What seals with them."""
    return Subjects(Vault(vault))


async def seal(database: Database, subjects: Subjects, subject: str = "s-1", place: Place = NAME) -> str:
    """Seal the name, and chain the digest of the token, as whoever keeps one does."""
    async with database.write() as session:
        token = await subjects.seal_text(session, subject, place, PLAIN)
        await ledger.append(session, "test", {"name": digest(token.encode())})
    return token


async def open_(database: Database, subjects: Subjects, token: str, place: Place = NAME) -> str | None:
    """Open a token."""
    async with database.read() as session:
        return await subjects.open_text(session, token, place)


async def erased(database: Database, subject: str = "s-1") -> None:
    """Erase a subject."""
    async with database.write() as session:
        await erase(session, subject, "legal-head", "request 2026-17")
    await scrub(database)


async def test_a_text_opens_where_it_was_sealed(database: Database, subjects: Subjects, vault: Path) -> None:
    token = await seal(database, subjects)
    assert token.startswith("v1:s-1:")
    assert await open_(database, subjects, token) == PLAIN
    assert stat.S_IMODE(vault.stat().st_mode) == 0o600


async def test_the_same_text_never_seals_alike(database: Database, subjects: Subjects) -> None:
    assert await seal(database, subjects) != await seal(database, subjects)


@pytest.mark.parametrize(
    "place", [NAME._replace(table="orders"), NAME._replace(row="obj-2"), NAME._replace(field="contact")]
)
async def test_moved_elsewhere_it_does_not_open(database: Database, subjects: Subjects, place: Place) -> None:
    token = await seal(database, subjects)
    with pytest.raises(Refused, match="sealed for another place"):
        await open_(database, subjects, token, place)


async def test_given_to_another_subject_or_altered_it_does_not_open(database: Database, subjects: Subjects) -> None:
    token = await seal(database, subjects)
    await seal(database, subjects, "s-2")
    content = bytearray(base64.b64decode(token.split(":")[2]))
    content[20] ^= 1
    for wrong in (
        token.replace("s-1", "s-2"),
        f"v1:s-1:{base64.b64encode(content).decode()}",
        "v1:s-1:AAAA",
        "v2:s-1:AAAA",
        PLAIN,
        "",
    ):
        with pytest.raises(Refused) as refused:
            await open_(database, subjects, wrong)
        assert refused.value.code == "sealed_text"
        assert PLAIN not in str(refused.value)
    with pytest.raises(NotFound):
        await open_(database, subjects, token.replace("s-1", "s-3"))


async def test_an_erasure_closes_every_text_of_one_subject_and_breaks_no_chain(
    database: Database, subjects: Subjects
) -> None:
    tokens = [await seal(database, subjects), await seal(database, subjects, place=NAME._replace(field="text"))]
    other = await seal(database, subjects, "s-2")
    await erased(database)
    assert await open_(database, subjects, tokens[0]) is None
    assert await open_(database, subjects, tokens[1], NAME._replace(field="text")) is None
    assert await open_(database, subjects, other) == PLAIN
    assert (await ledger.verify(database))[0] == 4
    with pytest.raises(Refused) as refused:
        await seal(database, subjects)
    assert refused.value.code == "subject_erased"


async def test_an_erasure_is_told_once_by_whom_and_why(database: Database, subjects: Subjects) -> None:
    await seal(database, subjects)
    await erased(database)
    await erased(database)
    async with database.read() as session:
        [row] = await session.exec(select(LedgerRow).where(col(LedgerRow.action) == "subject_erased"))
    assert (row.actor, json.loads(row.body)) == (
        "legal-head",
        {"subject": "s-1", "reason": digest(b"request 2026-17")},
    )
    [one] = await subjects_of(database)
    assert (one.key, one.erased_by, one.reason) == (None, "legal-head", "request 2026-17")
    assert one.erased_at is not None


async def test_an_erasure_needs_a_subject_and_a_reason(database: Database, subjects: Subjects) -> None:
    await seal(database, subjects)
    with pytest.raises(NotFound):
        await erased(database, "s-9")

    async def without_a_reason() -> None:
        async with database.write() as session:
            await erase(session, "s-1", "legal-head", " ")

    with pytest.raises(Refused, match="states its reason"):
        await without_a_reason()


async def test_sqlite_keeps_nothing_of_the_key_in_its_files(sqlite_store: Store, subjects: Subjects) -> None:
    """Not in a free page, not in the write-ahead log. What PostgreSQL keeps, ``scrub`` says."""
    database = sqlite_store.database
    await seal(database, subjects)
    [row] = await subjects_of(database)
    assert row.key is not None
    key, path = row.key.encode(), Path(database.url.database or "")
    files = [path, path.with_name(path.name + "-wal")]
    assert any(key in file.read_bytes() for file in files)
    await erased(database)
    assert not any(key in file.read_bytes() for file in files if file.exists())


async def test_neither_the_database_nor_the_vault_opens_anything_alone(
    database: Database, subjects: Subjects, vault: Path, tmp_path: Path
) -> None:
    token = await seal(database, subjects)
    vault.rename(tmp_path / "elsewhere")
    with pytest.raises(CannotHere, match="lacks the key"):
        await open_(database, subjects, token)
    with pytest.raises(CannotHere, match="put it back"):
        await seal(database, subjects, "s-2")
    assert not vault.exists(), "a new key beside texts of an old one would hide that the old one is gone"


async def test_rewrapped_every_text_opens_and_an_old_copy_of_the_database_does_not(
    database: Database, subjects: Subjects, vault: Path
) -> None:
    """The answer to a backup that still has an erased subject's key: it has it wrapped, by a key that is gone."""
    tokens = [await seal(database, subjects, f"s-{n}") for n in range(3)]
    backup = await subjects_of(database)
    before = vault.read_bytes()
    await erased(database, "s-0")
    assert await subjects.rewrap(database) == 2
    assert [await open_(database, subjects, token) for token in tokens] == [None, PLAIN, PLAIN]
    assert len(vault.read_bytes().split()) == 1
    assert vault.read_bytes() != before
    async with database.write() as session:
        row = await session.get_one(SubjectRow, "s-0")
        row.key, row.erased_at = backup[0].key, None  # somebody puts the backup's row back
        session.add(row)
    with pytest.raises(CannotHere, match="lacks the key"):
        await open_(database, subjects, tokens[0])


async def test_a_rewrap_that_breaks_off_loses_nothing(
    database: Database, subjects: Subjects, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await seal(database, subjects)

    async def dies(*_: object, **__: object) -> None:
        raise ConnectionResetError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "append", dies)
        with pytest.raises(ConnectionResetError):
            await subjects.rewrap(database)
    assert await open_(database, subjects, token) == PLAIN
    assert await subjects.rewrap(database) == 1
    assert await open_(database, subjects, token) == PLAIN
    assert len(vault.read_bytes().split()) == 1


@pytest.mark.parametrize("subject", ["", "has space", "a:b", "x" * 41, "Ñ"])
async def test_an_id_is_an_id(database: Database, subjects: Subjects, subject: str) -> None:
    with pytest.raises(BadInput):
        await seal(database, subjects, subject)


async def test_a_text_has_a_largest_size(database: Database, subjects: Subjects) -> None:
    async with database.write() as session:
        with pytest.raises(BadInput, match=str(LONGEST_TEXT)):
            await subjects.seal_text(session, "s-1", NAME, "x" * (LONGEST_TEXT + 1))
