"""The letter of an order: a PDF/A in two languages, the same bytes each time, whatever its targets are called."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest

from precinto.domain.intake import Service
from precinto.domain.model import canonical_json, digest
from precinto.domain.notification import Method
from precinto.domain.order_document import AuthorityCard, DocumentKind, document
from precinto.domain.orders import EndReason
from precinto.domain.procedures import Bilingual, Language
from precinto.domain.review import Outcome, Role
from precinto.reports import order, pdf
from precinto.reports.order import RECIPE, TEMPLATES, render, template_digest
from tests.orders import CARD, paper

HOSTILE = '#panic("x") $ \\ *_` <script> \u202e// [[ " \x01 \u0645 é 日本語'
LONG = ".".join(["a" * 63] * 4)
LANGUAGES = get_args(Language)
KINDS = tuple(DocumentKind)

pytestmark = pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext (poppler-utils)")


def pages(letter: bytes) -> list[str]:
    """The text of each page, as a reader's program finds it."""
    done = subprocess.run(["pdftotext", "-layout", "-", "-"], input=letter, capture_output=True, check=True)
    return done.stdout.decode().rstrip("\f").split("\f")


def text(letter: bytes) -> str:
    """All of it, in one line."""
    return re.sub(r"\s+", " ", " ".join(pages(letter)))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_pdf_a_and_the_same_bytes_twice(kind: DocumentKind, language: Language) -> None:
    one = paper(kind=kind, version=2, replaces="2026-000001 v1", standing_order="2026-000009")
    letter = render(one, language)
    assert letter == render(one, language)
    assert b"<pdfaid:part>2</pdfaid:part>" in letter
    assert b"<pdfaid:conformance>B</pdfaid:conformance>" in letter
    assert b"/OutputIntents" in letter
    assert b"/Encrypt" not in letter


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_what_the_signed_document_says(language: Language) -> None:
    one = paper()
    said, letter = document(one, language), text(render(one, language))
    for part in (
        said["number"],
        said["authority"]["name"],
        said["authority"]["address"],
        said["legal_basis"]["text"],
        said["legal_basis"]["code"],
        said["reasons"][0]["text"],
        said["reasons"][0]["provision"],
        said["facts"]["case"],
        said["facts"]["bundle"],
        said["locations"][0]["target"],
        said["locations"][0]["measure"],
        said["report_effect_to"],
        said["redress"]["objections_at"],
        said["decisions"][0]["officer"],
        said["decisions"][0]["statement"],
        said["decisions"][0]["kid"],
        f"{one.valid_until:%Y-%m-%d %H:%M:%S} UTC",
    ):
        assert part in letter


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_page_names_the_order_and_what_is_signed(language: Language) -> None:
    one = paper([f"mirror-{n}.example" for n in range(400)])
    found = pages(render(one, language))
    for number, page in enumerate(found, start=1):
        assert digest(canonical_json(document(one, language))) in page
        assert re.search(rf"2026-000001 v1 .* {number} / {len(found)}", page)
    assert sum(page.count("mirror-") for page in found) == 400


@pytest.mark.parametrize(("kind", "title"), [("end", "Levantamiento de bloqueo"), ("stay", "Suspensión de la orden")])
def test_what_lifts_a_block_orders_none(kind: DocumentKind, title: str) -> None:
    letter = text(render(paper(kind=kind), "es"))
    assert title in letter
    assert "restablezcan el acceso" in letter
    assert "impidan" not in letter


@pytest.mark.parametrize("reason", EndReason)
def test_an_end_says_why_and_needs_no_decision(reason: EndReason) -> None:
    over = paper(kind="end", end_reason=reason, decisions=(), grounds=())
    words = _words("en")
    letter = text(render(over, "en"))
    assert f"Reason of the end: {words['end_reasons'][reason]}." in letter
    assert words["no_decision"] in letter


def test_what_follows_an_order_says_what_becomes_of_it() -> None:
    assert "without interruption" in text(render(paper(kind="renewal"), "en"))
    assert "The stay is over" in text(render(paper(kind="resumption"), "en"))
    assert "suspended, not ended" in text(render(paper(kind="stay"), "en"))


def test_a_decision_of_before_there_were_signatures_is_marked() -> None:
    (one,) = paper().decisions
    assert "not signed" in text(render(paper(decisions=(one.model_copy(update={"kid": None}),)), "en"))


