"""Guard lists: dated, sourced lists of what an order must not hit on one person's word, and of what is shared.

They are looked up, and nothing more: what a match means is said by ``domain.evidence.guard`` (at intake, the name
alone) and by ``domain.proportionality.assess`` (once there is evidence). Names match by label, never by substring.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Annotated, NamedTuple

from pydantic import Field

from precinto.domain.model import Digest, Value

ListId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class ListKind(StrEnum):
    """What the entries of a list are."""

    GOVERNMENT = "government"
    BANK = "bank"
    EDUCATION = "education"
    TOP_SITE = "top_site"
    ESSENTIAL = "essential"
    ISP = "isp"
    AUTHORITY = "authority"
    PLATFORM = "platform"
    CDN = "cdn"
    CLOUD = "cloud"
    PARKING = "parking"
    SINKHOLE = "sinkhole"


PROTECTED = frozenset(
    {
        ListKind.GOVERNMENT,
        ListKind.BANK,
        ListKind.EDUCATION,
        ListKind.TOP_SITE,
        ListKind.ESSENTIAL,
        ListKind.ISP,
        ListKind.AUTHORITY,
    }
)
"""Kinds whose names are never blocked on one person's word."""

SHARED = frozenset({ListKind.PLATFORM, ListKind.CDN, ListKind.CLOUD})
"""Kinds behind whose names and addresses many strangers live."""

WORDS = {
    ListKind.TOP_SITE: "top site",
    ListKind.ESSENTIAL: "essential service",
    ListKind.ISP: "an ISP's own",
    ListKind.AUTHORITY: "the authority's own",
    ListKind.PLATFORM: "shared platform",
    ListKind.CDN: "content delivery network",
}
"""What a kind is called for people, where its value is not the word."""


class Form(StrEnum):
    """What an entry is written as: a host name, an address range, the number of a network, or a header field."""

    NAMES = "names"
    RANGES = "ranges"
    NETWORKS = "networks"
    HEADERS = "headers"


class ProtectedName(Value):
    """A name that the registry protects, with everything below it.

    Attributes:
        name: A domain, A-labels.
        reason: Why it is protected: government, bank, top site, shared platform, ISP.
        source: The list it stands on, with its date.
    """

    name: str
    reason: str
    source: str


class GuardList(Value):
    """What is known of a list, without its entries.

    Attributes:
        id: Short id, also the name of its file.
        title: What it lists, for people.
        kind: What its entries are.
        form: How they are written.
        source: Who publishes it, and where.
        licence: Under which terms it may be passed on.
        dated: The day that its entries are of.
        stale_after_days: Age from which a finding says that it is old.
        hold_within: For lists with ranks: entries up to this rank hold a case; None: every entry does.
        verify: True while nobody has confirmed its entries at their source; they count all the same.
        sha256: Digest of the entries' text.
        entries: How many there are.
    """

    id: ListId
    title: str = Field(min_length=1, max_length=120)
    kind: ListKind
    form: Form
    source: str = Field(min_length=1, max_length=300)
    licence: str = Field(min_length=1, max_length=120)
    dated: date
    stale_after_days: int = Field(ge=1)
    hold_within: int | None = Field(default=None, ge=1)
    verify: bool = False
    sha256: Digest
    entries: int = Field(ge=0)

    @property
    def cited(self) -> str:
        """How a finding names it."""
        return f"{self.title}, {self.dated.isoformat()}" + (" (entries to be confirmed)" if self.verify else "")

    def stale(self, today: date) -> bool:
        """Whether it is too old to lean on; one that is dated in the future says nothing about today either."""
        return not 0 <= (today - self.dated).days <= self.stale_after_days


class Match(NamedTuple):
    """An entry that matched.

    Attributes:
        kind: What it is.
        entry: The entry, as the list has it.
        reason: What it is, for people.
        source: The list, with its date.
        holds: Whether the list means it to hold a case.
    """

    kind: ListKind
    entry: str
    reason: str
    source: str
    holds: bool


Entry = tuple[str, int | None]
"""An entry's text in its normal form, and its rank (1 is the most used; often a band's upper end) where it has one."""

Interval = tuple[int, int, str]


