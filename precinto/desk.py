"""The desk: what the authority's people do. They refer and decide; the engine carries it out.

A decision is signed by its officer's own key and filed under it in the database, then the running case is told of it.
So the engine never has to believe what it is told, and a decision that was filed while the engine was away is told
again, not lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError
from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from precinto import engine, stubs
from precinto.contracts import Admitted, Filed
from precinto.domain.errors import BadInput, Refused, Unavailable
from precinto.domain.evidence import Finding, guard
from precinto.domain.guards import GuardLists
from precinto.domain.intake import Referral
from precinto.domain.model import digest, first_wrong
from precinto.domain.policy import Deed, can
from precinto.domain.procedures import Snapshot
from precinto.domain.review import Outcome
from precinto.domain.statements import Statement, new_nonce, sign, statement_id
from precinto.ports import Registered, Registry
from precinto.store import Store
from precinto.store.review import DecisionRow, DecisionState

ANSWER_SECONDS = 30.0
"""Time a running case has to answer; the SDK's own time limit is per attempt and adds up to more."""

BEHIND_SECONDS = 5.0
"""Time that a case's workflow may be behind its files: what is under review there is so here in a moment."""


@dataclass(frozen=True)
class Signatory:
    """An officer who decides, with the key to sign with."""

    officer: str
    key: Ed25519PrivateKey


class Desk:
    """One installation's desk.

    Args:
        client: Connected Temporal client.
        store: The repositories.
        registry: Officers, ISPs and guard lists.
        terms: The procedure that new cases snapshot.
        guardlists: The installation's guard lists, joined with the registry's own names.
    """

    def __init__(
        self, client: Client, store: Store, registry: Registry, terms: Snapshot, guardlists: GuardLists
    ) -> None:
        self._client = client
        self._store = store
        self._registry = registry
        self._terms = terms
        self._guardlists = guardlists

    async def refer(self, referrals: Sequence[Referral], operator: str) -> list[Registered]:
        """Take in referrals, in order: each opens a case, or joins the open one about its target. Again is the same.

        Raises:
            Refused: ``unknown_officer`` or ``not_entitled``.
        """
        can(self._registry.officers, operator, Deed.REFER, datetime.now(UTC))
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

    async def decide(
        self,
        case: str,
        signatory: Signatory,
        outcome: Outcome,
        reasons: str,
        grounds: Sequence[str] = (),
        about: str | None = None,
    ) -> Admitted:
        """Decide on a case: on its bundle under review, or on its order in force. The same again is the same.

        Args:
            case: The case.
            signatory: Who decides.
            outcome: What is decided.
            reasons: Why, for the file.
            grounds: Codes of the case's procedure; where it has one for this outcome only, that is the default.
            about: The objection that is decided, or the standing order that a release rides on.

        Raises:
            Refused: A rule says no; of what was signed, the refusal is on file.
            BadInput: What was given cannot be said in a statement; names the place.
            NotFound: No such case.
            Unavailable: The decision is filed, but the case does not answer now; deciding again tells it again.
        """
        filed = await self.file(case, signatory, outcome, reasons, grounds, about)
        if filed.state == DecisionState.ADMITTED:  # the case took it after its officer had given up waiting
            return Admitted(needed=(await self._store.review.docket(case)).still_needed)
        return await self._tell(case, filed)

    async def file(
        self,
        case: str,
        signatory: Signatory,
        outcome: Outcome,
        reasons: str,
        grounds: Sequence[str] = (),
        about: str | None = None,
    ) -> DecisionRow:
        """Sign a decision and file it; its case is not told. Raises as :meth:`decide`."""
        officer, review = signatory.officer, self._store.review
        docket, snapshot = await review.docket(case), await review.snapshot(case)
        if not reasons.strip():
            raise Refused("reasons_missing", "a decision states its reasons")
        if known := await review.said(case, officer, outcome, reasons, about):
            return known
        if docket.bundle is None:
            raise Refused("not_under_review", "the case is not under review: there is nothing to decide on")
        moment = datetime.now(UTC)
        try:
            statement = Statement(
                case=case,
                subject=docket.bundle,
                outcome=outcome,
                grounds=tuple(grounds) or default_grounds(snapshot, outcome),
                reasons=digest(reasons.encode()),
                about=about,
                actor=officer,
                role=can(self._registry.officers, officer, outcome, moment, snapshot.procedure),
                at=moment,
                nonce=new_nonce(),
            )
        except ValidationError as error:
            raise BadInput(": ".join(first_wrong(error))) from error
        envelope = sign(statement, signatory.key)
        try:
            return await review.file(case, envelope, reasons, self._registry.officers)
        except Refused as refused:
            await review.refuse(case, statement_id(envelope), refused.code)
            raise

    async def _tell(self, case: str, filed: DecisionRow) -> Admitted:
        """Tell the running case; the ticket makes a repeated telling one."""
        handle = self._client.get_workflow_handle(stubs.case_workflow(case))
        behind_until = time.monotonic() + BEHIND_SECONDS
        while True:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                        "decide", Filed(decision=filed.id), id=filed.ticket, result_type=Admitted
                    )
            except WorkflowUpdateFailedError as failed:
                cause = failed.cause
                if not isinstance(cause, ApplicationError):
                    raise
                code = cause.type or "refused"
                if code == "not_under_review" and time.monotonic() < behind_until and await self._decidable(case):
                    await asyncio.sleep(0.1)
                    continue
                await self._store.review.refuse(case, filed.id, code)
                raise Refused(code, cause.message) from failed
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    raise Refused("not_running", f"case {case} is not running any more") from error
                raise _unanswered(case) from error
            except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
                raise _unanswered(case) from error

    async def _decidable(self, case: str) -> bool:
        return (await self._store.review.docket(case)).is_decidable


def default_grounds(snapshot: Snapshot, outcome: Outcome) -> tuple[str, ...]:
    """The one ground that a procedure has for an outcome.

    Raises:
        Refused: ``ground_missing``: it has several, or none.
    """
    codes = [ground.code for ground in snapshot.procedure.grounds if outcome in ground.outcomes]
    if len(codes) == 1:
        return (codes[0],)
    choice = f"one of {', '.join(codes)}" if codes else f"and {snapshot.procedure.name} knows none to {outcome.value}"
    raise Refused("ground_missing", f"a decision names its legal ground: {choice}")


def _unanswered(case: str) -> Unavailable:
    return Unavailable(
        f"case {case} does not answer: is a worker running? What was said is on file; say the same again, and the "
        "case is told again, once"
    )
