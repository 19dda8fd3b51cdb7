"""What the lab's sites deliver: sound files and live streams, made of nothing and valid to the last byte.

Silence, sine tones and drawn pictures: no protected work is in the lab.
"""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Iterator
from functools import lru_cache

from lab import match

# ------------------------------------------------------------------------------------------------- sound files

_WAV_RATE = 8000
_WAV_SECONDS = 1


@lru_cache(maxsize=64)
def tone(hertz: int) -> bytes:
    """A WAV file: one second of a sine tone, mono, 16 bits."""
    samples = (int(9000 * math.sin(2 * math.pi * hertz * n / _WAV_RATE)) for n in range(_WAV_RATE * _WAV_SECONDS))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_WAV_RATE)
        sound.writeframes(struct.pack(f"<{_WAV_RATE * _WAV_SECONDS}h", *samples))
    return file.getvalue()


# ------------------------------------------------------------------------------------- live stream (HLS, RFC 8216)

# One frame of MPEG-1 Layer III: 64 kbit/s, 48 kHz, mono; its side information gives no bit to anything: silence.
_FRAME = bytes.fromhex("fffb54c0") + bytes(188)
_FRAMES_PER_PES = 8
_PES_PER_SEGMENT = 10
_TICKS_PER_FRAME = 1152 * 90_000 // 48_000
_TICKS_PER_SEGMENT = _TICKS_PER_FRAME * _FRAMES_PER_PES * _PES_PER_SEGMENT
_LEAD_TICKS = 45_000  # sound is played half a second after it arrived

SEGMENT_SECONDS = _TICKS_PER_SEGMENT / 90_000
_WINDOW = 4

PACKET_BYTES = 188
_PMT_PID = 0x100
_AUDIO_PID = 0x101
_VIDEO_PID = 0x102
_MPEG1_AUDIO = 0x03
_H264_VIDEO = 0x1B
_AUDIO_STREAM = 0xC0
_VIDEO_STREAM = 0xE0
_COUNTS = 16  # of a track's packets
_FILLER = b"\0\0\0\1\x0c"  # a NAL unit that says nothing (H.264, 7.3.2.7)


def playlist(elapsed_seconds: float) -> bytes:
    """The media playlist of a live stream that began so many seconds ago: a window that slides, without an end."""
    newest = int(elapsed_seconds / SEGMENT_SECONDS) + _WINDOW - 1
    first = newest - _WINDOW + 1
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        f"#EXT-X-TARGETDURATION:{math.ceil(SEGMENT_SECONDS)}",
        f"#EXT-X-MEDIA-SEQUENCE:{first}",
    ]
    for number in range(first, newest + 1):
        lines += [f"#EXTINF:{SEGMENT_SECONDS:.3f},", f"segment-{number}.ts"]
    return "\n".join([*lines, ""]).encode()


def master_playlist() -> bytes:
    """The playlist that a player opens first."""
    stream = f'BANDWIDTH=2600000,CODECS="{match.CODEC},mp4a.6B",RESOLUTION={match.WIDTH}x{match.HEIGHT}'
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:{stream}\nlive.m3u8\n".encode()


@lru_cache(maxsize=16)
def segment(number: int) -> bytes:
    """Segment ``number`` of the stream: an MPEG transport stream (ISO/IEC 13818-1) with pictures and silence."""
    begin = number * _TICKS_PER_SEGMENT
    sound = _FRAME * _FRAMES_PER_PES
    parts = [(clock, _AUDIO_PID, _pes(_AUDIO_STREAM, sound, clock)) for clock in _clocks(begin, _PES_PER_SEGMENT)]
    pictures = zip(_clocks(begin, match.PICTURES), match.pictures(number, SEGMENT_SECONDS), strict=True)
    parts += [(clock, _VIDEO_PID, _filled(_pes(_VIDEO_STREAM, picture, clock))) for clock, picture in pictures]
    # Players want the counters to go on from segment to segment: each has as much sound, and whole rounds of pictures.
    packets = [_section(0, _pat(), number), _section(_PMT_PID, _pmt(), number)]
    sounds = sum(sum(1 for _ in _packets(pid, pes, clock)) for clock, pid, pes in parts if pid == _AUDIO_PID)
    counters = {_AUDIO_PID: number * sounds, _VIDEO_PID: 0}
    for clock, pid, pes in sorted(parts, key=lambda part: part[:2]):
        for head, rest in _packets(pid, pes, clock):
            packets.append(head[:3] + bytes([head[3] | counters[pid] % _COUNTS]) + rest)
            counters[pid] += 1
    return b"".join(packets)


