"""The report on a bundle: a PDF/A in two languages, whatever a page calls itself."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from precinto.domain.custody import Act, next_record
from precinto.domain.evidence import Finding, FindingKind, Missing
from precinto.domain.model import digest
from precinto.ports import FiledStamp
from precinto.reports.evidence import Language, evidence_report
from tests.store.steps import manifest

MOMENT = datetime(2026, 11, 24, 13, tzinfo=UTC)
HOSTILE = '#panic("x") $ \\ *_` <script> \u202e// [[ " é 日本語'


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
