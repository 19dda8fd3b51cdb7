"""The guard without a browser: what it lets through, what not, and that no refusal is taken for a site's answer."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator
from ipaddress import ip_address
from pathlib import Path

import pytest

from precinto.adapters.crawlers.guard.addresses import closed
from precinto.adapters.crawlers.guard.door import HOSTS, Door, NoWay, Rule
from precinto.adapters.crawlers.guard.egress import Guard
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


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",
            "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192",
            "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
            "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        ],
    )  # fmt: skip
    def test_of_ipv4_what_is_special_is_closed(self, address: str) -> None:
        assert closed(ip_address(address))

    @pytest.mark.parametrize(
        "address",
        [
            "::", "::1", "::127.0.0.1", "::93.184.216.34", "::ffff:127.0.0.1", "::ffff:93.184.216.34",
            "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b::5db8:d822", "64:ff9b:1::a00:1", "100::1", "2001::1",
            "2001:0:5ef5:79fd::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::",
            "2002:5db8:d822::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
            "fe80::1%eth0", "fec0::1", "ff02::1",
        ],
    )  # fmt: skip
    def test_of_ipv6_what_is_special_or_carries_ipv4_is_closed(self, address: str) -> None:
        assert closed(ip_address(address))

    @pytest.mark.parametrize(
        "address",
        ["1.1.1.1", "93.184.216.34", "100.128.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.255",
         "2606:4700:4700::1111", "2a00:1450::1", "2001:4860:4860::8888"],
    )  # fmt: skip
    def test_the_public_internet_is_open(self, address: str) -> None:
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
    async def test_when_the_bytes_are_used_up_the_connection_is_cut(
        self, tunnel: bool, servers: Web, resolver: Names
    ) -> None:
        servers.pages["example.com/"] = response(os.urandom(1_000_000))
        ports = {80: servers.ports[80]}
        async with Guard([resolver.address], ports, budget=200_000) as guard:
            opening = "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com\r\n\r\n" if tunnel else ""
            answer = await talk(guard, opening + get("/" if tunnel else "http://example.com/"))
            assert len(answer) < 201_000
            assert refused(guard) == {"example.com:80": Rule.BUDGET}
            assert await talk(guard, get("http://example.com/")) == b""
        assert servers.hits == ["example.com/"]

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
