"""Signing certificates as an authority may bring them, good and bad."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True)
class CarelessSealer:
    """Signs as ``FileKeySealer`` does, but with certificates that it refuses, such as those that have run out."""

    key: Key
    certificates: tuple[x509.Certificate, ...]

    async def sign(self, content: bytes) -> bytes:
        """A detached signature."""
        own, *others = self.certificates
        builder = PKCS7SignatureBuilder().set_data(content).add_signer(own, self.key, hashes.SHA256())
        for other in others:
            builder = builder.add_certificate(other)
        options = [PKCS7Options.DetachedSignature, PKCS7Options.Binary, PKCS7Options.NoCapabilities]
        return builder.sign(Encoding.DER, options)


@dataclass(frozen=True)
class Chain:
    """A signing certificate below an issuer below a root.

    Attributes:
        key: The signing key, PEM.
        certificates: The signing certificate and its issuer's, PEM.
        root: The root, PEM.
        sealer: Signs with the key.
    """

    key: Path
    certificates: Path
    root: Path
    sealer: CarelessSealer


def issue_chain(
    folder: Path, *, key: Key | None = None, until: datetime | None = None, usage: str = "digital_signature"
) -> Chain:
    """Issue a chain; the files lie in the folder."""
    root_key, issuer_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    key = key or ec.generate_private_key(ec.SECP256R1())
    end = until or datetime.now(UTC) + timedelta(days=300)
    far = datetime.now(UTC) + timedelta(days=3_000)
    root = _certificate("Root", root_key, "Root", root_key, far, "key_cert_sign")
    issuer = _certificate("Root", root_key, "Issuer", issuer_key, far, "key_cert_sign")
    own = _certificate("Issuer", issuer_key, "Authority", key, end, usage, ca=False)
    paths = (folder / "chain.key", folder / "chain.pem", folder / "chain-root.pem")
    paths[0].touch(mode=0o600)
    paths[0].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    paths[1].write_bytes(own.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM))
    paths[2].write_bytes(root.public_bytes(Encoding.PEM))
    return Chain(*paths, CarelessSealer(key, (own, issuer)))


def _certificate(
    issuer: str, issuer_key: Key, subject: str, key: Key, until: datetime, usage: str, *, ca: bool = True
) -> x509.Certificate:
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (issuer, subject)]
    usages = dict.fromkeys(_USAGES, False) | {usage: True}
    return (
        x509.CertificateBuilder()
        .issuer_name(names[0])
        .subject_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=30))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usages), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
