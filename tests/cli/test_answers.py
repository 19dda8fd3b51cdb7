"""How commands answer: an exit code that says what happened, the answer on standard output, the rest beside it."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from precinto import cli
from precinto.cli.output import Exit, exit_code
from precinto.domain.errors import (
    BadInput,
    BadTarget,
    CannotHere,
    IllegalTransition,
    NotFound,
    NotYet,
    PrecintoError,
    Refused,
    Throttled,
    Unavailable,
)
from precinto.embedded import any_free_port
from tests.cli.conftest import Command

ERRORS = {
    BadInput("registry.toml: authority: Field required"): Exit.USAGE,
    BadTarget("no host name"): Exit.USAGE,
    NotFound("there is no case 'c-1'"): Exit.NOT_FOUND,
    Refused("not_entitled", "'operator-1' is not appointed to approve"): Exit.REFUSED,
    IllegalTransition("illegal_transition", "no"): Exit.REFUSED,
    Unavailable("Temporal does not answer"): Exit.UNREACHABLE,
    Throttled("busy", timedelta(seconds=1)): Exit.UNREACHABLE,
    CannotHere("the program named is missing"): Exit.FAILED,
    NotYet("in force", timedelta(seconds=1)): Exit.FAILED,
    PrecintoError("anything else"): Exit.FAILED,
}


def tree(of: type[PrecintoError]) -> set[type[PrecintoError]]:
    """An error class and all below it."""
    return {of}.union(*(tree(one) for one in of.__subclasses__()))


def test_every_class_of_errors_has_its_exit_code() -> None:
    assert {type(error) for error in ERRORS} == tree(PrecintoError)
    assert {error: exit_code(error) for error in ERRORS} == ERRORS


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``cases`` end in an error."""

    def read(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("precinto.cli.cases.with_installation", read)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line_for_people(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: PrecintoError
) -> None:
    fails(monkeypatch, error)
    answer = command("cases")
    assert (answer.code, answer.out) == (ERRORS[error], "")
    [line] = answer.err.splitlines()
    assert str(error) in line
    assert not isinstance(error, Refused) or line.endswith(f"[{error.code}]")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_json_for_programs(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: PrecintoError
) -> None:
    fails(monkeypatch, error)
    answer = command("cases", "--json")
    code = error.code if isinstance(error, Refused) else type(error).__name__
    assert (answer.code, answer.error) == (ERRORS[error], {"code": code, "message": str(error)})


def test_an_interruption_has_the_shells_code(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, KeyboardInterrupt())
    assert command("cases").code == 130


def test_a_fault_of_ours_is_not_hidden(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, ZeroDivisionError("division by zero"))
    with pytest.raises(ZeroDivisionError):
        command("cases")


# --------------------------------------------------------------------------------------- what really goes wrong


@pytest.mark.parametrize("words", [["nonsense"], ["show"], ["decide", "c-1", "perhaps", "--as", "x", "--reason", "y"]])
def test_a_command_that_is_not_understood(command: Command, words: list[str]) -> None:
    answer = command(*words)
    assert (answer.code, answer.out) == (2, "")
    assert "Usage: " in answer.err
    as_json = command(*words, "--json")
    assert as_json.code == 2
    assert as_json.error["code"] == "Usage"
    assert as_json.error["message"]


def test_a_wrong_setting(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECINTO_SWEEP_SECONDS", "0")
    answer = command("cases", "--json")
    assert answer.code == 2
    assert answer.error["message"].startswith("PRECINTO_SWEEP_SECONDS: ")


@pytest.mark.usefixtures("database")
def test_a_registry_that_is_missing(command: Command, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PRECINTO_REGISTRY", str(home / "none.toml"))
    answer = command("sweep")
    assert answer.code == 2
    assert answer.err == f"error: {home}/none.toml: cannot be read: No such file or directory\n"
    for words in (["cases"], ["ledger", "verify"]):  # the records can be looked at without
        assert command(*words).code == 0


@pytest.mark.parametrize("words", [["cases"], ["show", "c-1"], ["ledger", "verify"], ["sweep"]])
def test_a_home_without_a_database_is_left_as_it_is(command: Command, home: Path, words: list[str]) -> None:
    answer = command(*words)
    assert answer.code == 1
    assert answer.err == (
        "cannot do that here: the database has no tables yet: run 'python starter.py up', or 'bootstrap'\n"
    )
    assert not home.exists()


@pytest.mark.parametrize("version", ["0002", "9999"])
def test_a_database_of_another_version_says_what_helps(command: Command, database: Path, version: str) -> None:
    """Not an error of SQL in the middle of something."""
    with sqlite3.connect(database) as opened:
        opened.execute("UPDATE alembic_version SET version_num = ?", [version])
    answer = command("cases")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        "cannot do that here: the database is of another version and needs migrating: run 'python starter.py up', "
        "or 'bootstrap'\n"
    )


@pytest.mark.parametrize("url", ["sqlite+aiosqlite", "mysql://127.0.0.1/precinto"])
def test_an_address_that_is_no_databases(command: Command, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PRECINTO_DATABASE_URL", url)
    answer = command("cases", "--json")
    assert (answer.code, answer.error["code"]) == (2, "BadInput")
    assert "database_url" in answer.error["message"]


def test_a_database_that_does_not_answer(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "correct-horse"  # noqa: S105 - looked for where it must not be
    url = f"postgresql+psycopg://precinto:{secret}@127.0.0.1:{any_free_port()}/precinto"
    monkeypatch.setenv("PRECINTO_DATABASE_URL", url)
    answer = command("cases")
    assert answer.code == 7
    [line] = answer.err.splitlines()
    assert line.startswith("not reachable: the database does not answer: ")
    assert secret not in line


def test_a_case_that_does_not_exist(command: Command, database: Path) -> None:
    answer = command("show", "c-none", "--json")
    assert (answer.code, answer.error) == (3, {"code": "NotFound", "message": "there is no case 'c-none'"})


@pytest.mark.usefixtures("database")
def test_no_engine_at_all(command: Command) -> None:
    answer = command("sweep")
    assert answer.code == 7
    assert answer.err.startswith("not reachable: no Temporal server runs for this installation: start ")


@pytest.mark.usefixtures("database")
def test_an_engine_that_does_not_answer(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECINTO_TEMPORAL_ADDRESS", address := f"127.0.0.1:{any_free_port()}")
    answer = command("sweep")
    assert answer.code == 7
    assert answer.err.startswith(f"not reachable: Temporal does not answer at {address}: ")


@pytest.mark.usefixtures("database", "engine")
def test_a_namespace_that_is_not_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECINTO_TEMPORAL_NAMESPACE", "no-such-namespace")
    answer = command("sweep")
    assert answer.code == 7
    assert answer.err.startswith("not reachable: Temporal says no: ")
    assert "no-such-namespace" in answer.err


@pytest.mark.usefixtures("database", "engine")
def test_an_engine_without_a_worker(command: Command) -> None:
    """A sweep that nobody does would be waited for for ever."""
    answer = command("sweep", "isp1")
    assert answer.code == 7
    assert answer.err == "not reachable: no worker serves the queue cases: is 'up' or worker.py running?\n"


@pytest.mark.usefixtures("database")
def test_an_isp_that_is_not_in_the_registry(command: Command) -> None:
    answer = command("sweep", "isp1", "oeste")
    assert answer.code == 3
    assert answer.err == "error: the registry has no ISP oeste; it has isp0, isp1\n"


def test_the_exit_codes_of_a_process_are_those_of_the_command(home: Path) -> None:
    import subprocess
    import sys

    starter = Path(cli.__file__).parents[2] / "starter.py"
    for words, code in ((["--help"], 0), (["cases"], 1), (["nonsense"], 2)):
        ran = subprocess.run(
            [sys.executable, starter, *words], capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == code, ran.stderr
        assert "Traceback" not in ran.stderr
