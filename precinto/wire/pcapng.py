"""The wire record of one capture, as one pcapng file: written while the bytes pass, read again to be decoded.

It is a standard file: whoever has it sees the whole capture in a packet analyser, decrypted, since the session keys
that the browser gave out are in it (Decryption Secrets Block). Bytes and times are as the guard carried them; the
IP and TCP headers around them are made (``packets``), and the file says so.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from precinto.wire import blocks
from precinto.wire.blocks import Damaged
from precinto.wire.packets import ACK, FIN, PSH, RST, SEGMENT_BYTES, SYN, Segment, read_segment

RECORD = "wire.pcapng"
"""Name of the record among the files of a capture."""

PACKETS = 4_000_000
"""Packets that are read of one record; a site that sends single bytes makes as many as it likes."""

_COMMENT = (
    "Payload bytes and times are as carried by the guard, the capture's only way out. IP and TCP headers are made "
    "from them: the site's address and port are real, the browser's stand for the number of the connection. The "
    "comment of a SYN packet is the host and port that the browser asked for."
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WireRecorder:
    """Writes down what the guard carries, packet after packet, to a spool file; in the end composes the record.

    The spool holds the packets as they will be in the record. The secrets must stand before them, and are known only
    in the end. Times are this machine's clock (UTC) at the moment of the call.
    """

    def __init__(self, spool: Path) -> None:
        self._path = spool
        self._spool = spool.open("wb", buffering=2**18)
        self._open: dict[int, _Ends] = {}
        self._count = 0

    def opened(self, host: str, port: int, address: str) -> int:
        """Note a connection that was made: the host and port asked for, and the address it went to.

        Returns:
            The connection's number, from 1.
        """
        self._count += 1
        number = self._count
        ends = self._open[number] = _Ends(number, address, port)
        now = _now()
        self._write(now, ends.segment(True, SYN), f"{host}:{port}")
        self._write(now, ends.segment(False, SYN | ACK))
        self._write(now, ends.segment(True, ACK))
        return number

    def sent(self, connection: int, data: bytes) -> None:
        """Note bytes that went from the browser to the site."""
        self._carried(connection, data, sent=True)

    def received(self, connection: int, data: bytes) -> None:
        """Note bytes that came from the site."""
        self._carried(connection, data, sent=False)

    def closed(self, connection: int, *, reset: bool = False) -> None:
        """Note the end of a connection; ``reset``: it was cut, so what was under way is not whole."""
        ends, now = self._open.pop(connection), _now()
        if reset:
            self._write(now, ends.segment(True, RST | ACK))
            return
        for sent, flags in ((True, FIN | ACK), (False, FIN | ACK), (True, ACK)):
            self._write(now, ends.segment(sent, flags))

    def finish(self, key_log: bytes, path: Path) -> None:
        """Compose the record from the browser's TLS key log and what was noted; the spool is removed."""
        self._spool.close()
        told = (
            (blocks.HARDWARE, platform.machine().encode()),
            (blocks.OPERATING_SYSTEM, platform.platform().encode()),
            (blocks.PROGRAM, f"Precinto {version('precinto')}".encode()),
            (blocks.COMMENT, _COMMENT.encode()),
        )
        with path.open("wb") as record, self._path.open("rb") as spool:
            record.write(blocks.section(told))
            record.write(blocks.interface(((blocks.INTERFACE_NAME, b"guard"),)))
            record.write(blocks.secrets(key_log))
            shutil.copyfileobj(spool, record, 2**20)
            record.flush()
            os.fsync(record.fileno())
        self._path.unlink()

    def _carried(self, connection: int, data: bytes, *, sent: bool) -> None:
        ends, now = self._open[connection], _now()
        for start in range(0, len(data), SEGMENT_BYTES):
            self._write(now, ends.segment(sent, PSH | ACK, data[start : start + SEGMENT_BYTES]))

    def _write(self, at_us: int, segment: Segment, comment: str = "") -> None:
        self._spool.write(blocks.packet(at_us, segment.packet(), comment))


@dataclass(frozen=True)
class Connection:
    """One connection of a record.

    Attributes:
        id: Its number, from 1.
        host: Host that the browser asked for.
        port: Port that it asked for.
        address: Address that the connection went to.
        opened_at: When it was made (UTC).
        closed_at: When it ended; None where it was open when the capture ended.
        reset: Whether it was cut.
    """

    id: int
    host: str
    port: int
    address: str
    opened_at: datetime
    closed_at: datetime | None = None
    reset: bool = False


