"""Certificates and contents of CMS signatures (RFC 5652), as they are: nothing is validated here."""

from __future__ import annotations

from typing import Any

from asn1crypto import cms

from precinto.adapters.crawlers.apps.words import plain
from precinto.domain.apps import Certificate

_CERTIFICATES = 50
"""Certificates of one signature that are described."""


class Signature:
    """One CMS SignedData."""

    def __init__(self, der: bytes) -> None:
        """Read it.

        Raises:
            ValueError: It is no SignedData.
        """
        outer = loaded(cms.ContentInfo, der)
        if outer["content_type"].native != "signed_data":
            raise ValueError(f"a CMS of type {outer['content_type'].native}, not signed_data")
        self._data: Any = outer["content"]

    def content(self) -> bytes:
        """What is signed, where it is inside; empty for a detached signature."""
        return self._data["encap_content_info"]["content"].native or b""

    def certificates(self, found_in: str) -> tuple[Certificate, ...]:
        """Its certificates, with those that its signer infos name marked as signers."""
        serials = {
            (info["sid"].chosen["issuer"].hashable, info["sid"].chosen["serial_number"].native)
            for info in self._data["signer_infos"]
            if info["sid"].name == "issuer_and_serial_number"
        }
        choices = list(self._data["certificates"])[:_CERTIFICATES]
        found: list[Any] = [choice.chosen for choice in choices if choice.name == "certificate"]
        return tuple(
            described(one, found_in, signer=(one.issuer.hashable, one.serial_number) in serials) for one in found
        )


def loaded(what: Any, der: bytes) -> Any:
    """A structure of ``asn1crypto``, which has no types.

    Raises:
        ValueError: It is another one.
    """
    return what.load(der)


def described(certificate: Any, found_in: str, *, signer: bool) -> Certificate:
    """A certificate (``asn1crypto``) in words.

    Raises:
        ValueError: It is malformed.
    """
    return Certificate(
        sha256=certificate.sha256.hex(),
        subject=plain(certificate.subject.human_friendly),
        issuer=plain(certificate.issuer.human_friendly),
        not_before=certificate.not_valid_before,
        not_after=certificate.not_valid_after,
        found_in=found_in,
        signer=signer,
    )
