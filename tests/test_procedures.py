"""Procedure files where the settings say; what may be in one is tested in ``tests/domain/test_terms.py``."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from precinto.domain.errors import BadInput
from precinto.procedures import load_terms
from precinto.settings import Settings

PROCEDURES = Path(__file__).resolve().parents[1] / "procedures"


@pytest.mark.parametrize("path", sorted(PROCEDURES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_procedure_of_ours_can_be_loaded(path: Path) -> None:
    terms = load_terms(path)
    assert terms.procedure == path.stem == tomllib.loads(path.read_text())["name"]
    assert terms.comply < terms.order


def test_new_cases_run_under_the_precautionary_measure_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROCEDURES.parent)
    monkeypatch.delenv("PRECINTO_PROCEDURE", raising=False)
    assert load_terms(Settings().procedure).order == timedelta(days=30)


def test_a_file_that_is_not_there_is_named_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"^{tmp_path}/procedure.toml: No such file or directory$"):
        load_terms(tmp_path / "procedure.toml")


def test_a_folder_in_its_place_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Is a directory"):
        load_terms(tmp_path)


def test_a_mistake_in_it_is_named_by_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "procedure.toml"
    path.write_text((PROCEDURES / "demo.toml").read_text().replace("seconds = 18", "seconds = 0"))
    with pytest.raises(BadInput, match=r"^procedure\.toml: order: Input should be greater than 0"):
        load_terms(path)


def test_another_encoding_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "procedure.toml"
    path.write_bytes('name = "año"'.encode("cp1252"))
    with pytest.raises(BadInput, match=r"^procedure\.toml: not TOML: .*utf-8"):
        load_terms(path)
