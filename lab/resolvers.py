"""Recursive resolvers: those of the ISPs and the two controls, and how to ask one.

All of them start at the lab's own root. Port 53 needs privileges, so referrals cannot be followed to where they
point: BIND is told the port that every server has (``port``), Unbound the server of every zone (``stub-zone``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.IN.A import A

from lab.dns import PRIVATE_OPTIONS, key_clause, zones_of_the_lab
from lab.names import BIND_ADDRESS, NAME_SERVER, NORTE_KEY, RPZ_ZONE

_QUERY_SECONDS = 2.0
_FIRST_QUERY_SECONDS = 0.5


class Answer(NamedTuple):
    """What a resolver said: the name of the RCODE (``NOERROR``, ``NXDOMAIN``, ...) and the IPv4 addresses."""

    rcode: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Resolver:
    """Where a resolver listens."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"

    async def ask(self, name: str, seconds: float = _QUERY_SECONDS) -> Answer:
        """Ask for the A records of a name, and wait so many seconds for them.

        Raises:
            dns.exception.Timeout: No answer came.
        """
        query = dns.message.make_query(name, dns.rdatatype.A)
        reply = await dns.asyncquery.udp(query, self.address, port=self.port, timeout=seconds)
        found = (record.address for record in _answer(reply) if isinstance(record, A))
        return Answer(dns.rcode.to_text(reply.rcode()), tuple(sorted(found)))

    async def answers(self, name: str) -> bool:
        """Whether the resolver is up and finds the name."""
        try:
            return (await self.ask(name, _FIRST_QUERY_SECONDS)).rcode == "NOERROR"
        except (dns.exception.Timeout, OSError):  # nothing listens there yet
            return False


@dataclass(frozen=True)
class ZoneServer:
    """A server that holds a zone: is it loaded, and with which serial?"""

    address: str
    port: int

    async def serial(self, zone: str, seconds: float = _QUERY_SECONDS) -> int | None:
        """Serial of the zone (RFC 1982), None while the server has no copy of it."""
        query = dns.message.make_query(zone, dns.rdatatype.SOA)
        query.flags &= ~dns.flags.RD
        reply = await dns.asyncquery.udp(query, self.address, port=self.port, timeout=seconds)
        return next((record.serial for record in _answer(reply) if isinstance(record, SOA)), None)

    async def holds(self, zone: str) -> bool:
        """Whether the server is up and has loaded the zone."""
        try:
            return await self.serial(zone, _FIRST_QUERY_SECONDS) is not None
        except (dns.exception.Timeout, OSError):  # nothing listens there yet
            return False


def _answer(reply: dns.message.Message) -> Iterator[object]:
    """Every record of the answer section."""
    for rrset in reply.answer:
        yield from cast("Iterable[object]", rrset)


def write_rpz_resolver(folder: Path, port: int, root_port: int, primary_port: int, secret: str) -> Path:
    """ISP norte's BIND: a secondary of the authority's policy zone that lets the zone decide.

    Each option of ``response-policy`` undoes a default that leaves a hole or a delay: ``break-dnssec yes``, or a
    signed domain stays open to every query with the DO bit; ``min-update-interval 0``, or changes wait a minute.
    """
    (folder / "root.hints").write_text(f". 3600 NS {NAME_SERVER}.\n{NAME_SERVER}. 3600 A {BIND_ADDRESS}\n")
    configuration = folder / "named.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(f"""{key_clause(NORTE_KEY, secret)}options {{
    directory "{folder}";{PRIVATE_OPTIONS}
    port {root_port}; listen-on port {port} {{ {BIND_ADDRESS}; }};
    recursion yes; allow-query {{ 127.0.0.0/8; }}; allow-recursion {{ 127.0.0.0/8; }};
    empty-zones-enable no; max-ncache-ttl 30;
    response-policy {{ zone "{RPZ_ZONE}" policy given; }}
        break-dnssec yes qname-wait-recurse no min-update-interval 0;
}};
controls {{ }};
zone "." {{ type hint; file "root.hints"; }};
zone "{RPZ_ZONE}" {{
    type secondary; file "rpz.db"; masterfile-format raw;
    primaries {{ {BIND_ADDRESS} port {primary_port} key "{NORTE_KEY}"; }};
    allow-notify {{ key "{NORTE_KEY}"; }}; allow-transfer {{ 127.0.0.0/8; }};
    request-ixfr yes; notify no;
}};
""")
    return configuration


def write_unbound(folder: Path, resolver: Resolver, root_port: int) -> Path:
    """An Unbound resolver with a control socket, ``folder/control``.

    ``outgoing-interface`` is its own loopback address: the kernel then refuses any packet to another network.
    """
    stubs = "".join(
        f'stub-zone:\n    name: "{zone}"\n    stub-addr: {BIND_ADDRESS}@{root_port}\n' for zone in zones_of_the_lab()
    )
    configuration = folder / "unbound.conf"
    configuration.write_text(f"""server:
    directory: "{folder}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    interface: {resolver.address}@{resolver.port}
    outgoing-interface: {resolver.address}
    outgoing-port-avoid: 0-65535
    outgoing-port-permit: 40000-60000
    access-control: 127.0.0.0/8 allow
    so-reuseport: no
    num-threads: 1
    msg-cache-size: 1m
    rrset-cache-size: 2m
    do-ip6: no
    module-config: "iterator"
    do-not-query-localhost: no
    local-zone: "test." nodefault
remote-control:
    control-enable: yes
    control-use-cert: no
    control-interface: {control_socket(folder)}
{stubs}""")
    return configuration


def control_socket(folder: Path) -> Path:
    """Where the Unbound of a folder takes commands."""
    return folder / "control"
