"""What the tests themselves know of the world: a witness who writes down what was done, and ISPs who were told.

Nothing here asks the code under test what is right. The witness knows what people signed, because the tests signed
it; what was stamped, because it stamped it; and what ISPs were told, because it was told it. From this, and from the
plain rows of the database, it reckons whether the rules that never break (docs/explanation/invariants.md) held.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from precinto.domain.ledger import Chain, Entry
from precinto.domain.notification import Action, Notice
from precinto.domain.review import Officer, Outcome, Role
from precinto.domain.statements import Statement
from tests.authority import key_of
from tests.invariants.outside import Clock, Isp, Meanwhile, Mood


@dataclass
class Standing:
    """A standing order as the witness reckons it."""

    number: str
    until: datetime
    drafters: set[str]
    most: int
    enacted_by: dict[str, str] = field(default_factory=dict)
    """Officer to role."""
    revoked: datetime | None = None

    @property
    def end(self) -> datetime:
        """When everything that rests on it is over."""
        return min(self.until, self.revoked or self.until)

    @property
    def stands(self) -> bool:
        """Whether two officers have enacted it, one of them a legal head, and neither drafted it."""
        return (
            len(self.enacted_by) > 1
            and "legal_head" in self.enacted_by.values()
            and not self.drafters & set(self.enacted_by)
        )


@dataclass
class Force:
    """An order as the witness reckons it."""

    id: str
    number: str
    case: str
    host: str
    bundle: str
    until: datetime
    lapse: datetime | None
    version: int
    standing: Standing | None = None
    stayed: bool = False
    ended: datetime | None = None
    renewals: int = 0
    over: bool = False
    renewing: set[str] = field(default_factory=set)
    """Decisions for the next renewal."""

    @property
    def end(self) -> datetime:
        """When its block must be gone."""
        standing = self.standing.end if self.standing else None
        return min(at for at in (self.until, self.lapse, self.ended, standing) if at is not None)

    def blocks(self, at: datetime) -> bool:
        """Whether an ISP may block under it at a moment."""
        return at < self.end and not self.stayed


@dataclass(frozen=True)
class Signature:
    """A decision that its officer did sign, with the officer's own key."""

    id: str
    envelope: str
    statement: Statement
    key: str
    """Name of the key."""
    renewals: int
    """How often the order had been renewed when it was signed: it is for the next renewal, and no other."""


