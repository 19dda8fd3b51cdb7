"""Intake: what a run that takes a case up is told of it."""

from __future__ import annotations

import pytest

from activities.intake import IntakeActivities
from precinto.contracts import CaseRef, Place
from precinto.domain.case import Stage
from precinto.domain.errors import NotFound
from precinto.domain.review import Outcome
from tests.activities.conftest import World
from tests.store.steps import decide, issue, open_case, seal


async def place(world: World, case: str) -> Place:
    """Where a run finds the case."""
    return await world.run(IntakeActivities(world.ports).resume, CaseRef(case=case))


async def test_a_case_that_was_just_opened(world: World) -> None:
    case = await open_case(world.store)
    assert await place(world, case) == Place(stage=Stage.INTAKE, round=1)


async def test_a_case_under_review_is_found_with_its_bundle_and_its_term(world: World) -> None:
    case = await open_case(world.store)
    bundle = await seal(world.store, case)
    found = await place(world, case)
    assert (found.stage, found.bundle) == (Stage.REVIEW, bundle)
    assert found.due is not None


async def test_a_case_in_force_is_found_with_its_order_and_what_it_asks(world: World) -> None:
    case = await open_case(world.store)
    order = await issue(world.store, case)
    await decide(world.store, case, "duty-1", Outcome.STAY)
    found = await place(world, case)
    assert (found.stage, found.order, found.version, found.over) == (Stage.STAYED, order, 2, False)


async def test_a_workflow_without_a_referral_is_refused(world: World) -> None:
    with pytest.raises(NotFound, match="there is no case 'nothing-1'"):
        await place(world, "nothing-1")
