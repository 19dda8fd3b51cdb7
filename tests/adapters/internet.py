"""A little internet for the crawler: a web server with TLS and without, a resolver with a script, and a trap.

All real: certificates are checked, names are asked for over UDP, and bytes go over sockets of loopback.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
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
        ports: The real port to the port here.
        ca: The authority that its good certificates come from.
    """

    ca: Path
    pages: dict[str, Page] = field(default_factory=dict)
    hits: list[str] = field(default_factory=list)
    ports: dict[int, int] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                host = head.lower().partition(b"\r\nhost: ")[2].partition(b"\r\n")[0].decode()
                place = host.partition(":")[0] + path
                self.hits.append(place)
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
async def web(folder: Path) -> AsyncGenerator[Web]:
    """Start the servers: ``example.net`` has a certificate from an authority of its own."""
    ours, theirs = folder / "ours", folder / "theirs"
    ours.mkdir()
    theirs.mkdir()
    authority = CertificateAuthority(ours)
    tls, foreign = authority.server("example.com", "*.example.com", "example.org"), CertificateAuthority(theirs)
    bad = foreign.server("example.net")

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = bad if name == "example.net" else tls

    tls.sni_callback = choose
    world = Web(authority.pem)
    async with (
        await asyncio.start_server(world.serve, "127.0.0.1", 0) as plain,
        await asyncio.start_server(world.serve, "127.0.0.1", 0, ssl=tls) as secure,
    ):
        world.ports = {80: _port(plain), 443: _port(secure)}
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
