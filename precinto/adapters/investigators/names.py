"""What the name servers say of a target: two resolvers under no order, and the zone's own servers beside them.

A resolver can be lied to, and a zone's server can answer each asker differently; so the same questions go to all of
them, every answer is kept whole, and where they differ the record says so. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import dns.exception
import dns.message
import dns.name
import dns.rdatatype
from dns.rdataclass import RdataClass
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.NS import NS

from precinto.adapters.investigators.question import Question, Reply, Role, Server, ask
from precinto.adapters.investigators.reach import Reach
from precinto.domain.evidence import Missing
from precinto.endpoints import endpoint

FILE = "dns.json"
RESOLVERS = 2
NAME_SERVERS = 4
"""Servers of a zone that are asked; attackers and large sites have more."""

WIRE_BYTES = 2 * 2**20
"""Answers that are kept, in bytes of their messages; a hostile zone can make each of them 64 KB long."""

_HOST_KINDS = ("A", "AAAA", "HTTPS", "CAA")
_ZONE_KINDS = ("NS", "SOA", "MX", "TXT")
_LONGEST_CHAIN = 16


@dataclass(frozen=True)
class NameFacts:
    """What was found.

    Attributes:
        document: Content of ``dns.json``.
        addresses: Where the host is, by anybody's answer; sorted.
        aliases: The chain of CNAMEs from the host, by the first resolver that gives one.
        name_servers: Who is authoritative for the registrable domain, by anybody's answer; sorted.
        host_answered: Whether anybody said where the host is, or that it is nowhere.
        zone_answered: Whether anybody said who is authoritative.
        missing: Questions that got no answer, by server.
    """

    document: dict[str, Any]
    addresses: tuple[str, ...]
    aliases: tuple[str, ...]
    name_servers: tuple[str, ...]
    host_answered: bool
    zone_answered: bool
    missing: tuple[Missing, ...]


class Names:
    """Asks about names.

    Args:
        resolvers: Resolvers under no order, ``address:port``; the first ``RESOLVERS`` are asked.
        reach: Which of a zone's servers may be spoken to.
    """

    def __init__(self, resolvers: Sequence[str], reach: Reach) -> None:
        asked = [endpoint(one) for one in resolvers[:RESOLVERS]]
        self._resolvers = [Server(Role.RESOLVER, "", host, port) for host, port in asked]
        self._reach = reach

    async def find(self, host: str, registrable: str | None, deadline: float) -> NameFacts:
        """Ask everybody until ``deadline`` (the loop's clock); what is there by then counts."""
        questions, missing = _questions(host, registrable), list[Missing]()
        replies = await self._ask(self._resolvers, questions, deadline)
        if len(self._resolvers) < RESOLVERS:
            missing.append(Missing(what=f"{FILE}: a second resolver", reason="only one control resolver is set"))
        names = _name_servers(replies, registrable)
        if registrable:
            alive = {reply.server: None for reply in replies if reply.answered}  # a silent one is not waited for twice
            where = await self._ask(alive, _addresses_of(names), deadline)
            servers, unasked = self._zone_servers(names, where)
            missing += unasked
            replies += where + await self._ask(servers, questions, deadline)
        kept, cut = _kept(replies)
        return NameFacts(
            document={"host": host, "answers": [reply.facts() for reply in kept], "differences": _differences(kept)},
            addresses=_addresses(replies, host),
            aliases=next((chain for reply in replies if (chain := _aliases(reply, host))), ()),
            name_servers=_name_servers(replies, registrable),
            host_answered=any(reply.answered and reply.question == Question(host, "A") for reply in replies),
            zone_answered=any(reply.answered and reply.question.kind == "NS" for reply in replies),
            missing=(*missing, *cut, *_unanswered(replies)),
        )

    async def _ask(self, servers: Iterable[Server], questions: Iterable[Question], deadline: float) -> list[Reply]:
        pairs = [(server, question) for server in servers for question in questions]
        return await asyncio.gather(*(ask(server, question, deadline) for server, question in pairs))

    def _zone_servers(self, names: Sequence[str], where: Sequence[Reply]) -> tuple[list[Server], list[Missing]]:
        """A zone's servers, each at one address; and those that are not asked, with the reason."""
        if not names:
            return [], [Missing(what=f"{FILE}: the zone's own servers", reason="no resolver names any")]
        found, missing = list[Server](), list[Missing]()
        for name in names[:NAME_SERVERS]:
            addresses = _addresses(where, name)
            # One that points inside is not asked at its other addresses either.
            reason = next((f"{a} is closed: {why}" for a in addresses if (why := self._closed(a))), None)
            if addresses and reason is None:
                found.append(Server(Role.AUTHORITATIVE, name, addresses[0], self._reach.port(53)))
            else:
                missing.append(Missing(what=f"{FILE}: answers of {name}", reason=reason or "it does not resolve"))
        if len(names) > NAME_SERVERS:
            what, reason = f"{FILE}: further servers of the zone", f"{NAME_SERVERS} of {len(names)} are asked"
            missing.append(Missing(what=what, reason=reason))
        return found, missing

    def _closed(self, address: str) -> str | None:
        return self._reach.refusal(ipaddress.ip_address(address))


def _questions(host: str, registrable: str | None) -> list[Question]:
    names = {host: None, registrable: None} if registrable else {host: None}
    if not host.startswith("www.") and _is_name(f"www.{host}"):
        names[f"www.{host}"] = None
    questions = [Question(name, kind) for name in names if name for kind in _HOST_KINDS]
    return questions + [Question(registrable, kind) for kind in _ZONE_KINDS if registrable]


def _addresses_of(names: Sequence[str]) -> list[Question]:
    return [Question(name, kind) for name in names[:NAME_SERVERS] for kind in ("A", "AAAA")]


def _is_name(text: str) -> bool:
    try:
        dns.name.from_text(text)
    except dns.exception.DNSException:  # too long
        return False
    return True


def _chain(message: dns.message.Message, host: str) -> list[dns.name.Name]:
    """The host's name and, one after the other, the names that the answer's CNAMEs lead to."""
    chain = [dns.name.from_text(host)]
    while len(chain) <= _LONGEST_CHAIN:
        alias = message.get_rrset(message.answer, chain[-1], RdataClass.IN, dns.rdatatype.CNAME)
        if not alias or cast(CNAME, alias[0]).target in chain:
            break
        chain.append(cast(CNAME, alias[0]).target)
    return chain


def _aliases(reply: Reply, host: str) -> tuple[str, ...]:
    if reply.message is None or reply.question != Question(host, "A"):
        return ()
    return tuple(name.to_text(omit_final_dot=True).lower() for name in _chain(reply.message, host)[1:])


def _addresses(replies: Iterable[Reply], host: str) -> tuple[str, ...]:
    """Addresses of a host by these answers, along its aliases: IPv4 first."""
    found: set[str] = set()
    for reply in replies:
        if reply.message and reply.question.name == host and reply.question.kind in {"A", "AAAA"}:
            kind = dns.rdatatype.from_text(reply.question.kind)
            end = _chain(reply.message, host)[-1]
            rrset = reply.message.get_rrset(reply.message.answer, end, RdataClass.IN, kind)
            found.update(str(record) for record in cast("Iterable[object]", rrset or ()))
    return tuple(sorted(found, key=lambda text: (":" in text, ipaddress.ip_address(text).packed)))


def _name_servers(replies: Iterable[Reply], registrable: str | None) -> tuple[str, ...]:
    found: set[str] = set()
    for reply in replies:
        if reply.message and registrable and reply.question == Question(registrable, "NS"):
            zone = dns.name.from_text(registrable)
            rrset = reply.message.get_rrset(reply.message.answer, zone, RdataClass.IN, dns.rdatatype.NS)
            targets = (record.target for record in cast("Iterable[NS]", rrset or ()))
            found.update(target.to_text(omit_final_dot=True).lower() for target in targets)
    return tuple(sorted(found))


def _kept(replies: Iterable[Reply]) -> tuple[list[Reply], list[Missing]]:
    kept, room, cut = list[Reply](), WIRE_BYTES, 0
    for reply in replies:
        room -= len(reply.message.wire or b"") if reply.message else 0
        if room < 0:
            cut += 1
        else:
            kept.append(reply)
    reason = f"{cut} answers, after {WIRE_BYTES} bytes"
    return kept, [Missing(what=f"{FILE}: further answers", reason=reason)] if cut else []


def _differences(replies: Iterable[Reply]) -> list[dict[str, Any]]:
    """The questions to which servers gave different records, each answer with those who gave it."""
    answers: dict[Question, dict[tuple[str, ...], list[str]]] = {}
    for reply in replies:
        if reply.answered:
            answers.setdefault(reply.question, {}).setdefault(reply.data(), []).append(str(reply.server))
    return [
        {"name": question.name, "type": question.kind, "answers": [{"data": d, "by": by} for d, by in given.items()]}
        for question, given in answers.items()
        if len(given) > 1
    ]


def _unanswered(replies: Sequence[Reply]) -> list[Missing]:
    asked = Counter(reply.server for reply in replies)
    failed = Counter((reply.server, failure) for reply in replies if (failure := reply.failure()))
    return [
        Missing(what=f"{FILE}: answers of {server}", reason=f"{times} of {asked[server]}: {reason}"[:500])
        for (server, reason), times in failed.items()
    ]
