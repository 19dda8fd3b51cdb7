"""Detached signatures: the narrow part of CMS SignedData (RFC 5652) that a bundle uses, and nothing beside it.

One signer, SHA-256, signed attributes, strict DER. CMS allows much more (several signers, unsigned attributes,
signatures without a digest of the content, BER), and each freedom is a way to a signature that one program accepts
and another refuses, or that carries what nobody signed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from precinto.domain.errors import Refused

LARGEST = 2**16
"""Bytes of a signature with its certificates."""

_SIGNED_DATA = x509.ObjectIdentifier("1.2.840.113549.1.7.2")
_DATA = x509.ObjectIdentifier("1.2.840.113549.1.7.1")
_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_CONTENT_TYPE = x509.ObjectIdentifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = x509.ObjectIdentifier("1.2.840.113549.1.9.4")
_SIGNING_TIME = x509.ObjectIdentifier("1.2.840.113549.1.9.5")
_ECDSA_SHA256 = x509.ObjectIdentifier("1.2.840.10045.4.3.2")
_RSA = (x509.ObjectIdentifier("1.2.840.113549.1.1.1"), x509.ObjectIdentifier("1.2.840.113549.1.1.11"))
_SMALLEST_RSA = 2_048
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


@asn1.sequence
class _Algorithm:
    oid: x509.ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _Attribute:
    oid: x509.ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _Attributes:
    all: asn1.SetOf[_Attribute]


@asn1.sequence
class _NoContent:
    oid: x509.ObjectIdentifier


@asn1.sequence
class _Identifier:
    issuer: asn1.TLV
    serial: int


@asn1.sequence
class _Signer:
    version: int
    identifier: _Identifier
    digest: _Algorithm
    attributes: asn1.TLV
    algorithm: _Algorithm
    signature: bytes


@asn1.sequence
class _SignedData:
    version: int
    digests: asn1.SetOf[_Algorithm]
    content: _NoContent
    certificates: Annotated[asn1.SetOf[x509.Certificate], asn1.Implicit(0)]
    signers: asn1.SetOf[_Signer]


@asn1.sequence
class _Message:
    oid: x509.ObjectIdentifier
    content: Annotated[_SignedData, asn1.Explicit(0)]


@dataclass(frozen=True)
class Signature:
    """A signature that is good for its content; whether its signer may be trusted is for ``check_trusted`` to say.

    Attributes:
        signer: The signer's certificate.
        others: Certificates that came along, from which a chain may be built.
    """

    signer: x509.Certificate
    others: tuple[x509.Certificate, ...]


def der(tag: int, content: bytes) -> bytes:
    """An element of DER: tag, length, content."""
    return bytes([tag]) + asn1.encode_der(content)[1:]


def check_signature(signature: bytes, content: bytes) -> Signature:
    """Check a detached signature against its content.

    Args:
        signature: CMS ContentInfo, DER.
        content: What is said to be signed.

    Raises:
        Refused: ``bad_signature``: not of the form that a bundle uses, or not over this content.
    """
    if len(signature) > LARGEST:
        raise _bad(f"larger than {LARGEST} bytes")
    try:
        return _check(signature, content)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _bad(f"not one signer's SignedData in DER: {error}") from error


def _check(signature: bytes, content: bytes) -> Signature:
    message = asn1.decode_der(_Message, signature)
    data = message.content
    (signer,) = data.signers.as_list()
    if message.oid != _SIGNED_DATA or (data.version, signer.version) != (1, 1) or data.content.oid != _DATA:
        raise _bad("not a detached signature over data, version 1")
    if [one.oid for one in data.digests.as_list()] != [_SHA256] or signer.digest.oid != _SHA256:
        raise _bad("the digest is not SHA-256")
    if signer.attributes.tag_bytes != b"\xa0":
        raise _bad("without signed attributes")
    # Tagged [0] where it stands, signed as the SET that it is (RFC 5652, 5.4).
    signed = der(0x31, bytes(signer.attributes.data))
    _check_attributes(asn1.decode_der(_Attributes, der(0x30, signed)).all.as_list(), content)
    certificates = data.certificates.as_list()
    # The octet before a signature says how many of its last bits do not count. Readers let it pass where those bits
    # are zero anyway; then one certificate has several forms, and two bundles could differ without a difference.
    if not all(one.public_bytes(Encoding.DER).endswith(b"\0" + one.signature) for one in certificates):
        raise _bad("a certificate is not in its one form")
    certificate = _certificate_of(signer.identifier, certificates)
    _check_key(certificate, signer, signed)
    return Signature(certificate, tuple(one for one in certificates if one is not certificate))


def _check_attributes(attributes: list[_Attribute], content: bytes) -> None:
    values: dict[x509.ObjectIdentifier, tuple[bytes, bytes]] = {}
    for attribute in attributes:
        found = attribute.values.as_list()
        if attribute.oid in values or len(found) != 1:
            raise _bad(f"the signed attribute {attribute.oid.dotted_string} does not have one value")
        values[attribute.oid] = found[0].tag_bytes, bytes(found[0].data)
    if strange := values.keys() - {_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME}:
        raise _bad(f"the signed attribute {min(one.dotted_string for one in strange)} has no place in a bundle")
    oid = asn1.encode_der(_DATA)
    if values.get(_CONTENT_TYPE) != (oid[:1], oid[2:]):
        raise _bad("the signed content type is not data")
    if values.get(_MESSAGE_DIGEST) != (b"\x04", hashlib.sha256(content).digest()):
        raise _bad("it is over other content")


def _certificate_of(identifier: _Identifier, certificates: list[x509.Certificate]) -> x509.Certificate:
    issuer = der(identifier.issuer.tag_bytes[0], bytes(identifier.issuer.data))
    found = [
        one for one in certificates if one.serial_number == identifier.serial and one.issuer.public_bytes() == issuer
    ]
    if len(found) != 1:
        raise _bad(f"{len(found)} certificates of its signer came along, in place of one")
    return found[0]


def _check_key(certificate: x509.Certificate, signer: _Signer, signed: bytes) -> None:
    key, algorithm = certificate.public_key(), signer.algorithm.oid
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES and algorithm == _ECDSA_SHA256:
            key.verify(signer.signature, signed, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA and algorithm in _RSA:
            key.verify(signer.signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            raise _bad(f"neither ECDSA on a NIST curve nor RSA of {_SMALLEST_RSA} bits or more")
    except InvalidSignature as error:
        raise _bad("the signature does not fit the signer's key") from error


def _bad(reason: str) -> Refused:
    return Refused("bad_signature", reason)
