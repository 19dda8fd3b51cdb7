"""Review in the workflow: a named human decides, on exactly what was sealed; silence decides nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from precinto.domain.case import Closure, Stage
from precinto.domain.errors import Refused
from precinto.domain.review import Outcome
from precinto.ports import Capture, Subject
from tests.authority import SECOND, Authority, terms, until
from tests.workflows.cases import LONG, PROTECTED, refused


async def not_filed(code: str, filing: object) -> None:
    """Await the filing of a decision that must be refused with this code."""
    with pytest.raises(Refused) as no:
        await filing  # type: ignore[misc]
    assert no.value.code == code


async def test_a_case_on_hold_needs_two(authority: Authority) -> None:
    case = await authority.refer(PROTECTED, LONG)
    await authority.under_review(case)
    assert (await authority.decide(case, "reviewer-1")).needed == 1
    assert await authority.order(case) is None
    assert (await authority.decide(case, "legal-head")).needed == 0
    await authority.reached(case, Stage.VERIFICATION)


async def test_the_same_officer_twice_is_one(authority: Authority) -> None:
    case = await authority.refer(PROTECTED, LONG)
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await not_filed("same_officer_twice", authority.file(case, "reviewer-1"))
    assert (await authority.docket(case)).approvals == ("reviewer-1",)


async def test_whoever_opened_the_case_may_not_decide_it(authority: Authority) -> None:
    case = await authority.refer("y2mate.com", LONG, opened_by="reviewer-1")
    await authority.under_review(case)
    await not_filed("referrer_may_not_decide", authority.file(case, "reviewer-1"))
    await authority.decide(case, "reviewer-2")


async def test_two_who_sign_before_either_is_told_are_two(authority: Authority) -> None:
    case = await authority.refer(PROTECTED, LONG)
    await authority.under_review(case)
    first, second = await authority.file(case, "reviewer-1"), await authority.file(case, "reviewer-2")
    needed = await asyncio.gather(authority.tell(case, first.id), authority.tell(case, second.id))
    assert sorted(one.needed for one in needed) == [0, 1]
    await authority.reached(case, Stage.VERIFICATION)


async def test_of_two_opposite_decisions_the_first_told_counts(authority: Authority) -> None:
    case = await authority.refer("y2mate.com", LONG)
    await authority.under_review(case)
    rejection = await authority.file(case, "reviewer-2", Outcome.REJECT)
    await authority.decide(case, "reviewer-1")
    await refused("not_under_review", authority.tell(case, rejection.id))
    assert await authority.stage(case) in {Stage.NOTIFICATION, Stage.VERIFICATION}


async def test_before_there_is_a_bundle_there_is_nothing_to_decide(authority: Authority) -> None:
    go = asyncio.Event()
    capture = authority.crawler.capture

    async def slow(subject: Subject, folder: Path) -> Capture:
        await go.wait()
        return await capture(subject, folder)

    authority.crawler.capture = slow  # type: ignore[method-assign]
    case = await authority.refer("y2mate.com", LONG)
    await refused("not_under_review", authority.tell(case, "0" * 32))
    go.set()
    await authority.under_review(case)


async def test_an_update_that_comes_too_early_leaves_no_event(authority: Authority) -> None:
    go = asyncio.Event()
    capture = authority.crawler.capture

    async def slow(subject: Subject, folder: Path) -> Capture:
        await go.wait()
        return await capture(subject, folder)

    authority.crawler.capture = slow  # type: ignore[method-assign]
    case = await authority.refer("y2mate.com", LONG)
    for _ in range(5):
        await refused("not_under_review", authority.tell(case, "0" * 32))
    assert not any("UPDATE" in event for event in await authority.events(case))
    go.set()


async def test_a_rejection_closes_the_case(authority: Authority) -> None:
    case = await authority.refer(PROTECTED, LONG)
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1", Outcome.REJECT)
    assert (await authority.handle(case).result()).closure is Closure.REJECTED
    assert await authority.stage(case) is Stage.CLOSED
    assert not any(isp.received for isp in authority.isps.values())


async def test_a_return_captures_again_and_old_approvals_do_not_count(authority: Authority) -> None:
    case = await authority.refer(PROTECTED, LONG)
    first = await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.decide(case, "reviewer-2", Outcome.RETURN)
    second = await authority.under_review(case, other_than=first)
    assert authority.crawler.visits == [PROTECTED, PROTECTED]
    assert (await authority.docket(case)).approvals == ()
    assert (await authority.decide(case, "legal-head")).needed == 1
    assert (await authority.decide(case, "reviewer-1")).needed == 0
    await authority.reached(case, Stage.VERIFICATION)
    order = await authority.order(case)
    assert order is not None
    assert order.bundle == second


async def test_silence_escalates_and_never_approves(authority: Authority) -> None:
    case = await authority.refer("y2mate.com", terms(review=0.3 * SECOND))
    await authority.under_review(case)

    async def overdue() -> bool:
        return len(await authority.escalations(case)) >= 2

    await until(overdue, "two escalations")
    assert {what for what, _ in await authority.escalations(case)} == {"review_overdue"}
    assert (await authority.docket(case)).approvals == ()
    assert await authority.order(case) is None
    await authority.decide(case, "reviewer-1")
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
