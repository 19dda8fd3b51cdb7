"""Orders as records of a response policy zone (RPZ), by signed dynamic updates to its primary.

The zone is the authority's own: its ISPs' resolvers transfer it, and enforce a change within milliseconds. A name
under order has two records, ``NAME CNAME .`` and ``*.NAME CNAME .``: a wildcard does not cover the name itself.

What the zone says is asked by prerequisites of an update that changes nothing (RFC 2136, 2.4), not by queries: a
query for ``www.NAME`` is answered from ``*.NAME`` where that exists, so the order on the one name would seem carried
out by the order on the other, and would end with it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.inet
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
from dns.rcode import Rcode
from dns.rdtypes.ANY.SOA import SOA
from pydantic import Field, field_validator

from precinto.adapters.channels.credentials import read_secret
from precinto.domain.errors import PrecintoError, Refused, Unavailable
from precinto.domain.model import Value
from precinto.domain.notification import Action, Delivery, Notice
from precinto.endpoints import AddressPort, endpoint
from precinto.plugins import ExistingFile

NAMES_PER_UPDATE = 300
"""A message holds 64 KB: 400 names of common length fill 50, and names may be longer."""

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_NXDOMAIN = "."
_UNMET = frozenset({Rcode.NXRRSET, Rcode.YXRRSET, Rcode.NXDOMAIN, Rcode.YXDOMAIN})

_WHAT_TO_CHECK = {
    Rcode.REFUSED: "the primary does not let key {key} change zone {zone}: check its update-policy",
    Rcode.NOTAUTH: "the primary does not serve zone {zone}, or not to key {key}: check zone, key and secret",
    Rcode.NOTIMP: "the primary takes no dynamic updates: check that it is the primary of zone {zone}",
}


class RpzChannel:
    """Port ``Channel`` to an ISP whose resolvers follow the authority's policy zone."""

    class Options(Value):
        """``[isps.options]`` of the registry.

        Attributes:
            primary: The zone's primary server, ``address:port``.
            zone: The zone.
            key: Name of the TSIG key that may update it.
            secret_file: File with the key's secret, base64.
            algorithm: The key's algorithm (RFC 8945).
            ttl_seconds: TTL of the records.
            deadline_seconds: Longest time for one notice, all in all.
        """

        primary: AddressPort
        zone: str = Field(min_length=1)
        key: str = Field(min_length=1)
        secret_file: ExistingFile
        algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
        ttl_seconds: int = Field(60, ge=0, le=86_400)
        deadline_seconds: float = Field(30.0, gt=0)

        @field_validator("zone", "key")
        @classmethod
        def _is_a_name(cls, text: str) -> str:
            try:
                dns.name.from_text(text)
            except (dns.exception.DNSException, UnicodeError) as error:
                raise ValueError(f"{text!r} is not a domain name: {error}") from error
            return text

    def __init__(self, isp: str, options: Options, folder: Path) -> None:
        self._isp = isp
        self._options = options
        self._secret = folder / options.secret_file
        self._zone = dns.name.from_text(options.zone)

    async def deliver(self, notice: Notice) -> Delivery:
        """Bring the zone to what the notice says, where it does not say so already; a whole notice or none of it.

        Returns:
            The zone's serial, from which on it says so. Nothing is acknowledged: the records say what the ISP
            gets, not what it does with them.

        Raises:
            Refused: A target cannot be a name in the zone, or the primary refuses; says what to check.
            Unavailable: The primary does not answer now, or the secret cannot be read.
        """
        # One zone serves every order: a name that another order blocks too stays in it.
        items = [item for item in notice.items if item.also_under is None]
        owners = [owner for item in items for owner in self._owners(item.target)]
        key = self._key()
        try:
            async with asyncio.timeout(self._options.deadline_seconds), _Primary(self._options, key) as primary:
                for part in _parts(owners):
                    await self._bring(primary, notice.action, part)
                serial = await primary.serial(self._zone)
        except PrecintoError:
            raise
        except dns.tsig.PeerBadTime as error:
            raise Unavailable(f"{self._where}: its clock and ours are too far apart for signatures") from error
        except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadKey, dns.tsig.BadAlgorithm) as error:
            hint = f"check name, algorithm and secret of key {self._options.key}"
            raise Refused("rpz_badkey", f"{self._where}: {type(error).__name__}: {hint}") from error
        except TimeoutError as error:
            raise Unavailable(f"{self._where}: no answer within {self._options.deadline_seconds:g} s") from error
        except (OSError, EOFError, dns.exception.DNSException) as error:
            raise Unavailable(f"{self._where}: {type(error).__name__}: {error}") from error
        return Delivery(receipt=f"serial {serial}")

    @property
    def _where(self) -> str:
        return f"{self._isp}: RPZ primary {self._options.primary}"

    def _owners(self, target: str) -> Iterator[dns.name.Name]:
        # The last label decides what a rule triggers on: "0.0.0.0.0.rpz-ip" would block every address there is.
        if not _HOST.fullmatch(target) or target.rpartition(".")[2].startswith("rpz-"):
            raise Refused("rpz_not_a_host", f"{target!r} cannot stand in a policy zone as a host name")
        try:
            name = dns.name.from_text(target, origin=None)
            yield name.concatenate(self._zone)
            yield dns.name.Name(("*", *name.labels)).concatenate(self._zone)
        except dns.exception.DNSException as error:
            raise Refused("rpz_name_too_long", f"{target} with *. and .{self._options.zone}: {error}") from error

    def _key(self) -> dns.tsig.Key:
        secret = read_secret(self._secret)
        try:
            base64.b64decode(secret, validate=True)
        except binascii.Error:
            raise Unavailable(f"the secret file {self._secret} does not hold base64") from None
        return dns.tsig.Key(self._options.key, secret, self._options.algorithm)

    async def _bring(self, primary: _Primary, action: Action, owners: Sequence[dns.name.Name]) -> None:
        check = dns.update.UpdateMessage(self._zone)
        change = dns.update.UpdateMessage(self._zone)
        for owner in owners:
            # Whatever stood there goes first: a record added beside a CNAME is skipped without a word (3.4.2.2).
            change.delete(owner)
            if action is Action.BLOCK:
                check.present(owner, "CNAME", _NXDOMAIN)
                change.add(owner, self._options.ttl_seconds, "CNAME", _NXDOMAIN)
            else:
                check.absent(owner)
        if await primary.meets(check):
            return
        await primary.update(change)
        if not await primary.meets(check):
            raise Unavailable(f"{self._where}: the update was taken, but the zone does not hold it")


