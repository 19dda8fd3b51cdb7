"""Names, against servers that answer as no real one does at will: every answer counts, and none is believed alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import pytest

from precinto.adapters.investigators.names import NAME_SERVERS, NameFacts, Names
from precinto.adapters.investigators.reach import Reach
from precinto.domain.errors import Refused, Unavailable
from tests.adapters.scripted_dns import Query, Said, Script, ScriptedDns, reply, scripted_dns

ZONE = {
    ("example.com", "NS"): ("example.com. 60 IN NS ns1.example.net.",),
    ("ns1.example.net", "A"): ("ns1.example.net. 60 IN A 127.0.0.1",),
    ("example.com", "A"): ("example.com. 60 IN A 192.0.2.1",),
}


def zone(**changed: tuple[str, ...]) -> Script:
    """Answers from ``ZONE``; ``A``, ``NS`` ... of example.com may be changed."""
    records = ZONE | {("example.com", kind): found for kind, found in changed.items()}

    def say(query: Query) -> Said:
        kind = dns.rdatatype.to_text(query.message.question[0].rdtype)
        return reply(query, *records.get((query.name, kind), ()))

    return say


@asynccontextmanager
async def asking(*scripts: Script, own: Script | None = None) -> AsyncGenerator[tuple[Names, ScriptedDns]]:
    """Names that ask resolvers with these scripts; ``own`` is the zone's server, which the mapped port 53 leads to."""
    async with scripted_dns(own or zone()) as server:
        resolvers = [scripted_dns(script) for script in scripts]
        opened = [await resolver.__aenter__() for resolver in resolvers]
        addresses = [one.address for one in opened]
        port = int(server.address.rpartition(":")[2])
        try:
            yield Names(addresses, Reach(addresses, {53: port}, 2.0)), server
        finally:
            for resolver in resolvers:
                await resolver.__aexit__(None, None, None)


async def find(names: Names, host: str = "example.com", seconds: float = 5.0) -> NameFacts:
    return await names.find(host, "example.com", asyncio.get_running_loop().time() + seconds)


def reasons(found: NameFacts) -> dict[str, str]:
    return {one.what: one.reason for one in found.missing}


async def test_aliases_are_followed_in_order_and_their_addresses_are_the_hosts() -> None:
    chained = (
        "example.com. 60 IN CNAME shop.example.net.",
        "shop.example.net. 60 IN CNAME edge.cdn.example.",
        "edge.cdn.example. 60 IN A 192.0.2.7",
        "other.example. 60 IN A 192.0.2.66",
    )
    async with asking(zone(A=chained), zone(A=chained)) as (names, _):
        found = await find(names)
    assert found.aliases == ("shop.example.net", "edge.cdn.example")
    assert "192.0.2.7" in found.addresses
    assert "192.0.2.66" not in found.addresses  # it answers for a name that nobody asked for


async def test_aliases_in_a_ring_end() -> None:
    ring = ("example.com. 60 IN CNAME a.example.", "a.example. 60 IN CNAME example.com.")
    async with asking(zone(A=ring), zone(A=ring)) as (names, _):
        assert (await find(names)).aliases == ("a.example",)


async def test_every_servers_addresses_count_and_where_they_differ_it_says_so() -> None:
    lied = zone(A=("example.com. 60 IN A 203.0.113.9",))
    async with asking(zone(), lied) as (names, _):
        found = await find(names)
    assert found.addresses == ("192.0.2.1", "203.0.113.9")
    (difference,) = found.document["differences"]
    assert (difference["name"], difference["type"]) == ("example.com", "A")
    by_data = {tuple(one["data"]): len(one["by"]) for one in difference["answers"]}
    assert by_data == {("192.0.2.1",): 2, ("203.0.113.9",): 1}  # the zone's own server says what the first one says


async def test_the_zones_server_is_asked_without_recursion_and_for_signatures() -> None:
    async with asking(zone(), zone()) as (names, own):
        await find(names)
    assert own.queries
    assert all(query.dnssec_ok and not query.message.flags & dns.flags.RD for query in own.queries)


async def test_a_zones_server_that_points_inside_is_not_asked() -> None:
    """Outside the lab (no ports) loopback is closed, as 10.0.0.1 or a cloud's metadata service would be."""
    async with asking(zone(), zone()) as (_, own):
        async with scripted_dns(zone()) as resolver:
            outside = Names([resolver.address, resolver.address], Reach([resolver.address], {}, 2.0))
            found = await find(outside)
        assert own.queries == []
    assert reasons(found)["dns.json: answers of ns1.example.net"] == "127.0.0.1 is closed: loopback"


