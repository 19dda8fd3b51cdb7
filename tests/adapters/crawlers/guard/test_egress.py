"""The guard without a browser: what it lets through, what not, and that no refusal is taken for a site's answer."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import AsyncGenerator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from precinto.adapters.crawlers.guard.addresses import closed
from precinto.adapters.crawlers.guard.door import HOSTS, Door, NoWay, Rule
from precinto.adapters.crawlers.guard.egress import Guard
from precinto.wire.pcapng import Wire, WireRecorder, read_wire
from tests.adapters.internet import Names, Trap, Web, names, response, trap, web

MAPPED = {80: 0, 443: 0}
"""Lab mode, for a door that never gets as far as connecting."""


@pytest.fixture
async def resolver() -> AsyncGenerator[Names]:
    async with names() as started:
        yield started


@pytest.fixture
async def servers(tmp_path: Path, resolver: Names) -> AsyncGenerator[Web]:
    resolver.answers = dict.fromkeys(("example.com", "example.org"), ("127.0.0.1",))
    async with web(tmp_path) as started:
        yield started


@pytest.fixture
async def forbidden() -> AsyncGenerator[Trap]:
    async with trap() as started:
        yield started


async def talk(guard: Guard, request: str) -> bytes:
    """Everything the guard answers to these bytes, until it closes; a reset counts as a close."""
    host, _, port = guard.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    received = b""
    try:
        while data := await reader.read(65536):
            received += data
    except ConnectionResetError:
        pass
    writer.close()
    return received


@pytest.fixture
def recorder(tmp_path: Path) -> WireRecorder:
    return WireRecorder(tmp_path / "wire.spool")


def recorded(recorder: WireRecorder, folder: Path) -> Wire:
    """The finished record, read again."""
    recorder.finish(b"", folder / "wire.pcapng")
    wire = read_wire(folder / "wire.pcapng")
    assert wire.damage is None
    return wire


def streams(wire: Wire, connection: int) -> tuple[bytes, bytes]:
    """What was sent and what was received."""
    chunks = list(wire.chunks(connection))
    return b"".join(c.data for c in chunks if c.sent), b"".join(c.data for c in chunks if not c.sent)


def get(address: str, host: str = "example.com") -> str:
    return f"GET {address} HTTP/1.1\r\nHost: {host}\r\n\r\n"


def refused(guard: Guard) -> dict[str, Rule]:
    return {f"{refusal.host}:{refusal.port}": refusal.rule for refusal in guard.refusals}


async def verdict(door: Door, host: str, port: int = 443) -> Rule | None:
    """The rule by which the door says no; None where it would have connected."""
    try:
        await door.open(host, port)
    except NoWay as no:
        return no.rule
    return None


RANGES = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::1/128", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64",
    "100:0:0:1::/64", "2001::/32", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/3", "5f00::/16",
    "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip
"""Special-purpose ranges (IANA registries of RFC 6890), multicast, what clouds reserve, and what nobody was given."""

NAMED = (
    "100.100.100.200", "169.254.169.254", "192.0.0.192", "fd00:ec2::254", "::ffff:169.254.169.254",
    "::ffff:93.184.216.34", "::93.184.216.34", "64:ff9b::5db8:d822", "2002:5db8:d822::1", "2001:0:5ef5:79fd::1",
    "fe80::1%eth0", "239.255.255.250", "255.255.255.255", "2001:20::1",
)  # fmt: skip
"""Metadata services, and public addresses in a form that leads elsewhere."""


class TestAddresses:
    @pytest.mark.parametrize("block", RANGES)
    def test_a_special_range_is_closed_from_its_first_address_to_its_last(self, block: str) -> None:
        network = ip_network(block)
        assert closed(network[0])
        assert closed(network[-1])
        assert closed(network[network.num_addresses // 2])

    @pytest.mark.parametrize("address", NAMED)
    def test_metadata_services_and_addresses_in_disguise_are_closed(self, address: str) -> None:
        assert closed(ip_address(address))

    @pytest.mark.parametrize(
        "address",
        ["1.0.0.0", "9.255.255.255", "11.0.0.0", "93.184.216.34", "100.63.255.255", "100.128.0.1", "126.255.255.255",
         "128.0.0.0", "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.1", "192.0.1.1",
         "192.88.98.255", "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2001:200::1",
         "2001:4860:4860::8888", "2003::1", "2606:4700:4700::1111", "2a00:1450::1"],
    )  # fmt: skip
    def test_the_public_internet_is_open_up_to_its_edges(self, address: str) -> None:
        assert closed(ip_address(address)) is None


class TestTheDoor:
    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1", "::1", "169.254.169.254", "192.168.0.1", "::ffff:7f00:1", "fe80::1%lo"],
    )
    async def test_an_address_is_judged_like_a_name(self, host: str, resolver: Names) -> None:
        assert await verdict(Door([resolver.address], {}), host) is Rule.ADDRESS

    @pytest.mark.parametrize(
        "host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "a.0x7f", "", "a..b", "a b", "a" * 64, "ü.example"]
    )
    async def test_what_a_browser_may_read_as_an_address_is_no_name(self, host: str, resolver: Names) -> None:
        assert await verdict(Door([resolver.address], {}), host) is Rule.NAME
        assert resolver.asked == []

    @pytest.mark.parametrize("port", [0, 22, 25, 53, 3306, 6379, 8000, 65535])
    async def test_ports_that_are_not_the_webs_are_closed(self, port: int, resolver: Names) -> None:
        assert await verdict(Door([resolver.address], {}), "example.com", port) is Rule.PORT
        assert resolver.asked == []

    @pytest.mark.parametrize(
        "answers",
        [("93.184.216.34", "10.0.0.1"), ("93.184.216.34", "::1"), ("2606:4700::1", "127.0.0.1"), ("fd00:ec2::254",)],
    )
    async def test_one_bad_address_among_good_ones_closes_the_name(
        self, answers: tuple[str, ...], resolver: Names
    ) -> None:
        resolver.answers["mixed.example.com"] = answers
        door = Door([resolver.address], {})
        assert await verdict(door, "mixed.example.com") is Rule.ADDRESS
        assert set(door.addresses["mixed.example.com"]) == set(answers)

    async def test_a_name_that_changes_its_answer_is_asked_for_once(self, servers: Web, resolver: Names) -> None:
        resolver.answers["rebind.example.com"] = [("127.0.0.1",), ("10.0.0.1",)]
        servers.pages["rebind.example.com/"] = response("first")
        door = Door([resolver.address], servers.ports)
        ways = await asyncio.gather(*(door.open("rebind.example.com", 80) for _ in range(5)))
        ways.append(await door.open("rebind.example.com", 80))
        assert {way.address for way in ways} == {"127.0.0.1"}
        assert sorted(resolver.asked) == ["rebind.example.com A", "rebind.example.com AAAA"]
        for way in ways:
            way.writer.close()

    async def test_a_name_that_does_not_exist_and_one_without_address(self, resolver: Names) -> None:
        resolver.answers["empty.example.com"] = ()
        door = Door([resolver.address], {})
        assert await verdict(door, "gone.example.com") is Rule.DNS
        assert await verdict(door, "empty.example.com") is Rule.DNS
        assert door.addresses == {}

    async def test_a_browsers_own_calls_are_not_even_looked_up(self, resolver: Names) -> None:
        assert await verdict(Door([resolver.address], {}), "update.googleapis.com") is Rule.NAME
        assert resolver.asked == []

    async def test_a_page_cannot_have_any_number_of_names_looked_up(self, resolver: Names) -> None:
        door = Door([resolver.address], {})
        for number in range(HOSTS):
            assert await verdict(door, f"n{number}.example.com") is Rule.DNS
        assert await verdict(door, "one-more.example.com") is Rule.NAME

    async def test_in_the_lab_only_names_on_loopback_exist(self, resolver: Names) -> None:
        resolver.answers |= {"public.example.com": ("93.184.216.34",), "both.example.com": ("127.0.0.1", "1.1.1.1")}
        door = Door([resolver.address], MAPPED)
        assert await verdict(door, "public.example.com") is Rule.ADDRESS
        assert await verdict(door, "both.example.com") is Rule.ADDRESS
        assert await verdict(door, "127.0.0.1") is Rule.ADDRESS
        assert await verdict(door, "public.example.com", 8080) is Rule.PORT

    async def test_a_port_that_the_lab_has_for_others_is_closed_to_captures(self, resolver: Names) -> None:
        """Its name server's, which investigations ask."""
        port = int(resolver.address.rpartition(":")[2])
        assert await verdict(Door([resolver.address], MAPPED | {53: port}), "example.com", 53) is Rule.PORT
        assert resolver.asked == []


