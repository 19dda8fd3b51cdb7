"""Every command explains itself, at once: help loads nothing of the engine or the database."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
import typer.main

from precinto.cli import app
from tests.cli.conftest import ROOT, Command

HEAVY = (
    "temporalio",
    "sqlmodel",
    "sqlalchemy",
    "pydantic_settings",
    "playwright",
    "httpx",
    "lab",
    "rich.live",
)


def commands() -> list[list[str]]:
    """The words of every command, groups too."""
    found: list[list[str]] = []

    def walk(command: click.Command, words: list[str]) -> None:
        found.append(words)
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*words, name])

    walk(typer.main.get_command(app), [])
    return found


def test_these_are_the_commands() -> None:
    assert {" ".join(words) for words in commands()} == {
        "", "demo", "up", "setup", "bootstrap", "doctor", "refer", "cases", "show", "decide", "sweep",
        "evidence", "evidence verify", "evidence export", "evidence open", "evidence custody", "evidence stamp",
        "evidence trust", "guardlists", "guardlists list", "guardlists check", "guardlists import",
        "networks", "networks import",
        "order", "order list", "order show", "order verify",
        "escalations", "escalations list", "escalations done",
        "objections", "objections file", "objections list", "objections show",
        "hearings", "hearings serve", "hearings answer", "hearings skip", "hearings ceased", "hearings show",
        "proceedings", "proceedings open",
        "standing", "standing draft", "standing enact", "standing list", "standing release", "standing revoke",
        "standing show",
        "ledger", "ledger verify", "ledger export", "ledger anchor",
        "subjects", "subjects list", "subjects erase", "subjects rewrap",
        "officers", "officers list", "officers enrol", "officers revoke",
        "procedures", "procedures check", "procedures list", "procedures show",
    }  # fmt: skip


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_it_has_help_that_says_what_it_does_and_what_each_option_is_for(command: Command, words: list[str]) -> None:
    answer = command(*words, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.lstrip().startswith(f"Usage: starter.py {' '.join(words)}".rstrip())
    one = typer.main.get_command(app)
    for word in words:
        one = one.commands[word]  # pyright: ignore
    assert one.help
    assert " ".join(one.help.split()) in " ".join(answer.out.split())
    for parameter in one.params:
        assert getattr(parameter, "help", None), f"{parameter.name} says nothing"


def test_nothing_at_all_is_answered_with_help(command: Command) -> None:
    answer = command()
    assert answer.code == 2
    assert "Usage: starter.py" in answer.err


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_loads_neither_engine_nor_database(words: list[str]) -> None:
    program = (
        "import sys; from precinto.cli import run; code = run(sys.argv[1:]); "
        f"print('loaded:', sorted(set({HEAVY!r}) & set(sys.modules)), 'code:', code)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.splitlines()[-1] == "loaded: [] code: 0"


def test_starter_is_the_way_in() -> None:
    ran = subprocess.run(
        [sys.executable, "starter.py", "refer", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "--dry-run" in ran.stdout
