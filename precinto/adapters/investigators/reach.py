"""Which servers an investigation may speak to: a site names its own name servers, and they may be anybody's.

As for captures, a name is resolved once, every address behind it is checked, and the connection goes to the address
that was checked. In lab mode (``ports`` given) only loopback may be reached, and ports are mapped to the lab's.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import dns.asyncresolver
import dns.exception
import dns.nameserver

from precinto.adapters.crawlers.guard.addresses import Address, closed
from precinto.domain.errors import Refused, Unavailable
from precinto.endpoints import endpoint


class Reach:
    """The servers that may be spoken to.

    Args:
        resolvers: Resolvers to look names up with, ``address:port``.
        ports: Lab mode: real port to the lab's.
        seconds: How long a lookup may take.
    """

    def __init__(self, resolvers: Sequence[str], ports: Mapping[int, int], seconds: float) -> None:
        self._ports = dict(ports)
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        servers = [endpoint(one) for one in resolvers]
        self._resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in servers]
        self._resolver.lifetime = seconds

    def port(self, port: int) -> int:
        """Where a port is: itself, but for the lab's."""
        return self._ports.get(port, port)

    def refusal(self, address: Address) -> str | None:
        """Why nobody speaks to this address, or None."""
        if self._ports:
            return None if address.is_loopback else "not loopback, in lab mode"
        return closed(address)

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

    async def _addresses(self, host: str) -> list[Address]:
        try:
            return [ipaddress.ip_address(host.strip("[]"))]
        except ValueError:
            answers = await asyncio.gather(self._look_up(host, "A"), self._look_up(host, "AAAA"))
        found = [address for answer in answers for address in answer]
        if not found:
            raise Unavailable(f"{host} does not resolve")
        return found

    async def _look_up(self, host: str, kind: str) -> list[Address]:
        try:
            answer = await self._resolver.resolve(f"{host}.", kind, raise_on_no_answer=False, search=False)
        except (dns.exception.DNSException, OSError):  # what neither question finds does not resolve
            return []
        return [ipaddress.ip_address(str(record)) for record in cast("Iterable[object]", answer.rrset or ())]