def _clocks(begin: int, parts: int) -> range:
    return range(begin, begin + _TICKS_PER_SEGMENT, _TICKS_PER_SEGMENT // parts)


def _filled(pes: bytes) -> bytes:
    """A PES packet with as much filler that it takes a whole round of packets."""
    round_bytes = _COUNTS * (PACKET_BYTES - 4)
    missing = -(len(pes) + len(_FILLER) + 1) % round_bytes
    return pes + _FILLER + b"\xff" * missing + b"\x80"


def crc32_mpeg(content: bytes) -> int:
    """CRC-32/MPEG-2, which closes each table; over a table with its CRC it is 0."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _table(table_id: int, number: int, content: bytes) -> bytes:
    body = struct.pack(">BHHBBB", table_id, 0xB000 | len(content) + 9, number, 0xC1, 0, 0) + content
    return body + struct.pack(">I", crc32_mpeg(body))


def _pat() -> bytes:
    return _table(0, 1, struct.pack(">HH", 1, 0xE000 | _PMT_PID))


def _pmt() -> bytes:
    clock = struct.pack(">HH", 0xE000 | _AUDIO_PID, 0xF000)
    tracks = ((_MPEG1_AUDIO, _AUDIO_PID), (_H264_VIDEO, _VIDEO_PID))
    return _table(2, 1, clock + b"".join(struct.pack(">BHH", kind, 0xE000 | pid, 0xF000) for kind, pid in tracks))


def _section(pid: int, table: bytes, counter: int) -> bytes:
    header = struct.pack(">BHBB", 0x47, 0x4000 | pid, 0x10 | counter % 16, 0)
    return (header + table).ljust(PACKET_BYTES, b"\xff")


def _pes(stream: int, payload: bytes, clock: int) -> bytes:
    pts = (clock + _LEAD_TICKS) % 2**33
    stamp = struct.pack(">BHH", 0x21 | pts >> 29 & 0x0E, (pts >> 15 & 0x7FFF) << 1 | 1, (pts & 0x7FFF) << 1 | 1)
    length = len(payload) + 8 if stream == _AUDIO_STREAM else 0  # pictures may be larger than the field can say
    return b"\x00\x00\x01" + struct.pack(">BHBBB", stream, length, 0x80, 0x80, 5) + stamp + payload


def _packets(pid: int, pes: bytes, clock: int) -> Iterator[tuple[bytes, bytes]]:
    """Cut a PES packet into heads, whose counter is still 0, and rests.

    The first piece of a sound carries the clock (PCR), the last of all is stuffed to its size.
    """
    base = clock % 2**33
    adaptation = struct.pack(">BIH", 0x50, base >> 1, (base & 1) << 15 | 0x7E00) if pid == _AUDIO_PID else b""
    start, left = 0x4000, pes
    while left:
        field = bytes([len(adaptation)]) + adaptation if adaptation else b""
        room = PACKET_BYTES - 4 - len(field)
        if len(left) < room:
            flags = adaptation or b"\x00"
            length = PACKET_BYTES - 5 - len(left)
            field = bytes([length]) + flags.ljust(length, b"\xff")[:length]
        piece, left = left[:room], left[room:]
        yield struct.pack(">BHB", 0x47, start | pid, 0x30 if field else 0x10), field + piece
        start, adaptation = 0, b""
