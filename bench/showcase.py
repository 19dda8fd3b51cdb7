"""The site that captures are measured on: the lab's showcase, with a resolver that knows it, in this process."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.certificates import CertificateAuthority
from lab.showcase import Showcase, open_showcase
from tests.adapters.internet import names

PAGE, FRAME = "showcase.example", "frame.example"

Served = tuple[str, str, str, str]
"""HTTP version (``2`` or ``1.1``), host, path, and SHA-256 of the body."""


@dataclass(frozen=True)
class Place:
    """What a visitor must know.

    Attributes:
        site: The site, with its journal.
        resolver: The resolver, ``address:port``.
        authority: The certificate authority to trust (PEM).
    """

    site: Showcase
    resolver: str
    authority: Path

    def served(self) -> Counter[Served]:
        """What was served since this was asked last."""
        journal = self.site.journal
        served = Counter((hit.protocol, hit.host, hit.path, hit.sha256) for hit in journal)
        journal.clear()
        return served


@asynccontextmanager
async def open_place(folder: Path) -> AsyncGenerator[Place]:
    """Serve until the block ends; ``folder`` is for the authority's certificate."""
    authority = CertificateAuthority(folder)
    async with names() as resolver, open_showcase(authority, (PAGE, FRAME)) as site:
        resolver.answers = {PAGE: (site.address,), FRAME: (site.address,)}
        yield Place(site, resolver.address, authority.pem)