class Witness:
    """Writes down what people did and what ISPs were told, and reckons whether every rule held."""

    def __init__(self, clock: Clock, database: Path, protected: Callable[[str], bool]) -> None:
        self.clock = clock
        self.protected = protected
        self.meanwhile: Meanwhile | None = None
        self.hosts: dict[str, str] = {}
        self.terms: dict[str, dict[str, timedelta]] = {}
        self.referred: dict[str, set[str]] = {}
        self.held: set[str] = set()
        self.stamped: dict[str, set[str]] = {}
        self.signed: dict[str, Signature] = {}
        self.admitted: set[str] = set()
        self.tampered: set[str] = set()
        self.officers: Sequence[Officer] = ()
        self.orders: dict[str, Force] = {}
        self.standing: dict[str, Standing] = {}
        self.objections: dict[str, list[str]] = {}
        """Ids of those of each case."""
        self.notices: list[tuple[datetime, str, Notice]] = []
        self.answered: list[tuple[str, Notice]] = []
        """What ISPs have said that they have."""
        self.broken: list[str] = []
        self.seen: Counter[str] = Counter()
        """How often what happened: a machine that never gets anywhere breaks no rule either."""
        self._content: dict[str, dict[str, Any]] = {}
        self._closed: set[str] = set()
        self._chain = Chain()
        self._rows = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
        self._rows.row_factory = sqlite3.Row

    def close(self) -> None:
        """Let go of the database."""
        self._rows.close()

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Plain rows of the database, past all of the code under test."""
        return self._rows.execute(sql, values).fetchall()

    # ------------------------------------------------------------------------------------- what it writes down

    def opened(self, case: str, host: str, terms: dict[str, timedelta], *people: str) -> None:
        """Somebody referred a name, which opened a case or joined one."""
        self.hosts.setdefault(case, host)
        self.terms.setdefault(case, terms)
        self.referred.setdefault(case, set()).update(people)
        if self.protected(host):
            self.held.add(case)

    def carried_out(self, decision: str, at: datetime) -> None:
        """A decision was admitted: reckon what follows from it for the order."""
        if decision in self.admitted:
            return
        self.admitted.add(decision)
        signature = self.signed.get(decision)
        if signature is None:
            self.broken.append(f"decision {decision} was admitted, and nobody signed it")
            return
        said = signature.statement
        self.seen[f"{said.outcome.value} admitted"] += 1
        order = self.order_of(said.case)
        match said.outcome:
            case Outcome.REVOKE | Outcome.UPHOLD if order:
                order.ended = min(at, order.end)
            case Outcome.STAY if order:
                order.stayed = True
            case Outcome.RESUME if order:
                order.stayed = False
            case Outcome.RENEW if order:
                if at >= order.end:
                    self.broken.append(f"2: order {order.number} was renewed after its end")
                # Weeks may lie between two approvals: what does not hold any more is out for good.
                order.renewing = {one for one in (*order.renewing, decision) if self._renews(one, order)}
                if len({self.signed[one].statement.actor for one in order.renewing}) >= self._needed(order.case):
                    order.until += self.terms[order.case]["renewal"]
                    order.until = min(order.until, order.standing.until) if order.standing else order.until
                    order.renewals, order.renewing = order.renewals + 1, set()
            case _:
                pass
        if said.outcome in {Outcome.UPHOLD, Outcome.DISMISS} and said.about not in self.objections.get(said.case, ()):
            self.broken.append(f"{said.outcome} about {said.about} was admitted, and nobody objected")

    def order_of(self, case: str) -> Force | None:
        """The order of a case."""
        return next((one for one in self.orders.values() if one.case == case), None)

    def told(self, isp: str, notice: Notice) -> None:
        """An ISP was handed a notice, which must be lawful at this very moment."""
        at = self.clock.at
        self.seen[f"{notice.action.value} told"] += 1
        order = next((one for one in self.orders.values() if one.number == notice.order), None)
        if order is None:
            self.broken.append(f"1: {isp} was told of order {notice.order}, which nobody has issued")
            return
        if notice.action is Action.BLOCK and not order.blocks(at):
            why = "while it was stayed" if at < order.end else f"after its end at {order.end:%d %H:%M:%S}"
            self.broken.append(f"2: at {at:%d %H:%M:%S} {isp} was told to block under {notice.order} {why}")
        for item in notice.items:
            if item.target != order.host or _is_address(item.target):
                self.broken.append(f"5: {isp} was told to act on {item.target}, not on {order.host}")
        content = notice.document()
        for item in content["items"]:
            item.pop("also_under", None)  # what else blocks a name is as of when the ISP is told
        if self._content.setdefault(notice.id, content) != content:
            self.broken.append(f"notice {notice.id} has two contents: {self._content[notice.id]} and {content}")
        before = {one.id: one.version for _, to, one in self.notices if (to, one.order) == (isp, notice.order)}
        if notice.id not in before and before and notice.version < max(before.values()):
            self.broken.append(
                f"{isp} was told version {notice.version} of {notice.order} after version {max(before)}"
            )
        self.notices.append((at, isp, notice))

    # --------------------------------------------------------------------------------------- what it looks into

    def look(self) -> None:
        """Compare what is on file now with what may be."""
        for row in self.query("SELECT * FROM orders ORDER BY number"):
            self._look_at_order(row)
        for row in self.query("SELECT target FROM measures"):
            if _is_address(row["target"]) or row["target"] not in self.hosts.values():
                self.broken.append(f"5: {row['target']} became a target")
        for row in self.query("SELECT id, closure FROM cases WHERE stage = 'closed'"):
            if row["id"] not in self._closed:
                self.seen[f"case closed: {row['closure']}"] += 1
                self._closed.add(row["id"])
                self._look_at_closing(row["id"])
        self._look_at_ledger()

    def state(self, case: str) -> list[tuple[object, ...]]:
        """Everything that a refused decision must leave as it is."""
        found = self.query("SELECT * FROM cases WHERE id = ?", case)
        found += self.query('SELECT * FROM orders WHERE "case" = ?', case)
        for row in self.query('SELECT id FROM orders WHERE "case" = ?', case):
            found += self.query('SELECT * FROM notices WHERE "order" = ?', row["id"])
            found += self.query(
                'SELECT s.* FROM standings s JOIN measures m ON m.id = s.measure WHERE m."order" = ?', row["id"]
            )
        return [tuple(row) for row in found]

    def freed(self, isps: Sequence[Isp]) -> None:
        """Every ISP that could be told has been told what counts now: no name is blocked under no order."""
        at = self.clock.at
        given_up = self._given_up()
        for isp in isps:
            if isp.mood is not Mood.OBEYS or isp.inbox:
                continue
            for host, numbers in isp.book.items():
                if host in isp.stubborn or (isp.id, host) in given_up:
                    continue
                in_force = {one.number for one in self.orders.values() if one.host == host and one.blocks(at)}
                over = numbers - in_force if isp.by_order else (numbers if not in_force else set())
                if over:
                    self.broken.append(f"2: at {at:%d %H:%M:%S} {isp.id} still blocks {host} under {sorted(over)}")

    def _look_at_order(self, row: sqlite3.Row) -> None:
        known = self.orders.get(row["id"])
        if known is None:
            known = self._issued(row)
        if row["version"] < known.version:
            self.broken.append(f"order {known.number} went back from version {known.version} to {row['version']}")
        known.version = row["version"]
        until = _moment(row["valid_until"])
        if until != known.until:
            self.broken.append(f"2: order {known.number} holds until {until}, by its decisions until {known.until}")
        ended = _moment(row["ended_at"]) if row["ended_at"] else None
        if ended is not None and not known.over:
            known.over = True
            self.seen[f"order ended: {row['end_reason']}"] += 1
        if ended is not None and ended != known.end:
            self.broken.append(f"2: order {known.number} ended at {ended}, by right at {known.end}")
        if (row["stayed_at"] is not None) != known.stayed:
            self.broken.append(f"order {known.number}: stayed on file and by its decisions differ")

    def _issued(self, row: sqlite3.Row) -> Force:
        """An order is new: who has signed for it, on what?"""
        case, bundle, number = row["case"], row["bundle"], row["number"]
        self.seen["release issued" if row["standing_order"] else "order issued"] += 1
        terms, since = self.terms[case], _moment(row["valid_from"])
        standing = self.standing[row["standing_order"]] if row["standing_order"] else None
        until = since + terms["order"]
        order = self.orders[row["id"]] = Force(
            id=row["id"],
            number=number,
            case=case,
            host=self.hosts[case],
            bundle=bundle,
            until=min(until, standing.until) if standing else until,
            lapse=since + terms["lapse"] if "lapse" in terms else None,
            version=row["version"],
            standing=standing,
        )
        sealed = self.query('SELECT count(*) AS n FROM bundles WHERE digest = ? AND "case" = ?', bundle, case)[0]["n"]
        if not sealed or len(self.stamped.get(bundle, ())) < 2:
            self.broken.append(f"1: order {number} rests on a bundle that is not sealed, or not stamped twice")
        if standing is not None:
            self._released(order, standing)
            return order
        signers = self._signers(case, bundle, Outcome.APPROVE, None)
        if len(signers) < self._needed(case):
            rule = "6" if self.protected(order.host) else "1 or 4"
            self.broken.append(f"{rule}: order {number} on {order.host} rests on the word of {sorted(signers)} alone")
        return order

    def _released(self, order: Force, standing: Standing) -> None:
        """A case was released: one word suffices, under a standing order, for what is not on hold."""
        if not standing.stands or self.clock.at >= standing.end:
            self.broken.append(f"1: order {order.number} rests on {standing.number}, which is not in force")
        if sum(one.standing is standing for one in self.orders.values()) > standing.most:
            self.broken.append(f"{standing.number} has more releases than it allows")
        signers = self._signers(order.case, order.bundle, Outcome.RELEASE, standing.number)
        if not signers:
            self.broken.append(f"1 or 4: nobody who may has released order {order.number}: {sorted(signers)}")
        if self._needed(order.case) > 1:
            self.broken.append(f"6: order {order.number} on {order.host} was released, though it is on hold")

    def _signers(self, case: str, bundle: str, outcome: Outcome, about: str | None) -> set[str]:
        """Whose valid signature on exactly this bundle was admitted."""
        return {
            one.statement.actor
            for one in (self.signed[id] for id in self.admitted if id in self.signed)
            if (one.statement.case, one.statement.subject) == (case, bundle)
            and one.statement.outcome is outcome
            and (about is None or one.statement.about == about)
            and self._holds(one.id)
        }

    def _renews(self, decision: str, order: Force) -> bool:
        return self.signed[decision].renewals == order.renewals and self._holds(decision)

    def _holds(self, decision: str) -> bool:
        """Whether a decision still counts: signed by somebody appointed to it, who has not referred the case since."""
        one = self.signed[decision]
        said = one.statement
        if said.actor in self.referred[said.case] or decision in self.tampered or not _is_signed(one):
            return False
        there = any(officer.id == said.actor for officer in self.officers)
        held = {
            role
            for officer in self.officers
            if officer.id == said.actor
            or (officer.deputy == said.actor and any(a.since <= said.at < a.until for a in officer.away))
            for role in officer.roles
        }
        may = {Role.REVIEWER, Role.LEGAL_HEAD} | ({Role.DUTY_OFFICER} if said.outcome is Outcome.RELEASE else set())
        return there and bool(held & may)

    def _needed(self, case: str) -> int:
        hold = self.query("SELECT hold FROM cases WHERE id = ?", case)[0]["hold"]
        if case in self.held and not hold:
            self.broken.append(f"4: case {case} should be on hold")
        return 2 if case in self.held or hold else 1

    def _look_at_closing(self, case: str) -> None:
        """A case was closed: was every ISP that has taken a block told to release, or a human told of that ISP?"""
        order = self.order_of(case)
        if order is None:
            return
        if self.clock.at < order.end:
            self.broken.append(f"2: case {case} was closed while its order was in force")
        put_before_humans = {
            row["subject"].partition(":")[0]
            for row in self.query('SELECT subject FROM escalations WHERE "case" = ?', case)
        }
        for isp in {to for to, one in self.answered if (one.order, one.action) == (order.number, Action.BLOCK)}:
            told = [one.action for _, to, one in self.notices if (to, one.order) == (isp, order.number)]
            if isp not in put_before_humans and told[-1] is not Action.RELEASE:
                self.broken.append(f"2: case {case} was closed, and {isp} was not told to release")

    def _given_up(self) -> set[tuple[str, str]]:
        """ISPs that humans have to reach, and for which names."""
        rows = self.query(
            "SELECT subject, \"case\" FROM escalations WHERE what IN ('notice_undeliverable', 'block_after_end')"
        )
        return {(row["subject"].partition(":")[0], self.hosts[row["case"]]) for row in rows}

    def _look_at_ledger(self) -> None:
        for row in self.query("SELECT * FROM ledger WHERE seq > ? ORDER BY seq", self._chain.rows):
            self._chain.follow(Entry(**(dict(row) | {"at": _moment(row["at"])})))


def _is_signed(one: Signature) -> bool:
    """Whether another library than ours finds the officer's signature over the very statement."""
    public = key_of(one.key).public_key()
    jws = JWS()
    jws.deserialize(one.envelope, JWK.from_pyca(public))
    return bool(json.loads(jws.payload)["subject"] == one.statement.subject)


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
