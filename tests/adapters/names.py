"""Real name servers for tests: a policy zone's primary, an ISP's resolver that follows the zone, and a control."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.tsig
import dns.zone

from lab.dns import named_arguments, write_authoritative, write_rpz_primary
from lab.names import BIND_ADDRESS, CONTROL_ADDRESS, NORTE_KEY, RPZ_ZONE, UPDATER_KEY
from lab.ports import PortBook
from lab.processes import Children, daemon
from lab.resolvers import Resolver, ZoneServer, write_rpz_resolver, write_unbound


@dataclass(frozen=True)
class PolicyServers:
    """A BIND that holds the zone, a BIND that enforces it, an Unbound that knows nothing of it, and the keys.

    Attributes:
        primary: The zone's primary, ``address:port``.
        resolver: The ISP's resolver, a secondary of the zone.
        control: A resolver under no order.
        updater: The key that may change the zone.
        transfer: The ISP's key, which may transfer it and nothing else.
        secrets: Folder with their secrets, ``updater.key`` and ``norte.key``.
    """

    primary: ZoneServer
    resolver: Resolver
    control: Resolver
    secrets: Path
    updater: dns.tsig.Key
    transfer: dns.tsig.Key

    @property
    def address(self) -> str:
        return f"{self.primary.address}:{self.primary.port}"

    def records(self) -> dict[str, str]:
        """What the zone holds beside its apex, owner to data, by a transfer: no wildcard answers for another name."""
        query = dns.message.make_query(RPZ_ZONE, dns.rdatatype.AXFR)
        query.use_tsig(self.transfer)
        zone = dns.zone.Zone(dns.name.from_text(RPZ_ZONE))
        dns.query.inbound_xfr(self.primary.address, zone, query, port=self.primary.port, lifetime=10)
        return {
            str(name): f"{dns.rdatatype.to_text(rdata.rdtype)} {rdata}"
            for name, _, rdata in zone.iterate_rdatas()
            if name != dns.name.empty
        }


@asynccontextmanager
async def policy_servers(folder: Path) -> AsyncGenerator[PolicyServers]:
    """Start root, primary and resolver; stop them, whatever happens."""
    ports, children = PortBook(), Children()
    secrets = {name: base64.b64encode(os.urandom(32)).decode() for name in (UPDATER_KEY, NORTE_KEY)}
    folders = {name: folder / name for name in ("root", "primary", "resolver", "control", "secrets")}
    for each in folders.values():
        each.mkdir()
    (folders["secrets"] / "updater.key").write_text(secrets[UPDATER_KEY] + "\n")
    (folders["secrets"] / "norte.key").write_text(secrets[NORTE_KEY] + "\n")
    try:
        root_port, primary_port, port = (ports.take(BIND_ADDRESS) for _ in range(3))
        primary, resolver = ZoneServer(BIND_ADDRESS, primary_port), Resolver(BIND_ADDRESS, port)
        control = Resolver(CONTROL_ADDRESS, ports.take(CONTROL_ADDRESS))
        program = daemon("named", folder / "bin")
        started = {
            name: await children.start(name, named_arguments(program, configuration), folders[name])
            for name, configuration in {
                "root": write_authoritative(folders["root"], root_port),
                "primary": write_rpz_primary(folders["primary"], primary_port, port, secrets),
                "resolver": write_rpz_resolver(folders["resolver"], port, root_port, primary_port, secrets[NORTE_KEY]),
            }.items()
        }
        unbound = [daemon("unbound", folder / "bin"), "-d", "-p", "-c"]
        unbound.append(str(write_unbound(folders["control"], control, root_port)))
        started["control"] = await children.start("control", unbound, folders["control"])
        await children.ready(started["control"], lambda: control.answers("ejemplo.test"))
        await children.ready(started["primary"], lambda: primary.holds(RPZ_ZONE))
        await children.ready(started["resolver"], lambda: resolver.answers("ejemplo.test"))
        await children.ready(started["resolver"], lambda: ZoneServer(BIND_ADDRESS, port).holds(RPZ_ZONE))
        updater, transfer = (dns.tsig.Key(name, secret, "hmac-sha256") for name, secret in secrets.items())
        yield PolicyServers(primary, resolver, control, folders["secrets"], updater, transfer)
    finally:
        await children.stop()
        ports.release()
