"""``refer``: good rows open cases or join them, bad rows are named, and again is the same."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Answer, Command

EXAMPLE = ROOT / "examples" / "referrals" / "stream-rippers.csv"
HEADER = "partner,reference,kind,target,service,work\n"

pytestmark = pytest.mark.usefixtures("database")


def file(folder: Path, *rows: str, name: str = "referrals.csv", header: str = HEADER) -> str:
    """A referral file with these rows."""
    path = folder / name
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return str(path)


def row(target: str, reference: str = "R-1") -> str:
    """A good row."""
    return f"ifpi,{reference},domain,{target},stream-ripper,A catalogue of recordings"


def counts(database: Path) -> dict[str, int]:
    """How many rows the tables hold that a referral writes to."""
    with sqlite3.connect(database) as opened:
        return {
            table: opened.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("cases", "targets", "referrals", "findings", "ledger")
        }


NOTHING = {"cases": 0, "targets": 0, "referrals": 0, "findings": 0, "ledger": 0}


@pytest.mark.usefixtures("engine")
class TestExample:
    """The file that the tutorial refers: five good rows, of which one joins another's case, and a bad one."""

    def test_people_see_what_becomes_of_each_row(self, command: Command, database: Path) -> None:
        answer = command("refer", str(EXAMPLE))
        assert answer.code == 6
        became = {line.split()[2]: line for line in answer.out.splitlines()[1:]}
        assert set(became) == {"flvto.biz", "y2mate.com", "yout.com", "tramites.gob.pe"}
        assert sum("joins the open case" in line for line in answer.out.splitlines()) == 1
        assert "two reviewers" in became["tramites.gob.pe"]
        assert "two reviewers" in became["y2mate.com"]
        assert "two reviewers" not in became["yout.com"]
        assert answer.err.startswith("stream-rippers.csv: line 6: target: ")
        assert len(answer.err.splitlines()) == 1
        assert counts(database) == {"cases": 4, "targets": 4, "referrals": 5, "findings": 2, "ledger": 5}

    def test_programs_get_one_document(self, command: Command) -> None:
        answer = command("refer", str(EXAMPLE), "--json")
        assert (answer.code, answer.err) == (6, "")
        found = answer.json
        assert found["dry_run"] is False
        assert [(one["line"], one["target"], one["opened"], one["hold"]) for one in found["referrals"]] == [
            (2, "flvto.biz", True, False),
            (3, "y2mate.com", True, True),  # it has a large audience: one of the top sites
            (4, "yout.com", True, False),
            (5, "y2mate.com", False, True),
            (7, "tramites.gob.pe", True, True),
        ]
        [bad] = found["bad"]
        assert {key: bad[key] for key in ("file", "line", "column")} == {
            "file": "stream-rippers.csv",
            "line": 6,
            "column": "target",
        }
        assert bad["reason"]

    def test_again_is_the_same(self, command: Command, database: Path) -> None:
        first = command("refer", str(EXAMPLE), "--json").json["referrals"]
        before = counts(database)
        answer = command("refer", str(EXAMPLE), "--json")
        assert answer.code == 6
        assert [one["case"] for one in answer.json["referrals"]] == [one["case"] for one in first]
        assert all(one["known"] and not one["opened"] for one in answer.json["referrals"])
        assert counts(database) == before
        assert "known already" in command("refer", str(EXAMPLE)).out


class TestDryRun:
    """What would become of the rows, without the engine and without a trace."""

    def test_it_writes_nothing_and_needs_no_engine(self, command: Command, database: Path) -> None:
        answer = command("refer", str(EXAMPLE), "--dry-run", "--json")
        assert answer.code == 6
        assert answer.json["dry_run"] is True
        assert [one["opened"] for one in answer.json["referrals"]] == [True, True, True, False, True]
        held = [one["target"] for one in answer.json["referrals"] if one["findings"]]
        assert held == ["y2mate.com", "y2mate.com", "tramites.gob.pe"]
        assert counts(database) == NOTHING

    def test_a_name_on_several_lists_is_one_finding_that_names_them(self, command: Command, tmp_path: Path) -> None:
        path = file(tmp_path, row("tramites.gob.pe"), row("tramites.gob.pe", "R-2"), row("yout.com"))
        first, _, plain = command("refer", path, "--dry-run", "--json").json["referrals"]
        [found] = first["findings"]
        assert (found["kind"], found["weight"]) == ("protected_name", "hold")
        assert [name.partition(",")[0] for name in found["lists"]] == [
            "Domains of governments and armed forces", "Peru: the state outside gob.pe", "test list"
        ]  # fmt: skip
        assert found["details"] == ["tramites.gob.pe is gob.pe or below it (government)"]
        assert plain["findings"] == []

    def test_people_see_each_target_that_is_held_once_with_the_lists(self, command: Command, tmp_path: Path) -> None:
        path = file(tmp_path, row("tramites.gob.pe"), row("tramites.gob.pe", "R-2"), row("yout.com"))
        lines = command("refer", path, "--dry-run").out.splitlines()
        assert ["two reviewers" in line for line in lines[1:4]] == [True, True, False]
        [told] = lines[4:]
        assert told.startswith("tramites.gob.pe: hold, protected name: Domains of governments and armed forces, 20")
        assert told.endswith("; test list")

    @pytest.mark.usefixtures("engine")
    def test_it_names_the_cases_that_the_real_one_opens(self, command: Command) -> None:
        planned = command("refer", str(EXAMPLE), "--dry-run", "--json").json["referrals"]
        taken = command("refer", str(EXAMPLE), "--json").json["referrals"]
        assert [one["case"] for one in planned] == [one["case"] for one in taken]

    def test_who_may_not_open_cases_is_told_before(self, command: Command) -> None:
        answer = command("refer", str(EXAMPLE), "--dry-run", "--as", "reviewer-1", "--json")
        assert (answer.code, answer.error["code"]) == (4, "not_entitled")


