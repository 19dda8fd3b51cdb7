"""Whoever can reach Temporal can shout. An honest decision is heard at once all the same, and the case lives on."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from temporalio.service import RPCError, RPCStatusCode

from precinto.contracts import Lapse, Signed
from precinto.desk import Desk
from precinto.devserver import LIMITS
from precinto.domain.case import Closure, Stage
from precinto.domain.review import Outcome
from tests.authority import TERMS, Authority, signatory, until
from tests.workflows.cases import LONG, PROTECTED
from workflows.case import AT_ONCE, MAX_REFUSED, REST

FULL = LIMITS["history.maximumSignalsPerExecution"]
"""Signals that the server lets into one run."""

MAX_EVENTS = 2 * FULL
"""Of a run that was flooded: its signals, and what it did meanwhile."""

EVENTS_OF_A_STAY = 15
"""Of each decision to stay or resume that a run hears: tasks, update, admission, and an activity that tells ISPs."""

JUNK = "junk"
UNREAD = ("legal_review", Signed(envelope="x" * 700))
IDLE = ("changed", None)
"""Signals, as name and argument."""


def every_kind(case: str) -> Sequence[tuple[str, object]]:
    """Signals of the right form, of the wrong one, and such as mean nothing."""
    return (UNREAD, ("lapse", Lapse(case=case, measures=1)), IDLE, ("legal_review", JUNK), ("no_such_signal", JUNK))


async def flood(authority: Authority, case: str, signals: Sequence[tuple[str, object]], count: int) -> Counter[str]:
    """Send a case so many signals, a hundred at a time; returns how many the server took, and how many it refused."""
    handle, sent, answers = authority.handle(case), iter(range(count)), Counter[str]()

    async def sender() -> None:
        for n in sent:
            name, argument = signals[n % len(signals)]
            try:
                await handle.signal(name, argument)
                answers["taken"] += 1
            except RPCError as error:
                if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                    raise
                answers["refused"] += 1

    await asyncio.gather(*(sender() for _ in range(100)))
    return answers


async def dropped(authority: Authority, case: str) -> list[int]:
    """What the ledger says of signals that were dropped unread."""
    return [json.loads(row.body)["count"] for row in await authority.ledger(case, "signals_dropped")]


async def test_bad_signals_are_looked_at_and_written_down_only_so_far(authority: Authority) -> None:
    case = await authority.refer("y2mate.com", LONG)
    await authority.under_review(case)

    async def refused() -> int:
        return len(await authority.ledger(case, "decision_refused"))

    for n in range(MAX_REFUSED):
        await authority.signal(case, f"junk {n}")
        if n % AT_ONCE == AT_ONCE - 1:

            async def all_so_far(count: int = n + 1) -> bool:
                return await refused() >= count

            await until(all_so_far, f"{n + 1} refusals")
    for n in range(20):
        await authority.signal(case, f"more junk {n}")
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    assert await refused() == MAX_REFUSED
    assert await dropped(authority, case) == [20]


async def test_ten_thousand_junk_signals_leave_a_case_decidable_all_the_while(authority: Authority) -> None:
    """Officers decide while they come, and when they end. After a rest the case goes on in another run."""
    case = await authority.refer("y2mate.com", LONG)
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    first = (await authority.handle(case).describe()).run_id
    desk = Desk(authority.client, authority.store, authority.registry, TERMS, authority.ports.guardlists)
    took: list[float] = []

    async def decide() -> None:
        outcome, begun = (Outcome.RESUME if len(took) % 2 else Outcome.STAY), time.monotonic()
        await desk.decide(case, signatory("reviewer-2"), outcome, f"Reason {len(took)}.")
        took.append(time.monotonic() - begun)

    shouting = asyncio.create_task(flood(authority, case, every_kind(case), 10_000))
    while not shouting.done():
        await decide()
        await asyncio.wait({shouting}, timeout=0.5)
    for _ in range(5):
        await decide()
    print("honest decisions took", ", ".join(f"{one:.2f} s" for one in took))  # noqa: T201 - shown by pytest -s
    assert statistics.median(took) < 1
    answers = await shouting
    assert answers["refused"] > 10 * answers["taken"]

    async def in_another_run() -> bool:
        now = await authority.handle(case).describe()
        return now.run_id != first and (await authority.status(case)).stage is not Stage.INTAKE

    await until(in_another_run, "another run", within=2 * REST.total_seconds())
    flooded = await authority.client.get_workflow_handle(f"case/{case}", run_id=first).describe()
    assert flooded.history_length <= MAX_EVENTS + EVENTS_OF_A_STAY * len(took)
    assert sum(await dropped(authority, case)) >= answers["taken"] // 2  # lapses and "look again" are not junk by form
    assert len(await authority.ledger(case, "signals_dropped")) <= len(took) + 2
    assert len(await authority.ledger(case, "decision_refused")) <= 2 * MAX_REFUSED

    await authority.decide(case, "reviewer-1", Outcome.REVOKE)
    assert (await authority.closed(case)).closure is Closure.UNBLOCKED


@pytest.mark.parametrize("number", range(5), ids=["unread", "lapse", "changed", "malformed", "unknown"])
async def test_of_no_kind_can_a_run_have_more_than_it_carries(authority: Authority, number: int) -> None:
    case = await authority.refer(PROTECTED, LONG)
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    answers = await flood(authority, case, [every_kind(case)[number]], 2 * FULL)
    assert answers == {"taken": FULL, "refused": FULL}
    assert (await authority.decide(case, "reviewer-2")).needed == 0
    await authority.reached(case, Stage.VERIFICATION)
    assert len(await authority.events(case)) <= MAX_EVENTS


async def test_large_signals_do_not_get_in_and_the_largest_that_do_cost_the_case_nothing(
    authority: Authority,
) -> None:
    case = await authority.refer("y2mate.com", LONG)
    await authority.under_review(case)
    most = LIMITS["limit.blobSize.error"]
    assert await flood(authority, case, [("legal_review", "x" * most)], 10) == {"refused": 10}
    assert (await flood(authority, case, [("legal_review", "x" * (most - 100))], FULL))["taken"] == FULL
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    assert "WORKFLOW_TASK_FAILED" not in await authority.events(case)


async def test_a_case_that_is_flooded_keeps_no_other_from_being_told_of_its_lapse(authority: Authority) -> None:
    flooded, other = await authority.refer("y2mate.com", LONG), await authority.refer("flvto.biz", LONG)
    for case in (flooded, other):
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
    await flood(authority, flooded, [UNREAD], FULL)
    await authority.sweep()
    authority.isps["isp0"].blocked.clear()

    async def blocked_again() -> bool:
        for swept in await authority.sweep():
            assert swept.measured == 2
        return "flvto.biz" in authority.isps["isp0"].blocked

    await until(blocked_again, "the reminder of the other case")


async def test_what_a_case_has_dropped_is_in_the_ledger_at_its_end_too(authority: Authority) -> None:
    case = await authority.refer("y2mate.com")
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await flood(authority, case, [("legal_review", JUNK)], 30)
    await authority.closed(case)
    assert await dropped(authority, case) == [30]
