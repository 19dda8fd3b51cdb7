"""An objection in a running case: the block is lifted first, decided on later, and comes back only by a decision."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from precinto import engine
from precinto.domain.case import Closure, Stage
from precinto.domain.notification import Action
from precinto.domain.objections import Capacity, Instance, Protest
from precinto.domain.procedures import Snapshot
from precinto.domain.review import Outcome
from precinto.store import Subjects, Vault
from precinto.store.objections import ObjectionLine, ObjectionStore, objection_lines
from precinto.store.proceedings import open_proceeding
from tests.authority import SECOND, Authority, terms, until
from tests.fakes import OFFICERS
from tests.store.steps import refusal
from tests.workflows.cases import LONG

SUSPENDING = LONG.model_copy(update={"procedure": LONG.procedure.model_copy(update={"appeal_suspends": True})})
"""An appeal suspends the order."""


@pytest.fixture
def objections(authority: Authority, tmp_path: Path) -> ObjectionStore:
    """Where objections are filed."""
    return ObjectionStore(authority.store.database, Subjects(Vault(tmp_path / "vault.key")))


async def in_force(authority: Authority, snapshot: Snapshot = LONG) -> str:
    """A case whose block was measured at every ISP."""
    case = await authority.refer("y2mate.com", snapshot)
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await standing(authority, case, "compliant")
    return case


async def standing(authority: Authority, case: str, where: str) -> None:
    """Sweep until every ISP stands there, by what was measured."""

    async def there() -> bool:
        if await authority.order(case) is None:
            return False
        await authority.sweep()
        found = await authority.standings(case)
        return bool(found) and set(found.values()) == {where}

    await until(there, f"{where} at every ISP")


async def file(objections: ObjectionStore, case: str, instance: Instance = Instance.OBJECTION) -> ObjectionLine:
    """A shop on the same server is hit too."""
    protest = Protest(
        instance=instance, capacity=Capacity.THIRD_PARTY, collateral=True, name="L", contact="c", text="t"
    )
    return await objections.file(case, protest, "operator-1", OFFICERS)


async def now(authority: Authority, objection: str) -> ObjectionLine:
    """The objection as it is on file now."""
    async with authority.store.database.read() as session:
        return next(line for line in await objection_lines(session) if line.id == objection)


def blocked(authority: Authority) -> set[str]:
    """The ISPs that block."""
    return {name for name, isp in authority.isps.items() if isp.blocked}


async def test_suspend_first_decide_later(authority: Authority, objections: ObjectionStore) -> None:
    case = await in_force(authority)
    assert blocked(authority) == {"isp0", "isp1"}
    objection = await file(objections, case)
    await authority.decide(case, "duty-1", Outcome.STAY, about=objection.id)
    await standing(authority, case, "released")
    assert blocked(authority) == set()
    corrected = await now(authority, objection.id)
    assert corrected.minutes_to_correct == 1  # begun, and over in seconds
    await authority.decide(case, "reviewer-2", Outcome.DISMISS, about=objection.id)
    assert await authority.stage(case) is Stage.STAYED
    assert blocked(authority) == set()
    await authority.decide(case, "reviewer-2", Outcome.RESUME)
    await standing(authority, case, "compliant")
    assert blocked(authority) == {"isp0", "isp1"}
    await authority.decide(case, "duty-1", Outcome.REVOKE)
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
    assert blocked(authority) == set()
    told = [(notice.action, notice.version) for notice in authority.isps["isp0"].received]
    assert told == [(Action.BLOCK, 1), (Action.RELEASE, 2), (Action.BLOCK, 3), (Action.RELEASE, 4)]
    after = await now(authority, objection.id)
    assert (after.state, after.correction) == ("dismissed", corrected.correction)


async def test_an_objection_that_is_right_ends_the_order(authority: Authority, objections: ObjectionStore) -> None:
    case = await in_force(authority)
    objection = await file(objections, case)
    await authority.decide(case, "reviewer-2", Outcome.UPHOLD, about=objection.id)
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
    assert blocked(authority) == set()
    upheld = await now(authority, objection.id)
    assert (upheld.state, upheld.minutes_to_correct) == ("upheld", 1)


async def test_an_appeal_that_suspends_lifts_the_block_without_any_decision(
    authority: Authority, objections: ObjectionStore
) -> None:
    case = await in_force(authority, SUSPENDING)
    appeal = await file(objections, case, Instance.APPEAL)
    signals = engine.TemporalSignals(authority.client)
    for _ in range(20):  # told again and again, it is one change
        await signals.changed(case)
    await standing(authority, case, "released")
    assert blocked(authority) == set()
    assert (await authority.status(case)).stage is Stage.STAYED
    assert await refusal(authority.file(case, "legal-head", Outcome.RESUME)) == "appeal_pending"
    await authority.decide(case, "legal-head", Outcome.UPHOLD, about=appeal.id)
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
    assert [n.action for n in authority.isps["isp0"].received] == [Action.BLOCK, Action.RELEASE, Action.RELEASE]
    await signals.changed(case)  # a case that is over is no error


async def test_a_case_told_of_nothing_new_stays_as_it_is(authority: Authority) -> None:
    case = await in_force(authority)
    await engine.TemporalSignals(authority.client).changed(case)
    await asyncio.sleep(0.5)
    assert (await authority.status(case)).stage is Stage.VERIFICATION
    assert [n.action for n in authority.isps["isp0"].received] == [Action.BLOCK]


@pytest.mark.parametrize(("opened", "reason"), [(True, "expired"), (False, "lapsed")])
async def test_an_order_lapses_unless_its_proceeding_is_opened(
    authority: Authority, opened: bool, reason: str
) -> None:
    case = await authority.refer("y2mate.com", terms(order=8 * SECOND, lapse=4 * SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    if opened:
        await open_proceeding(authority.store.database, case, "000123-2026", "reviewer-1", OFFICERS)
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED
    order = await authority.order(case)
    assert order is not None
    assert (order.end_reason, order.ended_at) == (reason, order.valid_until if opened else order.lapses_at)
    assert order.ended_at is not None
    assert order.ended_at <= datetime.now(UTC)


MANY = 150
"""Signals at once; the server lets 200 into one run."""


async def test_many_such_signals_leave_the_case_decidable(authority: Authority) -> None:
    """Whoever gets at Temporal can say "look again" as often as they like; the case looks, and an officer decides."""
    case = await in_force(authority)
    handle = authority.handle(case)
    await asyncio.gather(*(handle.signal("changed") for _ in range(MANY)))
    await authority.decide(case, "duty-1", Outcome.STAY)
    await standing(authority, case, "released")
    assert [n.action for n in authority.isps["isp0"].received] == [Action.BLOCK, Action.RELEASE]
    looked = [name for name in await authority.events(case) if name == "MARKER_RECORDED"]
    assert len(looked) < MANY
