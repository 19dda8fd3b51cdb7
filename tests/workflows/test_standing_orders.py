"""Releases under a standing order: they block within their own order, and are over when the standing order is."""

from __future__ import annotations

from datetime import UTC, datetime

from precinto.domain.case import Closure, Stage
from precinto.domain.orders import EndReason
from precinto.domain.review import Outcome
from precinto.domain.standing_orders import Window
from precinto.engine import TemporalSignals
from precinto.standing import revoke, tell
from precinto.store.orders import OrderRow
from tests.authority import SECOND, Authority, signatory, until
from tests.fakes import OFFICERS
from tests.standing import HOUR, enacted, standing_order
from tests.workflows.cases import LONG


async def released(authority: Authority, number: str, *targets: str) -> list[str]:
    """Cases that were released and are in force at every ISP."""
    cases = [await authority.refer(target, LONG) for target in targets]
    for case in cases:
        await authority.under_review(case)
        assert (await authority.decide(case, "duty-1", Outcome.RELEASE, about=number)).needed == 0
        await authority.reached(case, Stage.VERIFICATION)
    return cases


async def order_of(authority: Authority, case: str) -> OrderRow:
    """The order of a case."""
    order = await authority.order(case)
    assert order is not None
    return order


async def test_one_person_on_duty_releases_and_the_isps_block(authority: Authority) -> None:
    number = await enacted(authority.store, standing_order())
    (case,) = await released(authority, number, "y2mate.com")
    assert all("y2mate.com" in isp.blocked for isp in authority.isps.values())
    await authority.sweep()
    assert set((await authority.standings(case)).values()) == {"compliant"}


async def test_at_the_end_of_its_window_every_release_is_over(authority: Authority) -> None:
    ends_at = datetime.now(UTC).replace(microsecond=0) + 8 * SECOND
    number = await enacted(authority.store, standing_order(window=Window(since=ends_at - HOUR, until=ends_at)))
    cases = await released(authority, number, "y2mate.com", "ripper-1.com")
    for case in cases:
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await order_of(authority, case)
        assert (order.ended_at, order.end_reason) == (ends_at, EndReason.STANDING_ORDER)
    assert not any(isp.blocked for isp in authority.isps.values())


async def test_revoked_its_cases_lift_their_blocks_once_they_are_told(authority: Authority) -> None:
    number = await enacted(authority.store, standing_order())
    cases = await released(authority, number, "y2mate.com", "ripper-1.com")
    other = await authority.refer("flvto.biz", LONG)
    await authority.under_review(other)
    await authority.decide(other, "reviewer-1")
    await authority.reached(other, Stage.VERIFICATION)
    told = await revoke(authority.store, OFFICERS, number, signatory("duty-1"), "The event was called off.")
    assert told == tuple(sorted(cases))
    assert await tell(TemporalSignals(authority.client), told) == []
    for case in cases:
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
    assert {isp: fake.blocked for isp, fake in authority.isps.items()} == {
        isp: {"flvto.biz"} for isp in authority.isps
    }


async def test_told_again_by_repeating_the_revocation(authority: Authority) -> None:
    """The first telling was lost: until it is repeated, the files say it, and the blocks are still there."""
    number = await enacted(authority.store, standing_order())
    (case,) = await released(authority, number, "y2mate.com")
    reasons = "The event was called off."
    await revoke(authority.store, OFFICERS, number, signatory("duty-1"), reasons)
    assert await authority.stage(case) is Stage.UNBLOCKING
    assert all("y2mate.com" in isp.blocked for isp in authority.isps.values())
    again = await revoke(authority.store, OFFICERS, number, signatory("duty-1"), reasons)
    assert again == (case,)
    await tell(TemporalSignals(authority.client), again)
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
    assert await revoke(authority.store, OFFICERS, number, signatory("duty-1"), reasons) == ()


async def test_a_release_is_revoked_by_itself(authority: Authority) -> None:
    number = await enacted(authority.store, standing_order())
    case, other = await released(authority, number, "y2mate.com", "ripper-1.com")
    await authority.decide(case, "duty-1", Outcome.REVOKE)
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
    assert (await order_of(authority, case)).end_reason == EndReason.REVOKED

    async def still_blocked() -> bool:
        return {frozenset(isp.blocked) for isp in authority.isps.values()} == {frozenset({"ripper-1.com"})}

    await until(still_blocked, "only the other one blocked")
    assert await authority.stage(other) is Stage.VERIFICATION