class TestTheGuard:
    async def test_outside_the_lab_nothing_of_this_machine_can_be_reached(
        self, resolver: Names, forbidden: Trap
    ) -> None:
        resolver.answers["inside.example.com"] = ("127.0.0.1",)
        port = forbidden.port
        async with Guard([resolver.address], {}) as guard:
            for host in (f"127.0.0.1:{port}", f"[::1]:{port}", "[::1]:80", "127.0.0.1:443", "inside.example.com:80"):
                assert b" 403 " in await talk(guard, f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n")
                assert await talk(guard, get(f"http://{host}/")) == b""
        assert forbidden.hits == 0
        assert len(guard.refusals) == 5
        assert set(guard.refusals.values()) == {2}

    async def test_plain_http_is_carried_with_its_fields(self, servers: Web, resolver: Names) -> None:
        servers.pages["example.com/a?b=%20c"] = response("hello", "200 Fine", "text/html", "X-Odd: A", "x-odd: b")
        async with Guard([resolver.address], servers.ports) as guard:
            answer = await talk(guard, get("http://example.com/a?b=%20c"))
        assert answer.startswith(b"HTTP/1.1 200 Fine\r\n")
        assert b"X-Odd: A\r\nx-odd: b\r\n" in answer
        assert answer.endswith(b"\r\n\r\nhello")
        assert guard.connected == {("example.com", 80): "127.0.0.1"}
        assert guard.refusals == {}

    async def test_a_second_request_on_a_connection_never_reaches_the_first_ones_site(
        self, servers: Web, resolver: Names
    ) -> None:
        servers.pages |= {"example.com/": response("one"), "example.org/": response("two")}
        async with Guard([resolver.address], servers.ports) as guard:
            answer = await talk(guard, get("http://example.com/") + get("http://example.org/", "example.org"))
        assert b"Connection: close" in answer
        assert answer.endswith(b"one")
        assert servers.hits == ["example.com/"]

    async def test_tls_runs_through_untouched(self, servers: Web, resolver: Names) -> None:
        servers.pages["example.com/"] = response("secret")
        async with Guard([resolver.address], servers.ports) as guard:
            host, _, port = guard.address.partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            trust = ssl.create_default_context(cafile=str(servers.ca))
            await writer.start_tls(trust, server_hostname="example.com")
            writer.write(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
            assert (await reader.readuntil(b"secret")).startswith(b"HTTP/1.1 200 OK")
            writer.close()

    @pytest.mark.parametrize("tunnel", [False, True])
    async def test_bytes_are_counted_to_the_last_one(
        self, tunnel: bool, servers: Web, resolver: Names, recorder: WireRecorder, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = response(os.urandom(1_000_000))
        async with Guard([resolver.address], servers.ports, 200_000, recorder) as guard:
            opening = "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com\r\n\r\n" if tunnel else ""
            answer = await talk(guard, opening + get("/" if tunnel else "http://example.com/"))
            assert len(answer) < 201_000
            assert refused(guard) == {"example.com:80": Rule.BUDGET}
            assert guard.budget.left == 0
            assert await talk(guard, get("http://example.com/")) == b""
        assert servers.hits == ["example.com/"]
        wire = recorded(recorder, tmp_path)
        sent, received = streams(wire, 1)
        assert len(sent) + len(received) == 200_000
        assert wire.connections[0].reset

    async def test_connections_are_counted_too(self, servers: Web, resolver: Names) -> None:
        servers.pages["example.com/"] = response("hello")
        async with Guard([resolver.address], servers.ports) as guard:
            guard.budget.connections = 1
            assert (await talk(guard, get("http://example.com/"))).endswith(b"hello")
            assert await talk(guard, get("http://example.com/")) == b""
        assert refused(guard) == {"example.com:80": Rule.BUDGET}

    async def test_what_a_site_says_while_it_takes_no_more_is_carried(self, servers: Web, resolver: Names) -> None:
        async def too_large(writer: asyncio.StreamWriter) -> None:
            writer.write(response("no", "413 Content Too Large"))
            await writer.drain()
            writer.close()

        servers.pages["example.com/"] = too_large
        async with Guard([resolver.address], servers.ports) as guard:
            host, _, port = guard.address.partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 10000000\r\n\r\n")
            assert (await reader.readuntil(b"no")).startswith(b"HTTP/1.1 413")
            writer.close()

    @pytest.mark.parametrize(
        "nonsense",
        ["\x16\x03\x01\x02\r\n\r\n", "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
         "GET ftp://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
         "CONNECT example.com:port HTTP/1.1\r\nHost: example.com\r\n\r\n",
         "GET http://[::1/ HTTP/1.1\r\nHost: example.com\r\n\r\n"],
    )  # fmt: skip
    async def test_what_is_no_request_is_refused_and_recorded(
        self, nonsense: str, servers: Web, resolver: Names
    ) -> None:
        async with Guard([resolver.address], servers.ports) as guard:
            assert b" 200 " not in await talk(guard, nonsense)
        assert {refusal.rule for refusal in guard.refusals} <= {Rule.REQUEST, Rule.PROTOCOL}
        assert guard.refusals

    @pytest.mark.parametrize(
        "garbage", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b""]
    )
    async def test_a_site_that_does_not_speak_http_is_no_answer(
        self, garbage: bytes, servers: Web, resolver: Names
    ) -> None:
        async def answer(writer: asyncio.StreamWriter) -> None:
            writer.write(garbage)
            writer.close()

        servers.pages["example.com/"] = answer
        async with Guard([resolver.address], servers.ports) as guard:
            assert await talk(guard, get("http://example.com/")) == b""
        assert refused(guard) == {"example.com:80": Rule.PROTOCOL}

    async def test_it_ends_with_everything_that_runs_through_it(self, servers: Web, resolver: Names) -> None:
        arrived = asyncio.Event()

        async def silent(writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await asyncio.Event().wait()

        servers.pages["example.com/"] = silent
        async with Guard([resolver.address], servers.ports) as guard:
            talking = asyncio.create_task(talk(guard, get("http://example.com/")))
            await arrived.wait()
        assert await talking == b""


class TestTheRecord:
    async def test_it_has_what_the_site_got_and_gave_and_nothing_else(
        self, servers: Web, resolver: Names, recorder: WireRecorder, tmp_path: Path
    ) -> None:
        served = response(os.urandom(100_000), "200 Fine", "image/png")
        servers.pages["example.com/a"] = served
        async with Guard([resolver.address], servers.ports, recorder=recorder) as guard:
            await talk(guard, get("http://example.com/a"))
        wire = recorded(recorder, tmp_path)
        (made,) = wire.connections
        assert (made.host, made.port, made.address) == ("example.com", 80, "127.0.0.1")
        assert (made.closed_at is not None, made.reset) == (True, False)
        sent, received = streams(wire, made.id)
        assert sent == servers.heads[-1] == b"GET /a HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
        assert received == served

    async def test_a_tunnel_is_recorded_as_it_was_encrypted(
        self, servers: Web, resolver: Names, recorder: WireRecorder, tmp_path: Path
    ) -> None:
        servers.pages["example.com/"] = response("secret")
        async with Guard([resolver.address], servers.ports, recorder=recorder) as guard:
            host, _, port = guard.address.partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await writer.start_tls(ssl.create_default_context(cafile=str(servers.ca)), server_hostname="example.com")
            writer.write(get("/").encode())
            await reader.readuntil(b"secret")
            writer.close()
            await writer.wait_closed()
        wire = recorded(recorder, tmp_path)
        sent, received = streams(wire, 1)
        assert sent.startswith(b"\x16\x03\x01")  # a TLS record: handshake
        assert received.startswith(b"\x16\x03\x03")
        assert b"secret" not in received
        assert wire.connections[0].port == 443

    async def test_what_was_refused_is_in_it_as_little_as_it_was_on_the_wire(
        self, resolver: Names, recorder: WireRecorder, tmp_path: Path
    ) -> None:
        async with Guard([resolver.address], {}, recorder=recorder) as guard:
            await talk(guard, get("http://127.0.0.1/"))
        assert recorded(recorder, tmp_path).connections == ()

    async def test_where_it_cannot_be_written_nothing_passes(
        self, servers: Web, resolver: Names, recorder: WireRecorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A full disk; it is played by the recorder's own method, since no disk here can be filled at will."""

        def full(connection: int, data: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(recorder, "received", full)
        servers.pages["example.com/"] = response("hello")
        async with Guard([resolver.address], servers.ports, recorder=recorder) as guard:
            assert await talk(guard, get("http://example.com/")) == b""
        (refusal,) = guard.refusals
        assert (refusal.rule, refusal.reason) == (
            Rule.RECORD,
            "the wire record cannot be written: No space left on device",
        )
