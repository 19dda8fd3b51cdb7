"""Whose networks the lab's addresses are in: made-up hosters, one of them a content delivery network.

Numbers of autonomous systems are those set aside for documentation (RFC 5398).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from ipaddress import IPv4Address
from pathlib import Path

from precinto.adapters.investigators.networks import FILES, describe, write_rows

DATED = date(2026, 11, 1)


@dataclass(frozen=True)
class Hoster:
    """A hoster and the one block of addresses that it has."""

    name: str
    handle: str
    asn: int
    first: str
    last: str
    country: str = "PE"

    def holds(self, address: str) -> bool:
        """Whether an address is in its block."""
        return IPv4Address(self.first) <= IPv4Address(address) <= IPv4Address(self.last)


HOSTERS = (
    Hoster("Alojamiento Austral S.A.C.", "AUSTRAL-LAB", 64496, "127.0.1.1", "127.0.1.3"),
    Hoster("Nube Frontera CDN", "FRONTERA-LAB", 64500, "127.0.1.4", "127.0.1.4", "NL"),
    Hoster("Hospedaje Compartido Lima", "COMPARTIDO-LAB", 64497, "127.0.1.5", "127.0.1.6"),
    Hoster("Red del Estado", "ESTADO-LAB", 64498, "127.0.1.7", "127.0.1.7"),
    Hoster("Redes de Ejemplo", "EJEMPLO-LAB", 64499, "127.0.1.8", "127.0.1.254"),
)


def hoster_of(address: str) -> Hoster | None:
    """Whose an IPv4 address is; None for one of nobody's."""
    return next((hoster for hoster in HOSTERS if hoster.holds(address)), None)


def write_networks(folder: Path) -> Path:
    """Write the copy of whose networks addresses are in, as an installation has it; returns its folder."""
    write_rows(folder / FILES[4], ((h.first, h.last, h.asn, h.name) for h in HOSTERS))
    write_rows(folder / FILES[6], ())
    describe(folder, "networks of the lab", "written by the lab", "none needed", DATED)
    return folder
