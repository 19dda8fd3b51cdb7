"""Who is who on the lab's internet: host names, their addresses, and the names both sides of a channel agree on.

Data only. Every address is in 127.0.0.0/8, which the kernel never routes to a network card, so a mistake in here
cannot reach anybody. BIND listens only on addresses that an interface carries, so its servers share 127.0.0.1 and
differ by port; Unbound and the web servers take any address of the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a host shows."""

    RIPPER = "ripper"
    SPORTS = "sports"
    PAGE = "page"
    DOWNLOADS = "downloads"
    SINKHOLE = "sinkhole"


@dataclass(frozen=True)
class Host:
    """A name with its zone: the apex and everything below it answer with ``address``.

    ``brand`` names what is shown: two hosts with one brand show the same content, as mirrors do.
    """

    name: str
    address: str
    kind: Kind
    brand: str


SHARED_ADDRESS = "127.0.1.6"
SINKHOLE_ADDRESS = "127.0.1.9"

HOSTS = (
    Host("flvto.biz", "127.0.1.1", Kind.RIPPER, "flvto"),
    Host("y2mate.com", "127.0.1.2", Kind.RIPPER, "y2mate"),
    Host("yout.com", "127.0.1.3", Kind.RIPPER, "yout"),
    Host("y2mate.lol", "127.0.1.4", Kind.RIPPER, "y2mate"),
    Host("roja-directa-lab.test", "127.0.1.5", Kind.SPORTS, "roja-directa"),
    Host("pirate-on-shared.test", SHARED_ADDRESS, Kind.RIPPER, "pirate"),
    Host("libreria.test", SHARED_ADDRESS, Kind.PAGE, "libreria"),
    Host("panaderia.test", SHARED_ADDRESS, Kind.PAGE, "panaderia"),
    Host("tramites.gob.pe", "127.0.1.7", Kind.PAGE, "tramites"),
    Host("ejemplo.test", "127.0.1.8", Kind.PAGE, "ejemplo"),
    Host("apks-lab.test", "127.0.1.10", Kind.DOWNLOADS, "apks"),
    Host("sinkhole.test", SINKHOLE_ADDRESS, Kind.SINKHOLE, "sinkhole"),
)

BIND_ADDRESS = "127.0.0.1"
SUR_ADDRESS = "127.0.0.12"
ANDES_ADDRESS = "127.0.0.13"
CONTROL_ADDRESS = "127.0.0.14"
SECOND_CONTROL_ADDRESS = "127.0.0.15"
TIMESTAMP_ADDRESS = "127.0.0.1"
RDAP_ADDRESS = "127.0.0.1"

NAME_SERVER = "ns.precinto.test"
RPZ_ZONE = "rpz.precinto.test"
UPDATER_KEY = "authority-updater"
NORTE_KEY = "norte"

SENDER = "orders@autoridad.test"
ABUSE_DESK = "orders@sur.test"

CONTROL, SECOND_CONTROL = "control", "second-control"
"""What ``Lab.resolve`` calls the resolvers that stand under no ISP's policy."""


def host_of(name: str) -> Host | None:
    """The host that answers for a name: itself or the apex above it; None for a name outside the lab."""
    wanted = name.lower().rstrip(".")
    return next((h for h in HOSTS if wanted == h.name or wanted.endswith(f".{h.name}")), None)
