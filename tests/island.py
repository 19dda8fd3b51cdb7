"""The tests run on an island: a network namespace whose only ways are loopback and a trap.

Whatever a process of the tests sends anywhere else - a browser, a name server, a library, the Temporal server - runs
into the trap, a TUN device that holds the default routes, and is read there at the end. So "no packet leaves
loopback" is measured for every program, not asked of each. It needs root and ``ip``; elsewhere the tests run without.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import os
import shutil
import struct
import subprocess

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_ICMPV6 = 58
_DEVICE = "/dev/net/tun"
_COMMANDS = (
    "link set lo up",
    "link set trap up",
    "addr add 192.0.2.1/32 dev trap",
    "addr add 2001:db8::1/128 dev trap nodad",
    "route add default dev trap",
    "-6 route add default dev trap",
)


class Island:
    """The namespace that this process, and every process that it starts from now on, lives in."""

    def __init__(self, trap: int) -> None:
        self._trap = trap
        self._left: list[str] = []

    def packets(self) -> list[str]:
        """Every packet so far that would have left, as ``protocol -> destination``.

        The kernel's own multicast about the trap itself (MLD, router solicitations) is nobody's attempt.
        """
        while True:
            try:
                packet = os.read(self._trap, 65_535)
            except BlockingIOError:
                return list(self._left)
            protocol, destination = _addressed(packet)
            if not (protocol == _ICMPV6 and destination.is_multicast):
                self._left.append(f"protocol {protocol} -> {destination}")


def impossible() -> str | None:
    """Why this machine does not allow it, or None."""
    if os.geteuid() != 0:
        return "which needs root"
    if shutil.which("ip") is None:
        return "which needs the program ip (package iproute2)"
    return None if os.path.exists(_DEVICE) else f"which needs {_DEVICE}"


def settle() -> Island | None:
    """Move this process to an island; None where this machine does not allow it.

    Call it before there is a second thread: a namespace is a thread's, and only its children inherit it.
    """
    ip = shutil.which("ip")
    if impossible() or ip is None:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "a network namespace is refused, though this is root")
    trap = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(trap, _TUNSETIFF, struct.pack("16sH22x", b"trap", _IFF_TUN | _IFF_NO_PI))
    for command in _COMMANDS:
        subprocess.run([ip, *command.split()], check=True)
    return Island(trap)


def _addressed(packet: bytes) -> tuple[int, ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Protocol number and destination of a packet (RFC 791, RFC 8200)."""
    if packet[0] >> 4 == 6:
        return packet[6], ipaddress.IPv6Address(packet[24:40])
    return packet[9], ipaddress.IPv4Address(packet[16:20])
