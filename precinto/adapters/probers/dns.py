"""Measures by DNS: what an ISP's resolvers say of a name, and what a resolver under no order says meanwhile.

Each name is asked for twice, without and with the DO bit: a resolver whose policy does not break DNSSEC leaves
signed names open for exactly the queries that carry it. A name below the target is asked for too, since a policy
that names the target alone leaves the rest open. Nothing is judged here: ``precinto.domain.verification`` does that.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import dns.asyncbackend
import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from dns.rdataclass import RdataClass
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.IN.A import A

from precinto.domain.errors import Unavailable
from precinto.domain.verification import Answer, Facts
from precinto.endpoints import Endpoint, endpoint

TIMEOUT_SECONDS = 2.0
"""Wait for one packet; a lost one is sent again once, so silence takes twice as long."""

AT_ONCE = 16
"""Measurements in flight at the same time: five packets each to a resolver, whose socket holds about two hundred.

More would be lost on arrival, and a resolver that was flooded looks like one that is silent. It also keeps a process
within the 1,024 sockets that it may often have.
"""

_BELOW = "www"
_PAYLOAD = 1232  # bytes; fits one packet on any path (DNS flag day 2020)
_LONGEST_CHAIN = 16
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

TIMEOUT = "TIMEOUT"
UNREACHABLE = "UNREACHABLE"


class _Question(NamedTuple):
    name: str
    dnssec_ok: bool


class DnsProber:
    """Port ``Prober`` by DNS queries, over UDP, over TCP where the answer was cut.

    Args:
        control_resolvers: Resolvers under no order, ``address:port``. Of each question the first sound answer
            counts; the others stand in when the first is silent or broken.
        canary: A name under no order that every resolver must find.
        timeout: Seconds to wait for one packet.
    """

    def __init__(self, control_resolvers: Sequence[str], canary: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._controls = [endpoint(one) for one in control_resolvers]
        self._canary = _Question(canary, dnssec_ok=False)
        self._timeout = timeout
        self._limit = asyncio.Semaphore(AT_ONCE)

    async def measure(self, target: str, resolvers: Sequence[str]) -> Facts:
        """Ask every resolver of the ISP and every control, all at the same moment.

        Returns:
            ``probe`` holds the answers of all the ISP's resolvers, one after the other. ``canary`` is True only if
            each of them finds the canary.

        Raises:
            Unavailable: This machine has no sockets left; nothing was measured.
        """
        asked = [endpoint(one) for one in resolvers]
        questions = _questions(target)
        async with self._limit:
            probe, control, canary = await asyncio.gather(
                self._ask_all(asked, questions),
                self._ask_all(self._controls, questions),
                self._ask_all(asked, [self._canary]),
            )
        return Facts(
            target=target,
            probe=tuple(answer for answers in probe for answer in answers),
            control=tuple(_first_sound(answers) for answers in zip(*control, strict=True)),
            canary=bool(canary) and all(_finds(answers[0]) for answers in canary),
        )

    async def _ask_all(self, resolvers: Sequence[Endpoint], questions: Sequence[_Question]) -> list[list[Answer]]:
        """Answers by resolver, then by question."""
        return list(await asyncio.gather(*(asyncio.gather(*(self._ask(r, q) for q in questions)) for r in resolvers)))

    async def _ask(self, resolver: Endpoint, question: _Question) -> Answer:
        try:
            return _read(question, await self._exchange(resolver, question))
        except dns.exception.Timeout:
            rcode = TIMEOUT
        except (OSError, EOFError, dns.exception.DNSException) as error:
            if isinstance(error, OSError) and error.errno in _OURS:
                raise Unavailable(f"no measurement from here now: {error}") from error
            rcode = UNREACHABLE
        return Answer(name=question.name, dnssec_ok=question.dnssec_ok, rcode=rcode)

    async def _exchange(self, resolver: Endpoint, question: _Question) -> dns.message.Message:
        try:
            reply = await self._udp(resolver, _query(question))
        except dns.exception.Timeout:  # one lost packet is no silence; the second has an id and a port of its own
            reply = await self._udp(resolver, _query(question))
        if reply.flags & dns.flags.TC:
            reply = await dns.asyncquery.tcp(_query(question), resolver.host, self._timeout, resolver.port)
        return reply

    async def _udp(self, resolver: Endpoint, query: dns.message.Message) -> dns.message.Message:
        # Connected, so that a closed port is told at once; what is forged or malformed is passed over, not believed.
        make_socket = cast(Any, dns.asyncbackend.get_default_backend()).make_socket
        family = dns.inet.af_for_address(resolver.host)
        async with await make_socket(family, socket.SOCK_DGRAM, destination=resolver) as connected:
            return await dns.asyncquery.udp(
                query, resolver.host, self._timeout, resolver.port, sock=connected, ignore_errors=True
            )


def _questions(target: str) -> list[_Question]:
    names = [target]
    try:
        dns.name.from_text(f"{_BELOW}.{target}")
        names.append(f"{_BELOW}.{target}")
    except dns.exception.DNSException:
        pass  # the target is as long as a name can be: there is nothing below it
    return [_Question(name, dnssec_ok) for name in names for dnssec_ok in (False, True)]


def _query(question: _Question) -> dns.message.Message:
    return dns.message.make_query(
        question.name, dns.rdatatype.A, use_edns=0, payload=_PAYLOAD, want_dnssec=question.dnssec_ok
    )


def _read(question: _Question, reply: dns.message.Message) -> Answer:
    return Answer(
        name=question.name,
        dnssec_ok=question.dnssec_ok,
        rcode=dns.rcode.to_text(reply.rcode()),
        addresses=_addresses(dns.name.from_text(question.name), reply),
        extended=_extended(cast(Any, reply).options),
        policy_zone=next(
            (rrset.name.to_text(True) for rrset in reply.additional if rrset.rdtype == dns.rdatatype.SOA), None
        ),
    )


def _extended(options: Iterable[dns.edns.Option]) -> tuple[int, ...]:
    return tuple(sorted({int(option.code) for option in options if isinstance(option, dns.edns.EDEOption)}))


def _addresses(name: dns.name.Name, reply: dns.message.Message) -> tuple[str, ...]:
    """The addresses that the answer gives for the name, along its aliases; what it says of others is left out."""
    for _ in range(_LONGEST_CHAIN):
        found = reply.get_rrset(reply.answer, name, RdataClass.IN, dns.rdatatype.A)
        if found is not None:
            return tuple(sorted(record.address for record in cast(Iterable[A], found)))
        alias = reply.get_rrset(reply.answer, name, RdataClass.IN, dns.rdatatype.CNAME)
        if alias is None:
            break
        name = cast(CNAME, alias[0]).target
    return ()


def _first_sound(answers: Sequence[Answer]) -> Answer:
    return next((a for a in answers if a.rcode not in {TIMEOUT, UNREACHABLE, "SERVFAIL"}), answers[0])


def _finds(answer: Answer) -> bool:
    return answer.rcode == "NOERROR" and bool(answer.addresses)
