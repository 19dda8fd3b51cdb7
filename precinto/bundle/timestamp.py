"""Time-stamp tokens (RFC 3161): whether one is over given bytes, by an authority that is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from rfc3161_client import VerifierBuilder, decode_timestamp_response
from rfc3161_client.tsp import TimeStampResponse

from precinto.bundle.signature import der
from precinto.domain.errors import Refused

LARGEST = 2**16
"""Bytes of a token with its certificates."""

_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_GRANTED = b"\x30\x03\x02\x01\x00"


@dataclass(frozen=True)
class Stamped:
    """A token that is good.

    Attributes:
        at: The moment that it states.
        signer: The certificate of whoever gave it.
    """

    at: datetime
    signer: x509.Certificate


def check_token(token: bytes, content: bytes, anchors: Sequence[x509.Certificate]) -> Stamped:
    """Check a token over the SHA-256 of some bytes.

    The signer's certificate must have been valid at the moment that the token states: a token keeps its worth when
    the certificate has run out. Whether it was revoked is not looked at: that needs a network.

    Args:
        token: TimeStampToken, DER.
        content: What is said to be stamped.
        anchors: The authority's root, and those below it that whoever checks trusts as well. All of them count as
            roots: certificates out of a token must never be among them.

    Raises:
        Refused: ``bad_timestamp``: no token, over other bytes, or not by this authority.
    """
    if len(token) > LARGEST:
        raise _bad(f"larger than {LARGEST} bytes")
    return check_response(der(0x30, _GRANTED + token), content, anchors)


def check_response(
    response: bytes, content: bytes, anchors: Sequence[x509.Certificate], nonce: int | None = None
) -> Stamped:
    """Check the answer of an authority, TimeStampResp in DER; otherwise as ``check_token``.

    Args:
        response: What came.
        content: What was to be stamped.
        anchors: As in ``check_token``.
        nonce: What the query carried, so that an old answer is none.

    Raises:
        Refused: As ``check_token``.
    """
    try:
        read = decode_timestamp_response(response)
        signer = _signer(read)
        VerifierBuilder(roots=list(anchors), nonce=nonce).build().verify_message(read, content)
    except Refused:
        raise
    except Exception as error:  # what is no token ends in many ways: ValueError, KeyError, InvalidVersion, ...
        raise _bad(f"{type(error).__name__}: {error}") from error
    if read.tst_info.message_imprint.hash_algorithm != _SHA256:
        raise _bad("the stamped digest is not SHA-256")
    return Stamped(read.tst_info.gen_time, signer)


def _signer(response: TimeStampResponse) -> x509.Certificate:
    """The one certificate of the token's signer.

    The verifier looks for it twice, once for the signature and once for its purpose, by issuer and serial number.
    Were there two of the same, a certificate for another purpose could sign, and a made-up one stand for the purpose.
    """
    (info,) = response.signed_data.signer_infos
    found = [
        one
        for one in map(x509.load_der_x509_certificate, response.signed_data.certificates)
        if (one.issuer, one.serial_number) == (info.issuer, info.serial_number)
    ]
    if len(found) != 1:
        raise _bad(f"{len(found)} certificates of its signer came along, in place of one")
    extensions = {one.oid: one.value for one in found[0].extensions}
    purposes = extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
    if purposes != x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]):
        raise _bad("its signer is not certified for time stamps, and for them alone (RFC 3161, 2.3)")
    constraints = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        raise _bad("its signer is a certificate authority, whose key signs no time stamps (RFC 3161, 2.3)")
    return found[0]


def _bad(reason: str) -> Refused:
    return Refused("bad_timestamp", reason)
