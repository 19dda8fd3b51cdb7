"""The live stream: a playlist that slides, and segments that a demultiplexer can take apart."""

from __future__ import annotations

import re
import struct
from itertools import pairwise

from lab.media import PACKET_BYTES, SEGMENT_SECONDS, crc32_mpeg, playlist, segment
from tests.lab.visitor import Visitor

SITE = "https://roja-directa-lab.test"
AUDIO, VIDEO = 0x101, 0x102


def packets(stream: bytes) -> list[bytes]:
    """The packets of a transport stream, each checked for its sync byte."""
    assert len(stream) % PACKET_BYTES == 0
    cut = [stream[at : at + PACKET_BYTES] for at in range(0, len(stream), PACKET_BYTES)]
    assert all(packet[0] == 0x47 for packet in cut)
    return cut


def pid(packet: bytes) -> int:
    return struct.unpack(">H", packet[1:3])[0] & 0x1FFF


def payload(packet: bytes) -> bytes:
    return packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]


def stamps(stream: bytes) -> list[int]:
    """The presentation times of the stream's PES packets, in ticks of 1/90,000 s."""
    found: list[int] = []
    for packet in packets(stream):
        data = payload(packet)
        if pid(packet) == AUDIO and packet[1] & 0x40:
            assert data[:4] == b"\x00\x00\x01\xc0"
            top, middle, low = struct.unpack(">BHH", data[9:14])
            found.append((top >> 1 & 7) << 30 | middle >> 1 << 15 | low >> 1)
    return found


def test_tables_name_the_track_and_carry_a_right_checksum() -> None:
    association, program_map = packets(segment(3))[:2]
    assert (pid(association), pid(program_map)) == (0, 0x100)
    for packet in (association, program_map):
        section = payload(packet)[1:]
        length = (struct.unpack(">H", section[1:3])[0] & 0x0FFF) + 3
        assert crc32_mpeg(section[:length]) == 0
    for kind, track in ((0x03, AUDIO), (0x1B, VIDEO)):
        assert struct.pack(">BH", kind, 0xE000 | track) in program_map


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc32_mpeg(b"123456789") == 0x0376E6E7


def test_one_segment_continues_the_other() -> None:
    stream = segment(6) + segment(7) + segment(8)
    for track in (AUDIO, VIDEO):
        counters = [packet[3] & 0x0F for packet in packets(stream) if pid(packet) == track]
        assert all(after == (before + 1) % 16 for before, after in pairwise(counters))
    times = stamps(stream)
    steps = {after - before for before, after in pairwise(times)}
    assert len(steps) == 1
    assert len(times) * steps.pop() == round(3 * SEGMENT_SECONDS * 90_000)


def test_the_sound_is_whole_frames_of_mpeg_audio() -> None:
    audio = b"".join(payload(packet) for packet in packets(segment(0)) if pid(packet) == AUDIO)
    first, *rest = audio.split(b"\xff\xfb\x54\xc0")
    assert len(first) == 14  # the head of the first PES packet
    assert len(rest) == 80
    assert round(80 * 1152 / 48_000, 3) == SEGMENT_SECONDS


def test_the_window_slides() -> None:
    assert b"MEDIA-SEQUENCE:0\n" in playlist(0)
    assert b"MEDIA-SEQUENCE:5\n" in playlist(5 * SEGMENT_SECONDS + 0.1)
    assert b"ENDLIST" not in playlist(0)


async def test_a_player_gets_from_the_page_to_the_segments(visitor: Visitor) -> None:
    page = (await visitor.get(f"{SITE}/")).text
    (source,) = re.findall(r'<video [^>]*data-stream="([^"]+)"', page)
    master = await visitor.get(SITE + source)
    assert master.headers["content-type"] == "application/vnd.apple.mpegurl"
    live = await visitor.get(f"{SITE}/live/{master.text.splitlines()[-1]}")
    names = [line for line in live.text.splitlines() if not line.startswith("#")]
    assert len(names) == 4
    streams = [await visitor.get(f"{SITE}/live/{name}") for name in names]
    assert {stream.headers["content-type"] for stream in streams} == {"video/mp2t"}
    times = stamps(b"".join(stream.content for stream in streams))
    assert times == sorted(times)
