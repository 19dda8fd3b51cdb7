"""``officers``: keys are made where their officer sits, and what was made but not enrolled is not left lying about."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from precinto.adapters.keys.key_file import key_files
from precinto.cli.signing import passphrase, signing_key
from precinto.domain.errors import BadInput, CannotHere
from precinto.domain.statements import key_id
from precinto.store.officer_keys import OfficerKeyRow
from tests.cli.conftest import ROOT, Answer, Command

PASSPHRASE = "contraseña de la revisora"  # noqa: S105 - of keys that live for one test

Enrol = Callable[..., Answer]


@pytest.fixture
def passphrases(tmp_path: Path) -> Path:
    """A file with the passphrase."""
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def enrol(command: Command, database: Path, passphrases: Path) -> Enrol:
    """Enrols a key for an officer."""

    def enrolled(officer: str, *more: str) -> Answer:
        files = ["--passphrase-file", str(passphrases), "--voucher-passphrase-file", str(passphrases)]
        return command("officers", "enrol", officer, "--as", "admin", *files, *more, "--json")

    return enrolled


def type_when_asked(terminal: int, question: str, text: str) -> str:
    """Wait for a question, and type; what was shown until then."""
    shown = ""
    while not shown.endswith(question):
        shown += os.read(terminal, 1_000).decode()
    os.write(terminal, f"{text}\n".encode())
    return shown


def officers(command: Command) -> dict[str, Any]:
    """What ``officers list`` says, by officer."""
    return {one["id"]: one for one in command("officers", "list", "--json").json}


class TestEnrol:
    def test_the_key_is_in_the_home_folder_and_enrolled(self, command: Command, enrol: Enrol, home: Path) -> None:
        answer = enrol("reviewer-1")
        assert (answer.code, answer.err) == (0, "")
        [file] = key_files(home / "keys", "reviewer-1")
        assert answer.json["file"] == str(file.path)
        assert answer.json["key"] == file.key == key_id(file.unlock(PASSPHRASE).public_key())
        [key] = officers(command)["reviewer-1"]["keys"]
        assert (key["id"], key["enrolled_by"], key["revoked_at"]) == (file.key, "admin", None)
        assert command("ledger", "verify", "--json").json["rows"] == 1

    def test_a_setting_names_another_folder_and_the_passphrase(
        self,
        command: Command,
        database: Path,
        passphrases: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PRECINTO_KEYS", str(tmp_path / "stick"))
        monkeypatch.setenv("PRECINTO_PASSPHRASE_FILE", str(passphrases))
        answer = command("officers", "enrol", "reviewer-1", "--as", "admin")
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.startswith("reviewer-1 signs with the key ")
        assert len(key_files(tmp_path / "stick", "reviewer-1")) == 1

    def test_the_passphrase_is_typed_twice_unseen(self, database: Path, home: Path) -> None:
        """On a terminal of its own, as a person would: nothing of what is typed is shown."""
        ours, theirs = pty.openpty()
        command = [sys.executable, ROOT / "starter.py", "officers", "enrol", "reviewer-1", "--as", "admin"]
        with subprocess.Popen(
            command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
        ) as it:
            os.close(theirs)
            shown = type_when_asked(ours, "Passphrase of reviewer-1's new key: ", PASSPHRASE)
            shown += type_when_asked(ours, "Repeat for confirmation: ", PASSPHRASE)
            assert it.wait() == 0
        os.close(ours)
        assert PASSPHRASE not in shown
        [file] = key_files(home / "keys", "reviewer-1")
        assert file.unlock(PASSPHRASE)

    def test_where_nobody_can_be_asked_it_says_so(self, command: Command, database: Path, home: Path) -> None:
        answer = command("officers", "enrol", "reviewer-1", "--as", "admin", "--json")
        assert (answer.code, answer.error["code"]) == (2, "BadInput")
        assert "no terminal" in answer.error["message"]
        assert not (home / "keys").exists()

    def test_somebody_unknown_gets_none(self, enrol: Enrol, home: Path) -> None:
        answer = enrol("../reviewer-9")
        assert (answer.code, answer.error["code"]) == (4, "unknown_officer")
        assert not (home / "keys").exists()

    def test_a_short_passphrase_makes_no_key(self, enrol: Enrol, passphrases: Path, home: Path) -> None:
        passphrases.write_text("short")
        answer = enrol("reviewer-1")
        assert (answer.code, answer.error["code"]) == (2, "BadInput")
        assert not (home / "keys").exists()

    def test_a_second_key_is_signed_for_with_the_first(self, command: Command, enrol: Enrol, home: Path) -> None:
        assert [enrol("reviewer-1").code, enrol("reviewer-1").code] == [0, 0]
        keys = [key["id"] for key in officers(command)["reviewer-1"]["keys"]]
        assert sorted(keys) == sorted(file.key for file in key_files(home / "keys", "reviewer-1"))
        assert len(keys) == 2

    def test_a_lost_key_is_replaced_on_the_legal_heads_word(self, command: Command, enrol: Enrol, home: Path) -> None:
        lost, head = enrol("reviewer-1").json, enrol("legal-head").json
        Path(lost["file"]).unlink()
        missing = enrol("reviewer-1")
        assert (missing.code, missing.error["code"]) == (1, "CannotHere")
        assert (
            command("officers", "revoke", lost["key"], "--as", "legal-head", "--reason", "passphrase lost").code == 0
        )
        refused = enrol("reviewer-1")
        assert (refused.code, refused.error["code"]) == (4, "voucher_missing")
        assert key_files(home / "keys", "reviewer-1") == []
        assert enrol("reviewer-1", "--vouched-by", "legal-head").code == 0
        before, now = officers(command)["reviewer-1"]["keys"]
        assert (before["id"], before["revoked_by"]) == (lost["key"], "legal-head")
        assert (now["revoked_at"], head["officer"]) == (None, "legal-head")

    def test_another_reviewers_word_is_worth_nothing(self, enrol: Enrol, home: Path) -> None:
        assert [enrol("reviewer-1").code, enrol("reviewer-2").code] == [0, 0]
        refused = enrol("reviewer-1", "--vouched-by", "reviewer-2")
        assert (refused.code, refused.error["code"]) == (4, "not_a_legal_head")
        assert len(key_files(home / "keys", "reviewer-1")) == 1


class TestRevoke:
    def test_a_key_is_revoked_once(self, command: Command, enrol: Enrol) -> None:
        key = enrol("reviewer-1").json["key"]
        revoke = ["officers", "revoke", key, "--as", "legal-head", "--reason", "stolen"]
        answer = command(*revoke)
        assert (answer.code, answer.out) == (0, f"the key {key} is revoked; what was decided with it before stands\n")
        again = command(*revoke, "--json")
        assert (again.code, again.error["code"]) == (4, "key_revoked")

    @pytest.mark.usefixtures("database")
    def test_the_id_of_a_key_may_begin_with_a_hyphen(self, command: Command) -> None:
        key = "-" + "A" * 42
        answer = command("officers", "revoke", key, "--as", "admin", "--reason", "lost", "--json")
        assert (answer.code, answer.error["code"]) == (3, "NotFound")
        assert key in answer.error["message"]


class TestList:
    @pytest.mark.usefixtures("database")
    def test_who_has_none_is_shown_too(self, command: Command) -> None:
        answer = command("officers", "list")
        assert [line.split()[:3] for line in answer.out.splitlines()[1:]] == [
            ["reviewer-1", "reviewer", "none"],
            ["reviewer-2", "reviewer", "none"],
            ["legal-head", "legal_head", "none"],
            ["operator-1", "operator", "none"],
            ["duty-1", "duty_officer", "none"],
        ]

    def test_who_has_left_the_registry_keeps_a_row(self, command: Command, enrol: Enrol, tmp_path: Path) -> None:
        enrol("reviewer-2")
        path = tmp_path / "registry.toml"
        path.write_text(path.read_text().replace('"reviewer-2"', '"reviewer-3"'))
        found = officers(command)
        assert (found["reviewer-2"]["roles"], len(found["reviewer-2"]["keys"])) == ([], 1)
        assert found["reviewer-3"]["keys"] == []


class TestTheDoctor:
    def line(self, command: Command) -> tuple[str, str]:
        [found] = [one for one in command("doctor", "--json").json["checks"] if one["what"] == "officer keys"]
        return found["status"], found["found"]

    def test_names_who_cannot_sign(self, command: Command, enrol: Enrol) -> None:
        assert self.line(command) == ("warn", "without a key in force: reviewer-1, reviewer-2, legal-head, duty-1")
        keys = [enrol(officer).json["key"] for officer in ("reviewer-1", "reviewer-2", "legal-head", "duty-1")]
        assert self.line(command) == ("ok", "4 officers can sign their decisions")
        command("officers", "revoke", keys[1], "--as", "admin", "--reason", "lost")
        assert self.line(command) == ("warn", "without a key in force: reviewer-2")


class TestSigningKey:
    def test_is_the_newest_one_in_force_on_this_machine(
        self, command: Command, enrol: Enrol, database: Path, home: Path, passphrases: Path
    ) -> None:
        first, second = enrol("reviewer-1").json["key"], enrol("reviewer-1").json["key"]

        def key() -> str:
            with sqlite3.connect(database) as opened:
                found = opened.execute("SELECT id, officer, revoked_at FROM officer_keys").fetchall()
            rows = [OfficerKeyRow(id=id, officer=officer, revoked_at=at) for id, officer, at in found]  # type: ignore[call-arg]
            return key_id(signing_key(home / "keys", "reviewer-1", rows, passphrases).public_key())

        assert key() == second
        command("officers", "revoke", second, "--as", "admin", "--reason", "lost")
        assert key() == first
        command("officers", "revoke", first, "--as", "admin", "--reason", "lost")
        with pytest.raises(CannotHere, match="officers enrol reviewer-1"):
            key()

    def test_a_wrong_passphrase_opens_nothing(self, enrol: Enrol, home: Path, passphrases: Path) -> None:
        key = enrol("reviewer-1").json["key"]
        passphrases.write_text("another passphrase")
        rows = [OfficerKeyRow(id=key, officer="reviewer-1")]  # type: ignore[call-arg]
        with pytest.raises(BadInput, match="wrong passphrase"):
            signing_key(home / "keys", "reviewer-1", rows, passphrases)

    def test_a_passphrase_file_is_nobody_elses(self, passphrases: Path) -> None:
        passphrases.chmod(0o644)
        with pytest.raises(BadInput, match="others may read"):
            passphrase(passphrases, "a key")
