"""The life of one case, from its evidence to the verified end of its order.

``(intake at the desk) -> evidence -> review -> notification -> verification -> end``

The history stays the same size whatever the number of ISPs and sweeps: all ISPs are told by one activity, and
sweeps run outside (:mod:`workflows.sweep`). What people decide, they file under their signature; the case is told
which decision, and a local activity admits it and carries it out in one transaction (docs/adr/0015). The end of the
order is armed *before* the first ISP hears of the block, as an activity that the server itself wakes: it needs no
workflow code to fire, so even a case whose workflow were stuck could not keep a block beyond its order
(docs/adr/0003).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    RetryState,
    is_cancelled_exception,
)
from temporalio.workflow import ActivityHandle

with workflow.unsafe.imports_passed_through():
    from precinto import stubs
    from precinto.contracts import (
        Admission,
        AdmitTask,
        Admitted,
        CaptureTask,
        CaseEnd,
        CaseRef,
        CaseStart,
        CaseStatus,
        Ended,
        EndTask,
        Escalation,
        Filed,
        Lapse,
        Notified,
        OrderTask,
        Place,
        Signed,
    )
    from precinto.domain.case import BEFORE_ORDER, Closure, Stage
    from precinto.domain.review import IN_FORCE

MAX_REFUSED = 50
"""Refused signals that one run looks at; then signals are dropped. The update is not capped, and answers."""

AT_ONCE = 10
"""Signals that are looked at together. More at once than people send are a flood, and all of them are dropped: to look
at each would keep the case from what else it is told."""

CALM = timedelta(milliseconds=200)
"""Between signals. A run cannot go on in another while signals keep coming: the server refuses to lose one."""

LONG = 150
"""Events after which a run goes on in another, so that no flood makes its history slow to replay. Fewer than the
signals that the server lets into a run (``precinto.devserver.LIMITS``): one that takes no more is a long one too."""

REST = timedelta(seconds=30)
"""Before a long run goes on in another. A run that is full costs nothing, whatever is sent to it; the next one takes
signals again, so a flood that lasts fills one run in this time."""

BEFORE_REVIEW = frozenset({Stage.INTAKE, Stage.EVIDENCE})

T = TypeVar("T", Signed, Lapse)


@workflow.defn(name="EnforcementCase")
class EnforcementCase:
    """One case: evidence, review, notification, verification, then the end of the order."""

    @workflow.init
    def __init__(self, start: CaseStart) -> None:
        self._case = start.case
        self._place = Place(stage=Stage.INTAKE, round=1)
        self._stage = Stage.INTAKE
        self._bundle: str | None = None
        self._due: datetime | None = None
        self._lapses = 0
        self._telling: list[asyncio.Task[None]] = []
        self._inbox: list[str] = []
        self._heard_at: datetime | None = None
        self._hurried = False
        self._dropped = start.dropped
        self._stale = start.dropped > 0  # so that what the run before has dropped is written down
        self._rested = False
        self._looking = False
        self._refused = 0
        self._fault: FailureError | None = None

    @workflow.run
    async def run(self, start: CaseStart) -> CaseEnd:
        """Carry the case to its end. Only a decision or the order ends it: cancelling the workflow does not."""
        life = asyncio.create_task(self._life(start))
        reading, resting = asyncio.create_task(self._read()), asyncio.create_task(self._rest())
        while not life.done():
            try:
                await asyncio.shield(life)
            except asyncio.CancelledError:
                workflow.logger.warning("A cancellation of this case was ignored: reject it, or revoke its order")
        ended = life.result()
        await workflow.wait_condition(lambda: workflow.all_handlers_finished() and not self._looking)
        reading.cancel()
        resting.cancel()
        if ended is None:
            workflow.continue_as_new(CaseStart(case=self._case, resumed=True, dropped=self._dropped))
        return CaseEnd(case=self._case, closure=ended.closure, isps=ended.isps, overstaying=ended.overstaying)

    async def _life(self, start: CaseStart) -> Ended | None:
        """How the case ended; None where its history is full and another run goes on."""
        try:
            ended = await self._go_on() if start.resumed else await self._investigation()
            if self._fault is not None:
                raise self._fault
            if ended is not None and self._dropped:
                await self._admit()
        except FailureError as fault:
            # A workflow that fails takes the armed end of its order with it; one whose task is stuck does not.
            raise RuntimeError(f"case {self._case} cannot go on") from fault
        if ended is not None:
            self._enter(Stage.CLOSED, None)
        return ended

    async def _go_on(self) -> Ended | None:
        """Take up a case that is at work already, where its files say it stands."""
        self._place = place = await stubs.RESUME.local(CaseRef(case=self._case))
        self._bundle = place.bundle
        if place.closure is not None:
            return Ended(closure=place.closure, isps=0, overstaying=0)
        self._enter(place.stage, None if place.over else place.due)
        if place.stage in BEFORE_ORDER:
            return await self._investigation()
        return await self._enforcement(remind=True)  # a lapse that the run before heard of may be untold

    # ------------------------------------------------------------------------------------------------ the steps

    async def _investigation(self) -> Ended | None:
        """Evidence and review, as often as the reviewers ask for it."""
        while not self._must_stop():
            if self._stage is not Stage.REVIEW:
                await self._evidence()
            await self._review()
            match self._place.stage:
                case Stage.NOTIFICATION:
                    self._enter(Stage.NOTIFICATION, self._place.due)
                    self._list(stubs.IN_FORCE)
                    return await self._enforcement()
                case Stage.CLOSED:
                    return Ended(closure=self._place.closure or Closure.REJECTED, isps=0, overstaying=0)
                case _:
                    self._stage = self._place.stage
        return None

    async def _evidence(self) -> None:
        self._enter(Stage.EVIDENCE, None)
        number = self._place.round
        sealed = await stubs.SEAL.start(CaptureTask(case=self._case, round=number), summary="Seal the evidence")
        self._bundle = sealed.bundle
        self._place = Place(stage=Stage.REVIEW, round=number)
        self._enter(Stage.REVIEW, sealed.due)
        if number > 1:
            self._list(stubs.INVESTIGATION)

    async def _review(self) -> None:
        """Wait for the reviewers. Silence escalates, again and again; it never approves."""
        while self._place.stage is Stage.REVIEW and not self._must_stop():
            due = self._term()
            try:
                await workflow.wait_condition(
                    lambda: self._place.stage is not Stage.REVIEW or self._must_stop(),
                    timeout=max(due - workflow.now(), timedelta(milliseconds=1)),
                    timeout_summary=f"Review due {due:%Y-%m-%d %H:%M} UTC",
                )
            except TimeoutError:
                escalated = await stubs.ESCALATE.local(Escalation(case=self._case, due=due, at=workflow.now()))
                if self._place.stage is Stage.REVIEW:
                    self._enter(Stage.REVIEW, escalated.due)
                    self._list(stubs.INVESTIGATION)

    async def _enforcement(self, *, remind: bool = False) -> Ended | None:
        """Notification, verification and the end. Sweeps measure outside; here arrives what ISPs must be told."""
        version = self._place.version
        ending = self._arm()
        if not self._place.over:  # else its end tells them
            self._tell("Notify every ISP", remind=remind)
        while not ending.done() and not self._must_stop():
            await workflow.wait_condition(
                lambda end=ending, told=version: (
                    end.done() or self._must_stop() or self._lapsed() or self._place.version > told
                )
            )
            if ending.done():
                break
            if self._place.version > version:
                version = self._place.version
                ending = await self._changed(ending)
            if self._lapsed():
                self._lapses = 0
                self._tell("Remind the ISPs that do not hold", remind=True)
        if self._fault is not None:
            return None
        if ending.done():
            return await ending
        # Another run takes over what is under way here. The end comes last: no block is long without one armed.
        for telling in self._telling:
            telling.cancel()
        if self._telling:
            await workflow.wait(self._telling)
        return await self._disarm(ending)

    async def _changed(self, ending: ActivityHandle[Ended]) -> ActivityHandle[Ended]:
        """The order in force is over, stayed, resumed or renewed: its files have it already."""
        if self._place.over:
            self._enter(Stage.UNBLOCKING, None)
            return self._arm() if await self._disarm(ending) is None else ending
        moved = self._place.due != self._due
        self._enter(self._place.stage, self._place.due)
        if moved:
            self._list(stubs.IN_FORCE)
        self._tell("Lift the block: the order is stayed" if self._place.stage is Stage.STAYED else "Block anew")
        return ending

    def _arm(self) -> ActivityHandle[Ended]:
        until = f"Order ends {self._due:%Y-%m-%d %H:%M} UTC" if self._due else "The order is over: end it now"
        return stubs.END.start(EndTask(case=self._case, order=self._order()), summary=until)

    async def _disarm(self, ending: ActivityHandle[Ended]) -> Ended | None:
        """Stop the end that is on its way: two at once would tell each ISP twice. Its result, where it was faster."""
        ending.cancel()
        try:
            return await ending
        except ActivityError as stopped:
            if not _was_stopped(stopped):
                raise
            return None

    def _tell(self, summary: str, *, remind: bool = False) -> None:
        """Tell the ISPs, while the case goes on: one that is away must not hold up what the others are told next."""
        task = OrderTask(case=self._case, order=self._order(), remind=remind)
        telling = asyncio.create_task(self._told(stubs.NOTIFY.start(task, summary=summary)))
        self._telling.append(telling)
        telling.add_done_callback(self._telling.remove)

    async def _told(self, telling: ActivityHandle[Notified]) -> None:
        try:
            await telling
        except FailureError as fault:
            # An order that cannot be told must be seen, by a task that fails; its end is armed all the same.
            if not _was_stopped(fault):
                self._fault = fault
        else:
            if self._stage is Stage.NOTIFICATION:
                self._enter(Stage.VERIFICATION, self._due)

    # -------------------------------------------------------------------------------------- what people may say
    # Signals take whatever comes, and look at it themselves: a declared one that is sent null, bytes, nothing or one
    # argument too many raises an error here, which would hold up the case for good.

    @workflow.update(name="decide")
    async def decide(self, filed: Filed) -> Admitted:
        """A decision that its officer has filed; refused with the rule's code and reason."""
        (admission,) = await self._admit(decisions=(filed.decision,))
        if admission.code is not None:
            raise _refusal(admission.code, admission.reason or admission.code)
        return Admitted(needed=admission.needed)

    @decide.validator
    def _may_decide(self, filed: Filed) -> None:
        if not isinstance(filed, Filed):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _refusal("malformed", "that names no decision")
        if self._stage is not Stage.REVIEW and self._stage not in IN_FORCE:
            raise _refusal("not_under_review", f"there is nothing to decide: the case is in {self._stage.value}")

    @workflow.signal(name="legal_review")
    def legal_review(self, *said: object) -> None:
        """A decision as its officer signed it. A signal cannot be answered, so a refusal goes to the ledger."""
        self._hear()
        if self._refused < MAX_REFUSED and (signed := _one(Signed, said)):
            self._inbox.append(signed.envelope)
        else:
            self._dropped += 1

    @workflow.signal(name="lapse")
    def lapse(self, *said: object) -> None:
        """Verification found measures that do not hold."""
        self._hear()
        if lapse := _one(Lapse, said):
            self._lapses += lapse.measures
        else:
            self._dropped += 1

    @workflow.signal(name="changed")
    def changed(self, *_: object) -> None:
        """The files of the case say something new, by no decision that it was told of: it is to look at them."""
        self._hear()
        self._stale = True

    @workflow.signal(dynamic=True)
    def unknown(self, _name: str, _said: Sequence[RawValue]) -> None:
        """A signal that means nothing. Unless it is taken, it is kept in memory until there is somebody to take it."""
        self._hear()
        self._dropped += 1

    @workflow.query(name="status")
    def status(self) -> CaseStatus:
        """Where the case is, for operators."""
        return CaseStatus(
            stage=self._stage, bundle=self._bundle, order=self._place.order, due=self._due, refused=self._refused
        )

    def _hear(self) -> None:
        """Note that a signal came, and whether it came in a flood of them."""
        moment = workflow.now()
        self._hurried = self._heard_at is not None and moment - self._heard_at < CALM
        self._heard_at = moment

    async def _read(self) -> None:
        """Look at what came by signal; ten thousand of them must not stand before an update."""
        while True:
            # While a capture is under way there is nothing to decide; what comes too early waits for its bundle.
            await workflow.wait_condition(
                lambda: (bool(self._inbox) or self._stale) and self._stage not in BEFORE_REVIEW
            )
            some = tuple(self._inbox)
            self._inbox.clear()
            if len(some) > AT_ONCE:
                self._dropped, self._refused = self._dropped + len(some), MAX_REFUSED
                continue
            self._looking, self._stale = True, False
            try:
                admissions = await self._admit(envelopes=some)
            except FailureError as fault:
                self._fault = fault
                return
            self._refused += sum(one.code is not None for one in admissions)
            self._looking = False

    async def _admit(self, decisions: tuple[str, ...] = (), envelopes: tuple[str, ...] = ()) -> tuple[Admission, ...]:
        """Have decisions verified, admitted and carried out, all in one; then stand where the files say."""
        task = AdmitTask(
            case=self._case, at=workflow.now(), decisions=decisions, envelopes=envelopes, dropped=self._dropped
        )
        self._dropped = 0
        admitted = await stubs.ADMIT.local(task)
        # Not while a capture is under way, for then it is of the round before; nor what another answer has overtaken.
        if self._stage not in BEFORE_REVIEW and _reached(admitted.place) >= _reached(self._place):
            self._place = admitted.place
        return admitted.each

    # -------------------------------------------------------------------------------------------------- the rest

    async def _rest(self) -> None:
        """Let a long run go on in another, a while after it has become so. It looks again, in case of more signals."""
        await workflow.wait_condition(lambda: workflow.info().get_current_history_length() >= LONG)
        while True:
            await workflow.sleep(REST, summary="A long history: another run goes on soon")
            self._rested = True

    def _must_stop(self) -> bool:
        """Whether something failed, or the history is so long that another run must go on and nothing is half-said."""
        if self._fault is not None:
            return True
        full = self._rested or workflow.info().is_continue_as_new_suggested()
        if not full or self._inbox or self._looking:
            return False
        return not (self._hurried and self._heard_at == workflow.now())

    def _lapsed(self) -> bool:
        """Whether a lapse is to be told now. While ISPs are told of so many, the next one waits until that is done."""
        return self._lapses > 0 and len(self._telling) < AT_ONCE

    def _term(self) -> datetime:
        """The end of the term that runs now."""
        assert self._due is not None  # noqa: S101 - every way into a review or an order sets it
        return self._due

    def _order(self) -> str:
        assert self._place.order is not None  # noqa: S101 - enforcement begins with its order
        return self._place.order

    def _enter(self, stage: Stage, due: datetime | None) -> None:
        self._stage, self._due = stage, due
        self._describe()

    def _list(self, phase: str) -> None:
        """What Temporal's list of cases shows and can be searched for; costs one event."""
        stubs.upsert(stubs.STAGE.value_set(phase), stubs.DUE.value_set(self._term().replace(microsecond=0)))

    def _describe(self) -> None:
        """What Temporal's UI shows of the case; replayed, so it costs no event."""
        lines = [f"**Stage** {self._stage}"]
        if self._due:
            lines.append(f"**Due** {self._due:%Y-%m-%d %H:%M:%S} UTC")
        if self._bundle:
            lines.append(f"**Bundle** `{self._bundle[:16]}`")
        workflow.set_current_details("  \n".join(lines))


def _reached(place: Place) -> tuple[int, int, int]:
    """How far a case had come: a round never goes back, nor the version of its order, nor a stage within them."""
    return place.round, place.version, list(Stage).index(place.stage)


def _one(kind: type[T], said: tuple[object, ...]) -> T | None:
    """What a signal brought, if it is one of this kind."""
    try:
        (only,) = said
        return kind.model_validate(only)
    except ValueError:
        return None


def _was_stopped(fault: FailureError) -> bool:
    """Whether an activity ended because it was to stop: at once, or with an attempt that would have been repeated."""
    stopped = isinstance(fault, ActivityError) and fault.retry_state is RetryState.CANCEL_REQUESTED
    return stopped or is_cancelled_exception(fault)


def _refusal(code: str, reason: str) -> ApplicationError:
    return ApplicationError(reason, type=code, non_retryable=True)
