"""The island itself: it sees what leaves, by any program, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import island

SCRIPT = """
import socket, subprocess, sys
from tests.island import settle
here = settle()
if here is None:
    sys.exit(75)
server = socket.create_server(("127.0.0.9", 0))
socket.create_connection(server.getsockname()).close()
print(here.packets())
child = "import socket; socket.socket(2, 2).sendto(b'x', ('203.0.113.9', 53))"
subprocess.run([sys.executable, "-c", child], check=True)
socket.socket(10, 2).sendto(b"x", ("2001:db8:1::9", 53))
print(here.packets())
"""


def test_it_sees_what_any_process_sends_elsewhere() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=False, capture_output=True, text=True, timeout=60)
    if done.returncode == 75:
        pytest.skip("no network namespace here: not root, or no 'ip' or TUN device")
    assert done.returncode == 0, done.stderr
    nothing, packets = done.stdout.splitlines()
    assert nothing == "[]"
    assert packets == str(["protocol 17 -> 203.0.113.9", "protocol 17 -> 2001:db8:1::9"])


def test_addresses_are_read_from_the_packet() -> None:
    header = bytes.fromhex("45000021000040004011") + bytes(2) + bytes([192, 0, 2, 1, 203, 0, 113, 9])
    assert str(island._addressed(header)[1]) == "203.0.113.9"
