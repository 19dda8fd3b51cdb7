"""A state machine over the life of cases: whatever people, ISPs, time and chance do, in whatever order.

The steps are the real activities on a real database with real signatures; only the outside world is made up, and the
clock is in our hand. After each step the witness (:mod:`tests.invariants.model`) looks whether every rule still holds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlmodel import col, update
from temporalio.testing import ActivityEnvironment

from activities.evidence import EvidenceActivities
from activities.notification import NotificationActivities
from activities.review import ReviewActivities
from activities.verification import VerificationActivities
from activities.watch import WatchActivities
from precinto.contracts import (
    Admission,
    AdmitTask,
    CaptureTask,
    EndTask,
    Escalation,
    OrderTask,
    StampTask,
    SweepTask,
    WatchTask,
)
from precinto.domain.errors import BadTarget, NotYet, Refused, Unavailable
from precinto.domain.evidence import guard
from precinto.domain.intake import Service, TargetKind
from precinto.domain.model import digest
from precinto.domain.objections import Capacity, Instance, Protest
from precinto.domain.policy import MAY, roles
from precinto.domain.review import Absence, Outcome, Role
from precinto.domain.standing_orders import Caps, Scope, Window
from precinto.domain.statements import public_text, sign, statement_id
from precinto.ports import Ports
from precinto.store import Database, Store, Subjects, Vault, ledger
from precinto.store.objections import ObjectionStore
from precinto.store.proceedings import open_proceeding
from precinto.store.review import DecisionRow
from tests.authority import REASONS, key_of, referral, statement, terms
from tests.fakes import FakeCrawler, MemoryBlobs, around_a_capture
from tests.invariants.chance import DEEDS
from tests.invariants.model import Signature, Standing, Witness
from tests.invariants.outside import (
    CLOCK,
    DAY,
    HOUR,
    ISPS,
    MINUTE,
    NAMES,
    OFFICERS,
    PLAIN,
    PLAIN_TARGETS,
    PRECAUTIONARY,
    SPANS,
    START,
    TARGETS,
    Chancery,
    Isp,
    Meanwhile,
    Mood,
    Prober,
    Quiet,
    Registry,
    Stamper,
    enrol_key,
    is_protected,
)
from tests.standing import standing_order

T = TypeVar("T")
P = ParamSpec("P")

SEEDS = st.integers(0, 2**64 - 1)


def deed(method: Callable[Concatenate[Enforcement, P], None]) -> Callable[Concatenate[Enforcement, P], None]:
    """Something that happens, and is told when a rule was broken."""

    @wraps(method)
    def told(machine: Enforcement, *args: P.args, **kwargs: P.kwargs) -> None:
        what = ", ".join(str(one) for one in (*args, *kwargs.values()) if not isinstance(one, Random))
        machine.story.append(f"{CLOCK.at:%d %b %H:%M}  {method.__name__} {what}")
        method(machine, *args, **kwargs)

    return told


class Enforcement(RuleBasedStateMachine):
    """Cases, the people who decide on them, the ISPs that are told, and time."""

    template: ClassVar[Path]
    """A migrated database in which every officer's key is enrolled since ``START``."""
    steps: ClassVar[int] = 0
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        CLOCK.at = START + HOUR
        self.loop = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="precinto-invariants-"))
        path = shutil.copy(self.template, self.folder / "precinto.db")
        self.database = Database(f"sqlite+aiosqlite:///{path}")
        self.store = Store(self.database)
        self.witness = Witness(CLOCK, path, is_protected)
        self.isps = {name: Isp(name, self.witness, by_order=name != "isp1") for name in ISPS}
        self.registry = Registry(self.isps)
        self.witness.officers = OFFICERS
        self.stampers = (Stamper("uno", self.witness), Stamper("dos", self.witness))
        self.crawler, self.prober = FakeCrawler(), Prober(self.isps)  # type: ignore[arg-type]
        self.chancery = Chancery()
        self.keys = {name: 0 for name in NAMES}
        self.story: list[str] = []
        self.cases: list[str] = []
        self.decisions: list[str] = []
        self.objections = ObjectionStore(self.database, Subjects(Vault(self.folder / "vault.key")))
        """Ids of all that was ever signed, in order."""
        store = self.store
        self.ports = Ports(
            registry=self.registry,
            crawlers={TargetKind.DOMAIN: self.crawler, TargetKind.URL: self.crawler},
            **around_a_capture(self.stampers) | {"chancery": self.chancery},  # type: ignore[arg-type]
            prober=self.prober,
            blobs=MemoryBlobs(),
            signals=Quiet(),
            intake=store.intake,
            evidence=store.evidence,
            review=store.review,
            gate=store.gate,
            documents=store.documents,
            runs=Quiet(),
            watch=store.watch,
            escalations=store.escalations,
            notification=store.notification,
            verification=store.verification,
            anchors=store.anchors,
        )

    def teardown(self) -> None:
        """See that the whole ledger holds, and leave nothing behind."""
        self.seen.update(self.witness.seen)
        try:
            self.loop.run(ledger.verify(self.database))
        finally:
            self.loop.run(self.database.close())
            self.loop.close()
            self.witness.close()
            shutil.rmtree(self.folder)

    # ------------------------------------------------------------------------------------------ how steps are taken

    def do(self, act: Coroutine[Any, Any, T]) -> T:
        """Take one step, and let nothing of it run on."""
        return self.loop.run(act)

    async def activity(self, run: Callable[..., Awaitable[T]], *tasks: object) -> T:
        """Run an activity as a worker does, now."""
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, started_time=CLOCK.at)
        return await environment.run(run, *tasks)

    def case(self, number: int) -> str:
        """One of the cases."""
        return self.cases[number % len(self.cases)]

    @initialize(seed=SEEDS)
    def begin(self, seed: int) -> None:
        """Start with some cases, in any stage: what comes late must be tried often, too."""
        chance = Random(seed)  # noqa: S311 - nothing secret
        if chance.random() < 0.4:
            self.draft("operator-1", 3, rightly=True)
        for _ in range(chance.randrange(1, 4)):
            self.refer(chance.randrange(7), "operator-1", "ifpi", chance.random() < 0.5)
            number = len(self.cases) - 1
            if chance.random() < 0.8:
                self.capture(number, 0, fails=False, again=False)
            if chance.random() < 0.6:
                self.approve_as_is_right(number)

    @rule(seed=SEEDS)
    def step(self, seed: int) -> None:
        """Anything that can happen, happens: what, to whom and how follows from the seed."""
        chance = Random(seed)  # noqa: S311 - nothing secret
        possible = [each for each in DEEDS if each.needs(self)]
        type(self).steps += 1
        (one,) = chance.choices(possible, [each.weight for each in possible])
        one.do(self, chance)

    @invariant()
    def every_rule_holds(self) -> None:
        """The rules of docs/explanation/invariants.md, and what hangs on them."""
        self.witness.look()
        assert not self.witness.broken, "\n".join((*self.witness.broken, "", *self.story))

    # ---------------------------------------------------------------------------------------------------- intake

    @deed
    def refer(self, name: int, officer: str, partner: str, precautionary: bool) -> None:
        """Somebody takes in a referral."""
        kind, value = TARGETS[name]
        try:
            one = referral(value, reference=f"{value}/{officer}", partner=partner, kind=kind)
        except BadTarget:
            return
        spans = PRECAUTIONARY if precautionary else PLAIN
        found = guard(one.target, self.ports.guardlists)
        snapshot = terms(**SPANS, **spans)
        procedure = snapshot.procedure.model_copy(update={"appeal_suspends": precautionary})
        snapshot = snapshot.model_copy(update={"procedure": procedure})
        registered = self.do(self.store.intake.register(one, found, officer, snapshot))
        if registered.case not in self.cases:
            self.cases.append(registered.case)
        self.witness.opened(registered.case, one.target.host or "", spans, officer, partner)

    # -------------------------------------------------------------------------------------------------- evidence

    @deed
    def capture(self, number: int, down: int, fails: bool, again: bool) -> None:
        """Capture a case whose turn it is, or one whose worker was taken for dead and is not."""
        case = self.case(number)
        place = self.do(self.store.gate.place(case))
        if place.stage not in {"intake", "evidence"} and not again:
            return
        self._stampers(down)
        self.crawler.failure = "the site did not answer" if fails else None
        was = place.stage
        self.do(self.activity(EvidenceActivities(self.ports).capture, CaptureTask(case=case, round=place.round)))
        if self.crawler.failure and was in {"intake", "evidence"}:
            self.witness.held.add(case)

    @deed
    def stamp(self, down: int) -> None:
        """Get the stamps that bundles lack, from the authorities that answer."""
        self._stampers(down)
        self.do(self.activity(EvidenceActivities(self.ports).stamp, StampTask()))

    def _stampers(self, down: int) -> None:
        for bit, stamper in enumerate(self.stampers):
            stamper.down = bool(down >> bit & 1)

    # ---------------------------------------------------------------------------------------------------- review

    @deed
    def approve_as_is_right(self, number: int) -> None:
        """Whoever may approve does, until there is an order: so that the machine gets anywhere."""
        case = self.case(number)
        if self._stage(case) == "review":
            self.stamp(0)
        for officer in ("reviewer-1", "legal-head", "reviewer-2"):
            if officer not in self.witness.referred[case] and self._stage(case) == "review":
                self.do(self.decides(case, officer, Outcome.APPROVE, "told"))

    @deed
    def decide(self, number: int, officer: str, outcome: Outcome, how: str) -> None:
        """Any officer decides anything, and tells the case in one of the ways there are."""
        self.do(self.decides(self.case(number), officer, outcome, how))

    @deed
    def decide_what_fits(self, number: int, officer: str, how: str, chance: Random) -> None:
        """A reviewer decides on an order in force what can be decided on it now."""
        orders = [one for one in self.witness.orders.values() if one.ended is None]
        if not orders:
            return
        order = orders[number % len(orders)]
        fitting = [Outcome.RESUME, Outcome.RESUME] if order.stayed else [Outcome.STAY, Outcome.RENEW, Outcome.RENEW]
        if order.case in self.witness.objections:
            fitting += [Outcome.UPHOLD, Outcome.DISMISS, Outcome.DISMISS]
        if chance.random() < 0.2:
            fitting = [Outcome.REVOKE]
        outcome = chance.choice(fitting)
        self.story.append(f"               {outcome.value}")
        self.do(self.decides(order.case, officer, outcome, how))

    @deed
    def release(self, number: int, how: str) -> None:
        """The officer on duty releases a case under the newest standing order; one is brought for it, if need be."""
        if not self._releasable():
            self.refer(PLAIN_TARGETS[number % len(PLAIN_TARGETS)], "operator-1", "ifpi", number % 2 > 0)
            for each in range(len(self.cases)):
                self.capture(each, 0, fails=False, again=False)
            self.stamp(0)
        if waiting := self._releasable():
            self.do(self.decides(waiting[number % len(waiting)], "duty-1", Outcome.RELEASE, how))

    def _releasable(self) -> list[str]:
        return [case for case in self.cases if self._stage(case) == "review" and case not in self.witness.held]

    @deed
    def again(self, number: int, back: int, signal: bool) -> None:
        """A case is told of an old decision: once more, late, or one that is another case's."""
        decision = self.decisions[-1 - back % len(self.decisions)]
        signature = self.witness.signed.get(decision)
        case = signature.statement.case if signature and number % 4 else ""
        case = case if case in self.cases else self.case(number)
        self.do(self._tell(case, decision, signature.envelope if signal and signature else None))

    @deed
    def junk(self, number: int, junk: str) -> None:
        """A case is told nonsense."""
        self.do(self._tell(self.case(number), junk[:64] or "x"))
        self.do(self._tell(self.case(number), statement_id(junk), junk))

    @deed
    def tamper(self, back: int, officer: str) -> None:
        """Somebody writes another officer's name on a decision on file, admitted ones too."""
        decision = self.decisions[-1 - back % len(self.decisions)]
        self.do(self._alter(decision, officer=officer))

    @deed
    def escalate(self, number: int) -> None:
        """The reviewers' term passes."""
        case = self.case(number)
        place = self.do(self.store.gate.place(case))
        if place.stage == "review" and place.due is not None and place.due <= CLOCK.at:
            overdue = Escalation(case=case, due=place.due, at=CLOCK.at)
            self.do(self.activity(ReviewActivities(self.ports).escalate, overdue))

    # ------------------------------------------------------------- standing orders, objections, the main proceeding

    @deed
    def draft(self, drafter: str, days: int, rightly: bool) -> None:
        """A standing order is drafted; it may be enacted at once."""
        window = Window(since=CLOCK.at, until=CLOCK.at + days * DAY)
        scope = Scope(
            services=(Service.STREAM_RIPPER,),
            kinds=(TargetKind.DOMAIN, TargetKind.URL),
            partners=("ifpi",),
            names=("*",),
        )
        order = standing_order(terms(**SPANS, **PLAIN), window=window, scope=scope, caps=Caps(total=2, per_day=2))
        try:
            made = self.do(self.store.standing_orders.draft(order, drafter, self.registry.officers))
        except Refused:
            return
        self.witness.standing[made.number] = Standing(made.number, window.until, {drafter}, most=2)
        if rightly:
            for officer in ("reviewer-2", "legal-head"):
                self.enact(0, officer, False)

    @deed
    def enact(self, number: int, officer: str, forged: bool) -> None:
        """An officer enacts a standing order; or somebody does, in an officer's name."""
        self._stand(number, officer, Outcome.ENACT, forged=forged)

    @deed
    def revoke_standing_order(self, number: int, officer: str, forged: bool) -> None:
        """An officer revokes a standing order, and with it all that rests on it."""
        self._stand(number, officer, Outcome.REVOKE, forged=forged)

    def _stand(self, number: int, officer: str, outcome: Outcome, *, forged: bool) -> None:
        standing = list(self.witness.standing.values())[-1 - number % len(self.witness.standing)]
        file = self.do(self.store.standing_orders.file(standing.number))
        role = self._role(officer, outcome)
        said = statement(standing.number, file.digest, officer, outcome, role=role, at=CLOCK.at)
        signed = sign(said, key_of("operator-1's cousin" if forged else self._key(officer)))
        act = self.store.standing_orders.enact if outcome is Outcome.ENACT else self.store.standing_orders.revoke
        try:
            self.do(act(standing.number, signed, REASONS, self.registry.officers))
        except Refused:
            return
        if forged:
            self.witness.broken.append(f"{standing.number}: a forged signature counts")
        if outcome is Outcome.ENACT:
            standing.enacted_by[officer] = role.value
        else:
            standing.revoked = CLOCK.at

    @deed
    def object(self, number: int, appeal: bool, officer: str) -> None:
        """Somebody objects to an order, or appeals, which suspends it."""
        case = self.case(number)
        instance = Instance.APPEAL if appeal else Instance.OBJECTION
        said = Protest(instance=instance, capacity=Capacity.THIRD_PARTY, name="N", contact="c@d.test", text="Why?")
        try:
            filed = self.do(self.objections.file(case, said, officer, self.registry.officers))
        except Refused:
            return
        self.witness.objections.setdefault(case, []).append(filed.id)
        order = self.witness.order_of(case)
        if order and filed.suspends:
            order.stayed = True

    @deed
    def open_proceeding(self, number: int, officer: str) -> None:
        """The main proceeding is opened: its order does not lapse any more, unless it has."""
        order = list(self.witness.orders.values())[number % len(self.witness.orders)]
        try:
            self.do(open_proceeding(self.database, order.case, "P-1", officer, self.registry.officers))
        except Refused:
            return
        if CLOCK.at >= order.end:
            self.witness.broken.append(f"2: order {order.number} was over, and a proceeding brought it back")
        order.lapse = None

    async def decides(self, case: str, officer: str, outcome: Outcome, how: str) -> None:
        """Sign, file and tell, in an honest way or in another."""
        bundle = (await self.store.review.docket(case)).bundle or digest(case.encode())
        role = self._role(officer, outcome)
        objections = [*self.witness.objections.get(case, ()), "OB-NOBODYS"]
        about = {
            Outcome.UPHOLD: objections[0],
            Outcome.DISMISS: objections[0],
            Outcome.STAY: objections[0] if len(objections) > 1 else None,
            Outcome.RELEASE: next(reversed(self.witness.standing), "S-2026-9999"),
        }.get(outcome)
        said = statement(case, bundle, officer, outcome, role=role, at=CLOCK.at, about=about)
        changes: dict[str, dict[str, Any]] = {
            "other bundle": {"subject": digest(b"another")},
            "other case": {"case": "nzqwxkc7rd-1"},
            "stale": {"at": CLOCK.at - HOUR},
            "other reasons": {"reasons": digest(b"others")},
            "other role": {"role": Role.OPERATOR},
        }
        said = said.model_copy(update=changes.get(how, {}))
        signer = self._key("operator-1" if how == "forged" else officer)
        signed = sign(said, key_of(signer))
        decision, order = statement_id(signed), self.witness.order_of(case)
        renewals = order.renewals if order else 0
        self.decisions.append(decision)
        if how != "forged" or officer == "operator-1":
            self.witness.signed[decision] = Signature(decision, signed, said, signer, renewals)
        if how == "not filed":
            await self._tell(case, decision, signed)
            return
        try:
            await self.store.review.file(case, signed, REASONS, self.registry.officers)
        except Refused as refused:
            self.witness.seen[f"not filed: {refused.code}"] += 1
            if how == "by signal":
                await self._tell(case, decision, signed)
            return
        if how.startswith("altered"):
            other = next(name for name in NAMES if name != officer)
            column = how.removeprefix("altered: ")
            flipped = Outcome.REJECT if outcome is Outcome.APPROVE else Outcome.APPROVE
            values = {"officer": other, "outcome": flipped.value, "bundle": bundle[::-1], "reasons": "Others."}
            values["envelope"] = sign(said.model_copy(update={"actor": other}), key_of(other + " does not know"))
            await self._alter(decision, **{column: values[column]})
        if how == "told late":
            await self._tell(case, decision, at=CLOCK.at - 5 * MINUTE)
        elif how != "filed only":
            await self._tell(case, decision, signed if how == "by signal" else None)
            if how == "told twice":
                await self._tell(case, decision)

    async def _tell(
        self, case: str, decision: str, envelope: str | None = None, at: datetime | None = None
    ) -> Admission:
        """Tell a case, as its workflow does; what is refused must leave no trace in the case."""
        before = self.witness.state(case)
        told = {"envelopes": (envelope,)} if envelope is not None else {"decisions": (decision,)}
        task = AdmitTask(case=case, at=at or CLOCK.at, **told)
        (admission,) = (await self.activity(ReviewActivities(self.ports).admit, task)).each
        self.witness.seen[f"told: {admission.code or 'admitted'}"] += 1
        if admission.code is None:
            self.witness.carried_out(decision, task.at)
        elif self.witness.state(case) != before:
            self.witness.broken.append(f"a decision was refused ({admission.code}), and changed case {case}")
        self.witness.look()
        return admission

    async def _alter(self, decision: str, **columns: Any) -> None:
        self.witness.tampered.add(decision)
        async with self.database.write() as session:
            await session.exec(update(DecisionRow).where(col(DecisionRow.id) == decision).values(**columns))

    # --------------------------------------------------------------------------------- notification and the end

    @deed
    def notify(self, number: int, remind: bool, effect: str, before: bool, other: int) -> None:
        """Tell the ISPs what an order asks, while something else happens in the world."""
        order = list(self.witness.orders.values())[number % len(self.witness.orders)]
        if not self._is_open(order.case):
            return
        if effect:
            self.witness.meanwhile = Meanwhile(lambda: self._happens(effect, order.case, other), before)
        self.do(self._notify(order.case, order.id, remind=remind))
        self.witness.meanwhile = None

    @deed
    def end(self, number: int, effect: str, before: bool, other: int) -> None:
        """The armed end of an order wakes, before its time or after it."""
        order = list(self.witness.orders.values())[number % len(self.witness.orders)]
        if not self._is_open(order.case):
            return
        if effect:
            self.witness.meanwhile = Meanwhile(lambda: self._happens(effect, order.case, other), before)
        self.do(self._end(order.case, order.id))
        self.witness.meanwhile = None

    @deed
    def everything_catches_up(self) -> None:
        """Every activity that is under way gets its turn: whoever obeys and was told must block nothing in vain."""
        self._round()
        for isp in ISPS:
            self.sweep(isp, blind=False)
        self._round()

    def _round(self) -> None:
        for order in list(self.witness.orders.values()):
            if self._is_open(order.case):
                self.do(self._end(order.case, order.id))
            if self._is_open(order.case):
                self.do(self._notify(order.case, order.id, remind=False))
            self.witness.look()
        for order in self.witness.orders.values():
            over = self.witness.query("SELECT ended_at FROM orders WHERE id = ?", order.id)[0]["ended_at"]
            if CLOCK.at >= order.end and over is None:
                self.witness.broken.append(f"2: order {order.number} is past its end, and was not ended")
        self.witness.freed([isp for isp in self.isps.values() if isp.id not in self.registry.gone])

    @deed
    def sweep(self, isp: str, blind: bool) -> None:
        """Measure at an ISP, from a vantage that may see nothing."""
        self.prober.blind = blind and CLOCK.at.minute % 2 == 1
        if isp not in self.registry.gone:
            self.do(self.activity(VerificationActivities(self.ports).sweep, SweepTask(vantage=isp)))

    @deed
    def watch(self, written: bool) -> None:
        """The watch goes round; documents can be written or not."""
        self.chancery.down = not written
        self.do(self.activity(WatchActivities(self.ports).round, WatchTask(every=MINUTE)))

    def _stage(self, case: str) -> str:
        return str(self.witness.query("SELECT stage FROM cases WHERE id = ?", case)[0]["stage"])

    def _is_open(self, case: str) -> bool:
        return self._stage(case) != "closed"

    async def _notify(self, case: str, order: str, *, remind: bool) -> None:
        task = OrderTask(case=case, order=order, remind=remind)
        try:
            await self.activity(NotificationActivities(self.ports).notify, task)
        except Unavailable:
            return  # the server tries again, as the machine does

    async def _end(self, case: str, order: str) -> None:
        try:
            await self.activity(VerificationActivities(self.ports).end, EndTask(case=case, order=order))
        except NotYet:
            return

    async def _happens(self, effect: str, case: str, other: int) -> None:
        """What can come in between: it is the world's turn while an ISP makes us wait."""
        order = self.witness.order_of(case)
        assert order is not None
        CLOCK.at += 2 * MINUTE
        match effect:
            case "expire":
                CLOCK.at = max(CLOCK.at, order.end + MINUTE)
                await self._end(case, order.id)
            case "end":
                await self._end(case, order.id)
            case "notify":
                await self._notify(case, order.id, remind=bool(other % 2))
            case "sweep":
                isp = ISPS[other % len(ISPS)]
                if isp not in self.registry.gone:
                    await self.activity(VerificationActivities(self.ports).sweep, SweepTask(vantage=isp))
            case "wait":
                CLOCK.at += other * HOUR
            case _:
                officer = ("reviewer-1", "reviewer-2", "legal-head")[other % 3]
                await self.decides(case, officer, Outcome(effect), "told")
                if other > 3 and order.ended:
                    await self._end(case, order.id)

    # ------------------------------------------------------------------------------------------------- the world

    @deed
    def wait(self, span: timedelta) -> None:
        """Time passes; nobody does anything."""
        CLOCK.at += span

    @deed
    def change_mood(self, isp: str, mood: Mood) -> None:
        """An ISP behaves in another way from now on."""
        self.isps[isp].mood = mood

    @deed
    def wake(self, isp: str) -> None:
        """An ISP gets round to what it was told."""
        self.isps[isp].wake()

    @deed
    def leave_or_return(self, isp: str) -> None:
        """An ISP is taken off the registry, or put on it."""
        self.registry.gone ^= {isp}

    @deed
    def come_and_go(self, officer: str, away: bool) -> None:
        """An officer leaves the authority, comes back, or is away for a while, with a deputy."""
        there = {one.id: one for one in self.registry.officers}
        one = next(one for one in OFFICERS if one.id == officer)
        if away:
            absence = Absence(since=CLOCK.at, until=CLOCK.at + 2 * DAY)
            there[officer] = one.model_copy(update={"away": (absence,)})
        elif officer in there:
            del there[officer]
        else:
            there[officer] = one
        self.registry.officers = self.witness.officers = tuple(there.values())

    @deed
    def renew_key(self, officer: str) -> None:
        """An officer's key is revoked; a new one is enrolled on the word of the legal head, or of itself."""
        if officer == "legal-head":
            return  # whoever vouches for others, keeps a key here
        self.do(self._renew_key(officer))

    async def _renew_key(self, officer: str) -> None:
        old = public_text(key_of(self._key(officer)).public_key())
        (row,) = [row for row in await self.store.officer_keys.keys(officer) if row.public == old]
        if row.revoked_at is None:
            await self.store.officer_keys.revoke(row.id, "admin", "lost")
        self.keys[officer] += 1
        try:
            await enrol_key(self.store, officer, self._key(officer), self.registry.officers, "legal-head")
        except Refused:  # who has left, or whom nobody can vouch for, gets none
            self.keys[officer] -= 1

    def _key(self, officer: str) -> str:
        return f"{officer} {self.keys[officer]}" if self.keys[officer] else officer

    def _role(self, officer: str, outcome: Outcome) -> Role:
        """The role that an officer would act in, a colleague's whom the officer stands in for included."""
        there = self.registry.officers
        held = roles(there if any(one.id == officer for one in there) else OFFICERS, officer, CLOCK.at)
        return next((role for role in MAY[outcome] if role in held), Role.REVIEWER)
