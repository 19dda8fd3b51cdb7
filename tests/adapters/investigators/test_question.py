"""An answer is written down whatever it holds: a message that can be read can also be told."""

from __future__ import annotations

from datetime import UTC, datetime

import dns.edns
import dns.exception
import dns.message
import dns.rrset
from hypothesis import given, settings
from hypothesis import strategies as st

from precinto.adapters.investigators.question import RECORDS, Question, Reply, Role, Server
from precinto.domain.model import canonical_json

SERVER = Server(Role.RESOLVER, "", "192.0.2.53", 53)
ASKED = Question("example.com", "A")
RECORDS_OF_ALL_KINDS = (
    "example.com. 60 IN A 192.0.2.1",
    "example.com. 60 IN AAAA 2001:db8::1",
    "example.com. 60 IN NS ns.example.net.",
    "example.com. 60 IN SOA ns.example.net. mail.example.net. 1 2 3 4 5",
    "example.com. 60 IN MX 10 mail.example.net.",
    'example.com. 60 IN TXT "v=spf1 -all"',
    'example.com. 60 IN CAA 0 issue "ca.example"',
    'example.com. 60 IN HTTPS 1 . alpn="h2,h3" ipv4hint="192.0.2.1"',
    "example.com. 60 IN LOC 12 2 42.500 S 77 1 42.500 W 154.00m",
    "example.com. 60 IN RRSIG A 13 2 60 20270101000000 20260101000000 1 example.com. AAAA",
)


def message(*records: str) -> dns.message.Message:
    made = dns.message.make_response(dns.message.make_query("example.com", "A", use_edns=0, want_dnssec=True))
    made.use_edns(0, options=[dns.edns.EDEOption(15, "blocked")])
    made.answer.extend(dns.rrset.from_text(*record.split(maxsplit=4)) for record in records)
    return made


def reply(received: dns.message.Message) -> Reply:
    return Reply(SERVER, ASKED, datetime.now(UTC), 1_000, received, "udp", None)


WIRE = message(*RECORDS_OF_ALL_KINDS).to_wire()


def test_a_message_is_kept_whole_and_spelt_out() -> None:
    told = reply(dns.message.from_wire(WIRE)).facts()
    assert bytes.fromhex(told["wire"]) == WIRE
    assert len(told["answer"]) == len(RECORDS_OF_ALL_KINDS)
    assert told["edns"]["options"] == ["EDE 15 (Blocked): blocked"]


def test_records_are_compared_without_signatures_and_time_to_live() -> None:
    signed = reply(message("example.com. 60 IN A 192.0.2.1", RECORDS_OF_ALL_KINDS[-1]))
    assert signed.data() == reply(message("example.com. 9 IN A 192.0.2.1")).data() == ("192.0.2.1",)


def test_of_many_records_some_are_spelt_out_and_the_rest_counted() -> None:
    told = reply(message(*(f"h{n}.example.com. 60 IN A 192.0.2.1" for n in range(RECORDS + 9)))).facts()
    assert len(told["answer"]) == RECORDS + 1
    assert told["answer"][-1] == "... 9 more in the message"


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, len(WIRE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_can_be_read_can_be_told(changes: list[tuple[int, int]]) -> None:
    wire = bytearray(WIRE)
    for place, value in changes:
        wire[place] = value
    try:
        received = dns.message.from_wire(bytes(wire))
    except dns.exception.DNSException:
        return
    told = reply(received)
    assert canonical_json(told.facts())
    assert told.data() is not None
    assert told.answered or told.failure()
