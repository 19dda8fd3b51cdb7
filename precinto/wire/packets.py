"""IP and TCP headers around what the guard carried, so that tools which read packets can read a capture.

The guard sees streams, not packets, so the headers are made from what it knows: who spoke, to which address and
port, in which order. The site's address is the real one. The browser's is one that is set apart for documentation
(192.0.2.0/24, RFC 5737; 2001:db8::/32, RFC 3849), which no real machine has, and tells the number of the connection.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

SEGMENT_BYTES = 2**15
"""The most that one packet carries."""

_TCP = 6
_FIRST_PORT = 0xC000  # the ports that IANA leaves to clients, so that no tool takes ours for a service
_PORTS = 0x4000
_BROWSERS = {4: int(IPv4Address("192.0.2.1")), 6: int(IPv6Address("2001:db8::1"))}


@dataclass(frozen=True)
class Segment:
    """One TCP segment of one connection.

    Attributes:
        connection: Number of the connection, from 1.
        address: The site's address.
        port: The site's port.
        sent: Whether it goes from the browser to the site.
        flags: TCP flags.
        sequence: Number of its first byte, modulo 2**32; a connection's first is 0.
        acknowledged: Number of the byte that is expected from the other side, modulo 2**32.
        payload: What it carries.
    """

    connection: int
    address: str
    port: int
    sent: bool
    flags: int
    sequence: int = 0
    acknowledged: int = 0
    payload: bytes = b""

    def packet(self) -> bytes:
        """The IP packet, with its checksums."""
        site, version = ip_address(self.address).packed, ip_address(self.address).version
        browser, local_port = _browser(self.connection, version)
        source, target = (browser, site) if self.sent else (site, browser)
        ports = (local_port, self.port) if self.sent else (self.port, local_port)
        length = 20 + len(self.payload)
        head = struct.pack(
            ">HHIIBBHHH", *ports, self.sequence & 0xFFFFFFFF, self.acknowledged & 0xFFFFFFFF, 5 << 4, self.flags,
            0xFFFF, 0, 0,
        )  # fmt: skip
        check = _checksum(source + target + struct.pack(">II", length, _TCP) + head + self.payload)
        tcp = head[:16] + struct.pack(">HH", check, 0)
        return _ip_header(version, source, target, length) + tcp + self.payload


def read_segment(packet: bytes) -> Segment | None:
    """The segment in an IP packet of ours; None where it is not whole, or its checksums disagree."""
    version, head = (packet[0] >> 4, 20 if packet[0] >> 4 == 4 else 40) if packet else (0, 0)
    if version not in _BROWSERS or len(packet) < head + 20:
        return None
    size = 4 if version == 4 else 16
    source, target = packet[head - 2 * size : head - size], packet[head - size : head]
    tcp = packet[head:]
    if packet[:head] != _ip_header(version, source, target, len(tcp)):
        return None
    if _checksum(source + target + struct.pack(">II", len(tcp), _TCP) + tcp) != 0:
        return None
    ports, sequence, acknowledged, flags = struct.unpack_from(">IIIxB", tcp)
    sent, connection = True, _connection(version, source, ports >> 16)
    if connection is None:
        sent, connection = False, _connection(version, target, ports & 0xFFFF)
    if connection is None:
        return None
    address, port = (target, ports & 0xFFFF) if sent else (source, ports >> 16)
    return Segment(connection, str(ip_address(address)), port, sent, flags, sequence, acknowledged, tcp[20:])


def _browser(connection: int, version: int) -> tuple[bytes, int]:
    """The browser's address and port in this connection."""
    above, port = divmod(connection - 1, _PORTS)
    return (_BROWSERS[version] + above).to_bytes(4 if version == 4 else 16, "big"), _FIRST_PORT + port


def _connection(version: int, address: bytes, port: int) -> int | None:
    """Number of the connection that has this address and port at the browser's end; None if it is not that end."""
    above = int.from_bytes(address, "big") - _BROWSERS[version]
    if not 0 <= above < 0x100 or port < _FIRST_PORT:
        return None
    return above * _PORTS + port - _FIRST_PORT + 1


def _ip_header(version: int, source: bytes, target: bytes, length: int) -> bytes:
    if version == 6:
        return struct.pack(">IHBB", 6 << 28, length, _TCP, 64) + source + target
    head = struct.pack(">BBHIBBH", 0x45, 0, 20 + length, 0x4000, 64, _TCP, 0) + source + target  # 0x4000: whole
    return head[:10] + struct.pack(">H", _checksum(head)) + head[12:]


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): 0 over data that holds its own.

    A number's remainder by 65,535 is the ones' complement sum of its 16-bit digits, which is what it is made of.
    """
    total = int.from_bytes(data + bytes(len(data) % 2), "big") % 0xFFFF
    return 0xFFFF - total if total else 0
