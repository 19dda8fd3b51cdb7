"""The life of one case, from intake to the verified end of its order.

``intake -> evidence -> review -> notification -> verification -> end``

The history stays the same size whatever the number of ISPs and sweeps: all ISPs are told by one activity, and
sweeps run outside (:mod:`workflows.sweep`). The end of the order is armed *before* the first ISP hears of the
block, as an activity that the server itself wakes at the end date: it needs no workflow code to fire, so even a
case whose workflow were stuck could not keep a block beyond its order (docs/adr/0003).
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from precinto import stubs
    from precinto.contracts import (
        Admission,
        CaptureTask,
        CaseEnd,
        CaseRef,
        CaseStart,
        CaseStatus,
        Conclusion,
        Ended,
        EndTask,
        Escalation,
        Lapse,
        OrderTask,
        Refusal,
        ReminderTask,
    )
    from precinto.domain.case import Closure, Stage
    from precinto.domain.errors import Refused
    from precinto.domain.notification import order_id
    from precinto.domain.review import ORDER_OVER, Decision, Docket, Outcome, Review

MAX_REFUSALS = 50
"""Refused signals that are written down; the rest cost the case nothing but the signal itself."""


@workflow.defn(name="EnforcementCase")
class EnforcementCase:
    """One case: five awaited steps, then the end of the order."""

    @workflow.init
    def __init__(self, start: CaseStart) -> None:
        self._case = start.case
        self._review_term = start.review
        self._order_term = start.order
        self._stage = Stage.INTAKE
        self._reviewed = Review(docket=Docket(bundle=None, barred=(), hold=False))
        self._due: datetime | None = None
        self._review_until = workflow.now()
        self._lapses = 0
        self._revocation: Decision | None = None
        self._refusals = 0

    @workflow.run
    async def run(self, start: CaseStart) -> CaseEnd:
        """Carry the case to its end. Only a decision or the order ends it: cancelling the workflow does not."""
        life = asyncio.create_task(self._life())
        while not life.done():
            try:
                await asyncio.shield(life)
            except asyncio.CancelledError:
                workflow.logger.warning("A cancellation of this case was ignored: reject it, or revoke its order")
        await workflow.wait_condition(workflow.all_handlers_finished)
        ended = life.result()
        return CaseEnd(case=self._case, closure=ended.closure, isps=ended.isps, overstaying=ended.overstaying)

    async def _life(self) -> Ended:
        await self._intake()
        try:
            ended = await self._until_decided()
        except FailureError as fault:
            # A workflow that fails takes the armed end of its order with it; one whose task is stuck does not.
            raise RuntimeError(f"case {self._case} cannot go on") from fault
        self._enter(Stage.CLOSED, None)
        return ended

    async def _until_decided(self) -> Ended:
        number = 1
        await self._evidence(number)
        while True:
            match await self._review():
                case Outcome.APPROVE:
                    if ended := await self._enforcement():
                        return ended
                case Outcome.REJECT if await self._conclude():
                    return Ended(closure=Closure.REJECTED, isps=0, overstaying=0)
                case Outcome.RETURN if await self._conclude():
                    number += 1
                    await self._evidence(number)
                    self._list(stubs.INVESTIGATION)
                case _:
                    pass  # what the workflow was told, the files did not bear out: the case is under review again

    # ------------------------------------------------------------------------------------------------ the steps

    async def _intake(self) -> None:
        accepted = await stubs.ACCEPT.local(CaseRef(case=self._case))
        self._reviewed = Review(docket=Docket(bundle=None, barred=accepted.barred, hold=accepted.hold))

    async def _evidence(self, number: int) -> None:
        self._enter(Stage.EVIDENCE, None)
        # A returned case is no longer under review: decisions on its old bundle must not count.
        self._reviewed = self._reviewed.of(None)
        self._review_until = review_until = workflow.now() + self._review_term
        sealed = await stubs.SEAL.start(
            CaptureTask(case=self._case, round=number, review_until=review_until),
            summary="Seal the evidence",
        )
        self._reviewed = self._reviewed.of(sealed.bundle, hold=sealed.hold)
        self._enter(Stage.REVIEW, review_until)

    async def _review(self) -> Outcome:
        """Wait for the reviewers. Silence escalates, again and again; it never approves."""
        while not (outcome := self._reviewed.outcome):
            due = self._term()
            try:
                await workflow.wait_condition(
                    lambda: self._reviewed.outcome is not None,
                    timeout=max(due - workflow.now(), timedelta(milliseconds=1)),
                    timeout_summary=f"Review due {due:%Y-%m-%d %H:%M} UTC",
                )
            except TimeoutError:
                await stubs.ESCALATE.local(Escalation(case=self._case, due=due))
                self._review_until = workflow.now() + self._review_term
                self._enter(Stage.REVIEW, self._review_until)
                self._list(stubs.INVESTIGATION)
        return outcome

    async def _conclude(self) -> bool:
        """Carry out a rejection or a return; False where the files do not bear the decision out."""
        try:
            await stubs.CONCLUDE.local(Conclusion(case=self._case, decision=self._reviewed.decisions[-1].id))
        except FailureError as error:
            await self._gate_refused(*_verdict(error))
            return False
        return True

    async def _enforcement(self) -> Ended | None:
        """Notification, verification and the end; None where the gate refused to issue the order."""
        bundle = self._reviewed.docket.bundle
        assert bundle is not None  # noqa: S101 - approved decisions are on a bundle
        order = order_id(self._case, bundle)
        while True:
            valid_from = workflow.now().replace(microsecond=0)  # an order counts in whole seconds
            valid_until = valid_from + self._order_term
            self._enter(Stage.NOTIFICATION, valid_until)
            self._list(stubs.IN_FORCE)
            ending = asyncio.create_task(self._end_of_order(order, valid_until))
            task = OrderTask(
                case=self._case,
                order=order,
                decisions=tuple(decision.id for decision in self._reviewed.decisions),
                valid_from=valid_from,
            )
            try:
                await stubs.NOTIFY_ALL.start(task, summary="Notify every ISP")
            except ActivityError as error:
                code, decision = _verdict(error)
                _take_back(ending)
                await workflow.wait([ending])
                if code != ORDER_OVER:
                    await self._gate_refused(code, decision)
                    return None
                # An outage outlasted the order that was to be issued: the decisions stand, its term starts anew.
            else:
                return await self._verification(order, valid_until, ending)

    async def _verification(self, order: str, valid_until: datetime, ending: asyncio.Task[Ended]) -> Ended:
        """Sweeps measure; here only lapses arrive, until the order has ended and its unblock was measured."""
        if not ending.done():
            self._enter(Stage.VERIFICATION, valid_until)
        while not ending.done():
            await workflow.wait_condition(lambda: ending.done() or self._lapses > 0)
            if not ending.done():
                self._lapses = 0
                await stubs.REMIND.start(
                    ReminderTask(case=self._case, order=order), summary="Remind the ISPs that do not hold"
                )
        return await ending

    async def _end_of_order(self, order: str, valid_until: datetime) -> Ended:
        """Armed from the start of the order; a revocation only brings the end forward."""
        while True:
            task = EndTask(case=self._case, order=order, at=valid_until)
            end = stubs.END.start(task, summary=f"Order ends {valid_until:%Y-%m-%d %H:%M} UTC")
            try:
                await workflow.wait_condition(lambda end=end: end.done() or self._revocation is not None)
            except asyncio.CancelledError:
                # No order came of it: an end that was on its way must have stopped before another order can come.
                _take_back(end)
                await workflow.wait([end])
                raise
            if end.done() or self._revocation is None:
                return await end
            _take_back(end)
            revoked = task.model_copy(update={"at": workflow.now(), "revocation": self._revocation.id})
            self._enter(Stage.UNBLOCKING, None)
            try:
                return await stubs.END.start(revoked, summary="The order is revoked: end it now")
            except ActivityError as error:
                # A revocation that is not on file changes nothing: the order runs on to its date.
                code, _ = _verdict(error)
                await self._record_refusal(self._revocation.id, code, undone=True)
                self._revocation = None
                self._enter(Stage.VERIFICATION, valid_until)

    # -------------------------------------------------------------------------------------- what people may say

    @workflow.update(name="decide")
    def decide(self, decision: Decision) -> Admission:
        """A reviewer's decision; the update's id should be the decision's."""
        return self._take(decision)

    @decide.validator
    def _may_decide(self, decision: Decision) -> None:
        self._admit(decision)

    @workflow.signal(name="legal_review")
    async def legal_review(self, decision: Decision) -> None:
        """The same as ``decide``, by signal. A signal cannot be answered, so a refusal goes to the ledger."""
        if decision in self._reviewed.decisions:
            return  # sent once more: it has been taken
        try:
            self._admit(decision)
        except ApplicationError as refused:
            await self._record_refusal(decision.id, refused.type or "refused")
        else:
            self._take(decision)

    @workflow.update(name="revoke")
    def revoke(self, revocation: Decision) -> None:
        """End the order in force before its time."""
        self._revocation = revocation

    @revoke.validator
    def _may_revoke(self, revocation: Decision) -> None:
        if revocation.outcome is not Outcome.REVOKE:
            raise _refusal(Refused("not_a_revocation", "the decision does not revoke the order"))
        if self._stage not in {Stage.NOTIFICATION, Stage.VERIFICATION} or self._revocation is not None:
            raise _refusal(Refused("not_in_force", "there is no order in force that could be revoked"))

    @workflow.signal(name="lapse")
    def lapse(self, lapse: Lapse) -> None:
        """Verification found measures that do not hold."""
        self._lapses += lapse.measures

    @workflow.query(name="status")
    def status(self) -> CaseStatus:
        """Where the case is, for operators."""
        return CaseStatus(
            stage=self._stage,
            bundle=self._reviewed.docket.bundle,
            approvals=len(self._reviewed.docket.approvals),
            approvals_needed=self._reviewed.docket.approvals_needed,
            due=self._due,
        )

    # -------------------------------------------------------------------------------------------------- the rules

    def _admit(self, decision: Decision) -> None:
        try:
            self._reviewed.admit(decision)
        except Refused as refused:
            raise _refusal(refused) from refused

    def _take(self, decision: Decision) -> Admission:
        self._reviewed = self._reviewed.take(decision)
        self._describe()
        return Admission(still_needed=self._reviewed.still_needed)

    async def _gate_refused(self, code: str, at_fault: str | None) -> None:
        """The files do not bear the decisions out: forget the one at fault, or all of them, and review again."""
        left, refused = self._reviewed.without(at_fault)
        for one in refused:
            await self._record_refusal(one.id, code, undone=True)
        self._reviewed, self._revocation = left, None
        # In the term that ran before: what somebody forged must not postpone the escalation.
        self._enter(Stage.REVIEW, self._review_until)
        self._list(stubs.INVESTIGATION)

    async def _record_refusal(self, decision: str, code: str, *, undone: bool = False) -> None:
        self._refusals += 1
        if self._refusals <= MAX_REFUSALS:
            refusal = Refusal(case=self._case, decision=decision[:36], code=code[:60], undone=undone)
            await stubs.REFUSE.local(refusal)

    def _term(self) -> datetime:
        """The end of the term that runs now."""
        assert self._due is not None  # noqa: S101 - every way into a review or an order sets it
        return self._due

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
        docket = self._reviewed.docket
        if self._stage is Stage.REVIEW:
            lines.append(f"**Approvals** {len(docket.approvals)} of {docket.approvals_needed}")
        if docket.bundle:
            lines.append(f"**Bundle** `{docket.bundle[:16]}`")
        workflow.set_current_details("  \n".join(lines))


def _take_back(end: asyncio.Task[Ended]) -> None:
    """Cancel an end; however it ends then, nobody waits for its result."""
    end.cancel()
    end.add_done_callback(lambda it: it.cancelled() or it.exception())


def _refusal(refused: Refused) -> ApplicationError:
    return ApplicationError(refused.reason, type=refused.code, non_retryable=True)


def _verdict(error: FailureError) -> tuple[str, str | None]:
    """The rule that an activity refused by, and the decision at fault; any other failure is raised again."""
    # Temporal wraps what an activity raised, but not what a local one did.
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError) and cause.type == "NotVerified":
        code, decision = (*cause.details, None)[:2]
        return str(code), None if decision is None else str(decision)
    raise error
