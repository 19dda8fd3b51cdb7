"""``subjects``: who is erased stays erased, by a named officer, and the list names nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from precinto.store import Database, Subjects, Vault
from precinto.store.subjects import Place
from tests.cli.conftest import Command

PLACE = Place("objections", "1", "name")


@pytest.fixture
def token(database: Path) -> str:
    """A sealed text of the subject ``s-1``."""

    async def seal() -> str:
        opened = Database(f"sqlite+aiosqlite:///{database}")
        async with opened.write() as session:
            sealed = await _subjects(database).seal_text(session, "s-1", PLACE, "Lucía")
        await opened.close()
        return sealed

    return asyncio.run(seal())


def _subjects(database: Path) -> Subjects:
    return Subjects(Vault(database.parent / "vault.key"))


def _read(database: Path, token: str) -> str | None:
    async def read() -> str | None:
        opened = Database(f"sqlite+aiosqlite:///{database}")
        async with opened.read() as session:
            text = await _subjects(database).open_text(session, token, PLACE)
        await opened.close()
        return text

    return asyncio.run(read())


def test_an_erased_subject_stays_on_the_list_without_a_text(command: Command, database: Path, token: str) -> None:
    assert _read(database, token) == "Lucía"
    answer = command("subjects", "erase", "s-1", "--officer", "legal-head", "--reason", "request 17", "--json")
    assert (answer.code, answer.json) == (0, {"subject": "s-1", "erased": True})
    assert _read(database, token) is None
    [line] = command("subjects", "list", "--json").json
    assert (line["id"], line["erased_by"], line["reason"]) == ("s-1", "legal-head", "request 17")
    assert "key" not in line
    assert command("ledger", "verify").code == 0


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("subject", "officer", "reason", "code", "error"),
    [
        ("s-1", "nobody", "request 17", 4, "unknown_officer"),
        ("s-1", "legal-head", " ", 4, "reasons_missing"),
        ("s-9", "legal-head", "request 17", 3, "NotFound"),
    ],
)
def test_an_erasure_is_asked_for_by_an_officer_with_a_reason(
    command: Command, subject: str, officer: str, reason: str, code: int, error: str
) -> None:
    answer = command("subjects", "erase", subject, "--officer", officer, "--reason", reason, "--json")
    assert (answer.code, answer.error["code"]) == (code, error)
    assert command("subjects", "list", "--json").json[0]["erased_at"] is None


def test_a_new_key_of_the_vault_opens_what_the_old_one_did(command: Command, database: Path, token: str) -> None:
    old = (database.parent / "vault.key").read_bytes()
    assert command("subjects", "rewrap", "--json").json == {"subjects": 1}
    assert (database.parent / "vault.key").read_bytes() != old
    assert _read(database, token) == "Lucía"
