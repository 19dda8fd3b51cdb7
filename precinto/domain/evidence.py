"""Evidence: what a capture leaves, the digest that stands for all of it, and the guards that can hold a case.

Guards can hold, never release: a finding sends the case to two humans; the lack of one releases nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import Field

from precinto.domain.intake import Service, Target, shared_platform
from precinto.domain.model import Digest, Instant, Value, canonical_json, digest


class EvidenceItem(Value):
    """One captured file.

    Attributes:
        name: File name inside the bundle, for example ``screenshot.png``.
        media_type: Its media type.
        size: Bytes.
        sha256: Digest of the bytes, under which the blob store holds them.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")
    media_type: str
    size: int = Field(ge=0)
    sha256: Digest


class Missing(Value):
    """Something that a whole capture would hold and this one does not, and why: completeness is part of the proof.

    Attributes:
        what: A file, a step of the recipe, or the address of a request without its body.
        reason: Why it is not there.
    """

    what: str = Field(min_length=1, max_length=2_100)
    reason: str = Field(min_length=1, max_length=500)


class Clock(Value):
    """How far the clock that a capture was timed by could be trusted.

    Attributes:
        synchronised: Whether the system says that its clock follows a time server.
        offset_us: Correction still outstanding, in microseconds; None where the system does not tell.
        error_us: Largest error the system admits, in microseconds; None where it does not tell.
        source: Who said so.
    """

    synchronised: bool
    offset_us: int | None
    error_us: int | None
    source: str


class Manifest(Value):
    """What a bundle consists of; its canonical JSON is what is signed, stamped and decided on.

    Attributes:
        v: Version of this format.
        case: Case id.
        attempt: Which attempt at capturing this case, from 1: each retry is a new one, and failed ones are sealed too.
        target: What was captured.
        service: What the service does, which chose the recipe.
        recipe: Digest of the capture recipe that was followed; None where there is none.
        started_at: When the capture began.
        finished_at: When it ended.
        vantage: Where the capture was made from.
        clock: The clock that these times are of.
        tools: Name and version of each program that took part.
        addresses: Addresses the target's names resolved to. Evidence only: never a target.
        failure: Why the capture failed, or None.
        missing: What a whole capture would hold beside.
        items: The files, sorted by name.
    """

    v: int = 1
    case: str
    attempt: int = Field(ge=1)
    target: Target
    service: Service
    recipe: Digest | None
    started_at: Instant
    finished_at: Instant
    vantage: str
    clock: Clock
    tools: dict[str, str]
    addresses: dict[str, tuple[str, ...]]
    failure: str | None = None
    missing: tuple[Missing, ...] = ()
    items: tuple[EvidenceItem, ...]

    def canonical(self) -> bytes:
        """The bytes that are stored, sealed and decided on."""
        return canonical_json(self.model_dump(mode="json"))

    def bundle_digest(self) -> str:
        """The digest that a reviewer's decision names."""
        return digest(self.canonical())


class FindingKind(StrEnum):
    """What a guard saw."""

    PROTECTED_NAME = "protected_name"
    SHARED_PLATFORM = "shared_platform"


class Finding(Value):
    """One reason to hold a case for two humans.

    Attributes:
        kind: What was seen.
        detail: Which entry of which list matched.
        source: Where that list comes from, and its date.
    """

    kind: FindingKind
    detail: str
    source: str


class ProtectedName(Value):
    """An entry of a guard list: the name and everything below it.

    Attributes:
        name: A domain, A-labels.
        reason: Why it is protected: government, bank, top site, shared platform, ISP.
        source: The list it stands on, with its date.
    """

    name: str
    reason: str
    source: str


def guard(target: Target, protected: Iterable[ProtectedName]) -> tuple[Finding, ...]:
    """Look a target up in the guard lists.

    A name is protected when it equals or lies below an entry; by label, never by substring (a list that matched
    ``google`` anywhere let ``google-free-movies.example`` through).
    """
    host = target.host
    if host is None:
        return ()
    findings = [
        Finding(
            kind=FindingKind.PROTECTED_NAME,
            detail=f"{host} is {entry.name} or below it ({entry.reason})",
            source=entry.source,
        )
        for entry in protected
        if host == entry.name or host.endswith("." + entry.name)
    ]
    if platform := shared_platform(host):
        findings.append(
            Finding(
                kind=FindingKind.SHARED_PLATFORM,
                detail=f"{host} is a customer of the shared platform {platform}",
                source="public suffix list, private section",
            )
        )
    return tuple(findings)
