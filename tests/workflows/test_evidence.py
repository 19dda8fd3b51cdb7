"""Evidence in the running case: what it shows can hold the case, and without its time nothing is ordered."""

from __future__ import annotations

from precinto import engine
from precinto.domain.case import Closure
from precinto.domain.review import Outcome
from tests.authority import SECOND, Authority, decision, terms, until


async def test_a_capture_that_failed_holds_the_case_for_two_reviewers(authority: Authority) -> None:
    authority.crawler.failure = "the site is down"
    case = await authority.refer("y2mate.com", terms(order=SECOND))
    await authority.under_review(case)
    assert (await authority.status(case)).approvals_needed == 2
    await authority.decide(case, "reviewer-1")
    assert (await authority.status(case)).approvals == 1
    await authority.decide(case, "reviewer-2")
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED


async def test_an_approval_by_signal_does_not_get_past_a_missing_time_stamp(authority: Authority) -> None:
    """The workflow cannot know; the gate does, takes the approval back, and the case is under review again."""
    authority.timestampers[1].down = True
    case = await authority.refer("y2mate.com", terms(order=SECOND))
    bundle = await authority.under_review(case)
    filed = await authority.file(case, "reviewer-1")
    assert filed == decision(case, bundle, "reviewer-1", Outcome.APPROVE)
    await authority.handle(case).signal("legal_review", filed)
    await until(lambda: authority.ledger(case, "decision_refused"), "the refusal")
    (refused,) = await authority.ledger(case, "decision_refused")
    assert "time_pending" in refused.body
    assert await authority.order(case) is None

    authority.timestampers[1].down = False
    assert (await engine.stamp_now(authority.client)).waiting == 0
    await authority.decide(case, "reviewer-2")
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
