"""How a worker process tells the client process that a case waits for somebody: a datagram.

Every subject uses it alike, so that no subject is charged for polling. In an installation it is the reviewer's eyes.
"""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from pathlib import Path


def _address(folder: Path) -> str:
    return str(folder / "mailbox")


class Outbox:
    """The worker's end."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._address = _address(folder)

    def tell(self, name: str, item: str) -> None:
        """Tell the client something of a case. Blocks while the client's end is full, for microseconds."""
        self._socket.sendto(f"{name} {item}".encode(), self._address)


class Inbox(asyncio.DatagramProtocol):
    """The client's end.

    Attributes:
        heard: How much it was told.
        doubled: What it was told twice: the work behind it was done twice.
    """

    def __init__(self) -> None:
        self._queues: defaultdict[str, asyncio.Queue[str]] = defaultdict(asyncio.Queue)
        self._said: set[bytes] = set()
        self.heard = 0
        self.doubled: list[str] = []
        self._news = asyncio.Event()

    async def listen(self, folder: Path) -> None:
        """Start to listen."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        end.setblocking(False)
        end.bind(_address(folder))
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=end)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Keep what was told until somebody asks."""
        name, _, item = data.decode().partition(" ")
        self.heard += 1
        if data in self._said:
            self.doubled.append(data.decode())
        self._said.add(data)
        self._queues[name].put_nowait(item)
        self._news.set()

    async def hears(self, count: int) -> None:
        """Wait until it was told so much."""
        while self.heard < count:
            self._news.clear()
            await self._news.wait()

    async def next(self, name: str) -> str:
        """The next that is told of a case."""
        return await self._queues[name].get()

    def forget(self, name: str) -> None:
        """A case has ended."""
        self._queues.pop(name, None)
