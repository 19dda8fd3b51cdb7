"""Proportionality: what a block of this target would hit beside it, weighed before a human decides.

Pure rules from facts and dated lists. They can hold a case for two humans and say what would be least intrusive;
they never release one.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from precinto.domain.model import Value


class Question(StrEnum):
    """What is asked about a target. What got no answer is unknown, and unknown is never clear."""

    ADDRESSES = "addresses"
    ALIASES = "aliases"
    NAME_SERVERS = "name_servers"
    NETWORKS = "networks"
    CERTIFICATE = "certificate"
    HEADERS = "headers"
    NEIGHBOURS = "neighbours"
    ENDPOINTS = "endpoints"


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
    """What is known of a target. As it stands by default nothing is known, not: there is nothing.

    Attributes:
        host: Its host, A-labels; None for an app without a page.
        addresses: Where it answers from.
        aliases: The chain of CNAMEs from the host, in order.
        name_servers: Who is authoritative for its registrable domain.
        certificate_names: Names in the certificate that it showed, lower case.
        headers: Header fields of its answer, names in lower case.
        neighbours: Other names known to answer from the same addresses.
        endpoints: Hosts that an app speaks to, as its file shows; A-labels.
        answered: Each question that got an answer, also an empty one, with the file of the capture that holds it.
        networks_dated: Date of the snapshot that ``asn`` and ``organisation`` are from.
    """

    host: str | None
    addresses: tuple[AddressFact, ...] = ()
    aliases: tuple[str, ...] = ()
    name_servers: tuple[str, ...] = ()
    certificate_names: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    neighbours: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    answered: dict[Question, str] = {}
    networks_dated: date | None = None
