"""Procedure files where the settings say, and the holidays that a case snapshots.

What may be in a file is tested in ``tests/domain/test_procedures.py``.
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from sqlmodel import select

from precinto.domain.errors import BadInput
from precinto.domain.procedures import Ground, Hearing, Kind, Procedure, Snapshot, Term
from precinto.domain.review import Outcome
from precinto.procedures import YEARS, load_procedure, snapshot
from precinto.settings import Settings
from precinto.store import Store
from precinto.store.orders import OrderRow
from tests.store.steps import admit, file, open_case, seal

ROOT = Path(__file__).resolve().parents[1]
PROCEDURES = ROOT / "procedures"
SHIPPED = sorted(PROCEDURES.glob("*.toml"))
TODAY = date(2026, 11, 25)
DOCUMENTED = (ROOT / "docs" / "reference" / "procedures.md").read_text(encoding="utf-8")


def shipped(name: str) -> Procedure:
    """A procedure that is shipped."""
    return load_procedure(PROCEDURES / f"{name}.toml")


def written(folder: Path, old: str, new: str) -> Path:
    """The Peruvian precautionary measure, with one thing changed, in a file."""
    text = (PROCEDURES / "peru-precautionary.toml").read_text(encoding="utf-8")
    assert old in text
    path = folder / "procedure.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


class TestShipped:
    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_each_can_be_loaded_and_counted_by(self, path: Path) -> None:
        procedure = load_procedure(path)
        assert procedure.name == path.stem
        kept = snapshot(procedure, TODAY)
        start = datetime(2026, 11, 25, 15, tzinfo=UTC)
        for term in procedure.terms:
            assert kept.due(term, start) > start

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_each_has_a_ground_for_whatever_can_be_decided_under_it(self, path: Path) -> None:
        procedure = load_procedure(path)
        reasons = {outcome for ground in procedure.grounds for outcome in ground.outcomes}
        assert reasons >= set(Outcome) - ({Outcome.RENEW} if not procedure.renewals else set())

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_what_is_not_marked_for_counsel_cites_no_law(self, path: Path) -> None:
        """Nobody has checked a citation against the primary text yet; the demo binds nobody."""
        procedure = load_procedure(path)
        if path.stem == "demo":
            return
        checked = [term.source for term in procedure.terms.values() if not term.verify]
        checked += [ground.source for ground in procedure.grounds if not ground.verify]
        assert [source for source in checked if not source.startswith(("technical: ", "the standing order: "))] == []

    @pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
    def test_each_is_listed_in_the_reference(self, path: Path) -> None:
        assert f"](../../procedures/{path.name})" in DOCUMENTED

    def test_every_kind_is_shipped(self) -> None:
        assert {load_procedure(path).kind for path in SHIPPED} == set(Kind)

    def test_new_cases_run_under_the_precautionary_measure_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(ROOT)
        monkeypatch.delenv("PRECINTO_PROCEDURE", raising=False)
        procedure = load_procedure(Settings().procedure)
        assert procedure.kind is Kind.PRECAUTIONARY
        assert procedure.order.span == timedelta(days=30)

    @pytest.mark.parametrize("model", [Procedure, Hearing, Term, Ground])
    def test_every_key_is_documented(self, model: type[Procedure | Hearing | Term | Ground]) -> None:
        for key in model.model_fields:
            assert f"| `{key}` |" in DOCUMENTED

    def test_the_example_of_the_reference_is_one(self) -> None:
        shown = tomllib.loads(re.findall(r"```toml\n(.*?)```", DOCUMENTED, re.DOTALL)[0])
        real = tomllib.loads((PROCEDURES / "peru-precautionary.toml").read_text(encoding="utf-8"))
        assert {key: real[key] for key in shown} == shown


class TestSnapshot:
    def test_it_holds_three_years_of_holidays_and_says_where_they_are_from(self) -> None:
        kept = snapshot(shipped("peru-precautionary"), TODAY)
        assert {day.year for day in kept.holidays} == {2026, 2027, 2028}
        assert len({day.year for day in kept.holidays}) == YEARS
        assert kept.holidays_source == f"holidays {version('holidays')}, PE"
        assert list(kept.holidays) == sorted(kept.holidays)

    @pytest.mark.parametrize(
        ("day", "law"),
        [
            (date(2026, 6, 7), "Law 31788: Battle of Arica"),
            (date(2026, 7, 23), "Law 31822: Air Force Day"),
            (date(2026, 8, 6), "Law 31530: Battle of Junín"),
            (date(2026, 12, 9), "Law 31381: Battle of Ayacucho"),
        ],
    )
    def test_the_military_days_that_peruvian_laws_made_public_holidays_are_in_it(self, day: date, law: str) -> None:
        assert day in snapshot(shipped("peru-precautionary"), TODAY).holidays, law

    def test_a_part_of_a_country_adds_its_own(self) -> None:
        kept = snapshot(shipped("spain-section-two"), TODAY)
        assert kept.holidays_source.endswith(", ES-MD")
        assert date(2026, 5, 2) in kept.holidays

    def test_closed_days_count_like_holidays(self, tmp_path: Path) -> None:
        path = written(tmp_path, "reminders = ", "closed = [2026-11-26, 2035-01-02]\nreminders = ")
        kept = snapshot(load_procedure(path), TODAY)
        plain = snapshot(shipped("peru-precautionary"), TODAY)
        start = datetime(2026, 11, 25, 15, tzinfo=UTC)
        assert kept.due("review", start) == plain.due("review", start) + timedelta(days=1)
        assert set(kept.holidays) - set(plain.holidays) == {date(2026, 11, 26)}, "one day is no calendar of 2035"

    def test_a_stored_one_does_not_change_with_its_file(self, tmp_path: Path) -> None:
        path = written(tmp_path, "days = 30", "days = 20")
        stored = snapshot(load_procedure(path), TODAY).model_dump_json()
        written(tmp_path, "days = 30", "days = 10")
        assert Snapshot.model_validate_json(stored).span("order") == timedelta(days=20)
        assert snapshot(load_procedure(path), TODAY).span("order") == timedelta(days=10)


class TestFiles:
    def test_one_that_is_not_there_is_named_with_its_path(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=f"^{tmp_path}/procedure.toml: No such file or directory$"):
            load_procedure(tmp_path / "procedure.toml")

    def test_a_folder_in_its_place_is_bad_input(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="Is a directory"):
            load_procedure(tmp_path)

    def test_a_mistake_in_it_is_named_by_file_key_and_reason(self, tmp_path: Path) -> None:
        path = written(tmp_path, "days = 30", "months = 1")
        with pytest.raises(BadInput, match=r"^procedure\.toml: order\.months: Extra inputs are not permitted$"):
            load_procedure(path)

    @pytest.mark.parametrize(
        ("country", "key"), [("XX", "country"), ('PE"\nsubdivision = "LIMA', "subdivision")], ids=["country", "part"]
    )
    def test_a_place_whose_holidays_nobody_knows_is_named(self, tmp_path: Path, country: str, key: str) -> None:
        path = written(tmp_path, 'country = "PE"', f'country = "{country}"')
        with pytest.raises(BadInput, match=rf"^procedure\.toml: {key}: no holidays are known: "):
            load_procedure(path)

    def test_another_encoding_is_bad_input(self, tmp_path: Path) -> None:
        path = tmp_path / "procedure.toml"
        path.write_bytes('name = "año"'.encode("cp1252"))
        with pytest.raises(BadInput, match=r"^procedure\.toml: not TOML: .*utf-8"):
            load_procedure(path)

    def test_a_large_file_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "procedure.toml"
        path.write_bytes(b"#" * 300_000)
        with pytest.raises(BadInput, match=r"^procedure\.toml: more than 262144 bytes are no procedure$"):
            load_procedure(path)


async def test_a_changed_file_changes_new_cases_only(sqlite_store: Store, tmp_path: Path) -> None:
    """Each case keeps the procedure that it was opened under, whole; its order lasts as long as that one says."""
    path, text = tmp_path / "demo.toml", (PROCEDURES / "demo.toml").read_text(encoding="utf-8")
    lengths: dict[str, timedelta] = {}
    cases: list[str] = []
    for target, seconds in (("y2mate.com", 600), ("flvto.biz", 1200)):
        path.write_text(text.replace("[order]\nseconds = 18", f"[order]\nseconds = {seconds}"), encoding="utf-8")
        terms = snapshot(load_procedure(path), datetime.now(UTC).date())
        cases.append(await open_case(sqlite_store, target, terms=terms))
    path.write_text("no procedure at all", encoding="utf-8")
    for case in cases:
        bundle = await seal(sqlite_store, case)
        approval = await file(sqlite_store, case, bundle, "reviewer-1", grounds=("PE-822-37",))
        assert (await admit(sqlite_store, case, approval)).code is None
        async with sqlite_store.database.read() as session:
            order = (await session.exec(select(OrderRow).where(OrderRow.case == case))).one()
        lengths[case] = order.valid_until - order.valid_from
    assert list(lengths.values()) == [timedelta(seconds=600), timedelta(seconds=1200)]
