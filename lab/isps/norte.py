"""ISP norte: a BIND that takes a copy of the authority's policy zone and lets it decide. No human is involved."""

from __future__ import annotations

from dataclasses import dataclass

import dns.asyncquery
import dns.zone

from lab.names import RPZ_ZONE
from lab.resolvers import Resolver, ZoneServer

_TRANSFER_SECONDS = 5.0


@dataclass(frozen=True)
class Norte:
    """The ISP's resolver, which is also where its copy of the zone is."""

    resolver: Resolver

    async def serial(self) -> int | None:
        """Serial of the zone that the ISP holds now."""
        return await ZoneServer(self.resolver.address, self.resolver.port).serial(RPZ_ZONE)

    async def names(self) -> tuple[str, ...]:
        """The names under policy in the ISP's own copy, ``*.`` ones too, sorted: what the ISP has received."""
        zone = dns.zone.Zone(RPZ_ZONE)
        await dns.asyncquery.inbound_xfr(
            self.resolver.address, zone, port=self.resolver.port, lifetime=_TRANSFER_SECONDS
        )
        return tuple(sorted(name.to_text() for name in zone if name.to_text() != "@"))
