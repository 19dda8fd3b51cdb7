"""Where a capture may go: for each connection, by port, by name and by every address behind the name.

A name is resolved once in a capture, *every* address is checked, and the connection goes to the very address that
was checked: there is no gap between check and use for a name that changes its answer (DNS rebinding).

In lab mode (``ports`` given) the world is turned round: names must resolve to loopback, ports are mapped to the
lab's, addresses in place of names are refused, and nothing else exists.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from precinto.adapters.crawlers.guard.addresses import Address, closed
from precinto.adapters.crawlers.guard.lookup import Lookup, NoAddress

PORTS = frozenset({80, 443, 8080, 8443})
"""Ports that a capture may reach."""

HOSTS = 400
"""Host names that one capture may look up; a page with a wildcard domain can invent any number."""

SILENCED = frozenset(
    {
        "browser.invalid",  # where our flags send the calls that can be redirected
        "clients1.google.com",
        "clients2.google.com",
        "clients4.google.com",
        "connectivitycheck.gstatic.com",
        "content-autofill.googleapis.com",
        "edgedl.me.gvt1.com",
        "mtalk.google.com",
        "optimizationguide-pa.googleapis.com",
        "redirector.gvt1.com",
        "safebrowsing.googleapis.com",
        "update.googleapis.com",
    }
)
"""Hosts that Chromium calls for itself, without the page. Hosts that pages use as well are not among them."""

_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_CONNECT_SECONDS = 8.0
_LOOKUP_SECONDS = 5.0


class Rule(StrEnum):
    """Why a connection was not made, or was cut."""

    REQUEST = "request"
    """What came was no request for a connection."""
    NAME = "name"
    """The host is no name that may be asked for."""
    PORT = "port"
    ADDRESS = "address"
    """One of the host's addresses is closed to captures."""
    DNS = "dns"
    """The host does not resolve."""
    CONNECT = "connect"
    """Nobody answers there."""
    BUDGET = "budget"
    """The capture has used up its bytes."""
    PROTOCOL = "protocol"
    """The site does not speak HTTP."""
    RECORD = "record"
    """What would pass could not be recorded."""


class NoWay(Exception):
    """This connection is not made, or not carried on; a verdict, not a failure of the program."""

    def __init__(self, rule: Rule, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason


@dataclass(frozen=True)
class Way:
    """An open connection and the address it leads to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str


class Door:
    """Decides where one capture may go, and opens the way there.

    Attributes:
        addresses: Each host that was looked up, with all its addresses, also those that were then refused.
    """

    def __init__(self, resolvers: Sequence[str], ports: Mapping[int, int]) -> None:
        self.addresses: dict[str, tuple[str, ...]] = {}
        self._lookup = Lookup(resolvers, _LOOKUP_SECONDS)
        self._ports = dict(ports)
        self._lookups: dict[str, asyncio.Task[tuple[Address, ...]]] = {}

    async def open(self, host: str, port: int) -> Way:
        """Connect to a host, given by name or address.

        Raises:
            NoWay: It may not be reached, or it cannot.
        """
        to = self._port(port)
        error: BaseException | None = None
        for address in await self._checked(host):
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection(str(address), to)
            except (OSError, TimeoutError) as failed:
                error = failed
            else:
                return Way(reader, writer, str(address))
        raise NoWay(Rule.CONNECT, f"no connection: {_words(error)}")

    def close(self) -> None:
        """Stop the lookups that are still under way."""
        for lookup in self._lookups.values():
            if not lookup.cancel() and not lookup.cancelled():
                lookup.exception()  # marks it as seen: whoever waited for it may be gone

    def _port(self, port: int) -> int:
        # The lab maps ports of others as well, such as its name server's.
        if port not in PORTS or (self._ports and port not in self._ports):
            raise NoWay(Rule.PORT, f"port {port} is not open to captures")
        return self._ports.get(port, port)

    async def _checked(self, host: str) -> tuple[Address, ...]:
        addresses = await self._addresses(host)
        for address in addresses:
            if reason := closed(address, lab=bool(self._ports)):
                raise NoWay(Rule.ADDRESS, f"{address} is closed to captures: {reason}")
        return addresses

    async def _addresses(self, host: str) -> tuple[Address, ...]:
        try:
            literal = ipaddress.ip_address(host)
        except ValueError:
            return await self._resolve(host)
        if self._ports:
            raise NoWay(Rule.ADDRESS, "an address in place of a name, in lab mode")
        return (literal,)

    async def _resolve(self, host: str) -> tuple[Address, ...]:
        if host in SILENCED:
            raise NoWay(Rule.NAME, "the browser's own call, not the page's")
        # Browsers read a name that ends in a number as an IPv4 address; so no resolver may read it as a name.
        if not _NAME.fullmatch(host) or len(host) > 253 or _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise NoWay(Rule.NAME, "not a host name")
        if host not in self._lookups:
            if len(self._lookups) >= HOSTS:
                raise NoWay(Rule.NAME, f"more than {HOSTS} hosts in one capture")
            self._lookups[host] = asyncio.create_task(self._look_up(host))
        # Shielded: a connection that ends must not end the lookup that others wait for.
        return await asyncio.shield(self._lookups[host])

    async def _look_up(self, host: str) -> tuple[Address, ...]:
        try:
            found = await self._lookup.addresses(host)
        except NoAddress as none:
            raise NoWay(Rule.DNS, f"does not resolve: {none}") from none
        self.addresses[host] = tuple(map(str, found))
        return found


def _words(error: BaseException | None) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {_CONNECT_SECONDS:g} s"
        case OSError(strerror=str(text)):
            return text
        case _:
            return str(error) or type(error).__name__