@dataclass(frozen=True)
class Chunk:
    """Bytes that passed at one moment, from browser to site (``sent``) or back."""

    sent: bool
    data: bytes
    at: datetime


@dataclass(frozen=True)
class Wire:
    """A record that was read: its connections are known, their bytes are still in the file.

    Attributes:
        connections: In the order in which they were made.
        key_log: The browser's TLS key log (NSS format).
        damage: Why the record was not read to its end; None where it was.
    """

    path: Path
    connections: tuple[Connection, ...]
    key_log: bytes
    damage: str | None
    _index: dict[int, array[int]] = field(repr=False)

    def chunks(self, connection: int) -> Iterator[Chunk]:
        """What passed in a connection, both ways, in the order in which it passed."""
        index = self._index[connection]
        with self.path.open("rb") as file:
            for place in range(0, len(index), 4):
                offset, length, sent, at_us = index[place : place + 4]
                file.seek(offset)
                yield Chunk(bool(sent), file.read(length), _moment(at_us))


def read_wire(path: Path) -> Wire:
    """Read a record. Damage ends the reading, and is told; what stands before it counts.

    Raises:
        OSError: The file cannot be read.
    """
    reading = _Reading()
    damage = None
    with path.open("rb") as file:
        try:
            for block in blocks.read_blocks(file):
                reading.block(block)
        except Damaged as damaged:
            damage = str(damaged)
    return Wire(path, tuple(reading.connections.values()), bytes(reading.key_log), damage, reading.index)


class _Ends:
    """Both ends of an open connection, for the record's sequence numbers."""

    def __init__(self, connection: int, address: str, port: int) -> None:
        self._of = (connection, address, port)
        self._next = {True: 0, False: 0}

    def segment(self, sent: bool, flags: int, payload: bytes = b"") -> Segment:
        begin = self._next[sent]
        self._next[sent] += len(payload) + bool(flags & (SYN | FIN))
        return Segment(*self._of, sent, flags, begin, self._next[not sent] if flags & ACK else 0, payload)


class _Reading:
    """What is known of a record so far."""

    def __init__(self) -> None:
        self.connections: dict[int, Connection] = {}
        self.index: dict[int, array[int]] = {}
        self.key_log = bytearray()
        self._next: dict[tuple[int, bool], int] = {}
        self._packets = 0

    def block(self, block: blocks.Block) -> None:
        if block.kind == blocks.SECRETS:
            self.key_log += blocks.read_secrets(block)
        elif block.kind == blocks.PACKET:
            self._packets += 1
            if self._packets > PACKETS:
                raise Damaged(f"limit: more than {PACKETS} packets")
            self._packet(block)

    def _packet(self, block: blocks.Block) -> None:
        at_us, data, comment = blocks.read_packet(block)
        segment = read_segment(data)
        if segment is None:
            raise Damaged(f"the packet at byte {block.offset} is not as it was written")
        number, key = segment.connection, (segment.connection, segment.sent)
        if segment.flags & SYN:
            self._next[key] = 1
            if segment.sent:
                host = comment.rpartition(":")[0]
                self.connections[number] = Connection(number, host, segment.port, segment.address, _moment(at_us))
                self.index[number] = array("Q")
            return
        if number not in self.connections or segment.sequence != self._next.get(key):
            raise Damaged(f"a packet is missing before byte {block.offset}")
        if segment.payload:
            offset = block.offset + 20 + len(data) - len(segment.payload)
            self.index[number].extend((offset, len(segment.payload), segment.sent, at_us))
        taken = len(segment.payload) + bool(segment.flags & FIN)
        self._next[key] = (segment.sequence + taken) & 0xFFFFFFFF
        if segment.flags & (FIN | RST) and self.connections[number].closed_at is None:
            reset = bool(segment.flags & RST)
            self.connections[number] = replace(self.connections[number], closed_at=_moment(at_us), reset=reset)


def _now() -> int:
    return time.time_ns() // 1000


def _moment(at_us: int) -> datetime:
    """A time of the record; one beyond what a calendar holds cannot have been written, and is its last."""
    return _EPOCH + timedelta(microseconds=min(at_us, 250_000_000_000_000_000))
