"""The wire record as a file: what the guard noted comes back, other tools read it, and damage is told."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from precinto.wire.blocks import Damaged, read_blocks
from precinto.wire.packets import SEGMENT_BYTES, Segment, read_segment
from precinto.wire.pcapng import WireRecorder, read_wire

SITE, SITE6 = "93.184.216.34", "2606:4700::1111"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Three connections: one that ended, one over IPv6 that was cut, one that was still open."""
    recorder = WireRecorder(tmp_path / "spool")
    first = recorder.opened("y2mate.com", 443, SITE)
    second = recorder.opened("yout.com", 80, SITE6)
    recorder.sent(first, b"hello")
    recorder.sent(second, b"GET")
    recorder.received(first, bytes(3 * SEGMENT_BYTES))
    recorder.sent(first, b"again")
    recorder.closed(first)
    recorder.closed(second, reset=True)
    recorder.sent(recorder.opened("flvto.biz", 443, SITE), b"open")
    recorder.finish(b"CLIENT_RANDOM 00 00\n", tmp_path / "wire.pcapng")
    return tmp_path / "wire.pcapng"


def test_what_was_noted_comes_back(record: Path) -> None:
    wire = read_wire(record)
    assert wire.damage is None
    assert wire.key_log == b"CLIENT_RANDOM 00 00\n"
    facts = [(c.id, c.host, c.port, c.address, c.closed_at is None, c.reset) for c in wire.connections]
    assert facts == [
        (1, "y2mate.com", 443, SITE, False, False),
        (2, "yout.com", 80, SITE6, False, True),
        (3, "flvto.biz", 443, SITE, True, False),
    ]
    chunks = list(wire.chunks(1))
    assert b"".join(chunk.data for chunk in chunks if chunk.sent) == b"helloagain"
    assert b"".join(chunk.data for chunk in chunks if not chunk.sent) == bytes(3 * SEGMENT_BYTES)
    assert [chunk.sent for chunk in chunks] == [True, False, False, False, True]
    assert [chunk.data for chunk in wire.chunks(3)] == [b"open"]


def test_times_are_of_the_moment_and_in_utc(record: Path) -> None:
    wire = read_wire(record)
    now = datetime.now(UTC)
    for chunk in wire.chunks(1):
        assert timedelta(0) <= now - chunk.at < timedelta(minutes=1)
        assert wire.connections[0].opened_at <= chunk.at


def test_the_spool_is_gone(record: Path) -> None:
    assert [path.name for path in record.parent.iterdir()] == ["wire.pcapng"]


def test_many_connections_stay_apart(tmp_path: Path) -> None:
    """More than one address has ports for."""
    for number in (1, 16_384, 16_385, 70_000):
        for sent in (True, False):
            segment = Segment(number, SITE, 443, sent, 0x18, 7, 9, b"payload")
            assert read_segment(segment.packet()) == segment


@pytest.mark.parametrize("cut", [1, 50, 200, 500, 40_000])
def test_a_record_that_was_cut_is_read_up_to_there(record: Path, cut: int) -> None:
    content = record.read_bytes()
    record.write_bytes(content[:-cut])
    wire = read_wire(record)
    assert wire.damage is not None
    assert wire.connections[0].host == "y2mate.com"


def test_a_flipped_bit_in_a_payload_is_found(record: Path) -> None:
    content = bytearray(record.read_bytes())
    content[content.index(b"hello")] ^= 1
    record.write_bytes(content)
    wire = read_wire(record)
    assert "not as it was written" in (wire.damage or "")
    assert list(wire.chunks(1)) == []


def test_a_packet_that_was_taken_out_is_found(record: Path) -> None:
    content = record.read_bytes()
    with record.open("rb") as file:
        block = next(block for block in read_blocks(file) if b"hello" in block.body)
    record.write_bytes(content[: block.offset - 8] + content[block.offset + len(block.body) + 4 :])
    assert "missing" in (read_wire(record).damage or "")


@pytest.mark.parametrize("content", [b"", b"\n", b"PK\x03\x04" + bytes(100), bytes(100)])
def test_what_is_no_record_holds_no_connection(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    wire = read_wire(tmp_path / "x")
    assert wire.connections == ()
    assert wire.damage


def test_a_block_of_4_gb_is_not_read(tmp_path: Path, record: Path) -> None:
    content = record.read_bytes() + b"\x06\0\0\0\xfc\xff\xff\xff" + bytes(100)
    record.write_bytes(content)
    with record.open("rb") as file, pytest.raises(Damaged, match="no block"):
        list(read_blocks(file))


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not on this machine (apt install tshark)")
def test_another_tool_reads_the_same(record: Path) -> None:
    """Checksums, sequence numbers and times hold for a packet analyser; hosts are in the comments."""
    names = ("frame.comment", "ip.dst", "ipv6.dst", "tcp.dstport", "tcp.flags.str", "tcp.len")
    fields = [word for name in names for word in ("-e", name)]
    command = ["tshark", "-r", str(record), "-T", "fields", "-E", "separator=|", *fields]
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].startswith(f"y2mate.com:443|{SITE}||443|")
    assert lines[3].startswith(f"yout.com:80||{SITE6}|80|")
    assert sum(int(line.rpartition("|")[2]) for line in lines) == 5 + 3 + 3 * SEGMENT_BYTES + 5 + 4
    bad = "tcp.checksum.status != 1 or ip.checksum.status != 1 or tcp.analysis.flags"
    found = subprocess.run([*command, *checks, "-Y", bad], capture_output=True, text=True, check=True)
    assert found.stdout == ""
