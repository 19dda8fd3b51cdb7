"""A name server that answers as a test tells it, over real UDP and TCP: for answers that no real one gives at will."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


class Query(NamedTuple):
    """One query as it arrived: the message, ``udp`` or ``tcp``, and the client's port."""

    message: dns.message.Message
    transport: str
    port: int

    @property
    def name(self) -> str:
        return self.message.question[0].name.to_text(omit_final_dot=True)

    @property
    def dnssec_ok(self) -> bool:
        return bool(self.message.ednsflags & dns.flags.DO)


Said = dns.message.Message | bytes | list[bytes] | None
Script = Callable[[Query], Said | Awaitable[Said]]


@dataclass
class ScriptedDns:
    """The server: its address, and every query that arrived."""

    script: Script
    address: str = ""
    queries: list[Query] = field(default_factory=list)

    async def packets(self, wire: bytes, transport: str, port: int) -> list[bytes]:
        """What is sent back for one query: nothing, one packet or several."""
        query = Query(dns.message.from_wire(wire), transport, port)
        self.queries.append(query)
        said = self.script(query)
        if isinstance(said, Awaitable):
            said = await said
        if isinstance(said, dns.message.Message):
            return [said.to_wire(max_size=65_535)]
        return said if isinstance(said, list) else [said] if said is not None else []


def reply(query: Query, *answer: str, rcode: str = "NOERROR") -> dns.message.Message:
    """An answer with these records, each as a zone file writes it (``flvto.biz. 60 IN A 127.0.1.1``)."""
    message = dns.message.make_response(query.message, recursion_available=True)
    message.set_rcode(dns.rcode.from_text(rcode))
    message.answer.extend(dns.rrset.from_text(*record.split(maxsplit=4)) for record in answer)
    return message


def finds(address: str) -> Script:
    """Answers every query with this address."""
    return lambda query: reply(query, f"{query.name}. 60 IN A {address}")


@asynccontextmanager
async def scripted_dns(script: Script, *, tcp: bool = True) -> AsyncGenerator[ScriptedDns]:
    """Run a server on one free port, for UDP and, unless told otherwise, TCP."""
    server, loop = ScriptedDns(script), asyncio.get_running_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            for packet in await server.packets(wire, "tcp", writer.get_extra_info("peername")[1]):
                writer.write(len(packet).to_bytes(2, "big") + packet)
            await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    if not tcp:
        listener.close()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=("127.0.0.1", port))
    server.address = f"127.0.0.1:{port}"
    try:
        yield server
    finally:
        transport.close()
        listener.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: ScriptedDns) -> None:
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        for packet in await self._server.packets(data, "udp", addr[1]):
            self._transport.sendto(packet, addr)
