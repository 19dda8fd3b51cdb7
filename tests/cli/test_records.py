"""``ledger verify``: recomputes the chain, and finds what was changed behind its back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_refer import EXAMPLE


@pytest.fixture
def ledger(command: Command, database: Path, engine: str) -> Path:
    """A database whose ledger has five rows."""
    assert command("refer", str(EXAMPLE)).code == 6
    return database


def tamper(database: Path, statement: str) -> None:
    """Change the ledger as somebody would who has the file: the triggers that forbid it are dropped first."""
    with sqlite3.connect(database) as opened:
        triggers = opened.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger'")
        names = [name for (name,) in triggers]
        assert names
        for name in names:
            opened.execute(f"DROP TRIGGER {name}")
        assert opened.execute(statement).rowcount == 1


def test_a_whole_chain_is_confirmed_with_its_head(command: Command, ledger: Path) -> None:
    with sqlite3.connect(ledger) as opened:
        [head] = opened.execute("SELECT hash FROM ledger WHERE seq = 5").fetchone()
    answer = command("ledger", "verify")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"5 rows, each follows from the one before; head {head}\n")
    assert command("ledger", "verify", "--json").json == {"valid": True, "rows": 5, "head": head}


@pytest.mark.usefixtures("database")
def test_an_empty_chain_is_whole(command: Command) -> None:
    answer = command("ledger", "verify", "--json")
    assert (answer.code, answer.json["rows"]) == (0, 0)


@pytest.mark.parametrize(
    ("statement", "row", "reason"),
    [
        (
            "UPDATE ledger SET body = replace(body, 'ifpi', 'none') WHERE seq = 2",
            2,
            "was changed after it was written",
        ),
        ("UPDATE ledger SET actor = 'operator-2' WHERE seq = 5", 5, "was changed after it was written"),
        ("UPDATE ledger SET at = '2020-01-01 00:00:00' WHERE seq = 1", 1, "was changed after it was written"),
        ("UPDATE ledger SET body = 'no JSON' WHERE seq = 3", 3, "was changed after it was written"),
        ("DELETE FROM ledger WHERE seq = 3", 3, "is missing; the next one is 4"),
        ("UPDATE ledger SET prev = hash WHERE seq = 4", 4, "does not follow the row before it"),
    ],
)
def test_the_first_bad_row_is_named(command: Command, ledger: Path, statement: str, row: int, reason: str) -> None:
    tamper(ledger, statement)
    answer = command("ledger", "verify")
    assert (answer.code, answer.out) == (8, "")
    assert answer.err == f"the ledger was changed: row {row} {reason}\n"
    as_json = command("ledger", "verify", "--json")
    assert (as_json.code, as_json.err) == (8, "")
    assert as_json.json == {"valid": False, "first_bad_row": row, "reason": reason}


def test_without_dropping_the_triggers_it_cannot_be_changed(ledger: Path) -> None:
    with sqlite3.connect(ledger) as opened, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        opened.execute("DELETE FROM ledger")


def test_the_doctor_sees_it_too(command: Command, ledger: Path) -> None:
    tamper(ledger, "DELETE FROM ledger WHERE seq = 3")
    answer = command("doctor", "--json")
    assert answer.code == 1
    [line] = [check for check in answer.json["checks"] if check["what"] == "ledger"]
    assert (line["status"], line["found"]) == ("fail", "ledger row 3: is missing; the next one is 4")
