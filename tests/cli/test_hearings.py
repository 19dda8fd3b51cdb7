"""``hearings`` and ``proceedings``: what was done is said by a named officer, and what must not be is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from precinto.domain.procedures import Heard, Hearing, Skip, Snapshot, Term
from precinto.store import Database, Store
from tests.authority import SECOND, terms
from tests.cli.conftest import Command
from tests.store.steps import TERMS, issue, open_case

OFFICER = ("--as", "legal-head")
BEFORE = TERMS.model_copy(
    update={
        "procedure": TERMS.procedure.model_copy(
            update={
                "hearing": Hearing(
                    when=Heard.BEFORE, term=Term(hours=48, source="the tests"), skip=(Skip.OPERATOR_UNKNOWN,)
                )
            }
        )
    }
)
"""The operator is heard before the order."""

LAPSING = terms(order=60 * SECOND, lapse=40 * SECOND)
"""Without a proceeding, the order lapses."""


async def _opened(database: Path, snapshot: Snapshot, *, ordered: bool) -> str:
    opened = Database(f"sqlite+aiosqlite:///{database}")
    store = Store(opened)
    case = await open_case(store, terms=snapshot)
    if ordered:
        await issue(store, case)
    await opened.close()
    return case


@pytest.fixture
def case(database: Path) -> str:
    """A case whose operator is to be heard."""
    return asyncio.run(_opened(database, BEFORE, ordered=False))


@pytest.fixture
def ordered(database: Path) -> str:
    """A case whose order is in force."""
    return asyncio.run(_opened(database, LAPSING, ordered=True))


def test_a_hearing_from_its_serving_to_its_answer(command: Command, case: str, tmp_path: Path) -> None:
    served = command("hearings", "serve", case, *OFFICER, "--how", "by e-mail to the registered address")
    assert served.code == 0
    assert "the operator may answer until" in served.out
    (tmp_path / "answer.txt").write_text("Hemos retirado todo.", encoding="utf-8")
    text = ("--text-file", str(tmp_path / "answer.txt"))
    answered = command("hearings", "answer", case, *OFFICER, *text, "--json").json
    assert (answered["step"], answered["officer"]) == ("answered", "legal-head")
    assert command("hearings", "ceased", case, *OFFICER, *text).code == 0
    steps = command("hearings", "show", case, "--json").json
    assert [(one["step"], one["text"]) for one in steps] == [
        ("served", "by e-mail to the registered address"),
        ("answered", "Hemos retirado todo."),
        ("ceased", "Hemos retirado todo."),
    ]
    assert "Hemos retirado todo." in command("hearings", "show", case).out
    on_file = command("show", case).out
    assert "answered; recorded by legal-head" in on_file
    assert "Hemos retirado" not in on_file
    erased = ("subjects", "erase", answered["subject"], "--officer", "legal-head", "--reason", "request 17")
    assert command(*erased).code == 0
    assert command("hearings", "show", case).out.count("erased") == 3


def test_it_is_skipped_only_as_the_procedure_allows(command: Command, case: str) -> None:
    wrong = command("hearings", "skip", case, *OFFICER, "--because", "would_defeat", "--json")
    assert (wrong.code, wrong.error["code"]) == (4, "skip_not_allowed")
    skipped = command("hearings", "skip", case, *OFFICER, "--because", "operator_unknown")
    assert (skipped.code, "operator unknown" in skipped.out) == (0, True)
    assert command("hearings", "skip", case, *OFFICER, "--because", "no_time").code == 2


def test_what_was_never_recorded_is_not_there(command: Command, database: Path) -> None:
    assert command("hearings", "show", "nobody-1", "--json").code == 3
    assert command("hearings", "ceased", "nobody-1", *OFFICER).code == 3


def test_a_proceeding_that_is_opened_lifts_the_lapse(command: Command, ordered: str) -> None:
    assert "lapses at" in command("show", ordered).out
    opened = command("proceedings", "open", ordered, *OFFICER, "--number", "000123-2026/CDA", "--json")
    assert (opened.code, opened.json["proceeding"], opened.json["case"]) == (0, "000123-2026/CDA", ordered)
    on_file = command("show", ordered).out
    assert "main proceeding 000123-2026/CDA" in on_file
    assert "lapses at" not in on_file
    other = command("proceedings", "open", ordered, *OFFICER, "--number", "000124-2026/CDA", "--json")
    assert (other.code, other.error["code"]) == (4, "proceeding_open")
    again = command("proceedings", "open", ordered, *OFFICER, "--number", "000123-2026/CDA")
    assert "rests on proceeding 000123-2026/CDA" in again.out
