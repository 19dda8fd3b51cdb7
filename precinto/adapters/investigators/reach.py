"""Which servers an investigation may speak to: a site names its own name servers, and they may be anybody's.

As for captures, a name is resolved once, every address behind it is checked, and the connection goes to the address
that was checked. In lab mode (``ports`` given) only loopback may be reached, and ports are mapped to the lab's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from precinto.adapters.crawlers.guard.addresses import Address, closed
from precinto.adapters.crawlers.guard.lookup import Lookup, NoAddress
from precinto.domain.errors import Refused, Unavailable


class Reach:
    """The servers that may be spoken to.

    Args:
        resolvers: Resolvers to look names up with, ``address:port``; none for the system's.
        ports: Lab mode: real port to the lab's.
        seconds: How long a lookup may take.
    """

    def __init__(self, resolvers: Sequence[str], ports: Mapping[int, int], seconds: float) -> None:
        self._ports = dict(ports)
        self._lookup = Lookup(resolvers, seconds)

    def port(self, port: int) -> int:
        """Where a port is: itself, but for the lab's."""
        return self._ports.get(port, port)

    def refusal(self, address: Address) -> str | None:
        """Why nobody speaks to this address, or None."""
        return closed(address, lab=bool(self._ports))

    async def address(self, host: str) -> str:
        """The address to connect to for a host, given by name or address: IPv4 where there is one.

        Raises:
            Refused: ``closed_address``: one of its addresses is closed.
            Unavailable: It does not resolve.
        """
        found = await self._addresses(host)
        for one in found:
            if reason := self.refusal(one):
                raise Refused("closed_address", f"{host} is at {one}, which is closed: {reason}")
        return str(found[0])

    async def _addresses(self, host: str) -> tuple[Address, ...]:
        try:
            return (ipaddress.ip_address(host.strip("[]")),)
        except ValueError:
            pass  # it is a name
        try:
            return await self._lookup.addresses(host)
        except NoAddress as none:
            raise Unavailable(f"{host} does not resolve: {none}") from none
