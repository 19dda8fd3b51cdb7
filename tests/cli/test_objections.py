"""``objections``: filed by an officer, listed without a word of who it was, read whole until it is erased."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from precinto.domain.case import Stage
from precinto.domain.procedures import Snapshot
from precinto.store import Database, Store
from tests.authority import SECOND, Authority, terms, until
from tests.cli.conftest import Answer, Command
from tests.store.steps import TERMS, deliver, issue, open_case

TEXT = "Mi tienda está en el mismo servidor."
NAME, CONTACT = "Lucía Ñandú", "lucia@ejemplo.test"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """What the person wrote."""
    file = tmp_path / "objection.txt"
    file.write_text(TEXT + "\n", encoding="utf-8")
    return file


@pytest.fixture
def case(database: Path) -> str:
    """A case whose order every ISP was told of."""
    return asyncio.run(_in_force(database, TERMS))


async def _in_force(database: Path, snapshot: Snapshot) -> str:
    opened = Database(f"sqlite+aiosqlite:///{database}")
    store = Store(opened)
    case = await open_case(store, terms=snapshot)
    await deliver(store, await issue(store, case), datetime.now(UTC))
    await opened.close()
    return case


def file(command: Command, case: str, text: Path, *more: str, officer: str = "operator-1") -> Answer:
    """File an objection."""
    who = ("--as", officer, "--capacity", "third_party", "--name", NAME, "--contact", CONTACT)
    return command("objections", "file", case, *who, "--text-file", str(text), *more)


def test_what_is_filed_is_listed_without_a_word_of_who_it_was(command: Command, case: str, text: Path) -> None:
    filed = file(command, case, text, "--collateral", "--json").json
    assert (filed["case"], filed["state"], filed["collateral"], filed["minutes_to_correct"]) == (
        case,
        "open",
        True,
        None,
    )
    for listing in (
        command("objections", "list"),
        command("objections", "list", case, "--open", "--json"),
        command("show", case),
        command("show", case, "--json"),
    ):
        assert listing.code == 0
        assert filed["id"] in listing.out
        assert not any(personal in listing.out for personal in (NAME, CONTACT, TEXT))
    assert command("objections", "list", "--json").json == [filed]


def test_it_is_read_whole_until_it_is_erased(command: Command, case: str, text: Path) -> None:
    filed = file(command, case, text, "--json").json
    shown = command("objections", "show", filed["id"]).out
    assert all(personal in shown for personal in (NAME, CONTACT, TEXT))
    as_json = command("objections", "show", filed["id"], "--json").json
    assert (as_json["name"], as_json["contact"], as_json["text"]) == (NAME, CONTACT, TEXT)
    erased = ("subjects", "erase", filed["subject"], "--officer", "legal-head", "--reason", "request 17")
    assert command(*erased).code == 0
    assert command("objections", "show", filed["id"]).out.splitlines()[-2:] == ["text:", "  erased"]
    assert command("objections", "show", filed["id"], "--json").json["text"] is None
    assert command("objections", "list", "--json").json == [filed]
    assert command("ledger", "verify").code == 0


def test_no_line_of_a_stranger_passes_for_one_of_ours(command: Command, case: str, text: Path) -> None:
    text.write_text("uno\n\nsubject ob-1\n", encoding="utf-8")
    filed = file(command, case, text, "--json").json
    lines = command("objections", "show", filed["id"]).out.splitlines()
    assert lines[lines.index("text:") + 1 :] == ["  uno", "  ", "  subject ob-1"]


def test_people_are_told_what_runs_now(command: Command, case: str, text: Path) -> None:
    lines = file(command, case, text, "--collateral").out.splitlines()
    assert lines[0].startswith("OB-")
    assert "to be decided by" in lines[0]
    assert "whether the order is stayed" in lines[1]


@pytest.mark.parametrize(
    ("officer", "code", "error"), [("nobody", 4, "unknown_officer"), ("operator-1", 3, "NotFound")]
)
def test_what_is_refused(command: Command, database: Path, text: Path, officer: str, code: int, error: str) -> None:
    answer = file(command, "nobody-1", text, "--json", officer=officer)
    assert (answer.code, answer.error["code"]) == (code, error)
    assert command("objections", "list", "nobody-1", "--json").code == 3
    assert command("objections", "show", "OB-22222222", "--json").code == 3


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"x" * 20_001])
def test_a_file_that_is_no_text(command: Command, case: str, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    assert file(command, case, path).code == 2
    assert file(command, case, tmp_path / "missing.txt").code == 2


def test_a_wrong_name_is_not_repeated(command: Command, case: str, text: Path) -> None:
    answer = command(
        "objections", "file", case, "--as", "operator-1", "--capacity", "user",
        "--name", "Ñ" * 501, "--contact", CONTACT, "--text-file", str(text),
    )  # fmt: skip
    assert answer.code == 2
    assert answer.err.startswith("error: name: ")
    assert "ÑÑ" not in answer.err


def test_an_appeal_needs_the_engine_before_anything_is_filed(command: Command, case: str, text: Path) -> None:
    """It may suspend the order, and then the case must be told."""
    assert file(command, case, text, "--appeal").code == 7
    assert command("objections", "list", "--json").json == []


async def test_an_appeal_that_suspends_lifts_the_block(authority: Authority, command: Command, text: Path) -> None:
    made = terms(order=600 * SECOND)
    procedure = made.procedure.model_copy(update={"appeal_suspends": True})
    case = await authority.refer("y2mate.com", made.model_copy(update={"procedure": procedure}))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    answer = await asyncio.to_thread(file, command, case, text, "--appeal")
    assert (answer.code, "the order is suspended from now on" in answer.out) == (0, True)
    assert await authority.stage(case) is Stage.STAYED

    async def lifted() -> bool:
        return not any(isp.blocked for isp in authority.isps.values())

    await until(lifted, "the lifting at every ISP")
