"""Proportionality: what a block of this target would hit beside it, weighed before a human decides.

Pure rules from facts and dated lists. They can hold a case for two humans and say what would be least intrusive;
they never release one.
"""

from __future__ import annotations

from precinto.domain.model import Value


class AddressFact(Value):
    """An address that the target answers from, and whose it is. Evidence only: never a target.

    Attributes:
        address: The address.
        asn: Number of the network's autonomous system; None where the snapshot does not know it.
        organisation: Who runs it, by the snapshot; empty where it is not known.
    """

    address: str
    asn: int | None
    organisation: str


class TargetFacts(Value):
    """What is known of a target.

    Attributes:
        host: Its host, A-labels; None for an app without a page.
        addresses: Where it answers from.
        aliases: The chain of CNAMEs from the host, in order.
        name_servers: Who is authoritative for its registrable domain.
        certificate_names: Names in the certificate that it showed, lower case.
        headers: Header fields of its answer, names in lower case.
        neighbours: Other names known to answer from the same addresses, with the source of that knowledge.
    """

    host: str | None
    addresses: tuple[AddressFact, ...] = ()
    aliases: tuple[str, ...] = ()
    name_servers: tuple[str, ...] = ()
    certificate_names: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    neighbours: tuple[str, ...] = ()
