"""The least intrusive method that would work on a target, and why the others would not do.

From the mildest: a take-down, where it is served, ends the infringement for everybody and hits nothing else; a block
of one name at the ISPs' resolvers hits that name; a block of an address hits everybody behind it. That last one is
never proposed here: the addresses are known from the target's own DNS, which its owner writes. Owners of blocked names
have pointed them at others before, and ISPs blocked those (Russia, 2017 to 2019).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from precinto.domain.errors import BadTarget
from precinto.domain.guards import PROTECTED, SHARED, GuardLists, ListKind
from precinto.domain.intake import Target, TargetKind, normalise, shared_platform
from precinto.domain.model import Value


class Method(StrEnum):
    """What can be done against a target."""

    TAKEDOWN = "takedown"
    DNS = "dns"
    PATH = "path"
    IP = "ip"


class Proposal(Value):
    """The method that is proposed; a human decides.

    Attributes:
        method: What is to be done.
        scope: On what: host names for a block, an address of a page or an app's id for a take-down.
        below: For a block: whether it covers the names below too.
        why: In words.
    """

    method: Method
    scope: tuple[str, ...] = Field(min_length=1)
    below: bool = False
    why: str

    @model_validator(mode="after")
    def _never_an_address(self) -> Proposal:
        if self.method is Method.IP or (self.method is Method.DNS and any(map(is_address, self.scope))):
            raise ValueError("an address is evidence, never a target")
        return self


class Alternative(Value):
    """A method that was weighed and not proposed.

    Attributes:
        method: Which.
        scope: On what; empty where it is not possible.
        possible: Whether it is open to the one who decides.
        why: Under which condition, or why not.
    """

    method: Method
    scope: tuple[str, ...] = ()
    possible: bool
    why: str


def is_address(text: str) -> bool:
    """Whether a text is an IP address, also as it stands in a web address."""
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def part_of_host(target: Target) -> bool:
    """Whether a target is less than the host that serves it."""
    parts = urlsplit(target.value)
    return target.kind is TargetKind.URL and (parts.path not in {"", "/"} or bool(parts.query))


def propose(
    target: Target,
    lists: GuardLists,
    *,
    page: str | None,
    endpoints: Sequence[str],
    addresses_barred_by: Sequence[str],
) -> tuple[Proposal, tuple[Alternative, ...]]:
    """The least intrusive method that would work, and the others.

    Args:
        target: What is to be acted on.
        lists: Guard lists, with the registry's own names.
        page: Where an app is offered.
        endpoints: Hosts that an app speaks to.
        addresses_barred_by: What was found about the addresses that an address block would hit.
    """
    never = _never_addresses(addresses_barred_by)
    if target.host is None:
        proposal, others = _app(target, lists, page, endpoints)
    elif part_of_host(target):
        proposal, others = _page(target, target.host, lists)
    else:
        proposal, others = _host(target.host, lists)
    return proposal, (*others, never)


def _host(host: str, lists: GuardLists) -> tuple[Proposal, tuple[Alternative, ...]]:
    if whose := _others(host, lists):
        takedown = Proposal(
            method=Method.TAKEDOWN,
            scope=(host,),
            why=f"{host} belongs to, or is a part of, {whose}: its operator can end the infringement alone",
        )
        return takedown, (_last_resort(host, lists, whole=True),)
    protected_below = any(match.holds and match.kind in PROTECTED for match in lists.below(host))
    block = Proposal(
        method=Method.DNS,
        scope=(host,),
        below=not protected_below,
        why=(
            f"it hits {host} alone: protected names lie below it"
            if protected_below
            else f"it hits {host} and what its owner puts below it, and nobody who shares its addresses"
        ),
    )
    takedown = Alternative(
        method=Method.TAKEDOWN,
        scope=(host,),
        possible=True,
        why="milder, and it may be asked of hoster and registrar beside a block; it depends on what they will do",
    )
    return block, (takedown,)


def _page(target: Target, host: str, lists: GuardLists) -> tuple[Proposal, tuple[Alternative, ...]]:
    takedown = Proposal(
        method=Method.TAKEDOWN,
        scope=(target.value,),
        why=f"only this address is referred; a block of {host} would hit everything else that it serves",
    )
    path = Alternative(
        method=Method.PATH,
        possible=False,
        why="an ISP does not see the path of a web address inside TLS without breaking it for everybody",
    )
    return takedown, (_last_resort(host, lists, whole=False), path)


def _app(
    target: Target, lists: GuardLists, page: str | None, endpoints: Sequence[str]
) -> tuple[Proposal, tuple[Alternative, ...]]:
    takedown = Proposal(
        method=Method.TAKEDOWN,
        scope=(page or target.value,),
        why="the store or the download page can withdraw the app, and nothing else is hit",
    )
    others: list[Alternative] = []
    page_host = _name(TargetKind.URL, page) if page else None
    if page_host:
        others.append(_last_resort(page_host, lists, whole=False))
    hosts = sorted({host for one in endpoints if (host := _name(TargetKind.DOMAIN, one))})
    own = tuple(host for host in hosts if not _others(host, lists) and not lists.below(host))
    why = "each is a target of its own: it needs its own case, with evidence of what it serves"
    others.append(
        Alternative(method=Method.DNS, scope=own, possible=True, why=why)
        if own
        else Alternative(
            method=Method.DNS, possible=False, why="no host is known that the app speaks to and that is its own"
        )
    )
    return takedown, tuple(others)


def _last_resort(host: str, lists: GuardLists, *, whole: bool) -> Alternative:
    """A block of a host that is not, or perhaps not, the target's own; ``whole``: all of the host is referred."""
    above = lists.above(host)
    customer = shared_platform(host) not in {None, host}
    why = None
    if shared_platform(host) == host or any(match.entry == host and match.kind in SHARED for match in above):
        why = f"a block of {host} would hit all its customers"
    elif not whole and not customer:
        guarded = next((match for match in above if match.kind in PROTECTED and match.holds), None)
        why = (
            guarded
            and f"{host} is {guarded.entry} or below it ({guarded.reason}): it serves more than what is referred"
        )
    if why:
        return Alternative(method=Method.DNS, possible=False, why=why)
    condition = "the operator does not act" if whole else "the one who decides finds that it serves nothing else"
    return Alternative(
        method=Method.DNS, scope=(host,), possible=True, why=f"only where {condition}, and for it alone"
    )


def _others(host: str, lists: GuardLists) -> str | None:
    """Whose a host is, where it is somebody's that the lists guard. A large audience is no sign of that."""
    guarded = (PROTECTED | SHARED) - {ListKind.TOP_SITE}
    match = next((match for match in lists.above(host) if match.kind in guarded and match.holds), None)
    if match is not None:
        return f"{match.entry} ({match.reason})"
    return shared_platform(host)


def _never_addresses(barred_by: Sequence[str]) -> Alternative:
    why = "its addresses are known from its own DNS, which its owner writes: they are evidence, never targets"
    return Alternative(method=Method.IP, possible=False, why="; ".join((why, *barred_by)))


def _name(kind: TargetKind, text: str) -> str | None:
    """The host of an address or a name that an app holds; None where it is none that could be a target."""
    try:
        return normalise(kind, text).host
    except BadTarget:
        return None
