"""What an order document says: to the ISP that must carry it out, and to whoever is affected and may object.

The same content goes out twice: as a letter for people, and as JSON that the authority signs. Both are made from one
``Paper``, so that neither can say what the other does not. The fields are those that Article 9(2) of Regulation (EU)
2022/2065 (Digital Services Act) asks of an order: they are a good measure for any country's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, model_validator

from precinto.domain.intake import Service
from precinto.domain.model import Digest, Instant, Value
from precinto.domain.orders import EndReason
from precinto.domain.procedures import Bilingual, Language
from precinto.domain.review import Outcome, Role

FORMAT, VERSION = "precinto.order", 1
"""What the JSON calls itself (docs/reference/order.md)."""

MOST_TARGETS = 10_000
"""Targets of one order; its document must still be one that a person can open."""

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""A country by its two letters (ISO 3166-1)."""

Number = Annotated[str, Field(min_length=1, max_length=64)]
Short = Annotated[str, Field(min_length=1, max_length=2_048)]


class DocumentKind(StrEnum):
    """What a version of an order does."""

    ORDER = "order"
    """It begins, by approvals of its own."""
    RELEASE = "release"
    """It begins, under a standing order."""
    RENEWAL = "renewal"
    """It ends later."""
    STAY = "stay"
    """It is suspended: the block is lifted, and may come back."""
    RESUMPTION = "resumption"
    """Its stay is over: the block comes back, for what is left of the order."""
    END = "end"
    """It is over: the block is lifted for good."""

    @property
    def lifts(self) -> bool:
        """Whether the block must be gone under it."""
        return self in {DocumentKind.STAY, DocumentKind.END}


class GroundText(Bilingual):
    """A ground of the order: the provision that is infringed, as a short code, in words, and where it stands."""

    code: Short
    source: Short


class AuthorityCard(Value):
    """The issuing authority, as its orders name it. What is None is printed as not stated.

    Attributes:
        id: As the registry has it.
        name: Its name.
        address: Its postal address.
        contact: E-mail to which ISPs report what effect they gave to an order.
        objections_at: Where objections go: a web or an e-mail address.
        country: Where it has jurisdiction.
    """

    id: Short
    name: Bilingual
    address: Short | None = None
    contact: Short | None = None
    objections_at: Short | None = None
    country: Country | None = None

    @property
    def unstated(self) -> tuple[str, ...]:
        """What an order should say and this card does not."""
        return tuple(key for key in ("address", "contact", "objections_at", "country") if getattr(self, key) is None)


class CaseFacts(Value):
    """What the order rests on.

    Attributes:
        case: The case.
        service: What the service does.
        bundle: Digest of the sealed evidence.
        sealed_at: When it was sealed.
        stamped_at: What moments its time stamps state.
        files: How many files it holds.
        holds: How many findings sent the case to two reviewers.
        notes: How many findings stand in the file beside those.
    """

    case: Short
    service: Service
    bundle: Digest
    sealed_at: Instant
    stamped_at: tuple[Instant, ...]
    files: int = Field(ge=0)
    holds: int = Field(ge=0)
    notes: int = Field(ge=0)


class OrderedTarget(Value):
    """One measure: what is blocked (host names as A-labels), by which method, and the measure's id."""

    target: Short
    method: Short
    measure: Short


class DecisionTaken(Value):
    """A decision that carries the order: who, in which role, what, when; its signed statement, and the key of it.

    ``kid`` is None for what was decided before decisions were signed.
    """

    officer: Short
    role: Role
    outcome: Outcome
    at: Instant
    statement: Short
    kid: Short | None


