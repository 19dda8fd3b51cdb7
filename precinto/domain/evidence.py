"""Evidence: what a capture leaves, the digest that stands for all of it, and the guards that can hold a case.

Guards can hold, never release: a finding sends the case to two humans; the lack of one releases nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from itertools import islice

from pydantic import Field

from precinto.domain.guards import PROTECTED, SHARED, GuardLists, Match
from precinto.domain.intake import Service, Target, shared_platform
from precinto.domain.model import Digest, Instant, Value, canonical_json, digest

STAMPS_NEEDED = 2
"""Time stamps, each of another authority, without which nothing is ordered on a bundle: one may err, or be bought."""


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


MISSING = 2_000
"""Missing things that are named; of further ones it is said how many."""


def named(missing: Iterable[Missing]) -> tuple[Missing, ...]:
    """What is missing, bounded: a hostile page can make any number of it."""
    left = iter(missing)
    first = list(islice(left, MISSING - 1))
    if further := sum(1 for _ in left):
        first.append(Missing(what="further things", reason=f"{further} beyond the {MISSING - 1} that are named"))
    return tuple(first)


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
        v: Version of this format; 1 was never signed.
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

    v: int = 2
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
    """What was found."""

    PROTECTED_NAME = "protected_name"
    PROTECTED_BELOW = "protected_below"
    POINTS_AT_PROTECTED = "points_at_protected"
    POPULAR = "popular"
    SHARED_PLATFORM = "shared_platform"
    SHARED_NETWORK = "shared_network"
    SHARED_CERTIFICATE = "shared_certificate"
    CO_HOSTED = "co_hosted"
    WIDER_THAN_TARGET = "wider_than_target"
    OWN_ADDRESS = "own_address"
    NOTHING_THERE = "nothing_there"
    FAILED_CAPTURE = "failed_capture"
    INCOMPLETE_CAPTURE = "incomplete_capture"
    UNKNOWN = "unknown"
    STALE_LIST = "stale_list"


class Weight(StrEnum):
    """What a finding does: send the case to two humans, or stand in the file for the one who decides."""

    HOLD = "hold"
    NOTE = "note"


class Finding(Value):
    """Something that whoever decides must know.

    Attributes:
        kind: What was found.
        detail: What exactly: which entry of which list matched, which name, which address.
        source: Where that is known from: a list with its date, a file of the capture.
        weight: Whether it holds the case.
    """

    kind: FindingKind
    detail: str = Field(min_length=1, max_length=1_000)
    source: str = Field(min_length=1, max_length=500)
    weight: Weight = Weight.HOLD

    @property
    def holds(self) -> bool:
        """Whether the case needs two humans for it."""
        return self.weight is Weight.HOLD


NO_LISTS = GuardLists()


def guard(target: Target, lists: GuardLists) -> tuple[Finding, ...]:
    """Look a target's name up in the guard lists: all that can be known of it before it was captured.

    A name is protected when it equals or lies below an entry; by label, never by substring (a list that matched
    ``google`` anywhere let ``google-free-movies.example`` through). What lies below the name counts too: a block of
    the name would hit it.

    Args:
        target: What is referred.
        lists: The installation's guard lists, joined with the registry's own names.
    """
    host = target.host
    if host is None:
        return ()
    findings = [
        Finding(
            kind=_kind(match),
            detail=f"{host} is {match.entry} or below it ({match.reason})",
            source=match.source,
            weight=Weight.HOLD if match.holds else Weight.NOTE,
        )
        for match in lists.above(host)
        if match.kind in PROTECTED | SHARED
    ]
    if platform := shared_platform(host):
        findings.append(
            Finding(
                kind=FindingKind.SHARED_PLATFORM,
                detail=f"{host} is a customer of the shared platform {platform}",
                source="public suffix list, private section",
            )
        )
    return (*findings, *_below(host, lists))


def _kind(match: Match) -> FindingKind:
    if match.kind in SHARED:
        return FindingKind.SHARED_PLATFORM
    return FindingKind.PROTECTED_NAME if match.holds else FindingKind.POPULAR


_SHOWN_BELOW = 5
"""Names below the target that a finding shows; the others are counted."""


def _below(host: str, lists: GuardLists) -> Iterable[Finding]:
    """One finding for each list that protects names below the host."""
    found: dict[str, list[str]] = {}
    for match in lists.below(host):
        if match.kind in PROTECTED and match.holds:
            found.setdefault(match.source, []).append(f"{match.entry} ({match.reason})")
    for source, names in found.items():
        more = f" and {len(names) - _SHOWN_BELOW} more" if len(names) > _SHOWN_BELOW else ""
        detail = f"below {host}: {', '.join(names[:_SHOWN_BELOW])}{more}"
        yield Finding(kind=FindingKind.PROTECTED_BELOW, detail=detail[:1_000], source=source)
