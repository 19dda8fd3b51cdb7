"""From a template and its content to a PDF/A-2b (ISO 19005-2), by Typst.

The content is data, never markup: what a stranger wrote cannot become a part of the template. The same content makes
the same bytes on every machine: the fonts are Typst's own, and the only clock is the one that is given.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import typst

TEMPLATES = Path(__file__).parent / "templates"

_UNSHOWN = re.compile(r"[^\n\x20-\x7e\u00a1-\u00ac\u00ae-\u017f\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u20ac]")


def compile_pdf(
    template: str, words: str, content: Mapping[str, Any], at: datetime, picture: Path | None = None
) -> bytes:
    """The PDF.

    Args:
        template: Name of the template, which reads ``content.json`` and ``words.json``.
        words: Name of the file with its words in the language that is wanted.
        content: What goes into it.
        at: The date that the PDF gives for its making.
        picture: What the template shows as ``picture.png``, or None.
    """
    with tempfile.TemporaryDirectory(prefix="precinto-report-") as folder:
        root = Path(folder)
        shutil.copy(TEMPLATES / template, root / template)
        shutil.copy(TEMPLATES / words, root / "words.json")
        (root / "content.json").write_text(json.dumps(_spelled(content)), encoding="utf-8")
        if picture is not None:
            shutil.copy(picture, root / "picture.png")
        pdf = typst.compile(
            root / template,
            root=root,
            ignore_system_fonts=True,
            pdf_standards="a-2b",
            timestamp=at.replace(microsecond=0),
        )
    assert isinstance(pdf, bytes)  # noqa: S101 - one PDF was asked for
    return pdf


def shown(text: str) -> bool:
    """Whether the fonts have every character of a text."""
    return _UNSHOWN.search(text) is None


def _spelled(value: Any) -> Any:
    """A value with each character that the fonts may lack spelled by its number: PDF/A refuses what is not shown."""
    match value:
        case str():
            return _UNSHOWN.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", value)
        case dict():
            return {key: _spelled(part) for key, part in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list() | tuple():
            return [_spelled(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
