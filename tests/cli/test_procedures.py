"""``procedures list``, ``show`` and ``check``."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import pytest

from precinto.cli.output import Exit
from tests.cli.conftest import ROOT, Command

PROCEDURES = ROOT / "procedures"
SHIPPED = sorted(path.stem for path in PROCEDURES.glob("*.toml"))


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation's own folder: one good procedure, which new cases take, and one that is wrong."""
    own = tmp_path / "procedures"
    own.mkdir()
    shutil.copy(PROCEDURES / "spain-section-two.toml", own)
    text = (PROCEDURES / "demo.toml").read_text(encoding="utf-8")
    (own / "wrong.toml").write_text(text.replace("seconds = 18", "fortnights = 1"), encoding="utf-8")
    monkeypatch.setenv("PRECINTO_PROCEDURE", str(own / "spain-section-two.toml"))
    return own


def test_those_that_are_shipped_are_listed_and_the_chosen_one_is_marked(command: Command) -> None:
    answer = command("procedures", "list")
    assert answer.code == Exit.OK
    lines = answer.out.splitlines()[1:]
    assert [line.removeprefix("*").split()[0] for line in lines] == SHIPPED
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["peru-precautionary"]


def test_one_that_is_wrong_is_named_beside_the_others(command: Command, folder: Path) -> None:
    answer = command("procedures", "list", "--json")
    assert answer.code == Exit.PARTIAL
    assert [(one["name"], one["chosen"]) for one in answer.json] == [("spain-section-two", True)]
    assert "refused: wrong.toml: order.fortnights: Extra inputs are not permitted" in answer.err


def test_a_procedure_is_shown_with_the_days_on_which_its_terms_end(command: Command) -> None:
    answer = command("procedures", "show", "peru-precautionary", "--from", "2026-12-04T10:30")
    assert answer.code == Exit.OK
    rows = {line.split("  ")[0]: line for line in answer.out.splitlines() if line}
    assert "from 2026-12-04 10:30 to" in rows["term"]
    assert "5 working days" in rows["review"]
    assert "2026-12-15 23:59:59" in rows["review"], "two holidays and two weekends lie between"
    assert "2027-01-03 10:30:00" in rows["order"], "exact, also on a Sunday"
    assert "to check" in rows["order"]
    assert "PE-822-179" in rows
    assert "America/Lima" in answer.out


def test_programs_get_it_whole(command: Command) -> None:
    answer = command("procedures", "show", "portugal-igac", "--from", "2026-12-04T10:30", "--json")
    assert answer.json["procedure"]["hearing"]["skip"] == ["operator_unknown", "would_defeat"]
    assert answer.json["from"] == "2026-12-04T10:30:00+00:00"
    assert answer.json["ends"]["hearing"] == "2026-12-06T10:30:00+00:00"
    assert "appeal" in answer.json["to_check"]
    assert "2026-12-25" in answer.json["holidays"]
    assert set(answer.json["ends"]) >= {"hearing", "order", "appeal"}


def test_without_a_moment_the_terms_run_from_now(command: Command) -> None:
    answer = command("procedures", "show", "demo", "--json").json
    began, ends = (datetime.fromisoformat(text) for text in (answer["from"], answer["ends"]["order"]))
    assert (ends - began).total_seconds() == 18
    assert abs((datetime.now(began.tzinfo) - began).total_seconds()) < 60


@pytest.mark.parametrize("name", ["nope", "../procedures/demo", "demo.toml"])
def test_one_that_there_is_not_is_not_found(command: Command, name: str) -> None:
    assert command("procedures", "show", name).code == Exit.NOT_FOUND


def test_a_wrong_one_is_not_shown(command: Command, folder: Path) -> None:
    answer = command("procedures", "show", "wrong")
    assert (answer.code, answer.out) == (Exit.USAGE, "")
    assert "wrong.toml: order.fortnights: " in answer.err


def test_a_file_is_checked_and_what_counsel_has_to_check_is_listed(command: Command) -> None:
    answer = command("procedures", "check", str(PROCEDURES / "italy-agcom.toml"))
    assert answer.code == Exit.OK
    assert "italy-agcom: can be used; counsel has to check:" in answer.out
    assert "  comply: Law 93/2023, art. 2(5): thirty minutes from notification" in answer.out
    assert "  grounds.IT-633-1941: Law 633/1941; Law 93/2023, art. 2" in answer.out


def test_good_files_are_checked_beside_wrong_ones(command: Command, folder: Path) -> None:
    good, wrong, gone = (str(folder / f"{name}.toml") for name in ("spain-section-two", "wrong", "gone"))
    answer = command("procedures", "check", good, wrong, gone, "--json")
    assert answer.code == Exit.PARTIAL
    first, second, third = answer.json
    assert first["name"] == "spain-section-two"
    assert second == {"file": wrong, "error": "wrong.toml: order.fortnights: Extra inputs are not permitted"}
    assert third == {"file": gone, "error": f"{gone}: No such file or directory"}


def test_where_none_can_be_used_it_is_a_mistake(command: Command, folder: Path) -> None:
    answer = command("procedures", "check", str(folder / "wrong.toml"))
    assert (answer.code, answer.out) == (Exit.USAGE, "")
    assert answer.err == "refused: wrong.toml: order.fortnights: Extra inputs are not permitted\n"