class Paper(Value):
    """Everything that an order document says.

    Attributes:
        number: Number of the order.
        version: 1 for the order itself, 2, 3, ... for what changed it.
        kind: What this version does.
        authority: Who issues it.
        procedure: Name of the procedure.
        basis: Legal basis as a short code.
        basis_text: The same in words, with the provisions.
        grounds: Why what the targets do is infringing.
        facts: What it rests on.
        targets: What is to be blocked, or no longer.
        territory: The country where it is to be given effect, and nowhere else; None where nobody said.
        valid_from: When this document takes effect.
        valid_until: When the order ends by its date; of an order that is over, when it would have.
        end_reason: Why an order that is over ended.
        replaces: The document that this one replaces (number and version), or None.
        standing_order: Number of the standing order that this one is released under, or None.
        redress: Which remedies there are, for the ISP and for those affected, with their terms.
        decisions: Whose decisions carry it; none where the order comes to its end by itself.
        issued_at: Date of the document.
    """

    number: Number
    version: int = Field(ge=1)
    kind: DocumentKind
    authority: AuthorityCard
    procedure: Short
    basis: Short
    basis_text: Bilingual
    grounds: tuple[GroundText, ...] = Field(max_length=100)
    facts: CaseFacts
    targets: tuple[OrderedTarget, ...] = Field(min_length=1, max_length=MOST_TARGETS)
    territory: Country | None
    valid_from: Instant
    valid_until: Instant
    end_reason: EndReason | None = None
    replaces: Short | None = None
    standing_order: Number | None = None
    redress: Bilingual
    decisions: tuple[DecisionTaken, ...] = Field(max_length=100)
    issued_at: Instant

    @model_validator(mode="after")
    def _it_ends(self) -> Paper:
        if not self.kind.lifts and self.valid_until <= self.valid_from:
            raise ValueError("an order ends after it begins")
        if (self.kind is DocumentKind.END) != (self.end_reason is not None):
            raise ValueError("an order that is over says why, and no other does")
        return self


class OrderDocument(Value):
    """A version of an order in one language, by what the blob store holds it under (SHA-256).

    Attributes:
        language: Of its words.
        content: Digest of the JSON that is signed; the letter names it.
        jws: Digest of the signed JSON.
        pdf: Digest of the letter.
    """

    language: Language
    content: Digest
    jws: Digest
    pdf: Digest


class Letter(Value):
    """An order document as an ISP gets it, in its language: signed JSON (compact JWS), and the letter (PDF/A)."""

    language: Language
    jws: str
    pdf: bytes


def document(paper: Paper, language: Language) -> dict[str, Any]:
    """The order as programs read it: format ``precinto.order`` version 1 (docs/reference/order.md).

    What is signed is its canonical JSON.
    """
    card, facts = paper.authority, paper.facts
    return {
        "format": FORMAT,
        "v": VERSION,
        "language": language,
        "number": paper.number,
        "version": paper.version,
        "kind": paper.kind.value,
        "issued_at": _moment(paper.issued_at),
        "replaces": paper.replaces,
        "standing_order": paper.standing_order,
        "authority": {
            "id": card.id,
            "name": _said(card.name, language),
            "address": card.address,
            "country": card.country,
        },
        "legal_basis": {
            "procedure": paper.procedure,
            "code": paper.basis,
            "text": _said(paper.basis_text, language),
        },
        "reasons": [
            {"code": one.code, "text": _said(one, language), "provision": one.source} for one in paper.grounds
        ],
        "facts": {
            "case": facts.case,
            "service": facts.service.value,
            "bundle": facts.bundle,
            "sealed_at": _moment(facts.sealed_at),
            "stamped_at": [_moment(at) for at in facts.stamped_at],
            "files": facts.files,
            "findings": {"hold": facts.holds, "note": facts.notes},
        },
        "locations": [one.model_dump(mode="json") for one in paper.targets],
        "territory": paper.territory,
        "valid_from": _moment(paper.valid_from),
        "valid_until": _moment(paper.valid_until),
        "end_reason": paper.end_reason.value if paper.end_reason else None,
        "redress": {"text": _said(paper.redress, language), "objections_at": card.objections_at},
        "report_effect_to": card.contact,
        "decisions": [
            {
                "officer": one.officer,
                "role": one.role.value,
                "outcome": one.outcome.value,
                "at": _moment(one.at),
                "statement": one.statement,
                "kid": one.kid,
            }
            for one in paper.decisions
        ],
    }


def _said(text: Bilingual, language: Language) -> str:
    return text.es if language == "es" else text.en


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