class TestBadRows:
    """Each is named by file, line, column and reason; the others go on."""

    def test_each_is_named(self, command: Command, tmp_path: Path) -> None:
        path = file(
            tmp_path,
            row("y2mate.com"),
            "ifpi,R-2,fax,y2mate.com,stream-ripper,work",
            "ifpi,R-3,domain,yout.com,stream-ripper,",
            "ifpi,R-4,domain,yout.com",
            "ifpi,R-5,domain,bad_name,juggling,work",
        )
        answer = command("refer", path, "--dry-run")
        assert answer.code == 6
        assert [line.rpartition(": ")[0] for line in answer.err.splitlines()] == [
            "referrals.csv: line 3: kind",
            "referrals.csv: line 4: work",
            "referrals.csv: line 5: *",
            "referrals.csv: line 6: service",
        ]

    def test_of_several_files_each_has_its_name(self, command: Command, tmp_path: Path) -> None:
        one = file(tmp_path, "ifpi,R-1,domain,,stream-ripper,work", name="one.csv")
        two = tmp_path / "two.json"
        two.write_text(json.dumps([{"partner": "ifpi"}, "nothing"]))
        answer = command("refer", one, str(two), "--dry-run", "--json")
        assert answer.json["referrals"] == []
        assert [(bad["file"], bad["line"], bad["column"]) for bad in answer.json["bad"]] == [
            ("one.csv", 2, "target"),
            ("two.json", 1, "reference"),
            ("two.json", 2, "*"),
        ]

    def test_a_file_of_bad_rows_alone_needs_no_engine(self, command: Command, tmp_path: Path) -> None:
        answer = command("refer", file(tmp_path, "ifpi,R-1,domain,,stream-ripper,work"))
        assert answer.code == 6
        assert answer.err.startswith("referrals.csv: line 2: target: ")

    def test_a_row_cannot_paint_the_terminal(self, command: Command, tmp_path: Path) -> None:
        """A file comes from outside: what it says is text, never a command to the terminal or to the table."""
        path = file(tmp_path, "ifpi,R-1,domain,[red]y2mate.com[/red],stream-ripper,work", row("yout.com\x1b[31m"))
        answer = command("refer", path, "--dry-run")
        assert "\x1b" not in answer.out + answer.err
        assert "[red]" in answer.err


class TestBadFiles:
    """A file that cannot be read as a whole stops the command before anything is taken in."""

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "bad.csv: line 1: the file is empty"),
            (b"partner,reference\n", "bad.csv: line 1: column kind, target, service, work is missing"),
            ("año".encode("cp1252"), "bad.csv: byte 1: not UTF-8"),
        ],
    )
    def test_it_is_named(self, command: Command, tmp_path: Path, database: Path, content: bytes, reason: str) -> None:
        (tmp_path / "bad.csv").write_bytes(content)
        answer = command("refer", file(tmp_path, row("y2mate.com")), str(tmp_path / "bad.csv"), "--json")
        assert (answer.code, answer.error["code"]) == (2, "BadInput")
        assert answer.error["message"].startswith(reason)
        assert counts(database) == NOTHING

    def test_one_that_is_not_there_is_named_with_its_path(self, command: Command, tmp_path: Path) -> None:
        answer = command("refer", str(tmp_path / "none.csv"))
        assert answer.code == 2
        assert answer.err == f"error: {tmp_path}/none.csv: No such file or directory\n"


@pytest.mark.usefixtures("engine")
def test_a_long_file_is_taken_in_page_by_page(command: Command, tmp_path: Path, database: Path) -> None:
    rows = [row(f"ripper-{n}.com", f"R-{n}") for n in range(60)]
    answer = command("refer", file(tmp_path, *rows), "--json")
    assert answer.code == 0
    assert [one["target"] for one in answer.json["referrals"]] == [f"ripper-{n}.com" for n in range(60)]
    assert counts(database)["cases"] == 60


@pytest.mark.usefixtures("engine")
def test_only_operators_refer(command: Command, database: Path) -> None:
    answer = command("refer", str(EXAMPLE), "--as", "reviewer-1", "--json")
    assert (answer.code, answer.error["code"]) == (4, "not_entitled")
    assert counts(database) == NOTHING


@pytest.mark.usefixtures("engine")
def test_the_environment_says_who_acts(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECINTO_OFFICER", "nobody")
    answer: Answer = command("refer", str(EXAMPLE), "--json")
    assert answer.error["code"] == "unknown_officer"
    assert command("refer", str(EXAMPLE), "--as", "operator-1").code == 6