def _parts(owners: Sequence[dns.name.Name]) -> Iterator[Sequence[dns.name.Name]]:
    step = 2 * NAMES_PER_UPDATE
    return (owners[start : start + step] for start in range(0, len(owners), step))


class _Primary:
    """One connection to the primary; every message on it is signed, and so must every answer be."""

    def __init__(self, options: RpzChannel.Options, key: dns.tsig.Key) -> None:
        self._options = options
        self._key = key

    async def __aenter__(self) -> _Primary:
        host, port = endpoint(self._options.primary)
        make_socket = cast(Any, dns.asyncbackend.get_default_backend()).make_socket
        family, limit = dns.inet.af_for_address(host), self._options.deadline_seconds
        self._socket = await make_socket(family, socket.SOCK_STREAM, destination=(host, port), timeout=limit)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()

    async def meets(self, check: dns.update.UpdateMessage) -> bool:
        """Whether the zone says already what these prerequisites say."""
        rcode = (await self._ask(check)).rcode()
        if rcode not in _UNMET:
            self._refuse(rcode)
        return rcode == Rcode.NOERROR

    async def update(self, change: dns.update.UpdateMessage) -> None:
        """Change the zone: all of it or nothing."""
        self._refuse((await self._ask(change)).rcode())

    async def serial(self, zone: dns.name.Name) -> int:
        """The zone's serial now."""
        reply = await self._ask(dns.message.make_query(zone, dns.rdatatype.SOA))
        self._refuse(reply.rcode())
        found = reply.get_rrset(reply.answer, zone, dns.rdataclass.IN, dns.rdatatype.SOA)
        if found is None:
            raise Unavailable(f"the primary {self._options.primary} answers without the SOA of {zone}")
        return cast(SOA, found[0]).serial

    async def _ask(self, message: dns.message.Message) -> dns.message.Message:
        message.use_tsig(self._key)
        host, port = endpoint(self._options.primary)
        limit = self._options.deadline_seconds
        # The library refuses an answer without a signature: somebody in between could have given it.
        return await dns.asyncquery.tcp(message, host, limit, port, sock=self._socket)

    def _refuse(self, rcode: Rcode) -> None:
        if rcode == Rcode.NOERROR:
            return
        name = dns.rcode.to_text(rcode)
        if rcode == Rcode.SERVFAIL:
            raise Unavailable(f"the primary {self._options.primary} answers SERVFAIL")
        check = _WHAT_TO_CHECK.get(rcode, "the primary answers {rcode} for zone {zone}")
        reason = check.format(key=self._options.key, zone=self._options.zone, rcode=name)
        raise Refused(f"rpz_{name.lower()}", f"{self._options.primary}: {name}: {reason}")
