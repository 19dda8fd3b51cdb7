"""What we call PDF/A is so by its reference validator, veraPDF, whatever stands in it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from precinto.domain.procedures import Language
from precinto.reports.order import render
from tests.orders import paper
from tests.reports.test_order import HOSTILE, KINDS, LONG
from tests.reports.verapdf import Missing, validate


def checked(*files: Path) -> str:
    """What is wrong with them."""
    try:
        return validate(*files)
    except Missing as missing:
        pytest.skip(str(missing))


def test_letters_of_orders(tmp_path: Path) -> None:
    files: list[Path] = []
    for language in get_args(Language):
        for kind in KINDS:
            files.append(tmp_path / f"{kind}-{language}.pdf")
            files[-1].write_bytes(render(paper([HOSTILE, LONG, "xn--piratera-i2a.example"], kind=kind), language))
    assert checked(*files) == ""


def test_the_validator_tells_what_is_none(tmp_path: Path) -> None:
    letter = tmp_path / "letter.pdf"
    letter.write_bytes(render(paper(), "es").replace(b"<pdfaid:part>2</pdfaid:part>", b"<pdfaid:part>1</pdfaid:part>"))
    assert "not PDF/A-2b" in checked(letter)
