"""The desk: what the authority's people do. They refer, decide and revoke; the engine carries it out.

An act is first filed under its officer's name in the database, then the running case is told of it. So the engine
never has to believe what it is told, and an act that was filed while the engine was away is told again, not lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from precinto import engine, stubs
from precinto.contracts import Admission
from precinto.domain import review
from precinto.domain.errors import Refused, Unavailable
from precinto.domain.evidence import Finding, guard
from precinto.domain.guards import GuardLists
from precinto.domain.intake import Referral
from precinto.domain.model import digest
from precinto.domain.review import Decision, Docket, Outcome, Role, admit, decision_id, reviewer
from precinto.domain.terms import Terms
from precinto.ports import Registered, Registry
from precinto.store import Store

ANSWER_SECONDS = 30.0
"""Time a running case has to answer; the SDK's own time limit is per attempt and adds up to more."""

T = TypeVar("T")


class Desk:
    """One installation's desk.

    Args:
        client: Connected Temporal client.
        store: The repositories.
        registry: Officers, ISPs and guard lists.
        terms: Legal terms that new cases snapshot.
        guardlists: The installation's guard lists, joined with the registry's own names.
    """

    def __init__(self, client: Client, store: Store, registry: Registry, terms: Terms, guardlists: GuardLists) -> None:
        self._client = client
        self._store = store
        self._registry = registry
        self._terms = terms
        self._guardlists = guardlists

    async def refer(self, referrals: Sequence[Referral], operator: str) -> list[Registered]:
        """Take in referrals, in order: each opens a case, or joins the open one about its target. Again is the same.

        Raises:
            Refused: ``unknown_officer`` or ``not_an_operator``.
        """
        review.operator(self._registry.officers, operator)
        taken = [
            await self._store.intake.register(one, self.findings(one), operator, self._terms) for one in referrals
        ]
        # A row that was known already is started too: its first taking in may have been cut off in between.
        await asyncio.gather(
            *(self._start(one, referral) for one, referral in zip(taken, referrals, strict=True) if one.start)
        )
        return taken

    async def _start(self, registered: Registered, referral: Referral) -> None:
        held = ", on hold" if registered.hold else ""
        summary = f"{referral.target.value[:100]} ({referral.service}, referred by {referral.partner}{held})"
        await engine.start_case(self._client, registered.case, self._terms, referral.service, summary)

    def findings(self, referral: Referral) -> tuple[Finding, ...]:
        """What the guard lists say of a referral's target."""
        return guard(referral.target, self._guardlists)

    async def decide(self, case: str, officer: str, outcome: Outcome, reasons: str) -> Admission:
        """Decide on the bundle that is under review; saying the same again is the same.

        Raises:
            Refused: A rule says no; the refusal is on file.
            NotFound: No such case.
            Unavailable: The decision is filed, but the case does not answer now; deciding again tells it again.
        """
        docket = await self._store.review.docket(case)
        if docket.bundle is None and await self._store.review.taken(case, officer, outcome):
            return Admission(still_needed=0)  # the case took it after its officer had given up waiting, and went on
        decision = await self._ruled(case, officer, outcome, reasons, docket)
        ticket = await self._file(case, decision, reasons)
        admission = await self._tell(case, "decide", decision, ticket, Admission)
        await self._store.review.admitted(decision.id, ticket)
        return admission

    async def revoke(self, case: str, officer: str, reasons: str) -> None:
        """End the order in force before its time; saying it again is the same.

        Raises:
            Refused: A rule says no, or there is no order in force.
            NotFound: No such case.
            Unavailable: The revocation is filed, but the case does not answer now; revoking again tells it again.
        """
        reviewer(self._registry.officers, officer)
        if await self._store.review.taken(case, officer, Outcome.REVOKE):
            return
        bundle = await self._store.review.decided_bundle(case)
        decision = self._decision(case, bundle, officer, Outcome.REVOKE, reasons)
        ticket = await self._file(case, decision, reasons)
        await self._tell(case, "revoke", decision, ticket, type(None))
        await self._store.review.admitted(decision.id, ticket)

    async def _ruled(self, case: str, officer: str, outcome: Outcome, reasons: str, docket: Docket) -> Decision:
        """The decision, if the rules let it in; a refusal is put on file."""
        if docket.bundle is None:
            raise Refused("not_under_review", "the case is not under review: there is nothing to decide on")
        decision = self._decision(case, docket.bundle, officer, outcome, reasons)
        try:
            reviewer(self._registry.officers, officer)
            admit(decision, docket)
        except Refused as refused:
            await self._store.review.refuse(case, decision.id, refused.code)
            raise
        return decision

    def _decision(self, case: str, bundle: str, officer: str, outcome: Outcome, reasons: str) -> Decision:
        if not reasons.strip():
            raise Refused("reasons_missing", "a decision states its reasons")
        return Decision(
            id=decision_id(case, bundle, officer, outcome),
            officer=officer,
            outcome=outcome,
            bundle=bundle,
            basis=self._terms.basis,
            reasons=digest(reasons.encode()),
        )

    async def _file(self, case: str, decision: Decision, reasons: str) -> str:
        role = reviewer(self._registry.officers, decision.officer)
        acting = Role.LEGAL_HEAD if Role.REVIEWER not in role.roles else Role.REVIEWER
        return await self._store.review.submit(case, decision, acting.value, reasons)

    async def _tell(self, case: str, update: str, decision: Decision, ticket: str, result: type[T]) -> T:
        """Tell the running case; the ticket makes a repeated telling one."""
        handle = self._client.get_workflow_handle(stubs.case_workflow(case))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                    update, decision, id=ticket, result_type=result
                )
        except WorkflowUpdateFailedError as failed:
            cause = failed.cause
            if not isinstance(cause, ApplicationError):
                raise
            code = cause.type or "refused"
            await self._store.review.refuse(case, decision.id, code)
            raise Refused(code, cause.message) from failed
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise Refused("not_running", f"case {case} is not running any more") from error
            raise _unanswered(case) from error
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            raise _unanswered(case) from error


def _unanswered(case: str) -> Unavailable:
    return Unavailable(
        f"case {case} does not answer: is a worker running? What was said is on file; say the same again, and the "
        "case is told again, once"
    )
