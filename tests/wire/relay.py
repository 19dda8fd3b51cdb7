"""A proxy that records: what the guard is in a capture, without its rules.

Every host is this machine. Tests send real clients through it to real servers, and decode what it wrote down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from precinto.wire.pcapng import WireRecorder

ADDRESS = "127.0.0.1"
SEEN_AT = "93.184.216.34"
"""The address that is written down: a public one, as in a capture."""


@dataclass
class Relay:
    """The running proxy.

    Attributes:
        address: ``host:port``.
        key_log: File for the clients' session keys.
        record: Where the record will be, once the relay has ended.
    """

    address: str
    key_log: Path
    record: Path


Tamper = Callable[[bool, bytes], bytes]


@asynccontextmanager
async def open_relay(
    folder: Path, ports: Mapping[int, int], tamper: Tamper = lambda sent, data: data
) -> AsyncGenerator[Relay]:
    """Relay to the ports of this machine; the record is written when the block ends.

    ``tamper`` changes what is written down, not what is carried.
    """
    recorder = WireRecorder(folder / "wire.spool")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        host, _, port = head.split()[1].rpartition(":")
        site_reader, site_writer = await asyncio.open_connection(ADDRESS, ports[int(port)])
        number = recorder.opened(host, int(port), SEEN_AT)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, sent: bool) -> None:
            note = recorder.sent if sent else recorder.received
            while data := await source.read(2**16):
                note(number, tamper(sent, data))
                sink.write(data)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()

        reset = True
        try:
            await asyncio.gather(carry(reader, site_writer, sent=True), carry(site_reader, writer, sent=False))
            reset = False
        except ConnectionError:
            pass  # a side hung up: the record says so
        finally:
            recorder.closed(number, reset=reset)
            site_writer.transport.abort()
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, ADDRESS, 0)
    relay = Relay(f"{ADDRESS}:{server.sockets[0].getsockname()[1]}", folder / "keys.log", folder / "wire.pcapng")
    relay.key_log.touch()
    try:
        yield relay
    finally:
        server.close()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        recorder.finish(relay.key_log.read_bytes(), relay.record)