async def test_a_zone_of_many_servers_has_some_of_them_asked() -> None:
    many = tuple(f"example.com. 60 IN NS ns{n}.example.net." for n in range(30))
    async with asking(zone(NS=many), zone(NS=many)) as (names, _):
        found = await find(names)
    assert len(found.name_servers) == 30
    assert reasons(found)["dns.json: further servers of the zone"] == f"{NAME_SERVERS} of 30 are asked"


async def test_an_answer_that_was_cut_is_asked_for_again_over_tcp() -> None:
    def say(query: Query) -> Said:
        said = reply(query, *(f"{query.name}. 60 IN TXT {'x' * 200}" for _ in range(1)))
        if query.transport == "udp":
            said = dns.message.make_response(query.message)
            said.flags |= dns.flags.TC
        return said

    async with asking(say, say) as (names, _):
        found = await find(names)
    assert {one["transport"] for one in found.document["answers"] if one["server"]["role"] == "resolver"} == {"tcp"}


async def test_a_flood_of_records_is_kept_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precinto.adapters.investigators.names.WIRE_BYTES", 5_000)
    many = tuple(f"example.com. 60 IN TXT {'x' * 200}{n}" for n in range(15))
    async with asking(zone(TXT=many), zone(TXT=many)) as (names, _):
        found = await find(names)
    assert sum(len(one.get("wire", "")) // 2 for one in found.document["answers"]) <= 5_000
    assert reasons(found)["dns.json: further answers"].endswith("after 5000 bytes")


async def test_what_is_garbled_is_no_answer() -> None:
    async with asking(lambda _: b"\x00" * 40, zone()) as (names, _):
        found = await find(names)
    assert found.host_answered
    assert "12 of 12: no answer that can be read" in reasons(found).values()


async def test_a_refusal_is_no_answer_and_its_message_is_kept() -> None:
    def refuse(query: Query) -> Said:
        return reply(query, rcode="REFUSED")

    async with asking(refuse, refuse) as (names, _):
        found = await find(names)
    assert not found.host_answered
    assert "12 of 12: answered REFUSED" in reasons(found).values()
    assert all(one["rcode"] == "REFUSED" and one["wire"] for one in found.document["answers"])


async def test_when_the_time_is_up_what_is_there_counts() -> None:
    began = time.monotonic()
    async with asking(zone(), lambda _: None) as (names, _):
        found = await find(names, seconds=1.0)
    assert time.monotonic() - began < 2.0
    assert found.host_answered
    assert any("the time for all questions was up" in reason for reason in reasons(found).values())


async def test_a_name_as_long_as_names_can_be_has_nothing_below_it() -> None:
    host = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 49, "example.com"])
    async with asking(zone(), zone()) as (names, _):
        found = await find(names, host)
    assert not any(one["question"]["name"].startswith("www.") for one in found.document["answers"])


class TestWhatMayBeReached:
    async def test_one_closed_address_closes_the_host(self) -> None:
        both = ("example.com. 60 IN A 192.0.2.1", "example.com. 60 IN A 10.0.0.1")
        async with scripted_dns(zone(A=both)) as resolver:
            with pytest.raises(Refused, match=r"closed: documentation|closed: private"):
                await Reach([resolver.address], {}, 2.0).address("example.com")

    @pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "169.254.169.254", "::ffff:127.0.0.1"])
    async def test_an_address_in_place_of_a_name_is_checked_too(self, address: str) -> None:
        with pytest.raises(Refused, match="closed"):
            await Reach(["127.0.0.1:53"], {}, 2.0).address(address)

    async def test_in_the_lab_only_loopback_is_open(self) -> None:
        lab = Reach(["127.0.0.1:53"], {443: 20_443}, 2.0)
        assert await lab.address("127.0.0.9") == "127.0.0.9"
        assert (lab.port(443), lab.port(8443)) == (20_443, 8_443)
        with pytest.raises(Refused, match="not loopback"):
            await lab.address("192.0.2.1")

    async def test_a_host_without_an_address_is_unavailable(self) -> None:
        async with scripted_dns(zone(A=())) as resolver:
            with pytest.raises(Unavailable, match="does not resolve"):
                await Reach([resolver.address], {}, 2.0).address("example.com")
