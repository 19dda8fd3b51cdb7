"""pcapng, as far as the wire record needs it (draft-ietf-opsawg-pcapng): blocks, little-endian, with options.

Written are a section header, one interface, the decryption secrets and packets; read are the same, and blocks of
other kinds are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SECTION = 0x0A0D0D0A
INTERFACE = 0x00000001
PACKET = 0x00000006
SECRETS = 0x0000000A

COMMENT = 1
HARDWARE = 2
OPERATING_SYSTEM = 3
PROGRAM = 4
INTERFACE_NAME = 2
RESOLUTION = 9

_BYTE_ORDER = 0x1A2B3C4D
_TLS_KEY_LOG = 0x544C534B
_LINKTYPE_RAW = 101  # a packet begins with its IP header
_BLOCK_BYTES = 2**26
_OPTION_BYTES = 2**16 - 4

Options = tuple[tuple[int, bytes], ...]


class Damaged(Exception):
    """The file is not what was written; says where, in bytes from its beginning."""


@dataclass(frozen=True)
class Block:
    """One block: its kind, its body, and where the body begins in the file."""

    kind: int
    body: bytes
    offset: int


def section(options: Options) -> bytes:
    """The block that a file begins with."""
    return _block(SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + _options(options))


def interface(options: Options) -> bytes:
    """Where packets come from: raw IP, times in microseconds, no limit on a packet's length."""
    return _block(INTERFACE, struct.pack("<HHI", _LINKTYPE_RAW, 0, 0) + _options((*options, (RESOLUTION, b"\x06"))))


def secrets(key_log: bytes) -> bytes:
    """A TLS key log (NSS format)."""
    return _block(SECRETS, struct.pack("<II", _TLS_KEY_LOG, len(key_log)) + _padded(key_log))


def packet(at_us: int, data: bytes, comment: str = "") -> bytes:
    """A packet and its time, in microseconds since 1970."""
    head = struct.pack("<IIIII", 0, at_us >> 32, at_us & 0xFFFFFFFF, len(data), len(data))
    return _block(PACKET, head + _padded(data) + (_options(((COMMENT, comment.encode()),)) if comment else b""))


def read_blocks(file: BinaryIO) -> Iterator[Block]:
    """Each block of a file in turn.

    Raises:
        Damaged: The rest of the file cannot be read.
    """
    at = 0
    while head := file.read(8):
        kind, length = struct.unpack("<II", head) if len(head) == 8 else (0, 0)
        if at == 0 and kind != SECTION:
            raise Damaged("the file is no pcapng")
        if length < 12 or length % 4 or length > _BLOCK_BYTES:
            raise Damaged(f"no block begins at byte {at}")
        rest = file.read(length - 8)
        if len(rest) < length - 8 or rest[-4:] != head[4:]:
            raise Damaged(f"the block at byte {at} does not end where it says")
        if kind == SECTION and rest[:4] != struct.pack("<I", _BYTE_ORDER):
            raise Damaged("the file is big-endian or no pcapng")
        yield Block(kind, rest[:-4], at + 8)
        at += length
    if at == 0:
        raise Damaged("the file is empty")


def read_packet(block: Block) -> tuple[int, bytes, str]:
    """Time (microseconds since 1970), bytes and comment of a packet.

    Raises:
        Damaged: The block says things that cannot be.
    """
    if len(block.body) < 20:
        raise Damaged(f"the packet at byte {block.offset} is too short")
    interface_id, high, low, captured, original = struct.unpack_from("<IIIII", block.body)
    end = 20 + captured
    if interface_id or captured != original or end > len(block.body):
        raise Damaged(f"the packet at byte {block.offset} contradicts itself")
    return high << 32 | low, block.body[20:end], _comment(block.body[end + -captured % 4 :])


def read_secrets(block: Block) -> bytes:
    """The key log of a secrets block; nothing where the secrets are of another kind.

    Raises:
        Damaged: The block says things that cannot be.
    """
    if len(block.body) < 8:
        raise Damaged(f"the secrets at byte {block.offset} are too short")
    kind, length = struct.unpack_from("<II", block.body)
    if length > len(block.body) - 8:
        raise Damaged(f"the secrets at byte {block.offset} are cut")
    return block.body[8 : 8 + length] if kind == _TLS_KEY_LOG else b""


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _options(options: Options) -> bytes:
    cut = [(code, value[:_OPTION_BYTES]) for code, value in options]
    return b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in cut) + bytes(4)


def _comment(options: bytes) -> str:
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from("<HH", options, at)
        if code == COMMENT:
            return options[at + 4 : at + 4 + length].decode(errors="replace")
        at += 4 + length + -length % 4
    return ""


def _padded(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)
