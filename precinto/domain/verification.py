"""Verification: from raw measurements to a verdict, and from verdicts to what an order's state is at an ISP.

Pure functions of recorded facts, with rule ids, so that anyone can recompute a verdict from what is stored. An
ISP's "done" plays no part here: it is a claim, and only a measurement makes a verdict.
"""

from __future__ import annotations

from enum import StrEnum

from precinto.domain.model import Value

RULES = "dns-1"
"""Version of the rules below; stored with each verdict."""


class Answer(Value):
    """One DNS answer as measured.

    Attributes:
        name: The name that was asked for.
        dnssec_ok: Whether the query carried the DO bit. Resolvers that do not break DNSSEC leave signed
            names open for exactly these queries, so both are asked.
        rcode: RCODE mnemonic (``NOERROR``, ``NXDOMAIN``, ...), or ``TIMEOUT`` / ``UNREACHABLE``.
        addresses: Addresses of the answer, sorted.
        extended: Extended DNS error codes (RFC 8914); 15 to 18 say that a policy answered.
        policy_zone: Name in the SOA of the additional section, which BIND adds when a policy zone answered.
    """

    name: str
    dnssec_ok: bool = False
    rcode: str
    addresses: tuple[str, ...] = ()
    extended: tuple[int, ...] = ()
    policy_zone: str | None = None


class Facts(Value):
    """One round of measurement of one target at one ISP.

    Attributes:
        target: The host under order.
        probe: Answers of the ISP's resolver: the host and a name below it, with and without DO.
        control: Answers of a resolver under no order, at the same moment.
        canary: Whether the ISP's resolver answered for a name that is under no order; without it, silence says
            nothing about a block.
    """

    target: str
    probe: tuple[Answer, ...]
    control: tuple[Answer, ...]
    canary: bool


class Ruling(StrEnum):
    """What one round of measurement means."""

    BLOCKED = "blocked"
    PARTIAL = "partial"
    NOT_BLOCKED = "not_blocked"
    SITE_DOWN = "site_down"
    VANTAGE_FAULT = "vantage_fault"
    INCONCLUSIVE = "inconclusive"


class Verdict(Value):
    """What a set of observations means, and by which rule.

    Attributes:
        ruling: The verdict.
        rule: Id of the rule that decided.
        mechanisms: How it is blocked, sorted: ``dns_nxdomain``, ``dns_sinkhole``, ``dns_nodata``, ...
        holes: Which questions still got through (PARTIAL only).
        rules: Version of the rule set.
    """

    ruling: Ruling
    rule: str
    mechanisms: tuple[str, ...] = ()
    holes: tuple[str, ...] = ()
    rules: str = RULES


_SILENT = frozenset({"TIMEOUT", "UNREACHABLE"})
_POLICY_CODES = frozenset({15, 16, 17, 18})


def judge(facts: Facts, sinkholes: frozenset[str] = frozenset()) -> Verdict:
    """The verdict of one round.

    The burden is reversed: "not blocked" needs proof, the same addresses as the control at the same moment.
    """
    if not facts.canary:
        return Verdict(ruling=Ruling.VANTAGE_FAULT, rule="no-canary")
    control = {(a.name, a.dnssec_ok): a for a in facts.control}
    if not control or all(a.rcode in _SILENT or a.rcode == "SERVFAIL" for a in facts.control):
        return Verdict(ruling=Ruling.INCONCLUSIVE, rule="no-control")
    if not any(a.addresses for a in facts.control):
        # Where the control finds nothing, an empty answer proves nothing, unless the resolver says why.
        if signs := sorted({_mechanism(a) for a in facts.probe if _signed(a)}):
            return Verdict(ruling=Ruling.BLOCKED, rule="policy-sign", mechanisms=tuple(signs))
        return Verdict(ruling=Ruling.SITE_DOWN, rule="control-down")
    blocked: set[str] = set()
    holes: list[str] = []
    unclear: list[str] = []
    for answer in facts.probe:
        reference = control.get((answer.name, answer.dnssec_ok))
        question = f"{answer.name}{' with DO' if answer.dnssec_ok else ''}"
        if _blocks(answer, reference, sinkholes):
            blocked.add(_mechanism(answer, sinkholes))
        elif reference is not None and set(answer.addresses) & set(reference.addresses):
            holes.append(question)
        elif reference is None or reference.addresses:
            unclear.append(question)
    mechanisms = tuple(sorted(blocked))
    if blocked and not holes and not unclear:
        return Verdict(ruling=Ruling.BLOCKED, rule="all-blocked", mechanisms=mechanisms)
    if blocked and holes:
        return Verdict(ruling=Ruling.PARTIAL, rule="some-open", mechanisms=mechanisms, holes=tuple(sorted(holes)))
    if holes and not unclear:
        return Verdict(ruling=Ruling.NOT_BLOCKED, rule="same-addresses-as-control")
    return Verdict(ruling=Ruling.INCONCLUSIVE, rule="unclear-answers", mechanisms=mechanisms)


def _signed(answer: Answer) -> bool:
    """True where the resolver itself says that a policy answered."""
    return bool(_POLICY_CODES & set(answer.extended)) or answer.policy_zone is not None


def _blocks(answer: Answer, reference: Answer | None, sinkholes: frozenset[str]) -> bool:
    if set(answer.addresses) & sinkholes:
        return True
    if reference is not None and set(answer.addresses) & set(reference.addresses):
        return False  # the site's own addresses: whatever the resolver says beside them, nobody is kept from it
    if _signed(answer):
        return True
    if reference is None or not reference.addresses:
        return False
    # SERVFAIL and silence cannot be told from a fault, so they never count as a block.
    return answer.rcode in {"NXDOMAIN", "REFUSED"} or (answer.rcode == "NOERROR" and not answer.addresses)


def _mechanism(answer: Answer, sinkholes: frozenset[str] = frozenset()) -> str:
    if answer.addresses:
        return "dns_sinkhole"
    return {"NOERROR": "dns_nodata"}.get(answer.rcode, f"dns_{answer.rcode.lower()}")


class Standing(StrEnum):
    """What the verdicts so far mean for one measure at one ISP, against what is asked of it now."""

    PENDING = "pending"
    """The ISP's term has not run out, or no round has been conclusive yet."""
    COMPLIANT = "compliant"
    LAPSED = "lapsed"
    """Measured open, wholly or in part, after the term to comply."""
    OVERSTAYING = "overstaying"
    """Measured blocked after the order's end and the term to comply."""
    RELEASED = "released"
    """Measured open after the order's end."""
    CARRIED_ON = "carried_on"
    """The order has ended, and another order in force blocks the same target: there is nothing to measure open."""


def standing(ruling: Ruling, *, lifted: bool, overdue: bool, before: Standing) -> Standing:
    """The standing after one more round.

    Args:
        ruling: The round's verdict.
        lifted: Whether the order has ended or is stayed, so that the block must be gone.
        overdue: Whether the ISP's term to comply with the newest notice has run out.
        before: The standing so far; rounds that prove nothing leave it as it is.
    """
    if lifted:
        match ruling:
            case Ruling.NOT_BLOCKED:
                return Standing.RELEASED
            case Ruling.BLOCKED | Ruling.PARTIAL:
                return Standing.OVERSTAYING if overdue else Standing.PENDING
            case _:
                return Standing.PENDING if before in {Standing.COMPLIANT, Standing.LAPSED} else before
    match ruling:
        case Ruling.BLOCKED:
            return Standing.COMPLIANT
        case Ruling.NOT_BLOCKED | Ruling.PARTIAL:
            return Standing.LAPSED if overdue else Standing.PENDING
        case _:
            return before
