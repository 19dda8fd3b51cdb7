"""``escalations``: an inbox for each officer, and a record of who has seen to what."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from precinto.store import Database, Store
from precinto.store.review import raise_escalation
from tests.cli.conftest import Command
from tests.fakes import OFFICERS
from tests.store.steps import open_case


@pytest.fixture
def cases(database: Path) -> list[str]:
    """Two cases that the legal head must look at; the first has waited longer."""

    async def escalate() -> list[str]:
        store = Store(Database(f"sqlite+aiosqlite:///{database}"))
        found: list[str] = []
        for target in ("y2mate.com", "other.example.com"):
            found.append(await open_case(store, target))
            async with store.database.write() as session:
                await raise_escalation(session, found[-1], "isp_unreached", "isp0")
        await store.escalations.address(OFFICERS, datetime.now(UTC))
        await store.database.close()
        return found

    return asyncio.run(escalate())


def test_the_oldest_comes_first_for_whom_it_is_meant(command: Command, cases: list[str]) -> None:
    everybody = command("escalations", "list", "--json").json
    assert [line["case"] for line in everybody] == cases
    assert {(line["what"], line["subject"], tuple(line["to"])) for line in everybody} == {
        ("isp_unreached", "isp0", ("legal-head",))
    }
    assert command("escalations", "list", "--officer", "legal-head", "--json").json == everybody
    assert command("escalations", "list", "--officer", "duty-1", "--json").json == []


def test_people_read_a_table_whose_ids_suffice_to_name_one(command: Command, cases: list[str]) -> None:
    lines = command("escalations", "list").out.splitlines()
    assert lines[0].split() == ["id", "at", "(UTC)", "case", "what", "subject", "for"]
    done = command("escalations", "done", lines[1].split()[0], "--as", "legal-head")
    assert done.code == 0
    assert done.out.startswith(f"{cases[0]}: isp_unreached (isp0): seen to by legal-head at ")
    assert [line["case"] for line in command("escalations", "list", "--json").json] == cases[1:]
    everything = command("escalations", "list", "--all", "--json").json
    assert [line["seen_by"] for line in everything] == ["legal-head", None]
    assert "legal-head at 20" in command("escalations", "list", "--all").out
    assert command("ledger", "verify").code == 0


@pytest.mark.usefixtures("database")
def test_an_empty_inbox_says_so(command: Command) -> None:
    assert command("escalations", "list").out == "nothing waits\n"
    assert command("escalations", "list", "--json").json == []


@pytest.mark.usefixtures("cases")
@pytest.mark.parametrize(
    ("escalation", "officer", "code", "error"),
    [
        (0, "duty-1", 4, "not_addressed"),
        (0, "nobody", 4, "unknown_officer"),
        ("no-such-id", "legal-head", 3, "NotFound"),
    ],
)
def test_only_whom_it_was_put_before_says_that_it_is_seen_to(
    command: Command, escalation: int | str, officer: str, code: int, error: str
) -> None:
    before = command("escalations", "list", "--json").json
    id = before[escalation]["id"] if isinstance(escalation, int) else escalation
    answer = command("escalations", "done", id, "--as", officer, "--json")
    assert (answer.code, answer.error["code"]) == (code, error)
    assert command("escalations", "list", "--json").json == before


@pytest.mark.usefixtures("database")
def test_an_inbox_of_nobody_is_refused(command: Command) -> None:
    answer = command("escalations", "list", "--officer", "nobody", "--json")
    assert (answer.code, answer.error["code"]) == (4, "unknown_officer")
