"""A sealing identity of an installation's own: a root, and a certificate below it that signs bundles.

For trials. The root's key lies beside the signing key, so whoever has the folder can be the authority; and the root
means only what whoever checks knows of it. In production the authority brings the certificate that its country's law
asks for, and keeps the key where nobody can copy it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

KEY, CERTIFICATES, ROOT = "signing.key", "signing.pem", "root.pem"
"""Files of an identity's folder: the key, its certificates, and what whoever checks must be given."""

_ROOT_LASTS = timedelta(days=10 * 365)
_SIGNER_LASTS = timedelta(days=2 * 365)
_CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True)
class SealingIdentity:
    """Where the files of an identity are, PEM.

    Attributes:
        key: The signing key, mode 0600.
        certificates: Its certificate.
        root: What whoever checks must be given.
    """

    key: Path
    certificates: Path
    root: Path


def issue_sealing_identity(folder: Path, authority: str) -> SealingIdentity:
    """The identity in a folder, issued if there is none yet; one that is there is never touched.

    Args:
        folder: Made if missing, mode 0700.
        authority: Id of the authority, which the certificates name.
    """
    identity = SealingIdentity(folder / KEY, folder / CERTIFICATES, folder / ROOT)
    if identity.certificates.exists():
        return identity
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _name(authority, "root of its seals"), _name(authority, "seal of evidence")
    root = _certificate(root_name, root_name, root_key.public_key(), root_key, _ROOT_LASTS, is_root=True)
    signer = _certificate(root_name, name, key.public_key(), root_key, _SIGNER_LASTS, is_root=False)
    _write(folder / "root.key", _pem(root_key), 0o600)
    _write(identity.root, root.public_bytes(Encoding.PEM), 0o644)
    _write(identity.key, _pem(key), 0o600)
    _write(identity.certificates, signer.public_bytes(Encoding.PEM), 0o644)  # last: with it, the identity is there
    return identity


def _name(authority: str, purpose: str) -> x509.Name:
    attributes = {NameOID.ORGANIZATION_NAME: authority, NameOID.COMMON_NAME: f"{authority}, {purpose}"}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes.items()])


def _certificate(
    issuer: x509.Name,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    lasts: timedelta,
    *,
    is_root: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not is_root, content_commitment=not is_root, key_cert_sign=is_root, crl_sign=is_root,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + lasts)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
