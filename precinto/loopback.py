"""Closes the door of this process: no connection and no datagram leaves loopback.

Lab mode promises that nothing reaches a real site, ISP or timestamp authority. A promise kept by every caller is a
promise broken by the first new one, so it is kept below all of them: an audit hook (PEP 578) sees each call into the
socket module before the system does. A hook cannot be removed again; it lasts as long as the process.

It does not see what other programs or compiled extensions do with sockets of their own. A *name* that is given to
``connect`` or ``sendto`` in the place of an address is looked up below the hook: that lookup may leave, what follows
it may not. Nothing of ours does that, and asyncio, httpx and dnspython look names up where the hook sees it.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_LOCAL_FAMILIES = frozenset(
    getattr(socket, name) for name in ("AF_UNIX", "AF_NETLINK", "AF_ALG") if hasattr(socket, name)
)
"""Families that end inside this machine's kernel."""


class LeavesLoopback(PermissionError):
    """A call would have left loopback. An ``OSError``, so that libraries treat it as they treat a firewall's EPERM."""


@dataclass(frozen=True)
class Attempt:
    """A refused call: the audit event (``socket.connect``, ...) and the address or name it was for."""

    event: str
    address: str


_attempts: list[Attempt] = []
_state = {"installed": False}


def refuse_non_loopback() -> None:
    """From now on, refuse every call of this process that leaves loopback; calling it again changes nothing.

    Connections, datagrams and name lookups are refused with ``LeavesLoopback``, which names the address. Lookups of
    names count, because the system's resolver would send them to a name server; addresses and ``localhost`` do not.
    """
    if not _state["installed"]:
        _state["installed"] = True
        sys.addaudithook(_audit)


def attempts() -> tuple[Attempt, ...]:
    """What was refused so far in this process, oldest first; empty is what a test wants to see."""
    return tuple(_attempts)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    judge = _JUDGES.get(event)
    if judge is not None and not judge(args):
        address = str(args[0] if event in _LOOKUPS else args[1])
        _attempts.append(Attempt(event, address))
        raise LeavesLoopback(f"{event} to {address} would leave loopback, which lab mode refuses")


def _stays_here(args: tuple[Any, ...]) -> bool:
    """Whether a connection or datagram, ``(socket, address)``, stays on this machine."""
    family, address = args[0].family, args[1]
    if family in _LOCAL_FAMILIES or address is None:  # None: sendmsg on a socket whose connect was judged already
        return True
    return family in (socket.AF_INET, socket.AF_INET6) and _is_loopback(address[0])


def _needs_no_lookup(args: tuple[Any, ...]) -> bool:
    host = args[0].decode() if isinstance(args[0], bytes) else args[0]
    return host in (None, "", "localhost") or _parse(host) is not None


def _reverse_is_local(args: tuple[Any, ...]) -> bool:
    """Reverse lookups: only these two addresses are in every hosts file; any other asks a name server."""
    host = args[0][0] if isinstance(args[0], tuple) else args[0]  # pyright: ignore[reportUnknownVariableType]
    return host in ("127.0.0.1", "::1", "localhost")


def _is_loopback(host: object) -> bool:
    if host == "localhost":
        return True
    address = _parse(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback


def _parse(host: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(str(host))
    except ValueError:
        return None


_JUDGES: dict[str, Callable[[tuple[Any, ...]], bool]] = {
    "socket.connect": _stays_here,
    "socket.sendto": _stays_here,
    "socket.sendmsg": _stays_here,
    "socket.getaddrinfo": _needs_no_lookup,
    "socket.gethostbyname": _needs_no_lookup,
    "socket.gethostbyaddr": _reverse_is_local,
    "socket.getnameinfo": _reverse_is_local,
}
_LOOKUPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"})
