"""The life of a case, told by what happens at the ISPs and by what is written down."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from precinto import engine, stubs
from precinto.contracts import Lapse
from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound, Refused, Unavailable
from precinto.domain.intake import Service
from precinto.domain.model import digest
from precinto.domain.notification import Action
from precinto.domain.review import Decision, Outcome
from precinto.domain.verification import Standing
from precinto.store import Store, ledger
from tests.authority import SECOND, Authority, decision, open_authority, terms, until
from tests.fakes import FakeIsp
from workflows.case import MAX_REFUSALS

PROTECTED = "descargas.gob.pe"
"""Below a protected name: its cases are held for two reviewers."""

LONG = terms(order=600 * SECOND)
"""For tests that are not about the end of the order."""


async def refused(code: str, telling: object) -> None:
    """Await an update that must be refused with this code."""
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await telling  # type: ignore[misc]
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == code


def forged(case: str, bundle: str, officer: str, outcome: Outcome = Outcome.APPROVE) -> Decision:
    """A decision as anyone who can reach Temporal can make it: right in every part, and filed by nobody."""
    return decision(case, bundle, officer, outcome)


class TestTheUsualWay:
    """From a referral to the measured unblock."""

    async def test_a_case_runs_to_its_measured_unblock(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com")
        await authority.under_review(case)
        assert (await authority.decide(case, "reviewer-1")).still_needed == 0
        await authority.reached(case, Stage.VERIFICATION)
        assert all("y2mate.com" in isp.blocked for isp in authority.isps.values())

        result = await authority.closed(case)
        assert (result.closure, result.isps, result.overstaying) == (Closure.UNBLOCKED, 2, 0)
        assert not any(isp.blocked for isp in authority.isps.values())
        assert await authority.standings(case) == {"isp0": "released", "isp1": "released"}
        assert [n.action for n in authority.isps["isp0"].received] == [Action.BLOCK, Action.RELEASE]
        await ledger.verify(authority.store.database)

    async def test_nobody_is_told_before_a_human_has_decided(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.sweep()
        assert await authority.order(case) is None
        assert not any(isp.received for isp in authority.isps.values())

    async def test_referred_again_it_is_the_same_case_at_work(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        run = (await authority.handle(case).describe()).run_id
        assert await authority.refer("www.Y2MATE.com.", LONG) == case
        assert (await authority.handle(case).describe()).run_id == run
        assert authority.crawler.visits == ["y2mate.com"]

    async def test_a_case_that_has_ended_is_not_started_again(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1", Outcome.REJECT)
        await authority.handle(case).result()
        await engine.start_case(authority.client, case, LONG, Service.STREAM_RIPPER, "once more")
        assert (await authority.handle(case).describe()).status is WorkflowExecutionStatus.COMPLETED

    async def test_the_order_ends_when_it_says_and_not_before(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com")
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.closed(case)
        order = await authority.order(case)
        assert order is not None
        assert order.ended_at == order.valid_until
        (ended,) = await authority.ledger(case, "order_ended")
        assert ended.at >= order.valid_until

    async def test_a_worker_that_keeps_nothing_in_memory_carries_it_all_the_same(self, forgetful: Authority) -> None:
        """Each task replays the case: whatever is not deterministic fails here."""
        forgetful.isps["isp0"].ignores[Action.BLOCK] = 1
        case = await forgetful.refer(PROTECTED)
        await forgetful.under_review(case)
        await forgetful.decide(case, "reviewer-1")
        await refused("same_officer_twice", forgetful.tell(case, await forgetful.file(case, "reviewer-1")))
        await forgetful.decide(case, "reviewer-2")
        assert (await forgetful.closed(case)).closure is Closure.UNBLOCKED


class TestReview:
    """A named human decides, on exactly what was sealed; silence decides nothing."""

    async def test_a_case_on_hold_needs_two(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        assert (await authority.decide(case, "reviewer-1")).still_needed == 1
        assert await authority.order(case) is None
        assert (await authority.decide(case, "legal-head")).still_needed == 0
        await authority.reached(case, Stage.VERIFICATION)

    async def test_the_same_officer_twice_is_one(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await authority.decide(case, "reviewer-1")
        assert "reviewer-1 has approved already; a second, different reviewer must" in str(failed.value.cause)
        assert (await authority.status(case)).approvals == 1

    async def test_whoever_opened_the_case_may_not_decide_it(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG, opened_by="reviewer-1")
        await authority.under_review(case)
        await refused("referrer_may_not_decide", authority.decide(case, "reviewer-1"))
        await authority.decide(case, "reviewer-2")

    async def test_a_decision_on_another_bundle_is_refused(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await refused("other_bundle", authority.tell(case, decision(case, digest(b"other"), "reviewer-1")))

    async def test_before_there_is_a_bundle_there_is_nothing_to_decide(self, authority: Authority) -> None:
        release = asyncio.Event()
        capture = authority.crawler.capture

        async def slow(target: object) -> object:
            await release.wait()
            return await capture(target)  # type: ignore[arg-type]

        authority.crawler.capture = slow  # type: ignore[method-assign, assignment]
        case = await authority.refer("y2mate.com", LONG)
        await refused("not_under_review", authority.tell(case, decision(case, digest(b"any"), "reviewer-1")))
        release.set()
        await authority.under_review(case)

    async def test_after_the_decision_there_is_nothing_more_to_decide(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await refused("already_decided", authority.decide(case, "reviewer-2", Outcome.REJECT))

    async def test_refused_updates_leave_no_event(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        before = await authority.events(case)
        for _ in range(5):
            await refused("other_bundle", authority.tell(case, decision(case, digest(b"other"), "reviewer-1")))
        assert await authority.events(case) == before

    async def test_a_rejection_closes_the_case(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1", Outcome.REJECT)
        assert (await authority.handle(case).result()).closure is Closure.REJECTED
        assert await authority.stage(case) is Stage.CLOSED
        assert not any(isp.received for isp in authority.isps.values())

    async def test_a_return_captures_again_and_old_approvals_do_not_count(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        first = await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.decide(case, "reviewer-2", Outcome.RETURN)
        second = await authority.under_review(case, other_than=first)
        assert authority.crawler.visits == [PROTECTED, PROTECTED]
        assert (await authority.status(case)).approvals == 0
        await refused("other_bundle", authority.tell(case, decision(case, first, "legal-head")))
        assert (await authority.decide(case, "legal-head")).still_needed == 1
        assert (await authority.decide(case, "reviewer-1")).still_needed == 0
        await authority.reached(case, Stage.VERIFICATION)
        order = await authority.order(case)
        assert order is not None
        assert order.bundle == second

    async def test_silence_escalates_and_never_approves(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", terms(review=0.3 * SECOND))
        await authority.under_review(case)

        async def overdue() -> bool:
            return len(await authority.escalations(case)) >= 2

        await until(overdue, "two escalations")
        assert {what for what, _ in await authority.escalations(case)} == {"review_overdue"}
        assert (await authority.status(case)).approvals == 0
        assert await authority.order(case) is None
        await authority.decide(case, "reviewer-1")
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED


class TestBySignal:
    """``legal_review``, for people who use Temporal's own tools: the same rules, and refusals go to the ledger."""

    async def signal(self, authority: Authority, case: str, one: Decision) -> None:
        """Tell a case of a decision by signal."""
        await authority.handle(case).signal("legal_review", one)

    async def refusals(self, authority: Authority, case: str, count: int) -> list[str]:
        """Wait until this many refusals are in the ledger; returns their bodies."""

        async def written() -> list[str] | None:
            rows = [row.body for row in await authority.ledger(case, "decision_refused")]
            return rows if len(rows) >= count else None

        return await until(written, f"{count} refusals in the ledger") or []

    async def test_a_signal_decides_like_an_update(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await self.signal(authority, case, await authority.file(case, "reviewer-1"))
        await authority.reached(case, Stage.VERIFICATION)

    async def test_a_refused_signal_is_written_to_the_ledger(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        other = decision(case, digest(b"other"), "reviewer-1")
        await self.signal(authority, case, other)
        (body,) = await self.refusals(authority, case, 1)
        assert body == f'{{"code":"other_bundle","decision":"{other.id}"}}'
        await authority.decide(case, "reviewer-1")

    async def test_the_same_signal_twice_is_one_and_spoils_nothing(self, authority: Authority) -> None:
        """Temporal delivers a signal once, but a person may send it again: the decision stays good."""
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        one = await authority.file(case, "reviewer-1")
        for _ in range(2):
            await self.signal(authority, case, one)

        async def counted() -> bool:
            return (await authority.status(case)).approvals == 1

        await until(counted, "one approval")
        assert (await authority.decisions(case))[one.id] == ("submitted", None)
        await authority.decide(case, "reviewer-2")
        await authority.reached(case, Stage.VERIFICATION)

    async def test_a_flood_of_bad_signals_is_written_down_only_so_far(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        other = decision(case, digest(b"other"), "reviewer-1")
        await asyncio.gather(*(self.signal(authority, case, other) for _ in range(300)))
        await self.refusals(authority, case, MAX_REFUSALS)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        written = (await authority.events(case)).count("MARKER_RECORDED") - 1  # one is intake's
        assert written == MAX_REFUSALS
        # A task that was done twice wrote its refusals twice; but never one for each signal.
        assert MAX_REFUSALS <= len(await authority.ledger(case, "decision_refused")) < 2 * MAX_REFUSALS


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


class TestIspsThatMisbehave:
    """What an ISP says is a claim; what a sweep measures is a fact."""

    async def test_one_that_lies_is_reminded_until_it_blocks(self, authority: Authority) -> None:
        authority.isps["isp1"].ignores[Action.BLOCK] = 2
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)

        async def compliant() -> bool:
            await authority.sweep()
            return await authority.standings(case) == {"isp0": "compliant", "isp1": "compliant"}

        await until(compliant, "compliance everywhere")
        assert await authority.notices(case) == [
            ("isp0", "block", 0, "delivered"),
            ("isp1", "block", 0, "delivered"),
            ("isp1", "block", 1, "delivered"),
            ("isp1", "block", 2, "delivered"),
        ]
        moves = [row.body for row in await authority.ledger(case, "standing_changed") if '"isp1"' in row.body]
        assert any('"to":"lapsed"' in body for body in moves)

    async def test_one_that_forgets_to_unblock_is_reminded_until_it_does(self, authority: Authority) -> None:
        authority.isps["isp0"].ignores[Action.RELEASE] = 1
        case = await authority.refer("y2mate.com", terms(order=SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        result = await authority.closed(case)
        assert (result.closure, result.overstaying) == (Closure.UNBLOCKED, 0)
        assert ("isp0", "release", 1, "delivered") in await authority.notices(case)
        assert not authority.isps["isp0"].blocked

    async def test_one_that_never_lifts_is_named_to_a_human(self, authority: Authority) -> None:
        authority.isps["isp0"].ignores[Action.RELEASE] = 10_000
        case = await authority.refer("y2mate.com", terms(order=SECOND, release=SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        result = await authority.closed(case)
        assert (result.closure, result.overstaying) == (Closure.ESCALATED, 1)
        assert await authority.escalations(case) == [("block_not_lifted", "isp0")]

    async def test_a_dead_one_delays_no_other(self, authority: Authority) -> None:
        authority.isps["isp0"].failures = [Unavailable("no route to host")] * 10_000
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")

        async def told() -> bool:
            return "y2mate.com" in authority.isps["isp1"].blocked

        await until(told, "the block at the other ISP")
        assert await authority.stage(case) is Stage.NOTIFICATION

        async def measured() -> bool:
            await authority.sweep(["isp1"])
            return (await authority.standings(case))["isp1"] == "compliant"

        await until(measured, "its verification")

    async def test_the_order_ends_on_time_while_one_is_still_being_notified(self, authority: Authority) -> None:
        authority.isps["isp0"].failures = [Unavailable("no route to host")] * 10_000
        case = await authority.refer("y2mate.com", terms(order=1.5 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        result = await authority.closed(case)
        order = await authority.order(case)
        assert order is not None
        assert order.ended_at == order.valid_until
        (ended,) = await authority.ledger(case, "order_ended")
        assert ended.at - order.valid_until < timedelta(seconds=1)
        # It was never reached, and it was measured open: there is nothing to escalate.
        assert result.closure is Closure.UNBLOCKED
        assert ("isp0", "block", 0, "void") in await authority.notices(case)

    async def test_one_that_refuses_is_put_before_a_human_and_the_case_goes_on(self, authority: Authority) -> None:
        authority.isps["isp0"].failures = [Refused("not_ours", "we are no longer an ISP")]
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        ((what, subject),) = await authority.escalations(case)
        assert (what, subject.partition(":")[0]) == ("notice_undeliverable", "isp0")

    async def test_a_retry_tells_only_those_that_were_not_told(self, authority: Authority) -> None:
        authority.isps["isp0"].failures = [Unavailable("busy")]
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        assert [len(isp.received) for isp in authority.isps.values()] == [1, 1]


class TestTheEnd:
    """A block cannot outlive its order, and may end sooner."""

    async def test_a_revocation_ends_it_early(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.revoke(case, "reviewer-2")
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await authority.order(case)
        assert order is not None
        assert order.revoked
        assert order.ended_at is not None
        assert order.ended_at < order.valid_until
        assert not any(isp.blocked for isp in authority.isps.values())

    async def test_an_order_not_in_force_cannot_be_revoked(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        await refused("not_in_force", authority.revoke(case, "reviewer-1"))
        await refused("not_in_force", authority.tell(case, decision(case, bundle, "reviewer-1", Outcome.REVOKE)))

    async def test_only_a_revocation_revokes(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        rejection = decision(case, bundle, "reviewer-1", Outcome.REJECT)
        await refused(
            "not_a_revocation",
            authority.handle(case).execute_update("revoke", rejection, id=str(uuid.uuid4())),
        )

    async def test_a_lapse_that_arrives_after_the_end_is_harmless(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", terms(order=SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")

        async def ended() -> bool:
            return await authority.stage(case) is Stage.UNBLOCKING

        await until(ended, "the end of the order")
        await authority.handle(case).signal("lapse", Lapse(case=case, measures=1))
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        assert not any(action == "block" and reminder for _, action, reminder, _ in await authority.notices(case))
        await engine.TemporalSignals(authority.client).lapsed(case, 1)

    async def test_cancelling_the_workflow_does_not_leave_the_block_behind(self, authority: Authority) -> None:
        """Somebody presses Cancel in Temporal's UI: the order runs to its end, and its unblock is measured."""
        case = await authority.refer("y2mate.com", terms(order=2 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.handle(case).cancel()
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        assert not any(isp.blocked for isp in authority.isps.values())

    async def test_an_outage_longer_than_the_order_blocks_nobody_afterwards(
        self, client: Client, sqlite_store: Store
    ) -> None:
        """The database is away until the order would be over: the order that is issued then runs its whole term."""
        async with open_authority(client, sqlite_store, {"isp0": FakeIsp()}) as authority:
            case = await authority.refer("y2mate.com", terms(order=1.5 * SECOND))
            await authority.under_review(case)
            issue, since = authority.store.notification.issue, datetime.now(UTC)

            async def away(*arguments: object) -> str:
                if datetime.now(UTC) < since + 2 * SECOND:
                    raise Unavailable("the database is away")
                return await issue(*arguments)  # type: ignore[arg-type]

            authority.store.notification.issue = away  # type: ignore[method-assign, assignment]
            await authority.decide(case, "reviewer-1")
            assert (await authority.closed(case)).closure is Closure.UNBLOCKED
            order = await authority.order(case)
            assert order is not None
            assert order.valid_from > since + SECOND
            assert order.ended_at == order.valid_until
            assert [n.action for n in authority.isps["isp0"].received] == [Action.BLOCK, Action.RELEASE]

    async def test_a_fault_in_the_workflow_does_not_leave_the_block_behind(self, authority: Authority) -> None:
        """The end of the order lies with the server: a case whose task fails again and again ends it all the same."""
        authority.isps["isp1"].ignores[Action.BLOCK] = 1
        remind = authority.store.notification.remind

        async def faulty(order: str, standing: Standing, now: datetime) -> int:
            if standing is Standing.LAPSED:
                raise NotFound("a fault that no retry mends")
            return await remind(order, standing, now)

        authority.store.notification.remind = faulty  # type: ignore[method-assign]
        case = await authority.refer("y2mate.com", terms(order=3 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")

        async def stuck() -> bool:
            await authority.sweep()
            return "WORKFLOW_TASK_FAILED" in await authority.events(case)

        async def ended() -> bool:
            await authority.sweep()
            return await authority.stage(case) is Stage.CLOSED

        await until(stuck, "the fault")
        await until(ended, "the end of the order")
        assert (await authority.handle(case).describe()).status is WorkflowExecutionStatus.RUNNING
        assert set((await authority.standings(case)).values()) == {"released"}
        assert not any(isp.blocked for isp in authority.isps.values())

    async def test_a_revocation_of_an_order_that_the_gate_refuses_is_forgotten(self, authority: Authority) -> None:
        """It must not end the order that comes after."""
        gate, asked = asyncio.Event(), asyncio.Event()
        issue = authority.store.notification.issue

        async def slow(*arguments: object) -> str:
            asked.set()
            await gate.wait()
            return await issue(*arguments)  # type: ignore[arg-type]

        authority.store.notification.issue = slow  # type: ignore[method-assign, assignment]
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        await authority.tell(case, forged(case, bundle, "reviewer-1"))
        await asked.wait()
        await authority.revoke(case, "reviewer-2")
        gate.set()

        async def reviewed_again() -> bool:
            return (await authority.status(case)).stage is Stage.REVIEW

        await until(reviewed_again, "the case under review again")
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await authority.sweep()
        order = await authority.order(case)
        assert order is not None
        assert order.ended_at is None


class TestTheList:
    """What Temporal's own list of cases shows."""

    async def listed(self, authority: Authority, case: str) -> tuple[str | None, datetime | None]:
        """Phase and due date of a case, in the list."""
        attributes = (await authority.handle(case).describe()).typed_search_attributes
        return attributes.get(stubs.STAGE), attributes.get(stubs.DUE)

    async def test_a_case_is_listed_with_its_phase_and_the_end_of_its_term(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        phase, due = await self.listed(authority, case)
        promised = (await authority.status(case)).due
        assert phase == stubs.INVESTIGATION
        assert due is not None
        assert promised is not None
        assert abs(due - promised) < 5 * SECOND  # the starter's clock, to the second
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        order = await authority.order(case)
        assert order is not None
        until_then = order.valid_until.replace(microsecond=0)
        assert await self.listed(authority, case) == (stubs.IN_FORCE, until_then)

    async def test_a_review_that_escalates_or_begins_anew_has_a_new_term(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, terms(review=4 * SECOND))
        bundle = await authority.under_review(case)
        _, first = await self.listed(authority, case)
        await asyncio.sleep(1)  # the list knows whole seconds
        await authority.decide(case, "reviewer-1", Outcome.RETURN)
        await authority.under_review(case, other_than=bundle)
        phase, second = await self.listed(authority, case)

        async def escalated() -> bool:
            return bool(await authority.escalations(case))

        await until(escalated, "the escalation")
        _, third = await self.listed(authority, case)
        assert phase == stubs.INVESTIGATION
        assert first is not None
        assert second is not None
        assert third is not None
        assert first < second < third
