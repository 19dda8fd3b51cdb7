"""Decisions that nobody filed, told to a case by somebody who can reach Temporal."""

from __future__ import annotations

import asyncio

from temporalio.client import WorkflowUpdateFailedError

from precinto.domain.case import Closure, Stage
from precinto.domain.review import Outcome
from tests.authority import SECOND, Authority, terms, until
from tests.workflows.cases import LONG, PROTECTED, forged


class TestForgery:
    """Anyone who can reach Temporal can claim to be a reviewer. The gate asks what is on file."""

    async def test_a_forged_approval_issues_nothing_and_the_honest_one_still_counts(
        self, authority: Authority
    ) -> None:
        case = await authority.refer("y2mate.com")
        bundle = await authority.under_review(case)
        fake = forged(case, bundle, "reviewer-1")
        # Under the decision's own id, which anyone can compute: Temporal answers a second update of that id itself.
        await authority.handle(case).execute_update("decide", fake, id=fake.id)

        async def forgotten() -> bool:
            status = await authority.status(case)
            return status.stage is Stage.REVIEW and status.approvals == 0 and bool(await authority.events(case))

        async def on_record() -> bool:
            return bool(await authority.ledger(case, "decision_refused"))

        await until(on_record, "the refusal in the ledger")
        await until(forgotten, "the case under review again")
        assert await authority.order(case) is None
        assert not any(isp.received for isp in authority.isps.values())
        # The very officer whose name was used decides.
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        order = await authority.order(case)
        assert order is not None

    async def test_a_forged_approval_does_not_postpone_the_escalation(self, authority: Authority) -> None:
        """The reviewers' term runs on as if nobody had said anything."""
        case = await authority.refer("y2mate.com")
        bundle = await authority.under_review(case)
        due = (await authority.status(case)).due
        await authority.tell(case, forged(case, bundle, "reviewer-1"))

        async def under_review_again() -> bool:
            refused = await authority.ledger(case, "decision_refused")
            return bool(refused) and (await authority.status(case)).stage is Stage.REVIEW

        await until(under_review_again, "the case under review again")
        assert (await authority.status(case)).due == due

    async def test_a_forged_approval_does_not_shorten_the_honest_order(self, authority: Authority) -> None:
        """The end that was armed for the order that never came must not end the one that came."""
        case = await authority.refer("y2mate.com", terms(order=2 * SECOND))
        bundle = await authority.under_review(case)
        await authority.tell(case, forged(case, bundle, "reviewer-1"))

        async def on_record() -> bool:
            return bool(await authority.ledger(case, "decision_refused"))

        await until(on_record, "the refusal in the ledger")
        await asyncio.sleep(1)  # so that the two orders' ends lie a second apart
        await authority.decide(case, "reviewer-1")
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await authority.order(case)
        assert order is not None
        assert order.ended_at == order.valid_until

    async def test_the_honest_half_of_two_approvals_stays(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        bundle = await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.tell(case, forged(case, bundle, "reviewer-2"))

        async def back() -> bool:
            status = await authority.status(case)
            return status.stage is Stage.REVIEW and bool(await authority.ledger(case, "decision_refused"))

        await until(back, "the case under review again")
        assert (await authority.status(case)).approvals == 1
        assert (await authority.docket(case)).approvals == ("reviewer-1",)
        await authority.decide(case, "reviewer-2")
        await authority.reached(case, Stage.VERIFICATION)

    async def test_a_forged_rejection_does_not_close_the_case(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        await authority.tell(case, forged(case, bundle, "reviewer-1", Outcome.REJECT))

        async def on_record() -> bool:
            return bool(await authority.ledger(case, "decision_refused"))

        await until(on_record, "the refusal in the ledger")
        assert await authority.stage(case) is Stage.REVIEW

        async def decided() -> bool:
            try:
                return (await authority.decide(case, "reviewer-1")).still_needed == 0
            except WorkflowUpdateFailedError:
                return False

        await until(decided, "the honest decision")
        await authority.reached(case, Stage.VERIFICATION)

    async def test_a_forged_return_captures_nothing(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        await authority.tell(case, forged(case, bundle, "reviewer-1", Outcome.RETURN))

        async def on_record() -> bool:
            return bool(await authority.ledger(case, "decision_refused"))

        await until(on_record, "the refusal in the ledger")
        assert authority.crawler.visits == ["y2mate.com"]
        assert (await authority.status(case)).bundle == bundle

    async def test_a_forged_revocation_changes_nothing(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", terms(order=2 * SECOND))
        bundle = await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        fake = forged(case, bundle, "reviewer-2", Outcome.REVOKE)
        await authority.handle(case).execute_update("revoke", fake, id=fake.id)

        async def on_record() -> bool:
            return bool(await authority.ledger(case, "decision_refused"))

        await until(on_record, "the refusal in the ledger")
        assert all("y2mate.com" in isp.blocked for isp in authority.isps.values())
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await authority.order(case)
        assert order is not None
        assert (order.ended_at, order.revoked) == (order.valid_until, False)
