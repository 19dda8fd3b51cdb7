"""Which RDAP server knows of a name or an address: IANA's bootstrap files (RFC 9224), from a dated copy."""

from __future__ import annotations

import json
from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from precinto.adapters.investigators.snapshot import read_snapshot
from precinto.domain.errors import BadInput
from precinto.domain.model import Value

SHIPPED = Path(__file__).parent / "bootstrap"
"""The copy that comes with Precinto; ``snapshot.toml`` there says of when and from where."""

DOMAINS, ADDRESSES = "dns.json", {4: "ipv4.json", 6: "ipv6.json"}


class _Registry(Value):
    version: str = Field(pattern=r"^1\.0$")
    publication: str
    description: str = ""
    services: tuple[Annotated[tuple[tuple[str, ...], ...], Field(min_length=2, max_length=2)], ...]


class Bootstrap:
    """A copy of the bootstrap files.

    Attributes:
        dated: The day of the copy.
    """

    def __init__(self, folder: Path) -> None:
        """Read a copy.

        Raises:
            BadInput: It is not there, is not what it says it is, or is no bootstrap file.
        """
        self.dated: date = read_snapshot(folder, DOMAINS, *ADDRESSES.values()).dated
        self._domains = {entry.lower().strip("."): urls for entry, urls in _services(folder / DOMAINS).items()}
        self._networks = {version: _networks(folder / name) for version, name in ADDRESSES.items()}

    def for_domain(self, name: str) -> tuple[str, ...]:
        """Base addresses of the servers for a domain, by the longest entry that it is below; empty where none is."""
        labels = name.lower().split(".")
        suffixes = (".".join(labels[start:]) for start in range(len(labels)))
        return next((self._domains[suffix] for suffix in suffixes if suffix in self._domains), ())

    def for_address(self, address: IPv4Address | IPv6Address) -> tuple[str, ...]:
        """Base addresses of the servers for an address; the narrowest block counts."""
        blocks = [(block, urls) for block, urls in self._networks[address.version].items() if address in block]
        return max(blocks, key=lambda found: found[0].prefixlen)[1] if blocks else ()


def _services(path: Path) -> dict[str, tuple[str, ...]]:
    """Entry to base addresses, https first, each with a slash at its end."""
    try:
        content: Any = json.loads(path.read_bytes())
        registry = _Registry.model_validate(content)
    except (ValueError, ValidationError) as error:
        raise BadInput(f"{path}: is no bootstrap file of RFC 9224: {str(error).splitlines()[0]}") from error
    found: dict[str, tuple[str, ...]] = {}
    for entries, urls in registry.services:
        ordered = sorted((f"{url.rstrip('/')}/" for url in urls), key=lambda url: not url.startswith("https:"))
        found |= dict.fromkeys(entries, tuple(ordered))
    return found


def _networks(path: Path) -> dict[Any, tuple[str, ...]]:
    try:
        return {ip_network(entry): urls for entry, urls in _services(path).items()}
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from error
