"""Review: what the engine is told is verified against the files, and what it lets pass is put before others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select

from activities.review import ReviewActivities
from precinto.contracts import Admissions, AdmitTask, Escalated, Escalation
from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound
from precinto.domain.review import Outcome
from precinto.store.ledger import LedgerRow
from precinto.store.orders import NoticeRow
from precinto.store.review import EscalationRow
from tests.activities.conftest import World
from tests.authority import envelope
from tests.store.steps import TERMS, file, open_case, seal

SECOND = timedelta(seconds=1)


async def ledger(world: World, action: str) -> list[LedgerRow]:
    """The ledger's rows of one kind."""
    async with world.store.database.read() as session:
        return list(await session.exec(select(LedgerRow).where(col(LedgerRow.action) == action)))


async def admit(world: World, case: str, *decisions: str, envelopes: tuple[str, ...] = ()) -> Admissions:
    """One attempt of the activity."""
    task = AdmitTask(case=case, at=datetime.now(UTC), decisions=decisions, envelopes=envelopes)
    return await world.run(ReviewActivities(world.ports).admit, task)


async def test_an_approval_orders_every_isp_of_the_registry_and_says_where_the_case_stands(world: World) -> None:
    case = await open_case(world.store)
    approval = await file(world.store, case, await seal(world.store, case), "reviewer-1")
    for _ in range(2):  # an attempt whose answer was lost is made again
        admitted = await admit(world, case, approval.id)
        assert [(one.code, one.needed) for one in admitted.each] == [(None, 0)]
        assert (admitted.place.stage, admitted.place.version) == (Stage.NOTIFICATION, 1)
    async with world.store.database.read() as session:
        assert {row.isp for row in await session.exec(select(NoticeRow))} == set(world.isps)
    assert len(await ledger(world, "order_issued")) == 1


@pytest.mark.parametrize(
    ("outcome", "stage", "closure"),
    [(Outcome.REJECT, Stage.CLOSED, Closure.REJECTED), (Outcome.RETURN, Stage.EVIDENCE, None)],
)
async def test_a_conclusion_is_carried_out_and_again_is_the_same(
    world: World, outcome: Outcome, stage: Stage, closure: Closure | None
) -> None:
    case = await open_case(world.store)
    one = await file(world.store, case, await seal(world.store, case), "reviewer-1", outcome)
    for _ in range(2):
        place = (await admit(world, case, one.id)).place
        assert (place.stage, place.closure) == (stage, closure)
    assert len(await ledger(world, "review_concluded")) == 1


async def test_a_refusal_is_a_result_and_on_file(world: World) -> None:
    """Never an exception: a case is not held up by what somebody tells it."""
    case = await open_case(world.store)
    bundle = await seal(world.store, case)
    refused = await admit(world, case, "nobody-filed-it", envelopes=("junk", envelope(case, bundle, "operator-1")))
    assert [one.code for one in refused.each] == ["decision_not_on_file", "malformed", "not_entitled"]
    assert all(one.reason for one in refused.each)
    assert refused.place.stage is Stage.REVIEW
    assert len(await ledger(world, "decision_refused")) == 3


async def test_the_officers_are_those_of_the_registry_now(world: World) -> None:
    case = await open_case(world.store)
    approval = await file(world.store, case, await seal(world.store, case), "reviewer-1")
    world.ports.registry.officers = ()  # type: ignore[misc]
    assert [one.code for one in (await admit(world, case, approval.id)).each] == ["unknown_officer"]


async def test_there_is_nothing_to_admit_without_a_case(world: World) -> None:
    with pytest.raises(NotFound):
        await admit(world, "nobody-1", "made-up")


async def test_an_escalation_is_the_systems_act_and_is_made_once(world: World) -> None:
    case = await open_case(world.store)
    await seal(world.store, case)
    due = (await world.store.gate.place(case)).due
    assert due is not None
    escalation = Escalation(case=case, due=due, at=due + SECOND)
    for _ in range(2):
        next_due = Escalated(due=due + SECOND + TERMS.span("review"))
        assert await world.run(ReviewActivities(world.ports).escalate, escalation) == next_due
    async with world.store.database.read() as session:
        (row,) = await session.exec(select(EscalationRow))
    assert (row.what, row.subject) == ("review_overdue", due.isoformat())
    (written,) = await ledger(world, "escalated")
    assert written.actor not in {"operator-1", "reviewer-1", "legal-head"}
    assert (await world.store.gate.place(case)).stage is Stage.REVIEW
