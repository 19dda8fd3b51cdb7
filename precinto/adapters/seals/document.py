"""Signed documents: a compact JWS (RFC 7515) by the authority's sealing key, with the key's certificates.

JWS allows much more than is needed here (algorithms that the signer chooses freely, keys that the header brings or
points to, unprotected headers), and each freedom has been a way to a forgery. So one header is accepted: algorithm,
type and certificates. The algorithm follows from the certificate's key, and the certificates prove nothing until they
lead to a root that whoever checks got by another way.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from pydantic import BaseModel, Field, ValidationError

from precinto.adapters.seals.key_file import read_signing_key
from precinto.bundle.trust import check_trusted
from precinto.domain.errors import Refused, Unavailable
from precinto.domain.model import Instant, Value, canonical_json, first_wrong
from precinto.domain.order_document import FORMAT, VERSION

TYPE = "precinto-order"
"""The header's ``typ``: what was signed for another purpose is no order."""

LARGEST = 2**23
"""Characters of a signed document: an order of 10,000 targets has some two million."""

_MOST_CERTIFICATES = 5
_SMALLEST_RSA = 2_048
_BY_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class _Header(Value):
    alg: str
    typ: Literal["precinto-order"]
    x5c: tuple[str, ...] = Field(min_length=1, max_length=_MOST_CERTIFICATES)


class _Heads(BaseModel):
    """Of an order's fields those that say what it is; later versions of the format may have more."""

    number: str
    version: int
    kind: str
    issued_at: Instant
    valid_from: Instant
    valid_until: Instant
    territory: str | None
    locations: list[Any]


class DocumentSigner:
    """Signs order documents with the key that seals the evidence; key and certificates are read each time."""

    def __init__(self, key: Path, certificates: Path) -> None:
        """Sign with a key.

        Args:
            key: As for ``FileKeySealer``.
            certificates: As for ``FileKeySealer``.
        """
        self._key = key
        self._certificates = certificates

    async def sign(self, content: bytes) -> str:
        """The content with a signature: compact JWS, ES256 (384, 512) or PS256 by the kind of key (RFC 7518, 3).

        Args:
            content: A document in canonical JSON.

        Raises:
            Unavailable: As ``FileKeySealer.sign``.
        """
        return await asyncio.to_thread(self._sign, content)

    def _sign(self, content: bytes) -> str:
        key, chain = read_signing_key(self._key, self._certificates)
        try:
            algorithm = _algorithm(key.public_key())
        except ValueError as error:
            raise Unavailable(f"the key {self._key} signs no documents: {error}") from error
        certificates = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain]
        header = {"alg": algorithm, "typ": TYPE, "x5c": certificates}
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return jws.serialize_compact(header, content, _key(pem, algorithm), registry=_Rules(algorithm))


class _Rules(JWSRegistry):
    """One algorithm, and room for certificates in the header and an order in the payload."""

    max_header_length = 2**16
    max_payload_length = LARGEST

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm])


def verify_document(signed: str, roots: Sequence[x509.Certificate]) -> dict[str, Any]:
    """What a signed order document says, once it is proved that the authority signed it.

    The signer's certificate must lead to one of the roots and have been valid at the time of issue. That time is the
    document's own word: nobody else's stamp is on it. Revocation is not looked at: that needs a network.

    Args:
        signed: Compact JWS.
        roots: The authority's own root, which whoever checks got by another way than the document.

    Raises:
        Refused: ``bad_signature``: not of this form, or not over this content. ``untrusted_signer``: as
            ``check_trusted``. ``not_an_order``: something else is signed.
    """
    if len(signed) > LARGEST:
        raise _bad(f"longer than {LARGEST} characters")
    parts = signed.split(".")
    if len(parts) != 3:
        raise _bad("not three parts with dots between them (RFC 7515, 7.1)")
    header, payload, _ = (_decoded(part) for part in parts)
    algorithm, chain = _read_header(header)
    own, *others = chain
    _check(signed, own, algorithm)
    content, issued = _read_order(payload)
    check_trusted(own, others, roots, issued)
    return content


def _decoded(part: str) -> bytes:
    try:
        content = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise _bad(f"not base64url: {error}") from error
    if base64.urlsafe_b64encode(content).rstrip(b"=").decode() != part:
        raise _bad("base64url in another spelling than its own")
    return content


def _read_header(header: bytes) -> tuple[str, list[x509.Certificate]]:
    try:
        read = _Header.model_validate(_object(header))
        chain = [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in read.x5c]
        algorithm = _algorithm(chain[0].public_key())
    except ValidationError as error:
        raise _bad(f"its header, {': '.join(first_wrong(error))}") from error
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _bad(f"its certificates: {error}") from error
    if read.alg != algorithm:
        raise _bad(f"its algorithm is not {algorithm}, which is that of its signer's key")
    return algorithm, chain


def _check(signed: str, own: x509.Certificate, algorithm: str) -> None:
    pem = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        jws.deserialize_compact(signed, _key(pem, algorithm), registry=_Rules(algorithm))
    except (JoseError, ValueError) as error:
        raise _bad(f"the signature does not fit the signer's key: {error}") from error


def _read_order(payload: bytes) -> tuple[dict[str, Any], datetime]:
    content = _object(payload)
    try:
        canonical = canonical_json(content) == payload
    except (TypeError, ValueError, RecursionError):
        canonical = False
    if not canonical:
        raise _not_an_order("it is not in canonical JSON: two programs could read it differently")
    if (content.get("format"), content.get("v")) != (FORMAT, VERSION):
        raise _not_an_order(f"it is not of the format {FORMAT}, version {VERSION}")
    try:
        return content, _Heads.model_validate(content).issued_at
    except ValidationError as error:
        raise _not_an_order(": ".join(first_wrong(error))) from error


def _object(content: bytes) -> dict[str, Any]:
    try:
        read = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _bad(f"not JSON: {error}") from error
    if not isinstance(read, dict):
        raise _bad("no JSON object")
    return cast(dict[str, Any], read)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return read


def _algorithm(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _BY_CURVE:
        return _BY_CURVE[key.curve.name]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA:
        return "PS256"
    raise ValueError(f"neither a key on a NIST curve nor RSA of {_SMALLEST_RSA} bits or more")


def _key(pem: bytes, algorithm: str) -> ECKey | RSAKey:
    return ECKey.import_key(pem) if algorithm.startswith("ES") else RSAKey.import_key(pem)


def _bad(reason: str) -> Refused:
    return Refused("bad_signature", reason)


def _not_an_order(reason: str) -> Refused:
    return Refused("not_an_order", reason)
