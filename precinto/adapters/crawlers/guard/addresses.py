"""Which addresses a capture may reach: the public internet, and nothing that merely looks like it.

``ipaddress.is_global`` of Python 3.11 is not enough: it takes 192.88.99.1, 192.0.0.8, 224.0.0.1, fec0::1 and the
forms that carry an IPv4 address inside (6to4, NAT64) for public. So for IPv4 the special ranges are listed (IANA
registry of special-purpose addresses, RFC 6890, and what clouds add to it), and for IPv6 only 2000::/3, the space
that IANA gives out for global unicast, is open, less the special ranges inside it.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address

_CLOSED = tuple(
    (ip_network(block), reason)
    for block, reason in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata"),  # Azure's wire server: public by number, local by route
        ("169.254.0.0/16", "link-local"),  # holds 169.254.169.254, the metadata service of most clouds
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),  # with the broadcast address
        ("::/128", "this host"),
        ("::1/128", "loopback"),
        ("::/96", "IPv4 inside IPv6"),  # the deprecated "compatible" form, ::127.0.0.1
        ("::ffff:0:0/96", "IPv4 inside IPv6"),  # mapped, ::ffff:127.0.0.1
        ("::ffff:0:0:0/96", "IPv4 inside IPv6"),  # translated (RFC 2765)
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("2001::/32", "Teredo"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "private"),  # holds fd00:ec2::254, a metadata service
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST = ip_network("2000::/3")


def closed(address: Address, *, lab: bool = False) -> str | None:
    """Why nobody may connect to this address; None when it is public, or in lab mode when it is loopback."""
    if lab:
        return None if address.is_loopback else "not loopback, in lab mode"
    for block, reason in _CLOSED:
        if address in block:
            return reason
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return "not given out"
    return None if address.is_global else "not public"
