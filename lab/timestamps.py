"""Time-stamp authorities (RFC 3161) over HTTP: OpenSSL signs, each with a certificate authority of its own.

``certs`` is left out of the configuration on purpose: with it, OpenSSL writes the set of certificates unsorted, which
strict readers of DER refuse. The signer's own certificate comes along when the query asks for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.errors import DaemonFailed
from lab.processes import program
from lab.web import Request, Response

_QUERY = "application/timestamp-query"
_REPLY = "application/timestamp-reply"
_SIGN_SECONDS = 10.0
_VALID = timedelta(days=3650)

_CONFIGURATION = """[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/signer.pem
signer_key = {folder}/signer.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.32473.1
digests = sha256, sha384, sha512
accuracy = secs:1
clock_precision_digits = 3
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


AUTHORITIES = ("uno", "dos")
"""The lab's authorities, which have nothing in common: a bundle needs the word of two."""


@dataclass(frozen=True)
class Clock:
    """Where an authority answers, and what its tokens are checked against.

    Attributes:
        url: Its address.
        ca: Its root (PEM).
    """

    url: str
    ca: Path


class TimestampAuthority:
    """Signs hashes with the time; ``answer`` is the handler of its web server.

    Attributes:
        ca: Its root (PEM).
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.ca = folder / "ca.pem"
        self._configuration = folder / "openssl.cnf"
        self._configuration.write_text(_CONFIGURATION.format(folder=folder))
        (folder / "serial").write_text("01\n")
        _write_certificates(folder, name)
        self._signing = asyncio.Lock()  # OpenSSL reads and writes the serial's file without a lock of its own

    async def answer(self, request: Request) -> Response:
        """Answer a query; one that cannot be understood is rejected in the protocol's own words."""
        if request.method != "POST":
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "POST a query", ("Allow", "POST"))
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _QUERY:
            return _plain(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a query is {_QUERY}")
        async with self._signing:
            return Response(HTTPStatus.OK, await self._sign(request.body), _REPLY)

    async def _sign(self, query: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            program("openssl"), "ts", "-reply", "-config", str(self._configuration), "-queryfile", "/dev/stdin",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            reply, errors = await asyncio.wait_for(process.communicate(query), _SIGN_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
        if not reply:
            raise DaemonFailed(f"openssl ts ended with {process.returncode}: {errors.decode(errors='replace')}")
        return reply


def _plain(status: HTTPStatus, reason: str, *headers: tuple[str, str]) -> Response:
    return Response(status, f"{reason}\n".encode(), "text/plain; charset=utf-8", headers)


def _write_certificates(folder: Path, name: str) -> None:
    """A root and, below it, a certificate that may sign time stamps and nothing else (RFC 3161, 2.3)."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _name(f"Root of the lab's time, {name}")
    root_certificate = (
        _certificate(root, root, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    certificate = (
        _certificate(root, _name(f"Time of the lab, {name}"), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(root_certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "signer.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "signer.key").touch(mode=0o600)
    (folder / "signer.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
