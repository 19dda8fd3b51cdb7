"""A sealer whose key is a file on this machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

from precinto.bundle.trust import name_of, read_certificates
from precinto.domain.errors import BadInput, Unavailable

EXPIRES_SOON = timedelta(days=30)
"""From this long before the certificate's end on, each seal warns of it."""

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_LARGEST_KEY = 2**16

log = structlog.get_logger(__name__)


class FileKeySealer:
    """Port ``Sealer``: a key in PEM that nobody else may read, and the certificate of it.

    Both are read for each seal, so that a renewed certificate needs no restart.
    """

    def __init__(self, key: Path, certificates: Path) -> None:
        """Seal with a key.

        Args:
            key: EC (a NIST curve) or RSA (2048 bits or more), PEM, without a password, mode 0600.
            certificates: The certificate of the key first, then those between it and its root, PEM.
        """
        self._key = key
        self._certificates = certificates

    async def sign(self, content: bytes) -> bytes:
        """A detached signature over these bytes: PKCS#7 SignedData, DER, with the signer's certificates.

        Raises:
            Unavailable: A file cannot be read or used, others may read the key, the key is not the certificate's, or
                the certificate is not valid now.
        """
        return await asyncio.to_thread(self._sign, content)

    def valid_until(self) -> datetime:
        """When the certificate runs out.

        Raises:
            Unavailable: It cannot be read.
        """
        return _read_chain(self._certificates)[0].not_valid_after_utc

    def _sign(self, content: bytes) -> bytes:
        key, (own, *others) = read_signing_key(self._key, self._certificates)
        builder = PKCS7SignatureBuilder().set_data(content).add_signer(own, key, hashes.SHA256())
        for other in others:
            builder = builder.add_certificate(other)
        options = [PKCS7Options.DetachedSignature, PKCS7Options.Binary, PKCS7Options.NoCapabilities]
        return builder.sign(Encoding.DER, options)


def read_signing_key(key: Path, certificates: Path) -> tuple[SigningKey, Sequence[x509.Certificate]]:
    """The key, and its certificates from its own on; both are good for signing now.

    Raises:
        Unavailable: As ``FileKeySealer.sign``.
    """
    read, chain = _read_key(key), _read_chain(certificates)
    if chain[0].public_key() != read.public_key():
        raise Unavailable(f"{certificates}: the first certificate is not that of the key {key}")
    _check_validity(chain[0])
    return read, chain


def _read_chain(certificates: Path) -> Sequence[x509.Certificate]:
    try:
        return read_certificates(certificates)
    except BadInput as error:
        raise Unavailable(str(error)) from error


def _check_validity(certificate: x509.Certificate) -> None:
    now, until = datetime.now(UTC), certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now <= until:
        raise Unavailable(f"the certificate of {name_of(certificate)} is not valid now; it ends {until.isoformat()}")
    if until - now < EXPIRES_SOON:
        log.warning("sealing_certificate_expires", subject=name_of(certificate), until=until.isoformat())


def _read_key(path: Path) -> SigningKey:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise Unavailable(f"others may read or change the key {path}: chmod 600 it, and consider it known")
            content = file.read(_LARGEST_KEY)
        key = load_pem_private_key(content, password=None)
    except OSError as error:
        raise Unavailable(f"the key {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):  # their words could quote the key
        raise Unavailable(f"{path} does not hold a private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Unavailable(f"the key {path} is neither EC nor RSA")
    return key
