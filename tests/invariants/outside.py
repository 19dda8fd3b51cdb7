"""The outside world, made up: time, the officers, what is referred, and ISPs that do as chance tells them.

They are fakes because an ISP must lie, fall silent or answer late at will, thousands of times.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from precinto.domain.errors import NotFound, Refused, Unavailable
from precinto.domain.guards import within
from precinto.domain.intake import TargetKind, shared_platform
from precinto.domain.model import canonical_json, digest
from precinto.domain.notification import Acknowledgement, Action, Claim, Delivery, Notice
from precinto.domain.order_document import Paper, document
from precinto.domain.procedures import Language
from precinto.domain.review import Officer, Role
from precinto.domain.statements import Enrolment, public_text, sign_enrolment
from precinto.domain.verification import Facts
from precinto.ports import Isp as RegisteredIsp
from precinto.ports import OpenCase, Stamp, Written
from precinto.store import Store
from tests.authority import key_of
from tests.fakes import FakeProber, FakeRegistry

if TYPE_CHECKING:
    from tests.invariants.model import Witness

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Clock:
    """The time of the whole world; it never goes back."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        """The moment, aware and in UTC."""
        return self.at


CLOCK = Clock()
"""One for all machines, since the code under test is bound to it once; each machine starts it anew."""

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PLAIN = {"order": 3 * DAY, "renewal": 2 * DAY}
PRECAUTIONARY = {**PLAIN, "lapse": DAY}
SPANS: dict[str, timedelta | None] = {
    "review": DAY,
    "appeal": DAY,
    "objection_decision": DAY,
    "stay": HOUR,
    "comply": 5 * MINUTE,
    "remind": HOUR,
    "release": 6 * HOUR,
    "recheck": 5 * MINUTE,
}

OFFICERS = (
    Officer(id="reviewer-1", roles=(Role.REVIEWER,)),
    Officer(id="reviewer-2", roles=(Role.REVIEWER,), deputy="clerk-1"),
    Officer(id="legal-head", roles=(Role.LEGAL_HEAD,)),
    Officer(id="operator-1", roles=(Role.OPERATOR,)),
    Officer(id="duty-1", roles=(Role.DUTY_OFFICER,)),
    Officer(id="clerk-1", roles=()),
)
NAMES = tuple(one.id for one in OFFICERS)

TARGETS = (
    (TargetKind.DOMAIN, "y2mate.com"),
    (TargetKind.URL, "https://y2mate.com/es/"),
    (TargetKind.DOMAIN, "flvto.biz"),
    (TargetKind.DOMAIN, "descargas.gob.pe"),
    (TargetKind.URL, "https://descargas.gob.pe/mp3"),
    (TargetKind.DOMAIN, "ripper.github.io"),
    (TargetKind.DOMAIN, "yout.com"),
    (TargetKind.DOMAIN, "192.0.2.7"),
    (TargetKind.URL, "http://[2001:db8::7]/"),
    (TargetKind.URL, "http://3221225991/"),
)

PLAIN_TARGETS = (0, 2, 6)
"""Places of those that one officer may decide on."""

ISPS = ("isp0", "isp1", "isp2")


def is_protected(host: str) -> bool:
    """Whether a name is one that nobody may block alone: a government's, or on a platform that strangers share."""
    return within(host, "gob.pe") or shared_platform(host) is not None


TRICKS = (
    "forged",
    "other bundle",
    "other case",
    "stale",
    "other reasons",
    "other role",
    "not filed",
    "altered: officer",
    "altered: outcome",
    "altered: bundle",
    "altered: reasons",
    "altered: envelope",
)
HONEST = ("told", "told twice", "by signal", "filed only", "told late")
EFFECTS = ("expire", "revoke", "stay", "resume", "renew", "end", "notify", "sweep", "wait")


class Mood(StrEnum):
    """How an ISP takes a notice."""

    OBEYS = "obeys"
    LIES = "lies"
    """Says that it does what it is told, and does not."""
    AWAY = "away"
    """Does not answer, and has heard nothing."""
    LOSES_ANSWERS = "loses answers"
    """Does what it is told, but its answer never arrives."""
    LATE = "late"
    """Says that it has the notice, and acts on it some other day."""
    REFUSES = "refuses"


