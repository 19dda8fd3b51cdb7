"""The ports: what activities need of the world. Adapters and the store implement them; tests may replace them.

Third parties implement ``Crawler``, ``Channel`` and ``Prober`` and register them as entry points
(``precinto.crawlers``, ``precinto.channels``, ``precinto.probers``); see ``precinto.plugins``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from precinto.contracts import Admissions, AdmitTask, EndTask, Place, Sealed
from precinto.domain.case import Closure, Stage
from precinto.domain.evidence import Finding, Manifest, Missing
from precinto.domain.guards import GuardLists, ProtectedName
from precinto.domain.intake import Referral, Service, Target, TargetKind
from precinto.domain.ledger import Anchor
from precinto.domain.model import Digest, Instant, Value
from precinto.domain.notification import Delivery, Notice
from precinto.domain.order_document import AuthorityCard, OrderDocument, Paper
from precinto.domain.procedures import Language, Snapshot
from precinto.domain.proportionality import TargetFacts
from precinto.domain.review import Officer
from precinto.domain.verification import Facts, Standing, Verdict

# ---------------------------------------------------------------------------------------------- outside world


class Subject(Value):
    """What is to be captured.

    Attributes:
        case: The case it is captured for.
        target: The target in normal form.
        service: What the service does; chooses the capture recipe.
        page: For an app: the store or download page where it is offered, as the referral says; None if it does not.
    """

    case: str
    target: Target
    service: Service
    page: str | None = None


class CapturedFile(Value):
    """One file as a crawler hands it over: ``name`` inside the bundle, ``media_type``, and where it lies now."""

    name: str
    media_type: str
    path: Path


class Capture(Value):
    """What a crawler brings back from one visit.

    Attributes:
        files: What was captured, also when the visit failed half-way.
        addresses: Each host name met, with the addresses it resolved to (evidence, never targets).
        tools: Programs that took part, name to version.
        vantage: Where the visit was made from.
        failure: Why the visit failed, or None. A site that is down is a failure that is kept, not an error.
        missing: What a whole capture would hold and this one does not.
        recipe: Digest of the recipe that was followed, which is one of the files; None where there is none.
    """

    files: tuple[CapturedFile, ...]
    addresses: dict[str, tuple[str, ...]]
    tools: dict[str, str]
    vantage: str
    failure: str | None = None
    missing: tuple[Missing, ...] = ()
    recipe: Digest | None = None


class Crawler(Protocol):
    """Visits a target and brings back what a visitor saw."""

    async def capture(self, subject: Subject, folder: Path) -> Capture:
        """Visit the target once.

        Args:
            subject: What to capture.
            folder: An empty folder for the files; whoever calls removes it.

        Raises:
            Unavailable: The crawler itself (its browser, its resolver) cannot work now; trying again may help.
        """
        ...


class Archive(Value):
    """What the wire record of a capture yields.

    Attributes:
        files: The archive that other people's tools replay, the list of exchanges, the servers' certificates.
        tools: Programs that took part, name to version.
        missing: Exchanges without a whole answer, and what could not be read, with the reason.
    """

    files: tuple[CapturedFile, ...]
    tools: dict[str, str]
    missing: tuple[Missing, ...] = ()


class Archiver(Protocol):
    """Reads the wire record of a capture, which a hostile site has written as much as the browser."""

    async def archive(
        self, subject: Subject, attempt: int, started: datetime, capture: Capture, folder: Path
    ) -> Archive:
        """Decode the record, if the capture has one; a record that cannot be read is missing, never an error."""
        ...


class Investigation(Value):
    """What was found out about a target beside its visit.

    Attributes:
        files: What was asked and answered, as it came.
        facts: What the proportionality rules weigh.
        tools: Programs and dated lists that took part, name to version.
        missing: Questions that got no answer, and why.
    """

    files: tuple[CapturedFile, ...]
    facts: TargetFacts
    tools: dict[str, str]
    missing: tuple[Missing, ...] = ()


class Investigator(Protocol):
    """Finds out who and what stands behind a target: names, addresses, networks, registration, fingerprints."""

    async def investigate(self, subject: Subject, capture: Capture, folder: Path) -> Investigation:
        """Ask once; a source that does not answer is missing, never an error.

        Args:
            subject: What was captured.
            capture: What the crawler brought back.
            folder: Where the capture's files lie, and where new ones go.
        """
        ...


class Sealer(Protocol):
    """Signs for the authority."""

    async def sign(self, content: bytes) -> bytes:
        """A detached signature over these bytes: PKCS#7 SignedData, DER, with the signer's certificates.

        Raises:
            Unavailable: The key cannot be used now.
        """
        ...


class DocumentSigner(Protocol):
    """Signs order documents for the authority."""

    async def sign(self, content: bytes) -> str:
        """The content (canonical JSON) with a signature and the signer's certificates: compact JWS (RFC 7515).

        Raises:
            Unavailable: The key cannot be used now.
        """
        ...


class Written(Value):
    """An order document as it was just made.

    Attributes:
        content: Digest of the JSON that is signed.
        jws: The signed JSON.
        pdf: The letter.
    """

    content: Digest
    jws: str
    pdf: bytes


class Chancery(Protocol):
    """Writes the documents of orders."""

    async def write(self, paper: Paper, language: Language) -> Written:
        """The letter and the signed JSON of a version of an order, in one language.

        Raises:
            Unavailable: The key cannot be used now.
        """
        ...


class Timestamper(Protocol):
    """A time-stamp authority (RFC 3161)."""

    @property
    def name(self) -> str:
        """Short id of the authority."""
        ...

    async def stamp(self, content: bytes) -> Stamp:
        """A token over the SHA-256 of these bytes, checked against the authority's own root.

        Raises:
            Unavailable: The authority does not answer now.
            Refused: ``bad_timestamp``: what it answered is no token for these bytes.
        """
        ...


class Stamp(Value):
    """A time-stamp token.

    Attributes:
        authority: Short id of who gave it.
        token: The TimeStampToken, DER (a CMS ContentInfo: what ``openssl ts -verify -token_in`` reads).
        at: The moment it states.
    """

    authority: str
    token: bytes
    at: Instant


class Channel(Protocol):
    """Carries notices to one ISP."""

    async def deliver(self, notice: Notice) -> Delivery:
        """Deliver a notice; called again with the same notice id, it is the same act.

        Raises:
            Unavailable: The ISP does not answer now (``Throttled`` when it said when to come back).
            Refused: The ISP will not take this notice however often it is sent.
        """
        ...


class Prober(Protocol):
    """Measures one target at one ISP."""

    async def measure(self, target: str, resolvers: Sequence[str]) -> Facts:
        """Ask the ISP's resolvers and a control, at the same moment.

        Args:
            target: Host under order (A-label).
            resolvers: The ISP's resolvers, ``address:port``.
        """
        ...


class BlobStore(Protocol):
    """Bytes under their SHA-256: written once, verified when read."""

    async def put(self, content: bytes) -> str:
        """Store the bytes (again is the same) and return their SHA-256."""
        ...

    async def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file, however large, in little memory; returns its SHA-256 and its size in bytes."""
        ...

    async def get(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            NotFound: Nothing is stored under this digest.
            Refused: ``corrupt_blob``: what is stored does not have this digest.
        """
        ...

    async def get_file(self, sha256: str, path: Path) -> None:
        """Write the bytes to a new file, however large, in little memory; errors as ``get``, and then no file."""
        ...


class Isp(Value):
    """An internet provider under the authority's orders.

    Attributes:
        id: Short id, also the name of its vantage.
        name: Its name.
        resolvers: Its resolvers, ``address:port``.
        channel: Name of the channel its notices go through.
        language: In which it gets orders.
    """

    id: str
    name: str
    resolvers: tuple[str, ...]
    channel: str
    language: Language = "es"


class Registry(Protocol):
    """Who the authority works with: its officers, the ISPs and how to reach each."""

    @property
    def authority(self) -> str:
        """Id of the authority."""
        ...

    @property
    def card(self) -> AuthorityCard:
        """The authority, as its orders name it."""
        ...

    @property
    def officers(self) -> Sequence[Officer]:
        """Its officers."""
        ...

    @property
    def isps(self) -> Sequence[Isp]:
        """The ISPs that get its orders."""
        ...

    @property
    def protected(self) -> Sequence[ProtectedName]:
        """The guard lists: names that are never blocked on one person's word."""
        ...

    @property
    def sinkholes(self) -> frozenset[str]:
        """Addresses that answer for blocked names (the authority's own or an ISP's)."""
        ...

    @property
    def own_addresses(self) -> frozenset[str]:
        """Addresses of the authority's own and of the ISPs' servers, which no target may point at unseen."""
        ...

    def channel(self, isp: str) -> Channel:
        """The channel to an ISP.

        Raises:
            NotFound: No such ISP.
        """
        ...


class CaseSignals(Protocol):
    """How verification tells a running case what it must know."""

    async def lapsed(self, case: str, measures: int) -> None:
        """Tell a case that measures have lapsed; one that has ended in the meantime, or is full, is no error."""
        ...

    async def changed(self, case: str) -> None:
        """Have a case look at its files, which say something new by no decision of its own.

        One that has ended, or is full, is no error.

        Raises:
            Unavailable: The engine does not answer.
        """
        ...


class OpenCase(Value):
    """A case that is not closed: what its run is started with, should it have lost it.

    Attributes:
        case: The case.
        service: What the service does.
        stage: Where it stands.
        due: End of the term that runs now.
        target: Its target.
    """

    case: str
    service: Service
    stage: Stage
    due: Instant | None
    target: str


class CaseRuns(Protocol):
    """The runs that carry the cases."""

    async def lost(self, cases: Sequence[OpenCase]) -> Sequence[tuple[OpenCase, str]]:
        """Those of these cases that no run carries, each with the id of the run that it had, or ``none``.

        Raises:
            Unavailable: The engine does not answer.
        """
        ...

    async def resume(self, case: OpenCase) -> None:
        """Give a case a new run, which goes on where its files say it stands.

        Raises:
            Unavailable: The engine does not answer.
        """
        ...


# --------------------------------------------------------------------------------------------------- the store


class Registered(Value):
    """What became of one referral.

    Attributes:
        case: The case it opened or joined.
        opened: True when it opened the case.
        known: True when this very referral was registered before.
        hold: Whether the case is held for two reviewers.
        start: True while the case's workflow may not have been started yet.
    """

    case: str
    opened: bool
    known: bool
    hold: bool
    start: bool


class IntakeRepository(Protocol):
    """Cases, their targets, referrals and findings."""

    async def register(
        self, referral: Referral, findings: Sequence[Finding], opened_by: str, terms: Snapshot
    ) -> Registered:
        """Register a referral: it joins the open case about its target, or opens one. Idempotent."""
        ...

    async def subject(self, case: str) -> Subject:
        """What is to be captured for a case.

        Raises:
            NotFound: No such case.
        """
        ...


class FiledStamp(Value):
    """A time-stamp token that the blob store holds: who gave it, under which digest it lies, what moment it states."""

    authority: str
    token: Digest
    at: Instant


class Package(Value):
    """Everything that one sealed bundle leaves behind.

    Attributes:
        manifest: What the bundle consists of.
        round: Which round of the review asked for it, from 1.
        signature: Digest of the detached signature over the manifest.
        stamps: The time-stamp tokens over the signature, so far.
        findings: What the proportionality rules found.
        sealed_at: When it was sealed, on the server's clock: the review's term runs from then.
    """

    manifest: Manifest
    round: int
    signature: Digest
    stamps: tuple[FiledStamp, ...]
    findings: tuple[Finding, ...]
    sealed_at: Instant


class Unstamped(Value):
    """A bundle that waits for its time: its digest, the signature to be stamped, and who has stamped it already."""

    bundle: Digest
    signature: Digest
    authorities: tuple[str, ...]


class EvidenceRepository(Protocol):
    """Attempts, bundles, their items, and the chain of custody."""

    async def sealed(self, case: str, round: int) -> Sealed | None:
        """The bundle of this round, if one was sealed already."""
        ...

    async def begin(self, case: str, round: int) -> int:
        """Begin an attempt and return its number; one that was left open is noted as interrupted."""
        ...

    async def abandon(self, case: str, attempt: int, reason: str) -> None:
        """Note that an attempt brought nothing, and why."""
        ...

    async def seal(self, package: Package) -> Sealed:
        """Record a sealed bundle and put the case under review; idempotent.

        Where the round has its bundle already (a worker taken for dead came back), that one stands, and this one is
        kept beside it.
        """
        ...

    async def unstamped(self) -> Sequence[Unstamped]:
        """The bundles that lack a time stamp, oldest first."""
        ...

    async def stamped(self, bundle: str, stamp: FiledStamp) -> None:
        """Record a time stamp of a bundle; idempotent."""
        ...


class ReviewRepository(Protocol):
    """Decisions, and the terms of those who decide."""

    async def escalate(self, case: str, due: datetime, at: datetime) -> datetime:
        """Note that a review's term has passed, and begin the next; returns its end. Idempotent."""
        ...


class Gate(Protocol):
    """Where decisions are admitted, and carried out in the same transaction."""

    async def admit(self, task: AdmitTask, officers: Sequence[Officer], isps: Sequence[str]) -> Admissions:
        """Admit decisions and carry them out, each in its own right. Idempotent.

        Nothing is asked of an ISP that did not pass here. A refusal is a result, and is on file.

        Raises:
            NotFound: No such case.
        """
        ...

    async def place(self, case: str, *, bundle: bool = False) -> Place:
        """Where a case stands; with ``bundle``, which is its newest too.

        Raises:
            NotFound: No such case.
        """
        ...


class OpenNotice(Value):
    """A notice that still has to be delivered, and since when."""

    notice: Notice
    queued_at: datetime


class NotificationRepository(Protocol):
    """Orders, measures, notices and acknowledgements."""

    async def undelivered(self, order: str) -> Sequence[OpenNotice]:
        """Notices of this order that are still to be delivered; what lifts a block comes first.

        Raises:
            NotFound: No such order.
        """
        ...

    async def is_open(self, notice: str) -> bool:
        """Whether a notice that was looked up some time ago is still to be delivered."""
        ...

    async def delivered(self, notice: str, delivery: Delivery, at: datetime) -> None:
        """Record that a notice was delivered, and what the ISP said; idempotent."""
        ...

    async def failed(self, notice: str, reason: str, *, final: bool) -> None:
        """Record a failed try; ``final`` escalates the notice to a human."""
        ...

    async def notified(self, order: str) -> tuple[int, int, int]:
        """ISPs of an order, of these delivered to what it asks now, of these given up for a human to reach."""
        ...

    async def remind(self, order: str, now: datetime) -> int:
        """Write a reminder for each ISP that does not do what the order asks now, after its term to comply.

        At most one within the order's term for reminders. Returns how many were written.
        """
        ...


class Documented(Value):
    """What was made of a version of an order; ``without``: its notices go out without any document."""

    documents: tuple[OrderDocument, ...]
    without: bool


class Draft(Value):
    """What the documents of a version of an order say, and in which languages they are made."""

    paper: Paper
    languages: tuple[Language, ...]


class DocumentRepository(Protocol):
    """The documents of orders: one for each version and language, made once."""

    async def of(self, order: str, version: int) -> Documented:
        """What was made of a version of an order.

        Raises:
            NotFound: No such order, or it never had this version.
        """
        ...

    async def draft(self, order: str, version: int, card: AuthorityCard) -> Draft:
        """What the documents of a version of an order say; the authority is named by ``card``.

        Raises:
            NotFound: No such order, or it never had this version.
        """
        ...

    async def record(self, order: str, version: int, documents: Sequence[OrderDocument]) -> tuple[OrderDocument, ...]:
        """Record what was made of a version, and return what counts: what was recorded first."""
        ...

    async def missing(self, order: str, version: int) -> None:
        """Put before a human that a document could not be made; what lifts a block goes without one. Idempotent."""
        ...


class Due(Value):
    """One measure to verify at one ISP."""

    measure: str
    isp: str
    target: str
    case: str


class Round(Value):
    """One round of measurement of one measure at one ISP."""

    measure: str
    isp: str
    vantage: str
    at: datetime
    facts: Facts
    verdict: Verdict


class Ending(Value):
    """How the end of an order is followed up.

    Attributes:
        ends_at: When it ends, or has ended.
        ended: Whether it has.
        release_until: When the unblock must have been measured everywhere; counted from the moment when the ISPs
            could first be told, so that an outage of ours never runs against them.
        recheck: Time until it is looked at again.
    """

    ends_at: Instant
    ended: bool
    release_until: Instant | None
    recheck: timedelta


class VerificationRepository(Protocol):
    """Observations, verdicts and the standing of each measure at each ISP."""

    async def due(self, isp: str, after: str, limit: int) -> Sequence[Due]:
        """Measures to verify at an ISP, ordered by measure id, after ``after`` (a cursor; empty at first)."""
        ...

    async def observe(self, rounds: Sequence[Round]) -> dict[str, int]:
        """Record rounds and move the standings; returns case id to number of measures that lapsed anew."""
        ...

    async def end(self, task: EndTask, moment: datetime) -> Ending:
        """End an order whose time has come at this moment: from then on the block must be gone. Idempotent.

        Writes a release notice for every ISP.

        Raises:
            NotFound: No such order.
        """
        ...

    async def release(self, order: str) -> dict[Standing, int]:
        """How many measures x ISPs of an ended order stand where."""
        ...

    async def untold(self, order: str) -> AbstractSet[str]:
        """ISPs that have taken the block of an ended order, and still have to be told of its end."""
        ...

    async def close(self, case: str, closure: Closure, at: datetime) -> None:
        """Close a case; idempotent."""
        ...


class WatchRepository(Protocol):
    """What was not done in time, by the database alone."""

    async def begin(self, moment: datetime, every: timedelta) -> datetime:
        """Begin a round; returns since when rounds have followed in time. Before that, the engine was away."""
        ...

    async def done(self, moment: datetime) -> None:
        """Note that a whole round is over."""
        ...

    async def missed(self, moment: datetime, since: datetime) -> Sequence[EndTask]:
        """Orders beyond their end that nothing has ended in the time that it takes, oldest end first."""
        ...

    async def end(self, task: EndTask, moment: datetime) -> bool:
        """End an order whose armed end did not fire; False where it has been ended, or lengthened, meanwhile.

        Raises:
            NotFound: No such order.
            IllegalTransition: The case stands where no order can end: somebody wrote into the database.
        """
        ...

    async def untold(self) -> Sequence[EndTask]:
        """Orders that the watch has ended and of which an ISP still has to be told, those never tried first."""
        ...

    async def unclosed(self, moment: datetime, since: datetime) -> int:
        """Put cases before a human whose release is beyond its term and that nothing has closed; how many are new."""
        ...

    async def unheard(self, moment: datetime, since: datetime) -> Sequence[EndTask]:
        """Orders whose block is to be lifted, and no ISP has been tried in the time that it takes.

        Their cases were to be told to look at their files, and that was lost; each is named until :meth:`woken`.
        """
        ...

    async def woken(self, task: EndTask) -> None:
        """Note that a case was told once more to look at its files, and put that before a human."""
        ...

    async def remind(self, moment: datetime) -> int:
        """Remind the reviewers of each case at the parts of its term that its procedure names; how many reminders."""
        ...

    async def overdue(self, moment: datetime) -> int:
        """Put objections and stays before a human whose term to be decided has passed; how many have."""
        ...

    async def unreached(self, moment: datetime) -> int:
        """Put ISPs before a human that could not be told in time what an order asks of them; how many."""
        ...

    async def open_cases(self, opened_before: datetime) -> Sequence[OpenCase]:
        """Every case that is not closed and has been open for a while, oldest first."""
        ...

    async def lost(self, case: str, run: str) -> bool:
        """Note that a case had lost its run, once for each run; False where the case was closed meanwhile."""
        ...


class EscalationRepository(Protocol):
    """What is put before people, and before whom."""

    async def address(self, officers: Sequence[Officer], moment: datetime) -> int:
        """Put each escalation before officers who are there, and note before whom; how many were."""
        ...


class UnstampedAnchor(Value):
    """An anchor that waits for its time, and who has stamped it already."""

    anchor: Anchor
    authorities: tuple[str, ...]


class AnchorRepository(Protocol):
    """Anchors of the ledger, and their time stamps."""

    async def anchor(self, every: timedelta) -> Anchor | None:
        """Take an anchor of the newest row; None where nothing happened since the last, or that is younger."""
        ...

    async def unstamped(self) -> Sequence[UnstampedAnchor]:
        """The anchors that lack a time stamp, oldest first."""
        ...

    async def stamped(self, anchor: int, stamp: FiledStamp) -> None:
        """Record a time stamp of an anchor; idempotent."""
        ...


@dataclass(frozen=True)
class Ports:
    """Everything that activities are built from; ``guardlists`` are joined with the registry's own names."""

    registry: Registry
    guardlists: GuardLists
    crawlers: Mapping[TargetKind, Crawler]
    archiver: Archiver
    investigator: Investigator
    sealer: Sealer
    timestampers: Sequence[Timestamper]
    prober: Prober
    blobs: BlobStore
    chancery: Chancery
    signals: CaseSignals
    runs: CaseRuns
    intake: IntakeRepository
    evidence: EvidenceRepository
    review: ReviewRepository
    gate: Gate
    documents: DocumentRepository
    notification: NotificationRepository
    verification: VerificationRepository
    anchors: AnchorRepository
    watch: WatchRepository
    escalations: EscalationRepository