def test_what_the_authority_does_not_state_is_printed_as_not_stated() -> None:
    bare = AuthorityCard(id="autoridad", name=Bilingual(es="autoridad", en="autoridad"))
    assert text(render(paper(authority=bare, territory=None), "en")).count("not stated") == 4
    assert text(render(paper(authority=CARD), "en")).count("not stated") == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_strangers_name_is_data_and_never_markup(language: Language) -> None:
    letter = text(render(paper([HOSTILE, "xn--mgbh0fb.example"]), language))
    assert '#panic("x") $ \\ *_` <script> \\u{202e}// [[ ' in letter
    assert "\\u{645}" in letter
    assert "xn--mgbh0fb.example" in letter
    assert not set("\u202e\x01\u0645") & set(letter)


def test_what_people_copy_has_no_unseen_characters_in_it() -> None:
    names = ["a-name-that-is-a-bit-longer-than-most.fits.example", "flvto.biz"]
    one = paper(names, number="2026-AUTORIDAD-DERECHO-000001")
    letter = text(render(one, "es"))
    for exact in (*names, one.number, one.targets[0].measure, one.facts.bundle, one.decisions[0].kid, CARD.contact):
        assert str(exact) in letter


def test_a_name_in_other_letters_is_shown_as_people_write_it_beside_what_counts() -> None:
    letter = text(render(paper(["xn--piratera-i2a.example"]), "es"))
    assert "xn--piratera-i2a.example" in letter
    assert "piratería.example" in letter


def test_nothing_runs_over_the_edge_of_the_page(tmp_path: Path) -> None:
    wide = paper([LONG], number="N" * 64, standing_order="S" * 64, basis="B" * 64, procedure="P" * 2_000)
    (tmp_path / "wide.pdf").write_bytes(render(wide, "en"))
    done = subprocess.run(
        ["pdftotext", "-bbox", tmp_path / "wide.pdf", "-"], capture_output=True, text=True, check=True
    )
    right = [float(edge) for edge in re.findall(r'<word [^>]*xMax="([\d.]+)"', done.stdout)]
    a4, margin = 595.28, 62.3
    assert len(right) > 100
    assert max(right) <= a4 - margin + 1


class TestWords:
    def test_both_languages_say_the_same_things(self) -> None:
        spanish, english = (_words(one) for one in LANGUAGES)
        assert _keys(spanish) == _keys(english)

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_there_are_words_for_all_that_can_be_told(self, language: Language) -> None:
        words = _words(language)
        assert set(words["kinds"]) == {one.value for one in DocumentKind}
        assert set(words["end_reasons"]) == {one.value for one in EndReason}
        assert set(words["roles"]) == {one.value for one in Role}
        assert set(words["outcomes"]) == {one.value for one in Outcome}
        assert set(words["services"]) == {one.value for one in Service}
        assert set(words["methods"]) == set(words["means"]) == {one.value for one in Method}

    def test_the_letter_prints_the_commands_that_check_it(self) -> None:
        recipe = (TEMPLATES / RECIPE).read_text(encoding="utf-8")
        assert re.sub(r"\s+", " ", recipe).strip() in text(render(paper(), "es"))


class TestSignOff:
    @pytest.fixture
    def templates(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The templates, to be changed."""
        shutil.copytree(TEMPLATES, tmp_path / "templates")
        monkeypatch.setattr(order, "TEMPLATES", tmp_path / "templates")
        monkeypatch.setattr(pdf, "TEMPLATES", tmp_path / "templates")
        return tmp_path / "templates"

    def test_what_nobody_has_signed_off_says_so(self) -> None:
        assert "aún no aprobada por la autoridad" in text(render(paper(), "es"))
        assert "not signed off yet" in text(render(paper(), "en"))

    def test_what_was_signed_off_says_by_whom_and_when(self, templates: Path) -> None:
        _change(templates, signed_off={"by": "legal_head", "on": "2026-11-25", "template": template_digest("es")})
        letter = text(render(paper(), "es"))
        assert "aprobada por jefatura legal el 2026-11-25" in letter
        assert "aún no" not in letter
        assert "not signed off yet" in text(render(paper(), "en"))

    def test_a_change_afterwards_undoes_it(self, templates: Path) -> None:
        _change(templates, signed_off={"by": "legal_head", "on": "2026-11-25", "template": template_digest("es")})
        _change(templates, ends="El bloqueo dura lo que dure.")
        assert "aún no aprobada" in text(render(paper(), "es"))
        shutil.copy(TEMPLATES / "order.es.json", templates)
        before = template_digest("es")
        with (templates / "order.typ").open("a") as layout:
            layout.write("// changed\n")
        assert template_digest("es") != before


def _words(language: Language) -> dict[str, Any]:
    return json.loads((TEMPLATES / f"order.{language}.json").read_text(encoding="utf-8"))


def _change(templates: Path, **changes: object) -> None:
    path = templates / "order.es.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), encoding="utf-8")


def _keys(words: dict[str, Any]) -> set[str]:
    return set(words) | {f"{key}.{one}" for key, said in words.items() if isinstance(said, dict) for one in said}
