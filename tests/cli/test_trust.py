"""``evidence trust``: what is given to those who check, by another way than the bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from precinto.adapters.seals.identity import ROOT, issue_sealing_identity
from precinto.bundle.trust import FORMER, Trust
from tests.cli.conftest import STAMPERS, Command


@pytest.fixture
def sealing(home: Path, tmp_path: Path) -> Path:
    """The installation's sealing folder; the time-stamp authorities have roots of their own."""
    for name in STAMPERS:
        (tmp_path / f"{name}.pem").write_bytes(issue_sealing_identity(tmp_path / name, name).root.read_bytes())
    issue_sealing_identity(home / "sealing", "autoridad")
    return home / "sealing"


def test_the_roots_in_use(command: Command, sealing: Path, tmp_path: Path) -> None:
    answer = command("evidence", "trust", "--to", str(tmp_path / "trust"))
    assert answer.out == f"{tmp_path}/trust: the authority's root, and those of 2 time-stamp authorities\n"
    assert set(Trust.read(tmp_path / "trust").timestamps) == set(STAMPERS)


def test_a_change_of_roots(command: Command, sealing: Path, tmp_path: Path) -> None:
    """Without the former root nothing is written; with it, both are."""
    command("evidence", "trust", "--to", str(tmp_path / "trust"))
    old = (sealing / ROOT).read_bytes()
    (sealing / ROOT).write_bytes(issue_sealing_identity(tmp_path / "new", "autoridad").root.read_bytes())
    refused = command("evidence", "trust", "--to", str(tmp_path / "trust"), "--json")
    assert (refused.code, refused.error["code"]) == (2, "BadInput")
    assert f"keep it in {sealing / FORMER} first" in refused.error["message"]
    (sealing / FORMER).mkdir()
    (sealing / FORMER / "authority_2024-03-01_2026-05-01.pem").write_bytes(old)
    answer = command("evidence", "trust", "--to", str(tmp_path / "trust"), "--json")
    assert answer.json["former"] == [
        {"of": "authority", "since": "2024-03-01T00:00:00+00:00", "until": "2026-05-01T00:00:00+00:00"}
    ]
    told = command("evidence", "trust", "--to", str(tmp_path / "trust")).out.splitlines()
    assert told[1:] == ["former root of authority: counted from 2024-03-01 00:00:00 until 2026-05-01 00:00:00"]
