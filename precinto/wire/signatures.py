"""The site's signature over its handshake: that whoever answered held the key of the certificate that was shown.

It binds the certificate to this very connection. Without it, a certificate is only a file that anyone can send.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509 import load_der_x509_certificate

_CONTEXT = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"

_Hash = hashes.SHA1 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512
_Check = Callable[[object, bytes, bytes], bool]


def fits(certificate: bytes, scheme: int, signature: bytes, signed: bytes) -> str | None:
    """Check a signature against a certificate (DER).

    Args:
        certificate: The leaf.
        scheme: Number of the signature scheme (RFC 8446, 4.2.3).
        signature: As sent.
        signed: The bytes it is over.

    Returns:
        Name of the scheme; None where the signature does not fit, or cannot be checked.
    """
    if scheme not in _SCHEMES:
        return None
    name, check = _SCHEMES[scheme]
    try:
        fitting = check(load_der_x509_certificate(certificate).public_key(), signature, signed)
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return None
    return name if fitting else None


def signed13(transcript: bytes) -> bytes:
    """What a site signs in TLS 1.3: the hash of the handshake so far, and what the signature is for."""
    return _CONTEXT + transcript


def _ecdsa(of: _Hash) -> _Check:
    def check(key: object, signature: bytes, signed: bytes) -> bool:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(of))
            return True
        return False

    return check


def _rsa(of: _Hash, scheme: padding.AsymmetricPadding) -> _Check:
    def check(key: object, signature: bytes, signed: bytes) -> bool:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, scheme, of)
            return True
        return False

    return check


def _pss(of: _Hash) -> _Check:
    return _rsa(of, padding.PSS(padding.MGF1(of), padding.PSS.DIGEST_LENGTH))


def _ed25519(key: object, signature: bytes, signed: bytes) -> bool:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
        return True
    return False


_SCHEMES: dict[int, tuple[str, _Check]] = {
    0x0201: ("rsa_pkcs1_sha1", _rsa(hashes.SHA1(), padding.PKCS1v15())),  # noqa: S303 - TLS 1.2 has it: told, not chosen
    0x0401: ("rsa_pkcs1_sha256", _rsa(hashes.SHA256(), padding.PKCS1v15())),
    0x0501: ("rsa_pkcs1_sha384", _rsa(hashes.SHA384(), padding.PKCS1v15())),
    0x0601: ("rsa_pkcs1_sha512", _rsa(hashes.SHA512(), padding.PKCS1v15())),
    0x0403: ("ecdsa_secp256r1_sha256", _ecdsa(hashes.SHA256())),
    0x0503: ("ecdsa_secp384r1_sha384", _ecdsa(hashes.SHA384())),
    0x0603: ("ecdsa_secp521r1_sha512", _ecdsa(hashes.SHA512())),
    0x0804: ("rsa_pss_rsae_sha256", _pss(hashes.SHA256())),
    0x0805: ("rsa_pss_rsae_sha384", _pss(hashes.SHA384())),
    0x0806: ("rsa_pss_rsae_sha512", _pss(hashes.SHA512())),
    0x0807: ("ed25519", _ed25519),
    0x0809: ("rsa_pss_pss_sha256", _pss(hashes.SHA256())),
    0x080A: ("rsa_pss_pss_sha384", _pss(hashes.SHA384())),
    0x080B: ("rsa_pss_pss_sha512", _pss(hashes.SHA512())),
}
