"""A little internet for the crawler: a web server with TLS and without, a resolver with a script, and traps.

All real: certificates are checked, names are asked for over UDP, and bytes go over sockets of loopback. On an island
(``tests.island``) loopback also carries a public address, and forbidden ones: there the guard's own rules decide,
those of production, with no mapping of ports and no exception for loopback.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from lab.certificates import CertificateAuthority

Page = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
"""A whole response, or something that writes one (or does not)."""


def response(body: bytes | str, status: str = "200 OK", media_type: str = "text/html", *fields: str) -> bytes:
    """A whole HTTP/1.1 response, header fields in this order."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", f"Content-Length: {len(content)}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + content


@dataclass
class Web:
    """Web servers that answer by host and path.

    Attributes:
        pages: ``host/path`` to what is answered there; anything else is 404.
        hits: Every request that arrived, ``host/path``, in order.
        heads: The head of each, as it arrived.
        ports: The real port to the port here.
        ca: The authority that its good certificates come from.
    """

    ca: Path
    pages: dict[str, Page] = field(default_factory=dict)
    hits: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    ports: dict[int, int] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                host = head.lower().partition(b"\r\nhost: ")[2].partition(b"\r\n")[0].decode()
                place = host.partition(":")[0] + path
                self.hits.append(place)
                self.heads.append(head)
                page = self.pages.get(place, response("not here", "404 Not Found"))
                if isinstance(page, bytes):
                    writer.write(page)
                    await writer.drain()
                else:
                    await page(writer)
        except (OSError, EOFError):
            pass  # the client went away, as clients do
        finally:
            writer.close()


@asynccontextmanager
async def web(
    folder: Path, address: str = "127.0.0.1", ports: tuple[int, int, int] = (0, 0, 0)
) -> AsyncGenerator[Web]:
    """Start the servers, plain and with TLS.

    ``example.net`` has a certificate from an authority of its own; whoever comes to port 8443 is asked for one.
    """
    ours, theirs = folder / "ours", folder / "theirs"
    ours.mkdir()
    theirs.mkdir()
    authority = CertificateAuthority(ours)
    tls, foreign = authority.server("example.com", "*.example.com", "example.org"), CertificateAuthority(theirs)
    bad = foreign.server("example.net")
    members = authority.server("members.example.com")
    members.load_verify_locations(authority.pem)
    members.verify_mode = ssl.CERT_REQUIRED

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = bad if name == "example.net" else tls

    tls.sni_callback = choose
    world = Web(authority.pem)
    async with (
        await asyncio.start_server(world.serve, address, ports[0]) as plain,
        await asyncio.start_server(world.serve, address, ports[1], ssl=tls) as secure,
        await asyncio.start_server(world.serve, address, ports[2], ssl=members) as closed,
    ):
        world.ports = {80: _port(plain), 443: _port(secure), 8443: _port(closed)}
        yield world


PUBLIC = "93.184.216.34"
"""A public address, which on an island is this machine."""

FORBIDDEN = (
    "127.0.0.1", "127.1.2.3", "10.0.0.1", "100.64.0.1", "169.254.169.254", "192.168.0.1", "::1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "fd00:ec2::254", "fec0::1",
)  # fmt: skip
"""Addresses that no capture may reach, which on an island are this machine too."""


def on_an_island() -> bool:
    """Whether this process may give itself any address."""
    return "trap:" in Path("/proc/self/net/dev").read_text()


@contextmanager
def owned(*addresses: str) -> Iterator[None]:
    """Give these addresses to loopback, on an island."""
    ip = shutil.which("ip") or "ip"
    given: list[str] = []
    try:
        for address in addresses:
            if address not in ("127.0.0.1", "127.1.2.3", "::1"):
                option = ["nodad"] if ":" in address else []
                subprocess.run([ip, "addr", "add", address, "dev", "lo", *option], check=True)
                given.append(address)
        yield
    finally:
        for address in given:
            subprocess.run([ip, "addr", "del", address, "dev", "lo"], check=True)


@dataclass
class Traps:
    """Servers at every forbidden address, on every port that captures may use, over TCP, and UDP.

    Attributes:
        hits: Where something arrived, ``address port``.
    """

    hits: list[str] = field(default_factory=list)


class _TrapUdp(asyncio.DatagramProtocol):
    def __init__(self, traps: Traps, place: str) -> None:
        self._traps, self._place = traps, place

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._traps.hits.append(self._place)


@asynccontextmanager
async def traps(ports: tuple[int, ...] = (80, 443, 8080, 8443)) -> AsyncGenerator[Traps]:
    """Set the traps, on an island."""
    world, loop = Traps(), asyncio.get_running_loop()
    with owned(*FORBIDDEN):
        async with AsyncExitStack() as stack:
            for address in FORBIDDEN:
                for port in ports:
                    place = f"{address} {port}"

                    async def caught(
                        _: asyncio.StreamReader, writer: asyncio.StreamWriter, place: str = place
                    ) -> None:
                        world.hits.append(place)
                        writer.close()

                    await stack.enter_async_context(await asyncio.start_server(caught, address, port))
                    transport, _ = await loop.create_datagram_endpoint(
                        lambda place=place: _TrapUdp(world, f"{place} udp"), local_addr=(address, port)
                    )
                    stack.callback(transport.close)
            yield world


@dataclass
class Trap:
    """A server that nobody may reach; it accepts and counts."""

    port: int = 0
    hits: int = 0

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        writer.close()


@asynccontextmanager
async def trap() -> AsyncGenerator[Trap]:
    """A trap on 127.0.0.1 and on ::1, at the same port."""
    set_up = Trap()
    async with await asyncio.start_server(set_up.serve, "127.0.0.1", 0) as server:
        set_up.port = _port(server)
        async with await asyncio.start_server(set_up.serve, "::1", set_up.port):
            yield set_up


@dataclass
class Names:
    """A resolver with a script.

    Attributes:
        answers: Name to its addresses, of both families; a list of such tuples changes with every question of a kind,
            and stays at the last. A name that is not here does not exist.
        asked: Every question, ``name TYPE``.
    """

    answers: dict[str, tuple[str, ...] | list[tuple[str, ...]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def reply(self, question: bytes) -> bytes:
        query = dns.message.from_wire(question)
        asked = query.question[0]
        name, kind = asked.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(asked.rdtype)
        self.asked.append(f"{name} {kind}")
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        found = self.answers.get(name)
        if isinstance(found, list):
            found = found[min(self.asked.count(f"{name} {kind}"), len(found)) - 1]
        if found is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif fitting := [address for address in found if (":" in address) == (kind == "AAAA")]:
            reply.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, *fitting))
        return reply.to_wire()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self._names = names

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._names.reply(data), addr)


@asynccontextmanager
async def names() -> AsyncGenerator[Names]:
    """Start the resolver."""
    script = Names()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Udp(script), local_addr=("127.0.0.1", 0)
    )
    host, port = transport.get_extra_info("sockname")
    script.address = f"{host}:{port}"
    yield script
    transport.close()


def _port(server: asyncio.Server) -> int:
    return server.sockets[0].getsockname()[1]
