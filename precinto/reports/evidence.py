"""The short report on a bundle: PDF/A-2b (ISO 19005-2) by Typst, in Spanish or English.

It is a working copy for readers, made from the sealed files. The proof is the bundle; the report names its digest.
What a page calls itself is a stranger's text: it goes into the document as data, never as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from precinto.domain.custody import CustodyRecord
from precinto.domain.evidence import Finding, Manifest
from precinto.ports import FiledStamp
from precinto.reports.pdf import compile_pdf

PICTURES = ("end.png", "viewport.png", "screenshot.png")
"""Items of a bundle that are shown, the first that it has: what the service did says more than how it greets."""

_LISTED = 60
"""Missing things that are listed; the manifest has all of them."""


class Language(StrEnum):
    """Languages that there are words for."""

    ES = "es"
    EN = "en"


def evidence_report(
    manifest: Manifest,
    findings: Sequence[Finding],
    stamps: Sequence[FiledStamp],
    custody: Sequence[CustodyRecord],
    picture: Path | None,
    language: Language,
) -> bytes:
    """The PDF.

    Args:
        manifest: Of the bundle.
        findings: What the rules of proportionality found.
        stamps: The time stamps over the bundle's signature.
        custody: The chain of custody of the case.
        picture: What the visitor saw (PNG, named as in the bundle), or None.
        language: Of the words; what was captured stays as it is.
    """
    listed = manifest.missing[:_LISTED]
    content = {
        "language": language.value,
        "bundle": manifest.bundle_digest(),
        "manifest": manifest.model_dump(mode="json", include={"case", "attempt", "target", "service", "vantage"}),
        "started": _moment(manifest.started_at),
        "finished": _moment(manifest.finished_at),
        "synchronised": manifest.clock.synchronised,
        "failure": manifest.failure,
        "tools": sorted(manifest.tools.items()),
        "addresses": [[host, ", ".join(found)] for host, found in sorted(manifest.addresses.items())],
        "items": [[item.name, str(item.size), item.sha256] for item in manifest.items],
        "missing": [[one.what[:160], one.reason] for one in listed],
        "unlisted": len(manifest.missing) - len(listed),
        "findings": [[one.weight.value, one.kind.value, one.detail, one.source] for one in findings],
        "stamps": [[stamp.authority, _moment(stamp.at), stamp.token] for stamp in stamps],
        "custody": [[str(one.seq), _moment(one.at), one.actor, one.act.value, one.detail] for one in custody],
        "picture": picture.name if picture else None,
    }
    return compile_pdf("evidence.typ", f"{language.value}.json", content, manifest.finished_at, picture)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
