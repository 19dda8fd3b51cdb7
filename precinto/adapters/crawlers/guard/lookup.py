"""Every address behind a name: whoever connects must know them all, for one that is closed closes the name."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Sequence
from typing import cast

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver

from precinto.adapters.crawlers.guard.addresses import Address
from precinto.domain.errors import Unavailable
from precinto.endpoints import endpoint


class NoAddress(Exception):
    """A name has no address, or none is to be had; says why."""


class Lookup:
    """Asks resolvers for a name's addresses, of both families at once."""

    def __init__(self, resolvers: Sequence[str], seconds: float) -> None:
        """Nothing is asked yet.

        Args:
            resolvers: Resolvers to ask, ``address:port``; none for the system's.
            seconds: How long one name may take.

        Raises:
            Unavailable: No resolver is given, and the system has none.
        """
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not resolvers)
        except dns.resolver.NoResolverConfiguration as error:
            raise Unavailable(f"no resolver is given, and the system has none: {error}") from error
        if resolvers:
            servers = [endpoint(one) for one in resolvers]
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(one.host, one.port) for one in servers]
        self._resolver.lifetime = seconds

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """All addresses of a name, IPv4 first; a family that gives no answer has none.

        Raises:
            NoAddress: There is none.
        """
        answers = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"), return_exceptions=True)
        found: list[Address] = []
        errors: list[BaseException] = []
        for answer in answers:
            if isinstance(answer, dns.exception.DNSException | OSError):
                errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += answer
        if not found:
            raise NoAddress(_words(errors[0]) if errors else "no address")
        return tuple(found)

    async def _ask(self, host: str, kind: str) -> list[Address]:
        answer = await self._resolver.resolve(f"{host}.", kind, raise_on_no_answer=False, search=False)
        records = cast("Iterable[object]", answer.rrset or ())
        return [ipaddress.ip_address(str(record)) for record in records]  # the text of such a record is its address


def _words(error: BaseException) -> str:
    match error:
        case dns.resolver.NXDOMAIN():
            return "the name does not exist (NXDOMAIN)"
        case dns.resolver.LifetimeTimeout():
            return "no resolver answered in time"
        case dns.resolver.NoNameservers():
            return "every resolver answered with an error"
        case _:
            return str(error) or type(error).__name__