class GuardLists:
    """Many lists, ready to be looked up in. Immutable; lookups take microseconds.

    Args:
        contents: Each list with its entries, as ``precinto.guardlists`` has checked them.
    """

    def __init__(self, contents: Iterable[tuple[GuardList, Sequence[Entry]]] = ()) -> None:
        self.lists: tuple[GuardList, ...] = ()
        self._own: tuple[ProtectedName, ...] = ()
        self._exact: dict[Form, dict[str, list[tuple[GuardList, int | None]]]] = {form: {} for form in Form}
        self._ranges: list[tuple[GuardList, Mapping[int, Sequence[Interval]]]] = []
        for one, entries in contents:
            self.lists += (one,)
            if one.form is Form.RANGES:
                self._ranges.append((one, _intervals(text for text, _ in entries)))
                continue
            index = self._exact[one.form]
            for text, rank in entries:
                index.setdefault(text, []).append((one, rank))

    def joined(self, protected: Iterable[ProtectedName]) -> GuardLists:
        """These lists and the registry's own names; the indexes are shared."""
        other = copy.copy(self)
        other._own = (*self._own, *protected)
        return other

    @property
    def empty(self) -> bool:
        """Whether there is nothing to look a name up in."""
        return not self.lists and not self._own

    def above(self, name: str) -> list[Match]:
        """Entries that the name equals or lies below."""
        labels = name.split(".")
        index = self._exact[Form.NAMES]
        found = [
            _match(one, text, rank)
            for n in range(len(labels))
            if (text := ".".join(labels[n:])) in index
            for one, rank in index[text]
        ]
        return found + [_own(entry) for entry in self._own if within(name, entry.name)]

    def below(self, name: str) -> list[Match]:
        """Entries that lie below the name, nearest to the most used first."""
        # "/" follows "." in ASCII, so the names below are one run of the sorted reversed names.
        head = _reversed(name)
        first, last = bisect_left(self._sorted, head + "."), bisect_left(self._sorted, head + "/")
        names = (_reversed(text) for text in self._sorted[first:last])
        found = [(rank, text, one) for text in names for one, rank in self._exact[Form.NAMES][text]]
        found.sort(key=lambda entry: (entry[0] or 0, entry[1], entry[2].id))
        return [_match(one, text, rank) for rank, text, one in found] + [
            _own(e) for e in self._own if e.name != name and within(e.name, name)
        ]

    def around(self, address: str) -> list[Match]:
        """Entries whose range holds the address; what is no address is in none."""
        try:
            at = ip_address(address)
        except ValueError:
            return []
        found: list[Match] = []
        for one, families in self._ranges:
            intervals = families[at.version]
            place = bisect_right(intervals, int(at), key=lambda interval: interval[0]) - 1
            if place >= 0 and int(at) <= intervals[place][1]:
                found.append(_match(one, intervals[place][2], None))
        return found

    def network(self, asn: int) -> list[Match]:
        """Entries for the autonomous system of this number."""
        return self._plain(Form.NETWORKS, f"AS{asn}")

    def header(self, name: str) -> list[Match]:
        """Entries for the header field of this name."""
        return self._plain(Form.HEADERS, name.lower())

    def _plain(self, form: Form, text: str) -> list[Match]:
        return [_match(one, text, rank) for one, rank in self._exact[form].get(text, ())]

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(_reversed(name) for name in self._exact[Form.NAMES])


def within(name: str, other: str) -> bool:
    """Whether a name equals another or lies below it, by label."""
    return name == other or name.endswith("." + other)


def _match(one: GuardList, text: str, rank: int | None) -> Match:
    word = WORDS.get(one.kind, one.kind.value)
    reason = word if rank is None else f"{word}, among the first {rank}"
    holds = one.hold_within is None or (rank is not None and rank <= one.hold_within)
    return Match(kind=one.kind, entry=text, reason=reason, source=one.cited, holds=holds)


def _own(entry: ProtectedName) -> Match:
    return Match(ListKind.AUTHORITY, entry.name, entry.reason, entry.source, holds=True)


def _reversed(name: str) -> str:
    return ".".join(reversed(name.split(".")))


def _intervals(ranges: Iterable[str]) -> dict[int, list[Interval]]:
    """First and last address of each range, by version, disjoint and in order: what a bisection needs."""
    v4: list[IPv4Network] = []
    v6: list[IPv6Network] = []
    for text in ranges:
        network = ip_network(text)
        if isinstance(network, IPv4Network):
            v4.append(network)
        else:
            v6.append(network)
    return {
        4: [_interval(network[0], network[-1], str(network)) for network in collapse_addresses(v4)],
        6: [_interval(network[0], network[-1], str(network)) for network in collapse_addresses(v6)],
    }


def _interval(first: IPv4Address | IPv6Address, last: IPv4Address | IPv6Address, text: str) -> Interval:
    return int(first), int(last), text
