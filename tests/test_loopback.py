"""The closed door: what stays on this machine passes, everything else is refused before the system sees it.

A process that has closed its door cannot open it again, so each set of calls is made in a process of its own. The
addresses outside are those that RFC 5737 and RFC 3849 keep for documentation: nobody is there.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CALLS = {
    # what stays here
    "tcp to IPv4 loopback": "refused_or_ok(socket.AF_INET, ('127.0.0.1', port))",
    "tcp to another loopback address": "refused_or_ok(socket.AF_INET, ('127.0.1.9', port))",
    "tcp to localhost": "refused_or_ok(socket.AF_INET, ('localhost', port))",
    "tcp to IPv6 loopback": "refused_or_ok(socket.AF_INET6, ('::1', port))",
    "tcp to mapped loopback": "refused_or_ok(socket.AF_INET6, ('::ffff:127.0.0.1', port))",
    "unix socket": "unix()",
    "datagram to loopback": "datagram(socket.AF_INET).sendto(b'x', ('127.0.0.1', port))",
    "datagram on a connected socket": "connected(('127.0.0.1', port)).sendmsg([b'x'])",
    "lookup of an address": "socket.getaddrinfo('192.0.2.1', 443)",
    "lookup of localhost": "socket.getaddrinfo('localhost', 443)",
    "lookup of nothing": "socket.getaddrinfo(None, 443)",
    "asyncio to loopback": "asyncio.run(opened('127.0.0.1'))",
    # what would leave
    "tcp to IPv4": "socket.create_connection(('192.0.2.1', 443))",
    "tcp to IPv4, asked for a code": "socket.socket().connect_ex(('192.0.2.1', 443))",
    "tcp to IPv6": "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 443))",
    "tcp to mapped IPv4": "socket.socket(socket.AF_INET6).connect(('::ffff:192.0.2.1', 443))",
    "tcp to a private network": "socket.socket().connect(('10.0.0.1', 443))",
    "tcp to the link": "socket.socket(socket.AF_INET6).connect(('fe80::1', 443, 0, 1))",
    "tcp to bytes": "socket.socket().connect((b'192.0.2.1', 443))",
    "datagram to a name server": "datagram(socket.AF_INET).sendto(b'x', ('192.0.2.53', 53))",
    "datagram with flags": "datagram(socket.AF_INET).sendto(b'x', 0, ('192.0.2.53', 53))",
    "datagram to IPv6": "datagram(socket.AF_INET6).sendto(b'x', ('2001:db8::53', 53))",
    "message": "datagram(socket.AF_INET).sendmsg([b'x'], [], 0, ('192.0.2.53', 53))",
    "multicast": "datagram(socket.AF_INET).sendto(b'x', ('224.0.0.251', 5353))",
    "broadcast": "datagram(socket.AF_INET).sendto(b'x', ('255.255.255.255', 67))",
    "lookup of a name": "socket.getaddrinfo('flvto.biz', 443)",
    "lookup of a name in bytes": "socket.getaddrinfo(b'flvto.biz', 443)",
    "lookup the old way": "socket.gethostbyname('flvto.biz')",
    "reverse lookup": "socket.gethostbyaddr('192.0.2.1')",
    "name of an address": "socket.getnameinfo(('192.0.2.1', 443), 0)",
    "asyncio to a name": "asyncio.run(opened('flvto.biz'))",
    "HTTP client": "httpx.get('https://flvto.biz/', trust_env=False)",
}
LOCAL = tuple(CALLS)[:12]
OUTSIDE = tuple(CALLS)[12:]

PROGRAM = """
import asyncio, json, os, socket, sys, tempfile

import httpx

from precinto import loopback

listening = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
port = listening.getsockname()[1]

def refused_or_ok(family, address):
    with socket.socket(family) as one:
        one.connect(address)

def unix():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server, \\
            socket.socket(socket.AF_UNIX) as one:
        server.bind(os.path.join(folder, "s"))
        server.listen()
        one.connect(os.path.join(folder, "s"))

def datagram(family):
    return socket.socket(family, socket.SOCK_DGRAM)

def connected(address):
    one = datagram(socket.AF_INET)
    one.connect(address)
    return one

async def opened(host):
    _, writer = await asyncio.open_connection(host, port)
    writer.close()

loopback.refuse_non_loopback()
loopback.refuse_non_loopback()  # again changes nothing: each attempt is recorded once
outcomes = {}
for name, call in json.load(sys.stdin).items():
    before = len(loopback.attempts())
    try:
        eval(call)
    except Exception as error:
        chain, outcome = error, f"{type(error).__name__}: {error}"
        while chain is not None and not isinstance(chain, loopback.LeavesLoopback):
            chain = chain.__cause__ or chain.__context__
        outcome = f"refused: {chain}" if chain is not None else outcome
    else:
        outcome = "ok"
    outcomes[name] = [outcome, [[a.event, a.address] for a in loopback.attempts()[before:]]]
print(json.dumps(outcomes))
"""

Outcomes = dict[str, tuple[str, list[list[str]]]]


@pytest.fixture(scope="module")
def outcomes() -> Outcomes:
    """What became of every call, and which attempts were recorded meanwhile."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        input=json.dumps(CALLS),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("call", LOCAL)
def test_what_stays_on_this_machine_passes(outcomes: Outcomes, call: str) -> None:
    assert outcomes[call] == ["ok", []]


@pytest.mark.parametrize("call", OUTSIDE)
def test_what_would_leave_is_refused_and_recorded(outcomes: Outcomes, call: str) -> None:
    outcome, recorded = outcomes[call]
    assert outcome.startswith("refused: ")
    [[event, address]] = recorded
    assert outcome == f"refused: {event} to {address} would leave loopback, which lab mode refuses"
    assert event.startswith("socket.")


@pytest.mark.parametrize(
    ("call", "attempt"),
    [
        ("tcp to IPv4", ["socket.connect", "('192.0.2.1', 443)"]),
        ("tcp to IPv6", ["socket.connect", "('2001:db8::1', 443)"]),
        ("datagram to a name server", ["socket.sendto", "('192.0.2.53', 53)"]),
        ("message", ["socket.sendmsg", "('192.0.2.53', 53)"]),
        ("HTTP client", ["socket.getaddrinfo", "flvto.biz"]),
    ],
)
def test_an_attempt_says_what_was_tried_and_where_to(outcomes: Outcomes, call: str, attempt: list[str]) -> None:
    assert outcomes[call][1] == [attempt]


def test_a_process_that_has_not_closed_its_door_is_not_watched() -> None:
    program = """
import socket
from precinto import loopback
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.connect(("192.0.2.1", 53))  # a datagram socket's connect sends nothing
print(loopback.attempts())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    # A machine without any route says so itself; it is not our door that refuses.
    assert ran.stdout.strip() == "()" or "unreachable" in ran.stderr
    assert "LeavesLoopback" not in ran.stderr
