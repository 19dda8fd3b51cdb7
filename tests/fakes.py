"""Stand-ins for the outside world where a test is about the rules inside: no browser, no ISP, no resolver.

They are fakes because these tests need ISPs that lie, fall silent or answer late at will, thousands of times; the
real channels, probers and crawlers are tested against real servers in ``tests/adapters`` and ``tests/e2e``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from precinto.domain.errors import NotFound, Unavailable
from precinto.domain.evidence import NO_LISTS
from precinto.domain.guards import ProtectedName
from precinto.domain.model import digest
from precinto.domain.notification import Action, Delivery, Notice
from precinto.domain.procedures import Language
from precinto.domain.proportionality import Question, TargetFacts
from precinto.domain.review import Officer, Role
from precinto.domain.verification import Answer, Facts
from precinto.ports import Archive, Capture, CapturedFile, Investigation, Isp, Stamp, Subject
from precinto.reports.chancery import TypstChancery
from tests.orders import CARD

OFFICERS = (
    Officer(id="reviewer-1", roles=(Role.REVIEWER,)),
    Officer(id="reviewer-2", roles=(Role.REVIEWER,)),
    Officer(id="legal-head", roles=(Role.LEGAL_HEAD,)),
    Officer(id="operator-1", roles=(Role.OPERATOR,)),
    Officer(id="duty-1", roles=(Role.DUTY_OFFICER,)),
)


class FakeCrawler:
    """Returns a page that names the target; with a ``failure``, too."""

    def __init__(self) -> None:
        self.visits: list[str] = []
        self.failure: str | None = None

    async def capture(self, subject: Subject, folder: Path) -> Capture:
        target = subject.target
        self.visits.append(target.value)
        path = folder / "page.html"
        path.write_text(f"<h1>{target.value}")
        page = CapturedFile(name="page.html", media_type="text/html", path=path)
        addresses = {target.host: ("127.0.1.1",)} if target.host else {}
        return Capture(files=(page,), addresses=addresses, tools={"fake": "1"}, vantage="test", failure=self.failure)


QUIET = TargetFacts(host=None, answered={question: "facts.json" for question in Question})
"""Everything was asked and answered, and nothing stands out."""


class FakeArchiver:
    """Nothing went over a wire, so there is nothing to read."""

    async def archive(
        self, subject: Subject, attempt: int, started: datetime, capture: Capture, folder: Path
    ) -> Archive:
        return Archive(files=(), tools={})


class FakeInvestigator:
    """Every question was answered, and nothing stands out."""

    async def investigate(self, subject: Subject, capture: Capture, folder: Path) -> Investigation:
        return Investigation(files=(), facts=QUIET.model_copy(update={"host": subject.target.host}), tools={})


class FakeSealer:
    """Signs with a word."""

    async def sign(self, content: bytes) -> bytes:
        return b"signed " + digest(content).encode()


class FakeDocumentSigner:
    """Signs with a word; the letter beside it is a real one."""

    async def sign(self, content: bytes) -> str:
        return f"signed.{digest(content)}"


@dataclass
class FakeTimestamper:
    """A time-stamp authority that answers at once, or not at all while it is ``down``."""

    name: str
    down: bool = False

    async def stamp(self, content: bytes) -> Stamp:
        if self.down:
            raise Unavailable(f"{self.name} does not answer")
        token = f"{self.name} {digest(content)}".encode()
        return Stamp(authority=self.name, token=token, at=datetime.now(UTC))


@dataclass
class FakeIsp:
    """An ISP that blocks what it is told, unless told to misbehave.

    Attributes:
        ignores: How many notices of each action it takes and does not act on.
        failures: Errors it raises before it takes anything, in order.
        received: Every notice that arrived, repetitions too.
    """

    blocked: set[str] = field(default_factory=set)
    ignores: dict[Action, int] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    received: list[Notice] = field(default_factory=list)

    async def deliver(self, notice: Notice) -> Delivery:
        if self.failures:
            raise self.failures.pop(0)
        self.received.append(notice)
        if self.ignores.get(notice.action, 0) > 0:
            self.ignores[notice.action] -= 1
        else:
            for item in notice.items:
                (self.blocked.add if notice.action is Action.BLOCK else self.blocked.discard)(item.target)
        return Delivery(receipt=f"fake {len(self.received)}")


class FakeRegistry:
    """A registry of fake ISPs; each ISP's resolver is written ``isp:53``, and it reads Spanish unless told."""

    authority = "autoridad"
    card = CARD
    officers: Sequence[Officer] = OFFICERS
    protected: Sequence[ProtectedName] = (
        ProtectedName(name="gob.pe", reason="government", source="test list, 2026-11-24"),
    )
    sinkholes: frozenset[str] = frozenset()
    own_addresses: frozenset[str] = frozenset()

    def __init__(self, isps: dict[str, FakeIsp]) -> None:
        self.fakes = isps
        self.languages: dict[str, Language] = {}

    @property
    def isps(self) -> Sequence[Isp]:
        return [
            Isp(
                id=name,
                name=name,
                resolvers=(f"{name}:53",),
                channel="fake",
                language=self.languages.get(name, "es"),
            )
            for name in self.fakes
        ]

    def channel(self, isp: str) -> FakeIsp:
        if isp not in self.fakes:
            raise NotFound(f"the registry has no ISP {isp!r}")
        return self.fakes[isp]


class FakeProber:
    """Measures fake ISPs: NXDOMAIN for what they block, the control's address for the rest."""

    def __init__(self, isps: dict[str, FakeIsp]) -> None:
        self._isps = isps
        self.measured = 0

    async def measure(self, target: str, resolvers: Sequence[str]) -> Facts:
        self.measured += 1
        isp = self._isps[resolvers[0].partition(":")[0]]
        names = (target, f"www.{target}")
        control = tuple(Answer(name=n, rcode="NOERROR", addresses=("127.0.1.1",)) for n in names)
        blocked = tuple(Answer(name=n, rcode="NXDOMAIN") for n in names)
        probe = blocked if target in isp.blocked else control
        return Facts(target=target, probe=probe, control=control, canary=True)


class MemoryBlobs:
    """Port ``BlobStore`` in memory."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    async def put(self, content: bytes) -> str:
        self.content[name := digest(content)] = content
        return name

    async def put_file(self, path: Path) -> tuple[str, int]:
        content = path.read_bytes()
        return await self.put(content), len(content)

    async def get_file(self, sha256: str, path: Path) -> None:
        path.write_bytes(await self.get(sha256))

    async def get(self, sha256: str) -> bytes:
        if sha256 not in self.content:
            raise NotFound(f"no blob {sha256}")
        return self.content[sha256]


def around_a_capture(timestampers: Sequence[FakeTimestamper]) -> dict[str, Any]:
    """The ports of the evidence stage beside the crawler, and of documents, where a test is about something else."""
    return {
        "guardlists": NO_LISTS.joined(FakeRegistry.protected),
        "archiver": FakeArchiver(),
        "investigator": FakeInvestigator(),
        "sealer": FakeSealer(),
        "chancery": TypstChancery(FakeDocumentSigner()),
        "timestampers": timestampers,
    }
