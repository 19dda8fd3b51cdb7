"""Free ports, so that several labs run side by side.

Ports are taken below the range from which the system serves outgoing connections, so none of those can slip in
between the check and the daemon's own bind. Two labs cannot pick the same one either: each port is held by a socket
in Linux' abstract namespace, which is atomic and vanishes with its owner, also after SIGKILL.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

from lab.errors import NoFreePort

_RANGE = range(20000, 32000)
_TRIES = 200


class PortBook:
    """Ports held by one lab."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self, *addresses: str) -> int:
        """A port that is free for TCP and UDP on every one of the addresses.

        Raises:
            NoFreePort: None was found.
        """
        for port in random.sample(_RANGE, _TRIES):  # not for security: any free port will do
            claim = _claim(port)
            if claim is None:
                continue
            if _free(port, addresses):
                self._held.append(claim)
                return port
            claim.close()
        raise NoFreePort(f"no port of {_RANGE.start}-{_RANGE.stop} is free on {', '.join(addresses)}")

    def release(self) -> None:
        """Give all ports back."""
        while self._held:
            self._held.pop().close()


def _claim(port: int) -> socket.socket | None:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0precinto-lab-{port}")
    except OSError:  # another lab holds it
        claim.close()
        return None
    return claim


def _free(port: int, addresses: Iterable[str]) -> bool:
    for address in addresses:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                if kind is socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError:  # somebody else's server
                    return False
    return True
