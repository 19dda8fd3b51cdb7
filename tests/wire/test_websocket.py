"""WebSockets as they passed, over HTTP/1.1 and HTTP/2, plain and compressed; wsproto and zlib speak."""

from __future__ import annotations

import os
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, Pong, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from precinto.wire.limits import Limits, Meter, Undecodable
from precinto.wire.websocket import WebSocket
from tests.wire.talk import HOST, Said, decoded, record

AT = datetime(2026, 11, 25, tzinfo=UTC)
ALL = [(sent, length) for sent in (True, False) for length in (0, 5, 126, 70_000)]


def talk(said: list[tuple[bool, Event]], *, deflate: bool) -> list[Said]:
    """What passes when a browser and a site say these things."""
    browser, site = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
    chunks: list[Said] = []

    def carry(sent: bool, event: Event) -> None:
        data = (browser if sent else site).send(event)
        chunks.append((sent, data))
        hearer = site if sent else browser
        hearer.receive_data(data)
        list(hearer.events())

    carry(True, Request(host=HOST, target="/chat", extensions=[PerMessageDeflate()] * deflate))
    carry(False, AcceptConnection(extensions=[PerMessageDeflate()] * deflate))
    for sent, event in said:
        carry(sent, event)
    return chunks


@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("piece", [11, 100_000])
def test_messages_of_every_size(tmp_path: Path, deflate: bool, piece: int) -> None:
    said: list[tuple[bool, Event]] = [(sent, BytesMessage(os.urandom(length))) for sent, length in ALL]
    said += [(True, TextMessage("gol ")), (False, TextMessage("¡gol! " * 50)), (False, TextMessage("¡gol! " * 50))]
    said += [(True, Ping(b"p")), (False, Pong(b"p")), (False, CloseConnection(1000, "fin"))]
    chunks = [(sent, data[i : i + piece]) for sent, data in talk(said, deflate=deflate)
              for i in range(0, len(data), piece)]  # fmt: skip
    record_said, _ = decoded(record(tmp_path, chunks))
    (exchange,) = record_said.exchanges
    expected = [
        ("sent" if sent else "received", type(event).__name__, getattr(event, "data", getattr(event, "payload", None)))
        for sent, event in said[:-1]
    ]
    names = {"text": "TextMessage", "binary": "BytesMessage", "ping": "Ping", "pong": "Pong"}
    got = [
        (m.direction, names[m.opcode], m.payload.decode() if m.opcode == "text" else m.payload)
        for m in exchange.websocket[:-1]
    ]
    assert got == expected
    assert exchange.websocket[-1].payload == b"\x03\xe8fin"
    assert (exchange.url, exchange.status, exchange.incomplete) == (f"ws://{HOST}/chat", 101, None)
    assert record_said.problems == ()


def test_a_socket_that_was_never_closed(tmp_path: Path) -> None:
    chunks = talk([(True, TextMessage("hola")), (False, BytesMessage(b"x" * 100))], deflate=False)
    chunks[-1] = chunks[-1][0], chunks[-1][1][:-60]
    said, _ = decoded(record(tmp_path, chunks, closed=False))
    (exchange,) = said.exchanges
    assert exchange.incomplete == "still open when the capture ended"
    assert [(m.payload, m.truncated) for m in exchange.websocket] == [(b"hola", False), (b"x" * 40, True)]


def frame(first: int, payload: bytes) -> bytes:
    return bytes([first, 127]) + len(payload).to_bytes(8, "big") + payload


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def heard(data: bytes, limits: Limits = Limits(), extensions: bytes = b"permessage-deflate") -> WebSocket:  # noqa: B008
    socket = WebSocket(extensions, Meter(limits))
    socket.feed(False, data, AT)
    return socket


def test_a_message_in_fragments_with_a_ping_between() -> None:
    data = deflated(b"one two three" * 100)
    socket = heard(frame(0x41, data[:10]) + b"\x89\x01!" + frame(0x00, data[10:20]) + frame(0x80, data[20:]))
    assert [(m.opcode, m.payload) for m in socket.messages] == [("ping", b"!"), ("text", b"one two three" * 100)]


def test_a_bomb_stops_at_the_limit() -> None:
    """100 MB of zeros in 100 KB: the message is cut, its socket is given up, little memory is used."""
    bomb = frame(0xC2, deflated(bytes(100 * 2**20)))
    with pytest.raises(Undecodable, match="limit"):
        heard(bomb)
    socket = heard(bomb, Limits(message_bytes=1000, all_message_bytes=2**30))
    assert [(m.payload, m.truncated) for m in socket.messages] == [(bytes(1000), True)]


def test_what_is_not_text_is_kept_as_it_came() -> None:
    socket = heard(b"\x81\x02\xff\xfe" + b"\x88\x01\x03")
    assert [m.payload for m in socket.messages] == [b"\xff\xfe", b"\x03"]
    assert socket.closed


@pytest.mark.parametrize(
    "data",
    [b"\x83\0", b"\x80\0", b"\x91\0", b"\x09\0", b"\x89\x7e\0\xff", b"\xc9\0", b"\x01\0\x01\0", b"\xc1\3\7\7\7"],
    ids=["opcode", "no beginning", "reserved", "ping in parts", "long ping", "deflated ping", "two at once", "junk"],
)
def test_what_are_no_frames_is_told(data: bytes) -> None:
    with pytest.raises(Undecodable):
        heard(data)


def test_compression_that_nobody_agreed_on_is_told() -> None:
    with pytest.raises(Undecodable, match="no frames"):
        heard(frame(0xC1, deflated(b"x")), extensions=b"")
    with pytest.raises(Undecodable, match="x-webkit"):
        heard(b"", extensions=b"x-webkit-deflate-frame")


def test_messages_are_bounded() -> None:
    with pytest.raises(Undecodable, match="limit: more than 3 WebSocket messages"):
        heard(b"\x81\0" * 10, Limits(messages=3))
    with pytest.raises(Undecodable, match="limit: more than 10 pieces"):
        heard(b"\x01\0" + b"\0\0" * 100, Limits(pieces=10))
