"""Steps of a case on the server whose clock jumps. Sweeps do not run by themselves there, so a test measures."""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from precinto.contracts import CaseEnd, EndTask, Lapse
from precinto.domain.case import Stage
from precinto.domain.procedures import Snapshot
from precinto.domain.verification import judge
from precinto.ports import Ending, Round
from tests.authority import Authority, until

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


async def measure(authority: Authority, at: datetime) -> None:
    """One round of verification at every ISP, at a moment of the server's clock."""
    for isp in authority.isps:
        rounds: list[Round] = []
        for due in await authority.store.verification.due(isp, "", 100):
            facts = await authority.prober.measure(due.target, [f"{isp}:53"])
            one = Round(measure=due.measure, isp=isp, vantage=isp, at=at, facts=facts, verdict=judge(facts))
            rounds.append(one)
        for case, measures in (await authority.store.verification.observe(rounds)).items():
            await authority.handle(case).signal("lapse", Lapse(case=case, measures=measures))


async def in_force(authority: Authority, target: str, law: Snapshot) -> str:
    """A case whose order every ISP was told."""
    case = await authority.refer(target, law)
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    return case


async def unblocking_at(authority: Authority, skipping: WorkflowEnvironment, case: str, end: datetime) -> None:
    """Let the clock go on to a moment, a second before which the order is still in force, and not after it."""
    await skipping.sleep(end - timedelta(seconds=1) - await skipping.get_current_time())
    assert await authority.stage(case) is Stage.VERIFICATION
    await skipping.sleep(timedelta(seconds=1))
    await authority.reached(case, Stage.UNBLOCKING)


async def measured_to_its_end(
    authority: Authority, skipping: WorkflowEnvironment, case: str, step: timedelta
) -> CaseEnd:
    """Let the clock go on in steps, each with a round of verification, until the case's workflow has ended."""
    verification = authority.store.verification
    recheck, end = (await authority.store.review.snapshot(case)).span("recheck"), verification.end
    looked = await skipping.get_current_time()

    async def noted(task: EndTask, moment: datetime) -> Ending:
        nonlocal looked
        looked = moment
        return await end(task, moment)

    async def running() -> bool:
        return (await authority.handle(case).describe()).status is WorkflowExecutionStatus.RUNNING

    async def is_up_to_date() -> bool:
        return looked + recheck > await skipping.get_current_time() or not await running()

    async def ended() -> bool:
        await skipping.sleep(step)
        # On a busy machine, the clock would run away from what it has woken.
        await until(is_up_to_date, "the end of the order to look where it stands")
        await measure(authority, await skipping.get_current_time())
        return not await running()

    verification.end = noted  # type: ignore[method-assign]
    await until(ended, "the end of the case", within=120)
    return await authority.handle(case).result()
