"""Intake: what the workflow learns of its case."""

from __future__ import annotations

import pytest

from activities.intake import IntakeActivities
from precinto.contracts import Accepted, CaseRef
from precinto.domain.errors import NotFound
from precinto.domain.evidence import guard
from tests.activities.conftest import World
from tests.authority import referral
from tests.store.steps import TERMS


async def test_a_case_is_accepted_once_and_says_who_may_not_decide_it(world: World) -> None:
    case = (await world.store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)).case
    accept = IntakeActivities(world.ports).accept
    for _ in range(2):
        assert await world.run(accept, CaseRef(case=case)) == Accepted(hold=False, barred=("ifpi", "operator-1"))


async def test_a_case_with_a_finding_is_on_hold(world: World) -> None:
    one = referral("descargas.gob.pe")
    findings = guard(one.target, world.ports.guardlists)
    case = (await world.store.intake.register(one, findings, "operator-1", TERMS)).case
    assert (await world.run(IntakeActivities(world.ports).accept, CaseRef(case=case))).hold


async def test_a_workflow_without_a_referral_is_refused(world: World) -> None:
    with pytest.raises(NotFound, match="there is no case 'nothing-1'"):
        await world.run(IntakeActivities(world.ports).accept, CaseRef(case="nothing-1"))
