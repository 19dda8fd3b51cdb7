"""What the files of a capture tell of a target, without asking anybody: header fields, certificate, fingerprints.

The files were written by our own programs, but much of their content by the site; reading is bounded, and runs in a
thread so that a heavy page holds up no other work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from precinto.adapters.investigators import certificates
from precinto.adapters.investigators.certificates import Certificate, read_shown, server_certificate
from precinto.adapters.investigators.fingerprints import take
from precinto.domain.apps import AppFacts
from precinto.domain.evidence import Missing
from precinto.domain.fingerprints import Fingerprints
from precinto.domain.intake import Target, TargetKind
from precinto.domain.proportionality import Question

FACTS, TLS, RESPONSE, APP = "facts.json", "tls.json", "response.json", "app.json"

HEADERS = 200
ENDPOINTS = 500

_HEADER = 1_000
_APPS = frozenset({TargetKind.MOBILE_APP, TargetKind.DESKTOP_APP})


class _Response(BaseModel):
    """What is read of ``response.json``, which says more."""

    url: str | None = None
    headers: list[tuple[str, str]] = []


@dataclass(frozen=True)
class Kept:
    """What was read.

    Attributes:
        headers: Header fields of the site's answer, names in lower case; None where there was no answer.
        endpoints: Hosts that the app's file names; None where there is no app, or no file.
        certificate: What the host showed; None where none is on record.
        tls: Content of ``tls.json``; None where no connection is on record.
        prints: Fingerprints of the page.
        missing: What could not be read.
    """

    headers: tuple[tuple[str, str], ...] | None
    endpoints: tuple[str, ...] | None
    certificate: Certificate | None
    tls: dict[str, Any] | None
    prints: Fingerprints
    missing: tuple[Missing, ...]


def read_kept(target: Target, host: str | None, folder: Path) -> Kept:
    """Read the files of a capture.

    Args:
        target: What was captured.
        host: The host that the facts are about: the target's own, or that of an app's page.
        folder: Where the files lie.
    """
    missing: list[Missing] = []

    def lacks(question: Question, reason: str) -> None:
        missing.append(Missing(what=f"{FACTS}: {question}", reason=reason[:500]))

    shown, certificate = None, None
    try:
        shown = read_shown(folder)
        certificate = server_certificate(shown or (), host) if host else None
    except ValueError as error:
        missing.append(Missing(what=TLS, reason=f"{certificates.FILE}: {error}"[:500]))
    response = _response(folder / RESPONSE)
    headers = tuple((name.lower()[:_HEADER], value[:_HEADER]) for name, value in response.headers[:HEADERS]) or None
    endpoints = _endpoints(folder / APP) if target.kind in _APPS else None
    if host and certificate is None:
        lacks(Question.CERTIFICATE, f"no certificate of {host} is on record")
    if host and headers is None:
        lacks(Question.HEADERS, "no answer of the site is on record")
    if target.kind in _APPS and endpoints is None:
        lacks(Question.ENDPOINTS, "the app's file was not read")
    prints, untaken = take(host, response.url or "", folder, certificate)
    tls = certificates.facts(shown) if shown else None
    return Kept(headers, endpoints, certificate, tls, prints, (*missing, *untaken))


def _response(path: Path) -> _Response:
    return _Response.model_validate_json(path.read_bytes()) if path.is_file() else _Response()


def _endpoints(path: Path) -> tuple[str, ...] | None:
    if not path.is_file():
        return None
    try:
        found = AppFacts.model_validate_json(path.read_bytes()).domains
    except ValidationError:
        return None
    return tuple(sorted({name.lower() for name in found}))[:ENDPOINTS]
