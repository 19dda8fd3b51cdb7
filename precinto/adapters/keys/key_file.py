"""An officer's key as a file of the officer's own, which a passphrase protects.

The form is PKCS#8 (RFC 5958) under PBES2 (RFC 8018) with scrypt (RFC 7914) and AES-256-CBC, in PEM; ``openssl`` opens
it too. It is put together here because the library's own choice for PKCS#8 is PBKDF2 with 2,048 rounds, under which
to try a passphrase takes 0.3 ms. This takes 0.2 s and 16 MiB; OpenSSL refuses what takes more than 32 MiB.
"""

from __future__ import annotations

import os
import re
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from cryptography.x509 import ObjectIdentifier

from precinto.adapters.keys.private_file import read_private, write_private
from precinto.domain.errors import BadInput
from precinto.domain.statements import key_id

SHORTEST_PASSPHRASE = 12
"""Characters. Whoever has the file may try passphrases for as long as they like."""

_COST, _BLOCK, _PARALLEL = 2**14, 8, 10
_COSTS = {2**14, 2**15, 2**16, 2**17}
_MOST_PARALLEL = 16
_PEM = re.compile(
    rb"-----BEGIN ENCRYPTED PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END ENCRYPTED PRIVATE KEY-----\s*"
)


@dataclass(frozen=True)
class KeyFile:
    """A key file; its name, ``OFFICER_KEY.pem``, says whose it is and which."""

    path: Path

    @property
    def officer(self) -> str:
        """Whose key it is."""
        return self.path.stem.partition("_")[0]

    @property
    def key(self) -> str:
        """Id of the key."""
        return self.path.stem.partition("_")[2]

    def unlock(self, passphrase: str) -> Ed25519PrivateKey:
        """The key; some 0.2 s of work.

        Raises:
            CannotHere: There is no such file.
            BadInput: The passphrase is wrong; the file is not private (:func:`read_private`), not an Ed25519 key under
                scrypt, or holds another key than its name says.
        """
        der = self._protected()
        try:
            key = load_der_private_key(der, _octets(passphrase))
        except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):  # their words could quote the key
            raise BadInput(f"{self.path}: wrong passphrase, or the file is damaged") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise BadInput(f"{self.path}: not an Ed25519 key")
        if key_id(key.public_key()) != self.key:
            raise BadInput(f"{self.path}: holds another key than its name says")
        return key

    def _protected(self) -> bytes:
        """The key in DER, still under its passphrase, once it is clear what it costs to try one."""
        found = _PEM.fullmatch(read_private(self.path))
        if found is None:
            raise BadInput(f"{self.path}: not a private key in PEM that a passphrase protects")
        try:
            der = b64decode(found[1])
            derivation = asn1.decode_der(_EncryptedPrivateKeyInfo, der).protection.parameters.derivation
        except ValueError:
            raise BadInput(f"{self.path}: damaged, or not protected by PBES2 with scrypt") from None
        cost, block, parallel = derivation.parameters.cost, derivation.parameters.block, derivation.parameters.parallel
        if derivation.algorithm != _SCRYPT or cost not in _COSTS or block != _BLOCK or parallel > _MOST_PARALLEL:
            raise BadInput(
                f"{self.path}: scrypt with N = {cost}, r = {block}, p = {parallel} is too little or too much"
            )
        return der


def key_files(folder: Path, officer: str) -> Sequence[KeyFile]:
    """The key files of an officer, the newest first; none where there is no folder."""
    found = [path for path in folder.glob("*_*.pem") if KeyFile(path).officer == officer]
    return [KeyFile(path) for path in sorted(found, key=lambda one: one.lstat().st_mtime_ns, reverse=True)]


def make_key(folder: Path, officer: str, passphrase: str) -> KeyFile:
    """Make a key for an officer and keep it in a new file, mode 0600.

    Args:
        folder: Made if missing, mode 0700.
        officer: Id of the officer.
        passphrase: At least :data:`SHORTEST_PASSPHRASE` characters.

    Raises:
        BadInput: The passphrase is too short.
        CannotHere: The file cannot be written.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise BadInput(f"passphrase: {len(passphrase)} characters; at least {SHORTEST_PASSPHRASE} are needed")
    key = Ed25519PrivateKey.generate()
    file = KeyFile(folder / f"{officer}_{key_id(key.public_key())}.pem")
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    write_private(file.path, _protected(plain, _octets(passphrase)))
    return file


def read_passphrase(path: Path) -> str:
    """The passphrase in a file that is this user's alone: its one line. No part of it ever stands in an error.

    Raises:
        CannotHere: There is no such file.
        BadInput: As :func:`read_private`, or it does not hold one line of UTF-8.
    """
    try:
        [passphrase] = read_private(path).decode("utf-8").splitlines()
    except ValueError:
        raise BadInput(f"{path}: does not hold one line of text") from None
    return passphrase


def _octets(passphrase: str) -> bytes:
    # An é may be typed as one character or as two; both are the same passphrase (RFC 8265, section 4.2).
    return unicodedata.normalize("NFC", passphrase).encode()


@asn1.sequence
class _ScryptParameters:
    salt: bytes
    cost: int
    block: int
    parallel: int
    length: int | None


@asn1.sequence
class _Derivation:
    algorithm: ObjectIdentifier
    parameters: _ScryptParameters


@asn1.sequence
class _Encryption:
    algorithm: ObjectIdentifier
    iv: bytes


@asn1.sequence
class _Pbes2Parameters:
    derivation: _Derivation
    encryption: _Encryption


@asn1.sequence
class _Protection:
    algorithm: ObjectIdentifier
    parameters: _Pbes2Parameters


@asn1.sequence
class _EncryptedPrivateKeyInfo:
    protection: _Protection
    content: bytes


_PBES2 = ObjectIdentifier("1.2.840.113549.1.5.13")
_SCRYPT = ObjectIdentifier("1.3.6.1.4.1.11591.4.11")
_AES_256_CBC = ObjectIdentifier("2.16.840.1.101.3.4.1.42")


def _protected(plain: bytes, passphrase: bytes) -> bytes:
    """A PKCS#8 key (DER) under a passphrase, PEM."""
    salt, iv, length = os.urandom(16), os.urandom(16), 32
    secret = Scrypt(salt=salt, length=length, n=_COST, r=_BLOCK, p=_PARALLEL).derive(passphrase)
    padder, encryptor = PKCS7(128).padder(), Cipher(algorithms.AES(secret), modes.CBC(iv)).encryptor()
    content = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    parameters = _Pbes2Parameters(
        derivation=_Derivation(
            algorithm=_SCRYPT,
            parameters=_ScryptParameters(salt=salt, cost=_COST, block=_BLOCK, parallel=_PARALLEL, length=length),
        ),
        encryption=_Encryption(algorithm=_AES_256_CBC, iv=iv),
    )
    protection = _Protection(algorithm=_PBES2, parameters=parameters)
    der = asn1.encode_der(_EncryptedPrivateKeyInfo(protection=protection, content=content))
    return _pem(der)


def _pem(der: bytes) -> bytes:
    text = b64encode(der)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN ENCRYPTED PRIVATE KEY-----", *lines, b"-----END ENCRYPTED PRIVATE KEY-----", b""])
