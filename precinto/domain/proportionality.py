"""Proportionality: what a block of this target would hit beside it, weighed before a human decides.

Pure rules from facts and dated lists. They can hold a case for two humans and say what would be least intrusive;
they never release one: *clear* means that nothing was found, and one human decides. What holds a case is what a block
of the name would hit, or what nobody could look at. What bars only the block of an address is noted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from enum import StrEnum

from pydantic import Field

from precinto.domain.evidence import Finding, FindingKind, Missing, Weight, guard
from precinto.domain.guards import PROTECTED, SHARED, GuardLists, ListKind, Match
from precinto.domain.intake import Target, registrable_domain, shared_platform
from precinto.domain.methods import is_address, part_of_host, propose
from precinto.domain.model import Value
from precinto.domain.proportionality_file import ConsultedList, Outcome, Proportionality


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
    answered: dict[Question, str] = Field(default_factory=dict[Question, str])
    networks_dated: date | None = None

    def file(self, question: Question) -> str:
        """The file of the capture that holds the answer."""
        return self.answered.get(question, "no file of the capture")


def assess(
    target: Target,
    facts: TargetFacts,
    lists: GuardLists,
    failure: str | None,
    today: date,
    *,
    page: str | None = None,
    own_addresses: Collection[str] = (),
    missing: Sequence[Missing] = (),
) -> Proportionality:
    """Weigh what a block of this target would hit.

    Args:
        target: What was captured.
        facts: What is known of it.
        lists: The installation's guard lists, joined with the registry's own names.
        failure: Why the capture failed, or None.
        today: The day by which the age of lists counts.
        page: For an app: where it is offered.
        own_addresses: Addresses of the authority and of the ISPs: their sinkholes and resolvers.
        missing: What the capture lacks.
    """
    about_addresses = list(_connections(target, facts, lists, own_addresses)) if target.host else []
    found = [
        *guard(target, lists),
        *_width(target),
        *about_addresses,
        *_capture(failure, missing),
        *_unknown(target, facts, page, lists),
        *_age(lists, today),
    ]
    findings = tuple(sorted(dict.fromkeys(found), key=lambda finding: not finding.holds))
    bars = [one.detail for one in about_addresses if one.kind in _BARS_ADDRESSES]
    proposal, alternatives = propose(
        target, lists, page=page, endpoints=facts.endpoints, addresses_barred_by=bars[:_BARS_SHOWN]
    )
    return Proportionality(
        target=target,
        assessed_on=today,
        outcome=Outcome.HOLD if any(finding.holds for finding in findings) else Outcome.CLEAR,
        findings=findings,
        proposal=proposal,
        alternatives=alternatives,
        lists=tuple(ConsultedList(id=one.id, dated=one.dated, sha256=one.sha256) for one in lists.lists),
    )


_BARS_ADDRESSES = frozenset(
    {
        FindingKind.SHARED_NETWORK,
        FindingKind.SHARED_CERTIFICATE,
        FindingKind.CO_HOSTED,
        FindingKind.POINTS_AT_PROTECTED,
        FindingKind.OWN_ADDRESS,
    }
)
_BARS_SHOWN = 5
_LOOKED_AT = 10_000
"""Names or addresses of one kind that are looked up. More than that is a page's work, and holds the case."""


def _width(target: Target) -> Iterator[Finding]:
    if part_of_host(target) and target.host is not None:
        detail = f"only a part of {target.host} is referred; a block of that host hits everything that it serves"
        yield Finding(kind=FindingKind.WIDER_THAN_TARGET, detail=detail, source="the referral")


def _connections(
    target: Target, facts: TargetFacts, lists: GuardLists, own_addresses: Collection[str]
) -> Iterator[Finding]:
    """What the target's names and addresses lead to. Its owner writes most of them: they hold, never release."""
    for question, what, names in (
        (Question.ALIASES, "it is an alias of", facts.aliases[:_LOOKED_AT]),
        (Question.NAME_SERVERS, "its zone is served by", facts.name_servers[:_LOOKED_AT]),
        (Question.CERTIFICATE, "its certificate is also for", _foreign(target, facts.certificate_names)),
    ):
        matches = [(match, name) for name in names for match in lists.above(name.rstrip(".").lower())]
        yield from _weighed(what, matches, facts.file(question))
    yield from _strangers(target, facts)
    yield from _addresses(facts, lists, own_addresses)
    signs = [(match, name) for name, _ in facts.headers[:_LOOKED_AT] for match in lists.header(name)]
    yield from _weighed("its answer has the header field", signs, facts.file(Question.HEADERS))
    yield from _too_many(facts)


def _weighed(what: str, matches: Iterable[tuple[Match, str]], file: str) -> Iterator[Finding]:
    """One finding for each list that the names or addresses stand on."""
    found: dict[tuple[ListKind, str, str], list[str]] = {}
    for match, name in matches:
        # A large audience is no sign of whose a name is: every second site is an alias of a top one's service.
        if match.kind is not ListKind.TOP_SITE and match.holds:
            found.setdefault((match.kind, match.reason, match.source), []).append(name)
    for (kind, reason, source), names in found.items():
        detail = f"{what} {_some(names)} ({reason})"
        if kind in PROTECTED:
            yield _hold(FindingKind.POINTS_AT_PROTECTED, detail, source, file)
        elif kind in SHARED:
            yield _note(FindingKind.SHARED_NETWORK, detail, source, file)
        else:
            yield _note(FindingKind.NOTHING_THERE, f"{detail}: perhaps there is nothing left to block", source, file)


def _foreign(target: Target, names: Sequence[str]) -> list[str]:
    """Names of others among these: those with another registrable domain."""
    bare = (name.rstrip(".").lower().removeprefix("*.") for name in names[:_LOOKED_AT])
    return [
        name for name in bare if not is_address(name) and registrable_domain(name) not in {target.registrable, None}
    ]


