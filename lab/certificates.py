"""The lab's certificate authority: one certificate per host, chosen by the name that a client asks for (SNI)."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

import trustme


class CertificateAuthority:
    """Issues certificates that only those trust who are given ``ca.pem``; its key never leaves the process."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA(organization_name="Lab", organization_unit_name="Root of the lab")
        self._folder = folder
        self.pem = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.pem)

    def server(self, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate for these names or addresses.

        The root is sent along: a client that pins the root's key, as a browser can, looks for it in what it was sent.
        """
        leaf = self._ca.issue_cert(*names, common_name=names[0])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        chain = self._folder / f".{names[0]}.pem"
        chain.touch(mode=0o600)
        chain.write_bytes(leaf.private_key_and_cert_chain_pem.bytes() + self._ca.cert_pem.bytes())
        try:
            context.load_cert_chain(chain)
        finally:
            chain.unlink()
        return context

    def by_name(self, certificates: Iterable[tuple[str, ...]], otherwise: str) -> ssl.SSLContext:
        """One context for many hosts: the names of each certificate; ``otherwise`` answers for any other name."""
        contexts: dict[str, ssl.SSLContext] = {}
        for names in certificates:
            contexts |= dict.fromkeys(names, self.server(*names))

        def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            connection.context = contexts.get((name or "").lower(), contexts[otherwise])

        first = self.server(otherwise)
        first.sni_callback = choose
        return first
