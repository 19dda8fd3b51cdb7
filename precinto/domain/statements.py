"""Signed statements: what an officer decided, in a form that anybody can check without us.

A statement is a compact JWS (RFC 7515) with an Ed25519 signature (RFC 8032, 8037) of the officer's own key. Any JOSE
library verifies it. Ours is narrower than they are: one algorithm, three header parameters, and one byte form of
everything, so that whatever is changed in an envelope, to the last unused bit, makes it another one.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AfterValidator, Field, ValidationError

from precinto.domain.errors import BadInput, Refused
from precinto.domain.model import Digest, Instant, Value, canonical_json, digest, first_wrong
from precinto.domain.review import Outcome, Role

LARGEST_ENVELOPE = 4_096
"""Characters of an envelope; more is not looked at."""

DECISION, ENROLMENT = "precinto-decision", "precinto-enrolment"
"""Types of envelopes. They are signed, so that one can never pass for the other."""


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time before the year 1 or after 9999") from error


Moment = Annotated[Instant, AfterValidator(_utc)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
"""The registry's form of an id."""
Number = Annotated[str, Field(pattern=r"^[\p{L}\p{N}\p{P}\p{S} ]{1,64}$")]
"""A case, an order or an objection as people write it; without the characters that turn or hide others."""
Ground = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,39}$")]
PublicKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
"""An Ed25519 public key, base64url."""


class Statement(Value):
    """A decision, as its officer signs it.

    Attributes:
        v: Version of this form.
        case: The case; for a standing order, its number.
        subject: Digest of the bundle that was decided on; for a standing order, of its terms.
        outcome: What was decided.
        grounds: Codes of the legal grounds.
        reasons: SHA-256 of the reasons' text.
        about: The objection that is decided, or the standing order that a release rides on.
        actor: The officer.
        role: The role in which the officer acted.
        at: When it was signed, by the officer's clock; UTC.
        nonce: 128 random bits or more, base64url: nothing is said twice with the same bytes.
    """

    v: Literal[1] = 1
    case: Number
    subject: Digest
    outcome: Outcome
    grounds: tuple[Ground, ...] = Field(min_length=1, max_length=8)
    reasons: Digest
    about: Number | None = None
    actor: Id
    role: Role
    at: Moment
    nonce: str = Field(pattern=r"^[A-Za-z0-9_-]{22,43}$")


class Enrolment(Value):
    """That a key is an officer's. Signed by the key itself, as a proof that it is had, and by whoever vouches for it.

    Attributes:
        v: Version of this form.
        officer: Whose key it is.
        public: The key.
        at: When it was signed; UTC.
    """

    v: Literal[1] = 1
    officer: Id
    public: PublicKey
    at: Moment


def new_nonce() -> str:
    """128 random bits, base64url."""
    return secrets.token_urlsafe(16)


def key_id(public: Ed25519PublicKey) -> str:
    """The JWK thumbprint (RFC 7638, 8037) of a key, 43 characters of base64url: it names the key, and no other."""
    return encode(bytes.fromhex(digest(canonical_json({"crv": "Ed25519", "kty": "OKP", "x": public_text(public)}))))


def public_text(public: Ed25519PublicKey) -> str:
    """A public key as envelopes and tables hold it, base64url."""
    return encode(public.public_bytes_raw())


def public_key(public: bytes) -> Ed25519PublicKey:
    """The key of 32 bytes.

    Raises:
        Refused: ``weak_key``: not 32 bytes, not the one encoding of its point, or a point of small order, under which
            one signature holds for almost anything (RFC 8032, section 5.1.3; "Taming the many EdDSAs", 2020).
    """
    if len(public) != 32:
        raise Refused("weak_key", "an Ed25519 public key has 32 bytes")
    y = int.from_bytes(public, "little") % 2**255  # without the sign of x
    if y >= _FIELD or y in _SMALL_ORDER:
        raise Refused("weak_key", "the key is not in its one encoding, or of small order: anybody could sign for it")
    return Ed25519PublicKey.from_public_bytes(public)


def sign(statement: Statement, key: Ed25519PrivateKey) -> str:
    """The statement as a signed envelope: a compact JWS."""
    return _sign(DECISION, statement, key)


def read(envelope: str) -> tuple[Statement, str]:
    """What an envelope says and the id of the key that it names. Nothing of it is verified.

    Raises:
        BadInput: It is not an envelope of a decision in its one form.
    """
    statement, kid, _ = _read(DECISION, Statement, envelope)
    return statement, kid