def _strangers(target: Target, facts: TargetFacts) -> Iterator[Finding]:
    if hosted := [name for name in facts.aliases[:_LOOKED_AT] if shared_platform(name.rstrip("."))]:
        detail = f"it is an alias of {_some(hosted)} (shared platform)"
        yield _note(FindingKind.SHARED_NETWORK, detail, "public suffix list", facts.file(Question.ALIASES))
    if others := sorted({registrable_domain(name) or name for name in _foreign(target, facts.certificate_names)}):
        detail = f"other domains that its certificate is for: {len(others)} ({_some(others)})"
        yield _note(FindingKind.SHARED_CERTIFICATE, detail, facts.file(Question.CERTIFICATE))
    if neighbours := _foreign(target, facts.neighbours):
        detail = f"names of others that answer from its addresses: {len(neighbours)} ({_some(neighbours)})"
        yield _note(FindingKind.CO_HOSTED, detail, facts.file(Question.NEIGHBOURS))


def _addresses(facts: TargetFacts, lists: GuardLists, own_addresses: Collection[str]) -> Iterator[Finding]:
    file = facts.file(Question.ADDRESSES)
    looked_at = facts.addresses[:_LOOKED_AT]
    if Question.ADDRESSES in facts.answered and not looked_at:
        yield _note(FindingKind.NOTHING_THERE, "the name has no address", file)
    if own := [one.address for one in looked_at if one.address in own_addresses]:
        detail = (
            f"it answers from {_some(own)}, an address of ours or of an ISP: what was captured may be a block page"
        )
        yield _hold(FindingKind.OWN_ADDRESS, detail, "the registry", file)
    yield from _weighed("it answers from", [(m, a.address) for a in looked_at for m in lists.around(a.address)], file)
    snapshot = f"networks of {facts.networks_dated}" if facts.networks_dated else "networks, undated"
    in_networks = [(m, a.address) for a in looked_at if a.asn is not None for m in lists.network(a.asn)]
    yield from _weighed("it answers from the network of", in_networks, f"{facts.file(Question.NETWORKS)}, {snapshot}")


def _too_many(facts: TargetFacts) -> Iterator[Finding]:
    given: dict[Question, Sequence[object]] = {
        Question.ADDRESSES: facts.addresses,
        Question.ALIASES: facts.aliases,
        Question.NAME_SERVERS: facts.name_servers,
        Question.CERTIFICATE: facts.certificate_names,
        Question.HEADERS: facts.headers,
        Question.NEIGHBOURS: facts.neighbours,
    }
    for question, answers in given.items():
        if len(answers) > _LOOKED_AT:
            detail = f"{question}: {len(answers)} were given, of which the first {_LOOKED_AT} were looked at"
            yield _hold(FindingKind.UNKNOWN, detail, facts.file(question))


def _capture(failure: str | None, missing: Sequence[Missing]) -> Iterator[Finding]:
    if failure is not None:
        detail = f"the capture failed, so there is no proof of what the target serves: {_plain(failure, 600)}"
        yield _hold(FindingKind.FAILED_CAPTURE, detail, "the capture")
    if missing:
        detail = f"missing parts of the capture: {len(missing)} ({_some([one.what for one in missing])})"
        yield _note(FindingKind.INCOMPLETE_CAPTURE, detail, "the manifest")


_NEEDED = (Question.ADDRESSES, Question.ALIASES)
"""Without these nobody could see that a name leads to somebody protected."""


def _unknown(target: Target, facts: TargetFacts, page: str | None, lists: GuardLists) -> Iterator[Finding]:
    asked = set(Question) - {Question.ENDPOINTS} if target.host else {Question.ENDPOINTS}
    unknown = [question for question in Question if question in asked and question not in facts.answered]
    if needed := [question for question in unknown if question in _NEEDED]:
        yield _hold(FindingKind.UNKNOWN, f"not known: {', '.join(needed)}", "the facts of the capture")
    if others := [question for question in unknown if question not in _NEEDED]:
        yield _note(FindingKind.UNKNOWN, f"not known: {', '.join(others)}", "the facts of the capture")
    if target.host is None and page is None:
        yield _note(FindingKind.UNKNOWN, "not known: where the app is offered", "the referral")
    if target.host and facts.host and facts.host != target.host:
        detail = f"the facts are about {_plain(facts.host, 300)}, not about {target.host}"
        yield _hold(FindingKind.UNKNOWN, detail, "the facts of the capture")
    if lists.empty:
        yield _hold(FindingKind.UNKNOWN, "there was no guard list to look the target up in", "this installation")


def _age(lists: GuardLists, today: date) -> Iterator[Finding]:
    if stale := [f"{one.id} of {one.dated}" for one in lists.lists if one.stale(today)]:
        detail = f"guard lists that are older than they should be: {len(stale)} ({_some(stale)})"
        yield _note(FindingKind.STALE_LIST, detail, "the guard lists' own dates")


def _hold(kind: FindingKind, detail: str, *sources: str) -> Finding:
    return Finding(kind=kind, detail=detail[:1_000], source="; ".join(sources)[:500], weight=Weight.HOLD)


def _note(kind: FindingKind, detail: str, *sources: str) -> Finding:
    return Finding(kind=kind, detail=detail[:1_000], source="; ".join(sources)[:500], weight=Weight.NOTE)


def _some(names: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - 5} more" if len(distinct) > 5 else ""
    return ", ".join(_plain(name, 120) for name in distinct[:5]) + more


def _plain(text: str, limit: int) -> str:
    """A text that strangers wrote, fit to be shown: nothing that moves the cursor or turns the direction."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:limit]
