"""Evidence in the running case: what it shows can hold the case, and without its time nothing is ordered."""

from __future__ import annotations

import pytest

from precinto import engine
from precinto.domain.case import Closure
from precinto.domain.errors import Refused
from tests.authority import SECOND, Authority, envelope, terms, until


async def test_a_capture_that_failed_holds_the_case_for_two_reviewers(authority: Authority) -> None:
    authority.crawler.failure = "the site is down"
    case = await authority.refer("y2mate.com", terms(order=3 * SECOND))
    await authority.under_review(case)
    assert (await authority.docket(case)).approvals_needed == 2
    assert (await authority.decide(case, "reviewer-1")).needed == 1
    assert (await authority.decide(case, "reviewer-2")).needed == 0
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED


async def test_what_lacks_a_time_stamp_cannot_be_approved_by_any_way(authority: Authority) -> None:
    authority.timestampers[1].down = True
    case = await authority.refer("y2mate.com", terms(order=3 * SECOND))
    bundle = await authority.under_review(case)
    with pytest.raises(Refused) as refused:
        await authority.file(case, "reviewer-1")
    assert refused.value.code == "time_pending"
    await authority.signal(case, envelope(case, bundle, "reviewer-1"))
    await until(lambda: authority.ledger(case, "decision_refused"), "the refusal")
    assert await authority.order(case) is None

    authority.timestampers[1].down = False
    assert (await engine.stamp_now(authority.client)).waiting == 0
    await authority.decide(case, "reviewer-2")
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