@dataclass
class Isp:
    """An ISP in one mood or another; ``by_order`` where it remembers under which order it blocks a name."""

    id: str
    witness: Witness
    by_order: bool
    mood: Mood = Mood.OBEYS
    book: dict[str, set[str]] = field(default_factory=dict)
    inbox: list[Notice] = field(default_factory=list)
    stubborn: set[str] = field(default_factory=set)
    """Names that it was told to open, and did not."""

    @property
    def blocked(self) -> set[str]:
        """What a resolver of its customers does not find."""
        return {host for host, orders in self.book.items() if orders}

    async def deliver(self, notice: Notice) -> Delivery:
        """Port ``Channel``. While it is told something, something else may happen in the world."""
        if self.mood is Mood.AWAY:
            raise Unavailable(f"{self.id} does not answer")
        self.witness.told(self.id, notice)
        happens, self.witness.meanwhile = self.witness.meanwhile, None
        if happens and happens.before:
            await happens.act()
        if self.mood is Mood.REFUSES:
            raise Refused("not_for_us", f"{self.id} does not take this")
        if self.mood is Mood.LATE or self.inbox:
            self.inbox.append(notice)
        elif self.mood is Mood.LIES:
            self.stubborn.update(item.target for item in notice.items if notice.action is Action.RELEASE)
        else:
            self._act(notice)
        if happens and not happens.before:
            await happens.act()
        if self.mood is Mood.LOSES_ANSWERS:
            raise Unavailable(f"{self.id} cut the line")
        self.witness.answered.append((self.id, notice))
        says = tuple(Acknowledgement(measure=item.id, claim=Claim.ENFORCED) for item in notice.items)
        return Delivery(receipt=f"{self.id} has it", acknowledgements=says)

    def wake(self) -> None:
        """Act on what has lain about, in the order in which it came."""
        while self.inbox:
            self._act(self.inbox.pop(0))

    def _act(self, notice: Notice) -> None:
        for item in notice.items:
            under = self.book.setdefault(item.target, set())
            if notice.action is Action.BLOCK:
                under.add(notice.order)
                continue
            self.stubborn.discard(item.target)
            if self.by_order:
                under.discard(notice.order)
            elif item.also_under is None:
                under.clear()


@dataclass
class Meanwhile:
    """Something that happens while an ISP is being told something: before it acts on it, or before it answers."""

    act: Callable[[], Awaitable[None]]
    before: bool


@dataclass
class Stamper:
    """A time-stamp authority that remembers which bundles it has stamped; a fake sealer signs with their digest."""

    name: str
    witness: Witness
    down: bool = False

    async def stamp(self, content: bytes) -> Stamp:
        """Port ``Timestamper``."""
        if self.down:
            raise Unavailable(f"{self.name} does not answer")
        self.witness.stamped.setdefault(content.decode().removeprefix("signed "), set()).add(self.name)
        return Stamp(authority=self.name, token=self.name.encode() + content, at=self.witness.clock.at)


class Chancery:
    """Writes documents without any letter, because thousands of letters take minutes; or none, while ``down``."""

    down = False

    async def write(self, paper: Paper, language: Language) -> Written:
        """Port ``Chancery``."""
        if self.down:
            raise Unavailable("the key is away")
        content = canonical_json(document(paper, language))
        return Written(content=digest(content), jws=digest(content), pdf=content)


class Prober(FakeProber):
    """Measures the ISPs; while ``blind``, its vantages see nothing at all."""

    blind = False

    async def measure(self, target: str, resolvers: Sequence[str]) -> Facts:
        """Port ``Prober``."""
        facts = await super().measure(target, resolvers)
        return facts.model_copy(update={"canary": not self.blind})


class Registry(FakeRegistry):
    """A registry that officers and ISPs leave and come back to."""

    def __init__(self, isps: dict[str, Isp]) -> None:
        self.gone: set[str] = set()
        self.all = isps
        self.officers = OFFICERS

    @property
    def isps(self) -> Sequence[RegisteredIsp]:
        there = (name for name in self.all if name not in self.gone)
        return [RegisteredIsp(id=name, name=name, resolvers=(f"{name}:53",), channel="fake") for name in there]

    def channel(self, isp: str) -> Any:
        if isp in self.gone:
            raise NotFound(f"the registry has no ISP {isp!r}")
        return self.all[isp]


class Quiet:
    """Ports ``CaseSignals`` and ``CaseRuns``, with no runs: what a case's run would do, the machine does of itself."""

    async def lapsed(self, case: str, measures: int) -> None:
        pass

    async def changed(self, case: str) -> None:
        pass

    async def lost(self, cases: Sequence[OpenCase]) -> Sequence[tuple[OpenCase, str]]:
        return ()

    async def resume(self, case: OpenCase) -> None:
        raise AssertionError(f"{case.case} has not lost its run")


async def enrol_key(
    store: Store, officer: str, key: str, officers: Sequence[Officer] = OFFICERS, voucher: str | None = None
) -> None:
    """Enrol a key of an officer, which another officer may vouch for."""
    private = key_of(key)
    enrolment = Enrolment(officer=officer, public=public_text(private.public_key()), at=CLOCK.at)
    await store.officer_keys.enrol(
        officer,
        private.public_key().public_bytes_raw(),
        "admin",
        sign_enrolment(enrolment, private),
        officers=officers,
        voucher=sign_enrolment(enrolment, key_of(voucher)) if voucher else None,
    )
