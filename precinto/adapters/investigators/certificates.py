"""Reads the certificates that servers showed to the browser, which the wire record has from the same connection.

They are a stranger's: each is read alone, and one that cannot be read says so and costs nothing else.
"""

from __future__ import annotations

import base64
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ConfigDict, Field, ValidationError

from precinto.domain.model import Digest, Value, digest, first_wrong

FILE = "certificates.json"
"""What the wire record's decoder leaves: ``{"servers": [...]}``, each a ``Shown``."""

MAX_FILE = 16 * 2**20
NAMES = 1_000
"""Names of a certificate that are read."""

_TEXT = 500


class Shown(Value):
    """What one server showed on one connection.

    Attributes:
        connection: Number of the connection in the wire record.
        host, port: What the browser asked for.
        address: Where the connection led.
        chain: The certificates as sent, the server's own first; DER in Base64.
        tls, cipher, alpn: What was agreed on.
    """

    model_config = ConfigDict(extra="ignore")  # the record's decoder may come to tell more

    connection: int
    host: str
    port: int
    address: str
    chain: tuple[str, ...] = Field(max_length=20)
    tls: str | None = None
    cipher: str | None = None
    alpn: str | None = None


class _File(Value):
    servers: tuple[Shown, ...]


@dataclass(frozen=True)
class Certificate:
    """A certificate.

    Attributes:
        sha256: Digest of its DER form.
        public_key: Digest of its SubjectPublicKeyInfo; None where it cannot be read.
        names: Names that it is for (subjectAltName), lower case; a wildcard keeps its star.
        facts: The rest, as it stands in ``tls.json``.
    """

    sha256: Digest
    public_key: Digest | None
    names: tuple[str, ...]
    facts: dict[str, Any]


def read_shown(folder: Path) -> tuple[Shown, ...] | None:
    """What the servers of a capture showed; None where the capture does not have it.

    Raises:
        ValueError: The file is too large, or not what it should be.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_FILE:
        raise ValueError(f"more than {MAX_FILE} bytes")
    try:
        return _File.model_validate_json(path.read_bytes()).servers
    except ValidationError as error:
        raise ValueError(": ".join(first_wrong(error))) from error


def server_certificate(shown: tuple[Shown, ...], host: str) -> Certificate | None:
    """The certificate that a host itself showed, on its first connection that has one."""
    chain = next((one.chain for one in shown if one.host == host and one.chain), None)
    return read_certificate(chain[0]) if chain else None


def facts(shown: tuple[Shown, ...]) -> dict[str, Any]:
    """Content of ``tls.json``: every connection with the digests of its chain, and each certificate once."""
    read = {encoded: read_certificate(encoded) for one in shown for encoded in one.chain}
    connections = [one.model_dump() | {"chain": [read[encoded].sha256 for encoded in one.chain]} for one in shown]
    return {"connections": connections, "certificates": {each.sha256: each.facts for each in read.values()}}


def read_certificate(encoded: str) -> Certificate:
    """Read a certificate (RFC 5280), DER in Base64; what cannot be read is left out, and ``facts`` says why."""
    try:
        der = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        return Certificate(digest(encoded.encode()), None, (), {"problem": f"not Base64: {error}"[:_TEXT]})
    sha256 = digest(der)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd serial numbers and the like: strangers' certificates are odd
            certificate = x509.load_der_x509_certificate(der)
            facts, names = _read(certificate)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        return Certificate(sha256, None, (), {"problem": f"{type(error).__name__}: {error}"[:_TEXT]})
    return Certificate(sha256, facts["public_key_sha256"], names, facts)


def _read(certificate: x509.Certificate) -> tuple[dict[str, Any], tuple[str, ...]]:
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        found = list[str]()
    else:
        found = sorted({name.lower().rstrip(".") for name in extension.value.get_values_for_type(x509.DNSName)})
    facts = {
        "subject": certificate.subject.rfc4514_string()[:_TEXT],
        "issuer": certificate.issuer.rfc4514_string()[:_TEXT],
        "serial": f"{certificate.serial_number:x}",
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "public_key_sha256": digest(key),
        "names": found[:NAMES],
        "further_names": max(0, len(found) - NAMES),
    }
    return facts, tuple(found[:NAMES])
