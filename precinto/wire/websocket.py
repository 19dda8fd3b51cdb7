"""WebSocket messages (RFC 6455), also compressed ones (RFC 7692), read from what passed on an open socket.

They are read, not judged: a text that is no UTF-8 and a close without a code are kept as they came. Inflation is
bounded step by step, for one frame of 1 MB can hold 1 GB.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from precinto.wire.inflation import STEP_BYTES
from precinto.wire.limits import Meter, Undecodable

Opcode = Literal["text", "binary", "close", "ping", "pong"]

_OPCODES: dict[int, Opcode] = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
_CONTINUATION = 0
_CONTROL = 8  # this opcode and those above
_CONTROL_BYTES = 125
_FLUSH = b"\x00\x00\xff\xff"  # cut off from each message by the sender (RFC 7692, 7.2.1)


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        direction: Whether the browser sent it or received it.
        opcode: What it is.
        payload: Its bytes, unmasked and inflated; of a close, the code and the reason.
        at: When its last byte passed (UTC).
        truncated: Whether more belonged to it: beyond the limit, or it never came.
    """

    direction: Literal["sent", "received"]
    opcode: Opcode
    payload: bytes
    at: datetime
    truncated: bool = False


class WebSocket:
    """An open socket, both ways.

    Attributes:
        messages: What passed.
    """

    def __init__(self, extensions: bytes, meter: Meter) -> None:
        """``extensions`` is the field ``Sec-WebSocket-Extensions`` of the site's answer.

        Raises:
            Undecodable: An extension was agreed on that is not known here.
        """
        names = {part.partition(b";")[0].strip().lower() for part in extensions.split(b",")} - {b""}
        if unknown := names - {b"permessage-deflate"}:
            raise Undecodable(f"WebSocket extension {min(unknown).decode('latin-1')[:100]!r} is not decoded")
        self.messages: list[Message] = []
        self._ways = {sent: _Way("sent" if sent else "received", bool(names), meter) for sent in (True, False)}

    def feed(self, sent: bool, data: bytes, at: datetime) -> None:
        """Read what passed.

        Raises:
            Undecodable: These are no frames, or a limit is passed.
        """
        self._ways[sent].feed(data, at, self.messages)

    def end(self) -> None:
        """Keep what came of messages that were never ended."""
        for way in self._ways.values():
            way.end(self.messages)

    @property
    def closed(self) -> bool:
        """Whether a side has said that it closes the socket."""
        return any(message.opcode == "close" for message in self.messages)


@dataclass
class _Frame:
    """The frame that is being read: its head, and how much of it was."""

    opcode: int
    final: bool
    mask: bytes
    length: int
    done: int = 0


class _Way:
    """One direction of a socket."""

    def __init__(self, direction: Literal["sent", "received"], deflate: bool, meter: Meter) -> None:
        self._direction: Literal["sent", "received"] = direction
        self._deflate = deflate
        self._meter = meter
        self._buffer = bytearray()
        self._frame: _Frame | None = None
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._opcode: Opcode | None = None  # of the message that is under way
        self._compressed = False
        self._payload = bytearray()
        self._truncated = False
        self._last: datetime | None = None

    def feed(self, data: bytes, at: datetime, messages: list[Message]) -> None:
        self._buffer += data
        self._last = at
        while True:
            frame = self._frame = self._frame or self._head()
            if frame is None or (frame.opcode >= _CONTROL and len(self._buffer) < frame.length):
                return
            piece = bytes(self._buffer[: frame.length - frame.done])
            del self._buffer[: len(piece)]
            piece = _unmasked(piece, frame.mask, frame.done)
            frame.done += len(piece)
            if frame.opcode >= _CONTROL:
                self._meter.message()
                messages.append(Message(self._direction, _OPCODES[frame.opcode], piece, at))
            else:
                self._add(piece, last=frame.final and frame.done == frame.length)
                if frame.done < frame.length:
                    return
                if frame.final:
                    self._deliver(at, messages)
            self._frame = None

    def end(self, messages: list[Message]) -> None:
        if self._opcode is not None and self._last is not None:
            self._truncated = True
            self._deliver(self._last, messages)

    def _head(self) -> _Frame | None:
        """The next frame's head, if it is there; starts a message where the frame does."""
        if len(self._buffer) < 2:
            return None
        first, second = self._buffer[:2]
        extra = {126: 2, 127: 8}.get(second & 0x7F, 0)
        mask = 4 if second & 0x80 else 0
        if len(self._buffer) < 2 + extra + mask:
            return None
        self._meter.piece()
        length = int.from_bytes(self._buffer[2 : 2 + extra], "big") if extra else second & 0x7F
        frame = _Frame(first & 0x0F, bool(first & 0x80), bytes(self._buffer[2 + extra : 2 + extra + mask]), length)
        del self._buffer[: 2 + extra + mask]
        self._check(frame, compressed=bool(first & 0x40), reserved=bool(first & 0x30))
        return frame

    def _check(self, frame: _Frame, *, compressed: bool, reserved: bool) -> None:
        control = frame.opcode >= _CONTROL
        known = frame.opcode in _OPCODES or frame.opcode == _CONTINUATION
        whole = not control or (frame.final and frame.length <= _CONTROL_BYTES)
        first = not control and frame.opcode != _CONTINUATION
        in_turn = control or first == (self._opcode is None)
        if not known or reserved or not whole or not in_turn or (compressed and not (first and self._deflate)):
            raise Undecodable("what passed on the WebSocket are no frames")
        if first:
            self._meter.message()
            self._opcode, self._compressed = _OPCODES[frame.opcode], compressed

    def _add(self, piece: bytes, *, last: bool) -> None:
        if not self._compressed:
            self._keep(piece)
            return
        left = piece + (_FLUSH if last else b"")
        try:
            made = b"-"
            while left or made:
                made = self._inflater.decompress(left, STEP_BYTES)
                self._keep(made)
                left = self._inflater.unconsumed_tail
            if self._inflater.eof:  # a sender may end its stream with a message (RFC 7692, 7.2.3.4)
                self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        except zlib.error as error:
            raise Undecodable(f"a WebSocket message does not inflate: {error}") from error

    def _keep(self, data: bytes) -> None:
        self._meter.message_bytes(len(data))
        room = self._meter.limits.message_bytes - len(self._payload)
        self._payload += data[:room]
        self._truncated = self._truncated or len(data) > room

    def _deliver(self, at: datetime, messages: list[Message]) -> None:
        if self._opcode is not None:
            messages.append(Message(self._direction, self._opcode, bytes(self._payload), at, self._truncated))
        self._opcode, self._truncated = None, False
        self._payload.clear()


def _unmasked(data: bytes, mask: bytes, done: int) -> bytes:
    if not mask or not data:
        return data
    turned = mask[done % 4 :] + mask[: done % 4]
    key = (turned * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")
