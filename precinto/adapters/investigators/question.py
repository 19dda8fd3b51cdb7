"""One question to one name server, and the answer as it came: the message whole, and what can be read in it.

Questions carry EDNS with the DO bit, so that a zone's signatures are in the answer. A packet that is lost is sent
again once, an answer that was cut is asked for over TCP.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, cast

import dns.asyncbackend
import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

PACKET_SECONDS = 1.5
RECORDS = 200
"""Records of a section that are spelt out; the message itself is kept whole."""

_TRIES = 2
_PAYLOAD = 1232  # bytes; fits one packet on any path (DNS flag day 2020)
_LONGEST_RECORD = 2_000


class Role(StrEnum):
    """Why a server is asked."""

    RESOLVER = "resolver"
    AUTHORITATIVE = "authoritative"


class Server(NamedTuple):
    """A name server: why it is asked, its name (of a resolver: empty), and where it listens."""

    role: Role
    name: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.name or self.role} at {self.host} port {self.port}"


class Question(NamedTuple):
    """A name (A-labels, no dot at the end) and a type of record."""

    name: str
    kind: str


@dataclass(frozen=True)
class Reply:
    """What came of a question.

    Attributes:
        server: Who was asked.
        question: What was asked.
        asked_at: When.
        took_us: Microseconds until the answer, or until it was given up.
        message: The answer; None where none came.
        transport: ``udp`` or ``tcp``.
        problem: Why there is no answer, or None.
    """

    server: Server
    question: Question
    asked_at: datetime
    took_us: int
    message: dns.message.Message | None
    transport: str
    problem: str | None

    @property
    def answered(self) -> bool:
        """Whether it says what there is: the records, or that there are none."""
        return self.message is not None and self.message.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}

    def failure(self) -> str | None:
        """Why the question is still open, or None."""
        if self.answered:
            return None
        return self.problem or (f"answered {dns.rcode.to_text(self.message.rcode())}" if self.message else None)

    def data(self) -> tuple[str, ...]:
        """The answer's records without owner, time to live and signatures: what must be the same everywhere."""
        sets = self.message.answer if self.message else []
        return tuple(sorted(text for rrset in sets if rrset.rdtype != dns.rdatatype.RRSIG for text in _data(rrset)))

    def facts(self) -> dict[str, Any]:
        """As it stands in ``dns.json``."""
        head: dict[str, Any] = {
            "server": {
                "role": self.server.role,
                "name": self.server.name,
                "address": self.server.host,
                "port": self.server.port,
            },
            "question": {"name": self.question.name, "type": self.question.kind},
            "asked_at": self.asked_at.isoformat(),
            "took_us": self.took_us,
            "transport": self.transport,
            "problem": self.problem,
        }
        return head | (_spelt(self.message) if self.message else {})


async def ask(server: Server, question: Question, deadline: float) -> Reply:
    """Ask, and wait no longer than until ``deadline`` (the loop's clock); a failure is an answer too."""
    began, asked_at = time.monotonic(), datetime.now(UTC)
    message, transport, problem = None, "udp", None
    try:
        async with asyncio.timeout_at(deadline):
            message = await _udp(server, _query(server, question))
            if message.flags & dns.flags.TC:
                transport = "tcp"
                query = _query(server, question)
                message = await dns.asyncquery.tcp(query, server.host, PACKET_SECONDS, server.port)
    except dns.exception.Timeout:
        problem = "no answer that can be read"
    except TimeoutError:
        problem = "the time for all questions was up"
    except (OSError, EOFError, dns.exception.DNSException) as error:
        problem = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    took_us = int((time.monotonic() - began) * 1_000_000)
    return Reply(server, question, asked_at, took_us, message, transport, problem)


def _query(server: Server, question: Question) -> dns.message.Message:
    query = dns.message.make_query(question.name, question.kind, use_edns=0, payload=_PAYLOAD, want_dnssec=True)
    if server.role is Role.AUTHORITATIVE:
        query.flags &= ~(dns.flags.RD | dns.flags.AD)
    return query


async def _udp(server: Server, query: dns.message.Message) -> dns.message.Message:
    # Connected, so that a closed port is told at once; what is forged or malformed is passed over, not believed.
    make_socket = cast(Any, dns.asyncbackend.get_default_backend()).make_socket
    family = dns.inet.af_for_address(server.host)
    for left in reversed(range(_TRIES)):
        async with await make_socket(family, socket.SOCK_DGRAM, destination=(server.host, server.port)) as connected:
            try:
                return await dns.asyncquery.udp(
                    query, server.host, PACKET_SECONDS, server.port, sock=connected, ignore_errors=True
                )
            except dns.exception.Timeout:
                if not left:
                    raise
    raise AssertionError("unreachable: the last try returns or raises")


def _spelt(message: dns.message.Message) -> dict[str, Any]:
    options = cast("Iterable[dns.edns.Option]", cast(Any, message).options)
    return {
        "rcode": dns.rcode.to_text(message.rcode()),
        "flags": dns.flags.to_text(message.flags).split(),
        "edns": {
            "version": message.edns,
            "payload": message.payload,
            "dnssec_ok": bool(message.ednsflags & dns.flags.DO),
            "options": [option.to_text()[:_LONGEST_RECORD] for option in options][:RECORDS],
        },
        "answer": _records(message.answer),
        "authority": _records(message.authority),
        "wire": (message.wire or b"").hex(),
    }


def _records(section: Iterable[dns.rrset.RRset]) -> list[str]:
    lines = [
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {text}"
        for rrset in section
        for text in _data(rrset)
    ]
    return lines if len(lines) <= RECORDS else [*lines[:RECORDS], f"... {len(lines) - RECORDS} more in the message"]


def _data(rrset: dns.rrset.RRset) -> list[str]:
    return [str(record)[:_LONGEST_RECORD] for record in cast("Iterable[object]", rrset)]