def verify(envelope: str, public: bytes) -> Statement:
    """The statement of an envelope, which this key has signed.

    Raises:
        BadInput: As :func:`read`.
        Refused: ``weak_key``, or ``forged``: the signature is not this key's over these bytes.
    """
    return _verify(DECISION, Statement, envelope, public)


def statement_id(envelope: str) -> str:
    """The id of a signed statement: half the SHA-256 of its envelope, 32 characters."""
    return digest(envelope.encode())[:32]


def sign_enrolment(enrolment: Enrolment, key: Ed25519PrivateKey) -> str:
    """The enrolment as a signed envelope: by its own key as a proof, by another to vouch for it."""
    return _sign(ENROLMENT, enrolment, key)


def read_enrolment(envelope: str) -> tuple[Enrolment, str]:
    """What an envelope enrols and the id of the key that it names; unverified, raises as :func:`read`."""
    enrolment, kid, _ = _read(ENROLMENT, Enrolment, envelope)
    return enrolment, kid


def verify_enrolment(envelope: str, public: bytes) -> Enrolment:
    """The enrolment of an envelope, which this key has signed; raises as :func:`verify`."""
    return _verify(ENROLMENT, Enrolment, envelope, public)


def encode(content: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """The bytes of base64url without padding.

    Raises:
        ValueError: The text is not the one that these bytes have.
    """
    content = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(content) != text:
        raise ValueError("not the one base64url form of its bytes")
    return content


_FIELD = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_OF_ORDER_8 = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _OF_ORDER_8, _FIELD - _OF_ORDER_8})
"""The y of the eight points whose order divides 8; x and -x have the same."""

T = TypeVar("T", Statement, Enrolment)


def _sign(kind: str, content: Statement | Enrolment, key: Ed25519PrivateKey) -> str:
    payload = canonical_json(content.model_dump(mode="json"))
    signed = f"{encode(_header(kind, key_id(key.public_key())))}.{encode(payload)}"
    return f"{signed}.{encode(key.sign(signed.encode('ascii')))}"


def _header(kind: str, kid: str) -> bytes:
    return canonical_json({"alg": "EdDSA", "kid": kid, "typ": kind})


def _read(kind: str, model: type[T], envelope: str) -> tuple[T, str, bytes]:
    """What the envelope says, the id of its key, and its signature; all in their one form."""
    if len(envelope) > LARGEST_ENVELOPE:
        raise BadInput(f"envelope: longer than {LARGEST_ENVELOPE} characters")
    parts = envelope.split(".")
    if len(parts) != 3:
        raise BadInput("envelope: not a compact JWS, which has three parts")
    # ValueError is that of base64, of UTF-8, of JSON and of pydantic; JSON nested too deeply is RecursionError.
    try:
        header, payload, signature = (decode(part) for part in parts)
        kid = _key_named(kind, header)
        content = model.model_validate_json(payload, strict=True)
        canonical = canonical_json(content.model_dump(mode="json"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"envelope: not a {kind} that could be read: {_why(error)}") from error
    if canonical != payload:
        raise BadInput("envelope: the payload is not canonical JSON")
    if len(signature) != 64:
        raise BadInput("envelope: an Ed25519 signature has 64 bytes")
    return content, kid, signature


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return ": ".join(first_wrong(error))[:200]
    return str(error)[:200]


def _key_named(kind: str, header: bytes) -> str:
    """The key that a header names; the header must be, byte for byte, the one that this key and kind have."""
    found = json.loads(header)
    kid = cast(dict[str, object], found).get("kid") if isinstance(found, dict) else None
    if not isinstance(kid, str) or len(decode(kid)) != 32 or _header(kind, kid) != header:
        raise ValueError(f'the header is not {{"alg":"EdDSA","kid":KEY,"typ":"{kind}"}}')
    return kid


def _verify(kind: str, model: type[T], envelope: str, public: bytes) -> T:
    content, kid, signature = _read(kind, model, envelope)
    key = public_key(public)
    if key_id(key) != kid:
        raise Refused("forged", f"the envelope names the key {kid}, not the one that it is checked with")
    # A second S for the same signature would give the same statement a second id (RFC 8032, section 5.1.7).
    if int.from_bytes(signature[32:], "little") >= _ORDER:
        raise Refused("forged", "the signature is not in its one form")
    try:
        key.verify(signature, envelope.rpartition(".")[0].encode("ascii"))
    except InvalidSignature as error:
        raise Refused("forged", f"the signature is not that of the key {kid} over these bytes") from error
    return content
