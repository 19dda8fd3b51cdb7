"""``ledger``: recomputes the chains, finds what was changed behind their back, and hands out one case's rows."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from precinto.adapters.seals.identity import issue_sealing_identity
from precinto.domain.case import Stage
from tests.authority import Authority
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
    assert command("ledger", "verify", "--json").json == {
        "valid": True, "rows": 5, "head": head, "anchors": 0, "waiting": 0, "covered": 0, "stamped_at": None
    }  # fmt: skip


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


async def test_an_anchor_is_taken_at_once_and_a_cut_off_end_is_found(
    command: Command, authority: Authority, database: Path
) -> None:
    """The whole way: command, schedule's workflow, worker, ledger. The time stamps are fakes, and found to be."""
    await authority.reached(await authority.refer("y2mate.com"), Stage.REVIEW)  # it rests there
    trust = str(_trust(database.parent))
    first = await asyncio.to_thread(command, "ledger", "anchor", "--json")
    assert first.code == 0, first.err
    assert (first.json["got"], first.json["waiting"]) == (2, 0)
    last = first.json["last"]
    bad = await asyncio.to_thread(command, "ledger", "verify", "--json", "--trust", trust)
    assert (bad.code, bad.json["first_bad_row"]) == (8, 1)
    assert bad.json["reason"].startswith("is the first of anchor 1, which has a time stamp that is not in the blob")
    with sqlite3.connect(database) as opened:
        opened.execute("DROP TRIGGER ledger_no_delete")
        opened.execute("DELETE FROM ledger WHERE seq >= ?", (last,))
    cut = await asyncio.to_thread(command, "ledger", "verify", "--json", "--trust", trust)
    assert (cut.code, cut.json["first_bad_row"]) == (8, last)
    assert cut.json["reason"] == f"is missing, and all after it: anchor 1 covers rows up to {last}"


def _trust(folder: Path) -> Path:
    """Somebody's trusted certificates."""
    folder = folder / "trust"
    root = issue_sealing_identity(folder, "autoridad").root
    shutil.copyfile(root, folder / "authority.pem")
    return folder


def test_an_excerpt_is_written_and_checked_offline(
    command: Command, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(ledger) as opened:
        [case, rows] = opened.execute('SELECT "case", count(*) FROM ledger GROUP BY "case" LIMIT 1').fetchone()
    path = tmp_path / "excerpt.jsonl"
    answer = command("ledger", "export", case, "--to", str(path), "--json")
    assert answer.json == {"file": str(path), "case": case, "rows": rows, "anchors": 0}
    monkeypatch.setenv("PRECINTO_HOME", str(tmp_path / "nothing here"))
    checked = command("ledger", "verify", "--file", str(path), "--trust", str(_trust(tmp_path)), "--json")
    assert (checked.code, checked.err) == (0, "")
    assert (checked.json["case"], checked.json["rows"], checked.json["proved"]) == (case, rows, 0)
    path.write_bytes(path.read_bytes().replace(b'"operator-1"', b'"operator-2"'))
    changed = command("ledger", "verify", "--file", str(path), "--trust", str(tmp_path / "trust"))
    assert (changed.code, changed.out) == (8, "")
    assert "was changed after it was written" in changed.err


def test_an_excerpt_is_checked_with_certificates_of_ones_own(command: Command, tmp_path: Path) -> None:
    answer = command("ledger", "verify", "--file", str(tmp_path / "excerpt.jsonl"), "--json")
    assert (answer.code, answer.error["code"]) == (2, "BadInput")


def test_a_case_without_rows_has_no_excerpt(command: Command, ledger: Path, tmp_path: Path) -> None:
    assert ledger.exists()
    answer = command("ledger", "export", "nobody-1", "--to", str(tmp_path / "none"), "--json")
    assert (answer.code, answer.error["code"]) == (3, "NotFound")


def test_without_dropping_the_triggers_it_cannot_be_changed(ledger: Path) -> None:
    with sqlite3.connect(ledger) as opened, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        opened.execute("DELETE FROM ledger")


def test_the_doctor_sees_it_too(command: Command, ledger: Path) -> None:
    tamper(ledger, "DELETE FROM ledger WHERE seq = 3")
    answer = command("doctor", "--json")
    assert answer.code == 1
    [line] = [check for check in answer.json["checks"] if check["what"] == "ledger"]
    assert (line["status"], line["found"]) == ("fail", "ledger row 3: is missing; the next one is 4")
