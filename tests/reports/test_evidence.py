"""The report on a bundle: a PDF/A in two languages, whatever a page calls itself."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from precinto.domain.custody import Act, next_record
from precinto.domain.evidence import Finding, FindingKind, Missing
from precinto.domain.intake import Service
from precinto.domain.model import digest
from precinto.ports import FiledStamp
from precinto.reports.evidence import Language, evidence_report
from precinto.reports.pdf import TEMPLATES
from tests.store.steps import manifest

MOMENT = datetime(2026, 11, 24, 13, tzinfo=UTC)
HOSTILE = '#panic("x") $ \\ *_` <script> \u202e// [[ " \x01 é 日本語'


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of a page."""
    Image.new("RGB", (1366, 768), "white").save(tmp_path / "viewport.png")
    return tmp_path / "viewport.png"


@pytest.mark.parametrize("language", Language)
def test_it_is_a_pdf_a_in_each_language(language: Language, picture: Path) -> None:
    one = manifest("abc-1")
    stamp = FiledStamp(authority="uno", token=digest(b"token"), at=MOMENT)
    act = next_record(None, case="abc-1", attempt=1, at=MOMENT, actor="engine", act=Act.SEALED)
    finding = Finding(kind=FindingKind.POPULAR, detail="rank 7", source="a list")
    pdf = evidence_report(one, [finding], [stamp], [act], picture, language)
    assert pdf.startswith(b"%PDF-")
    assert b"pdfaid:part" in pdf
    assert pdf == evidence_report(one, [finding], [stamp], [act], picture, language)


@pytest.mark.parametrize("language", Language)
def test_there_are_words_for_all_that_can_be_told(language: Language) -> None:
    words = json.loads((TEMPLATES / f"{language}.json").read_text(encoding="utf-8"))
    assert set(words["kinds"]) == {kind.value for kind in FindingKind}
    assert set(words["acts"]) == {act.value for act in Act}
    assert set(words["services"]) == {service.value for service in Service}


def test_both_languages_say_the_same_things() -> None:
    spanish, english = (json.loads((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("es.json", "en.json"))
    assert _keys(english) == _keys(spanish)


def test_a_strangers_text_is_data_and_never_markup(picture: Path) -> None:
    one = manifest("abc-1").model_copy(
        update={"failure": HOSTILE, "missing": tuple(Missing(what=HOSTILE, reason=HOSTILE) for _ in range(300))}
    )
    finding = Finding(kind=FindingKind.POPULAR, detail=HOSTILE, source=HOSTILE)
    assert evidence_report(one, [finding], [], [], None, Language.ES).startswith(b"%PDF-")


def test_a_picture_that_is_very_long_still_fits_a_page(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (1366, 16_000), "white").save(content, "PNG")
    (tmp_path / "long.png").write_bytes(content.getvalue())
    assert evidence_report(manifest("abc-1"), [], [], [], tmp_path / "long.png", Language.EN).startswith(b"%PDF-")


def test_every_kind_of_finding_and_every_act_can_be_shown() -> None:
    findings = [Finding(kind=kind, detail="a" * 300, source="b" * 300) for kind in FindingKind]
    acts = [next_record(None, case="abc-1", attempt=1, at=MOMENT, actor="o" * 64, act=act) for act in Act]
    assert evidence_report(manifest("abc-1"), findings, [], acts, None, Language.ES).startswith(b"%PDF-")


def _keys(words: dict[str, str | dict[str, str]]) -> set[str]:
    return set(words) | {f"{key}.{one}" for key, said in words.items() if isinstance(said, dict) for one in said}
