"""Whom the one who checks trusts: certificates in files of their own, never any that came with the bundle.

Roots change, and bundles outlast them. So a root that is no longer in use is kept beside those that are, in a file
whose name says from when until when it counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from precinto.domain.errors import BadInput, Refused

AUTHORITY = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""Name of a time-stamp authority: that of its token and of its file of certificates."""

AUTHORITY_FILE, TIMESTAMPS, FORMER = "authority.pem", "timestamps", "former"
"""What a folder of trusted certificates consists of: a file, and two folders."""

_AUTHORITY = "authority"
_MOMENT = r"\d{4}-\d{2}-\d{2}(?:T\d{6}Z)?"
_FORMER_FILE = re.compile(rf"({AUTHORITY.pattern})_({_MOMENT})_({_MOMENT})")
_LARGEST_FILE = 2**20
_DEEPEST_CHAIN = 5


@dataclass(frozen=True)
class FormerRoot:
    """Certificates to start from that counted once.

    Attributes:
        of: Whose: ``authority``, or ``timestamps/NAME``.
        certificates: As they stood in the file of those in use.
        since: The first moment at which they counted.
        until: The first moment at which they no longer did.
    """

    of: str
    certificates: tuple[x509.Certificate, ...]
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Trust:
    """Certificates to start from.

    Attributes:
        authority: The copyright authority's own root, or its signing certificates themselves. The root of a public
            certificate authority has no place here: everybody whom it ever certified could sign for the authority.
        timestamps: Name of each time-stamp authority to its root, with those between where its tokens lack them.
        former: Those of either kind that are no longer in use.
    """

    authority: tuple[x509.Certificate, ...]
    timestamps: Mapping[str, tuple[x509.Certificate, ...]]
    former: tuple[FormerRoot, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Trust:
        """Read ``authority.pem``, ``timestamps/NAME.pem``, and the former ones (``read_former``) of a folder.

        Raises:
            BadInput: The folder, or a file in it, cannot be read, holds no certificate, or has another name.
        """
        files = sorted((folder / TIMESTAMPS).glob("*.pem"))
        if bad := [file for file in files if not AUTHORITY.fullmatch(file.stem)]:
            raise BadInput(f"{bad[0]}: not the name of a time-stamp authority")
        return cls(
            authority=read_certificates(folder / AUTHORITY_FILE),
            timestamps={file.stem: read_certificates(file) for file in files},
            former=read_former(folder / FORMER),
        )

    def authority_at(self, at: datetime) -> tuple[x509.Certificate, ...]:
        """What counts for the copyright authority at a moment."""
        return (*self.authority, *self._former(_AUTHORITY, at))

    def timestamps_at(self, name: str, at: datetime | None) -> tuple[x509.Certificate, ...]:
        """What counts for a time-stamp authority at a moment; None for what counts, or did, at any."""
        return (*self.timestamps.get(name, ()), *self._former(f"{TIMESTAMPS}/{name}", at))

    def _former(self, of: str, at: datetime | None) -> list[x509.Certificate]:
        counted = [one for one in self.former if one.of == of and (at is None or one.since <= at < one.until)]
        return [certificate for one in counted for certificate in one.certificates]


def read_former(folder: Path) -> tuple[FormerRoot, ...]:
    """The roots that are no longer in use; there need not be any, nor the folder.

    They are ``authority_FROM_UNTIL.pem`` and ``timestamps/NAME_FROM_UNTIL.pem``, with moments in UTC such as
    ``2026-05-01`` (its first) or ``2026-05-01T143000Z``.

    Raises:
        BadInput: A file cannot be read, holds no certificate, or has another name.
    """
    found: list[FormerRoot] = []
    for path in sorted([*folder.glob("*.pem"), *(folder / TIMESTAMPS).glob("*.pem")]):
        read = _FORMER_FILE.fullmatch(path.stem)
        stamps = path.parent != folder
        if read is None or not (stamps or read[1] == _AUTHORITY):
            raise BadInput(f"{path}: not a name such as {_AUTHORITY}_2024-01-01_2026-05-01.pem")
        since, until = _moment(path, read[2]), _moment(path, read[3])
        if since >= until:
            raise BadInput(f"{path}: it would never have counted: {read[3]} is not after {read[2]}")
        of = f"{TIMESTAMPS}/{read[1]}" if stamps else _AUTHORITY
        found.append(FormerRoot(of, read_certificates(path), since, until))
    return tuple(found)


def _moment(path: Path, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise BadInput(f"{path}: {text} is no moment: {error}") from error


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file, at least one.

    Raises:
        BadInput: It cannot be read, or holds none.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE)
        return tuple(x509.load_pem_x509_certificates(content))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise BadInput(f"{path}: holds no certificates in PEM: {error}") from error


def check_trusted(
    signer: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: datetime,
) -> None:
    """Whether a certificate may sign for whoever the anchors stand for, and was valid at a moment.

    A signer that is itself among the anchors is trusted as such. Revocation is not looked at: that needs a network.

    Raises:
        Refused: ``untrusted_signer``: it does not lead to an anchor (RFC 5280, 6), was not valid, or is not for that.
    """
    if not signer.not_valid_before_utc <= at <= signer.not_valid_after_utc:
        span = f"{signer.not_valid_before_utc:%Y-%m-%d %H:%M:%S} to {signer.not_valid_after_utc:%Y-%m-%d %H:%M:%S}"
        raise Refused("untrusted_signer", f"{name_of(signer)} was not valid at {at:%Y-%m-%d %H:%M:%S}, only {span}")
    authorities = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_authority)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
    )
    signers = (
        ExtensionPolicy.permit_all()
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_no_authority)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_documents)
    )
    verifier = (
        PolicyBuilder()
        .store(Store(list(anchors)))
        .time(at)
        .max_chain_depth(_DEEPEST_CHAIN)
        .extension_policies(ca_policy=authorities, ee_policy=signers)
        .build_client_verifier()
    )
    try:
        chain = verifier.verify(signer, list(others)).chain
    except (VerificationError, ValueError) as error:  # ValueError: an extension that cannot be read
        reason = f"{name_of(signer)} does not lead to a certificate that is trusted: {error}"
        raise Refused("untrusted_signer", reason) from error
    if strangers := [name_of(one) for one in others if one not in chain]:
        raise Refused("untrusted_signer", f"{strangers[0]} came along and is no part of the signer's chain")


def name_of(certificate: x509.Certificate) -> str:
    """Whom a certificate is for, as it says itself."""
    try:
        return certificate.subject.rfc4514_string()
    except (ValueError, TypeError):  # TypeError: a part of it is not of the kind that it says
        return "a certificate whose name cannot be read"


def _is_authority(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("the issuer is no certificate authority")


def _is_no_authority(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints | None) -> None:
    if constraints and constraints.ca:
        raise ValueError("a certificate authority's own certificate signs no documents")


def _signs_certificates(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage and not usage.key_cert_sign:
        raise ValueError("the issuer's key may not sign certificates")


def _signs_documents(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage and not (usage.digital_signature or usage.content_commitment):
        raise ValueError("its key may not sign documents")
