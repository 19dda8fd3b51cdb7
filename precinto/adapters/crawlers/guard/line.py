"""A connection to a site: what it carries is counted against the capture's budget and written to the wire record.

Counted and recorded is what goes over the wire to the site and back, header fields included, and nothing passes that
is not recorded: a record that cannot be written cuts the connection.
"""

from __future__ import annotations

from precinto.adapters.crawlers.guard.door import NoWay, Rule, Way
from precinto.wire.pcapng import WireRecorder

CONNECTIONS = 5_000
"""Connections that one capture may make; a script can open and close them without carrying a byte."""

_CHUNK = 2**16


class Budget:
    """What one capture may carry, both directions together, in bytes, and in how many connections.

    Attributes:
        limit: Bytes in all.
        left: Bytes that may still be carried.
        connections: Connections that may still be made.
    """

    def __init__(self, limit: int, connections: int = CONNECTIONS) -> None:
        self.limit = self.left = limit
        self.connections = self._connections = connections

    def connect(self) -> None:
        """Take one connection.

        Raises:
            NoWay: None is left, or no bytes are.
        """
        if self.left <= 0:
            raise self._spent()
        if self.connections <= 0:
            raise NoWay(Rule.BUDGET, f"more than {self._connections} connections in one capture")
        self.connections -= 1

    def take(self, data: bytes) -> bytes:
        """As much of the data as may still be carried.

        Raises:
            NoWay: Nothing of it may.
        """
        part = data[: self.left]
        if data and not part:
            raise self._spent()
        self.left -= len(part)
        return part

    def _spent(self) -> NoWay:
        return NoWay(Rule.BUDGET, f"the capture has used up its {self.limit} bytes")


class Line:
    """An open connection to a site, whichever way the guard speaks on it."""

    def __init__(self, way: Way, host: str, port: int, budget: Budget, recorder: WireRecorder | None) -> None:
        """Begin; ``host`` and ``port`` are what the browser asked for.

        Raises:
            NoWay: The record cannot be written.
        """
        self._way = way
        self._budget = budget
        self._recorder = recorder
        self._number = 0
        if recorder:
            try:
                self._number = recorder.opened(host, port, way.address)
            except OSError as error:
                way.writer.transport.abort()
                raise _unwritten(error) from error

    async def read(self) -> bytes:
        """What the site sent; empty at the end.

        Raises:
            NoWay: Nothing more may be carried.
            OSError: The site hung up.
        """
        data = self._budget.take(await self._way.reader.read(_CHUNK))
        self._note(data, sent=False)
        return data

    async def write(self, data: bytes) -> None:
        """Send to the site; errors as ``read``, and then the part that may be carried is sent."""
        while data:
            part = self._budget.take(data)
            self._note(part, sent=True)
            self._way.writer.write(part)
            await self._way.writer.drain()
            data = data[len(part) :]

    def end(self) -> None:
        """Tell the site that nothing more comes."""
        if self._way.writer.can_write_eof():
            self._way.writer.write_eof()

    def close(self, *, reset: bool) -> None:
        """Close; ``reset``: what was under way is not whole."""
        self._way.writer.transport.abort()
        if self._recorder:
            try:
                self._recorder.closed(self._number, reset=reset)
            except OSError as error:
                raise _unwritten(error) from error

    def _note(self, data: bytes, *, sent: bool) -> None:
        if self._recorder is None or not data:
            return
        try:
            (self._recorder.sent if sent else self._recorder.received)(self._number, data)
        except OSError as error:
            raise _unwritten(error) from error


def _unwritten(error: OSError) -> NoWay:
    return NoWay(Rule.RECORD, f"the wire record cannot be written: {error.strerror or error}")
