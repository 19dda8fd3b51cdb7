"""The order as a letter: PDF/A-2b, in Spanish or English.

The words of a letter are law, so each language's are signed off by the authority: ``signed_off`` in the file of words,
with the digest of what was read. A template that was changed since is no longer signed off, and says so in print.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import idna

from precinto.domain.model import canonical_json, digest
from precinto.domain.order_document import Paper, document
from precinto.domain.procedures import Language
from precinto.reports.pdf import TEMPLATES, compile_pdf, shown

_FOOT = 40
"""Characters of the authority's name at the foot of each page."""

TEMPLATE, RECIPE = "order.typ", "order-verify.sh"


def render(paper: Paper, language: Language) -> bytes:
    """The PDF; the same bytes for the same paper.

    Each page names the SHA-256 of the order's canonical JSON in that language, which is what is signed.
    """
    order, words = document(paper, language), f"order.{language}.json"
    content = {
        "order": order,
        "title": f"{paper.number} v{paper.version}",
        "short": f"{_shortened(order['authority']['name'])} · {paper.number} v{paper.version}",
        "digest": digest(canonical_json(order)),
        "issued": _moment(paper.issued_at),
        "from": _moment(paper.valid_from),
        "until": _moment(paper.valid_until),
        "sealed": _moment(paper.facts.sealed_at),
        "stamped": [_moment(at) for at in paper.facts.stamped_at],
        "targets": [one.model_dump(mode="json") | {"unicode": _unicode(one.target)} for one in paper.targets],
        "methods": sorted({one.method for one in paper.targets}),
        "decisions": [one.model_dump(mode="json") | {"at": _moment(one.at)} for one in paper.decisions],
        "recipe": (TEMPLATES / RECIPE).read_text(encoding="utf-8").rstrip(),
        "template": template_digest(language),
        "signed_off": _signed_off(language),
    }
    return compile_pdf(TEMPLATE, words, content, paper.issued_at)


def template_digest(language: Language) -> str:
    """SHA-256 of everything that a letter in this language consists of, its sign-off apart."""
    words = {key: value for key, value in _words(language).items() if key != "signed_off"}
    files = [(TEMPLATES / name).read_bytes() for name in (TEMPLATE, RECIPE)]
    return digest(b"\0".join([canonical_json(words), *files]))


def _signed_off(language: Language) -> dict[str, str] | None:
    said: dict[str, str] | None = _words(language)["signed_off"]
    return said if said and said["template"] == template_digest(language) else None


def _words(language: Language) -> dict[str, Any]:
    return json.loads((TEMPLATES / f"order.{language}.json").read_text(encoding="utf-8"))


def _unicode(target: str) -> str | None:
    """How people write an A-label, where that can be printed; the A-label stands beside it, and is what counts."""
    try:
        written = idna.decode(target)
    except (idna.IDNAError, UnicodeError):
        return None
    return written if written != target and shown(written) else None


def _shortened(name: str) -> str:
    return name if len(name) <= _FOOT else f"{name[: _FOOT - 1].rstrip()}…"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
