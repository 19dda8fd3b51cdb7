"""Where a server listens, as files write it: ``192.0.2.1:53``, ``[2001:db8::1]:53``, ``mx.example:25``."""

from __future__ import annotations

import ipaddress
from typing import Annotated, NamedTuple

from pydantic import AfterValidator


class Endpoint(NamedTuple):
    """A host (an address or a name) and a port."""

    host: str
    port: int


def endpoint(text: str) -> Endpoint:
    """Read ``host:port``; an IPv6 address stands in brackets.

    Raises:
        ValueError: It is not of this form, or the port is not 1 to 65535.
    """
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare) != (bare is not host) or any(c.isspace() for c in host):
        raise ValueError(f"{text!r} is not host:port, such as 192.0.2.1:53 or [2001:db8::1]:53")
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65535):
        raise ValueError(f"{text!r} does not end in a port from 1 to 65535")
    return Endpoint(bare, int(port))


def _host_and_port(text: str) -> str:
    endpoint(text)
    return text


def _address_and_port(text: str) -> str:
    ipaddress.ip_address(endpoint(text).host)
    return text


HostPort = Annotated[str, AfterValidator(_host_and_port)]
"""``host:port`` in an options model; the host may be a name."""

AddressPort = Annotated[str, AfterValidator(_address_and_port)]
"""``address:port`` in an options model; never a name, for a name would need a resolver to be trusted first."""
