"""Review: what the engine writes down of it, and what it does not believe."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlmodel import col, select

from activities.review import ReviewActivities
from precinto.contracts import Conclusion, Escalation, Refusal
from precinto.domain.errors import NotVerified
from precinto.domain.review import Outcome
from precinto.store.ledger import LedgerRow
from precinto.store.review import EscalationRow
from tests.activities.conftest import World
from tests.authority import decision
from tests.store.steps import file, open_case, seal


async def ledger(world: World, action: str) -> list[LedgerRow]:
    """The ledger's rows of one kind."""
    async with world.store.database.read() as session:
        return list(await session.exec(select(LedgerRow).where(col(LedgerRow.action) == action)))


async def test_an_escalation_is_the_systems_act_and_is_made_once(world: World) -> None:
    case = await open_case(world.store)
    due = datetime(2026, 12, 1, tzinfo=UTC)
    for _ in range(2):
        await world.run(ReviewActivities(world.ports).escalate, Escalation(case=case, due=due))
    async with world.store.database.read() as session:
        (row,) = await session.exec(select(EscalationRow))
    assert (row.what, row.subject) == ("review_overdue", due.isoformat())
    (written,) = await ledger(world, "escalated")
    assert written.actor not in {"operator-1", "reviewer-1", "legal-head"}


async def test_a_refusal_is_written_down_also_of_a_decision_that_nobody_filed(world: World) -> None:
    case = await open_case(world.store)
    refusal = Refusal(case=case, decision="nobody-filed-it", code="decision_not_on_file")
    await world.run(ReviewActivities(world.ports).refuse, refusal)
    (row,) = await ledger(world, "decision_refused")
    assert row.body == '{"code":"decision_not_on_file","decision":"nobody-filed-it"}'


@pytest.mark.parametrize(("outcome", "closed"), [(Outcome.REJECT, True), (Outcome.RETURN, False)])
async def test_a_conclusion_is_carried_out_and_again_is_the_same(world: World, outcome: Outcome, closed: bool) -> None:
    case = await open_case(world.store)
    one = await file(world.store, case, await seal(world.store, case), "reviewer-1", outcome)
    conclude = ReviewActivities(world.ports).conclude
    for _ in range(2):
        assert await world.run(conclude, Conclusion(case=case, decision=one.id)) is closed
    assert len(await ledger(world, "review_concluded")) == 1


async def test_a_conclusion_that_nobody_filed_concludes_nothing(world: World) -> None:
    case = await open_case(world.store)
    forged = decision(case, await seal(world.store, case), "reviewer-1", Outcome.REJECT)
    with pytest.raises(NotVerified) as refused:
        await world.run(ReviewActivities(world.ports).conclude, Conclusion(case=case, decision=forged.id))
    assert refused.value.code == "decision_not_on_file"
    assert (await world.store.review.docket(case)).bundle is not None
