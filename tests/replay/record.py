"""Records the histories that ``test_replay`` replays: ``python -m tests.replay.record [STORY ...]``.

Cases that are at work when a release comes out were begun by the code before it, and must go on under the new one.
So a history is recorded once, by the release it belongs to, and stays: a story that is recorded anew after a change
to the workflows proves nothing about the cases of yesterday. Give the old file a new name instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

from precinto import engine, stubs
from precinto.contracts import WatchTask
from precinto.domain.case import Stage
from precinto.domain.notification import Action
from precinto.domain.review import Outcome
from precinto.store import Database, Store
from tests.authority import SECOND, Authority, open_authority, terms, until
from tests.fakes import FakeIsp
from tests.temporal import SOON_FULL, temporal_server
from workflows.case import AT_ONCE

FOLDER = Path(__file__).parent / "histories"
PROTECTED = "descargas.gob.pe"
LONG = terms(order=600 * SECOND)
"""For stories in which somebody ends the order."""

Story = Callable[[Authority], Awaitable[WorkflowHandle[Any, Any]]]
"""Plays on a server of its own; returns the workflow whose history is kept."""


async def approved(authority: Authority) -> WorkflowHandle[Any, Any]:
    """The usual way, to the measured unblock."""
    case = await authority.refer("y2mate.com", terms(order=SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.closed(case)
    return authority.handle(case)


async def held(authority: Authority) -> WorkflowHandle[Any, Any]:
    """On hold: two reviewers, one by signal."""
    case = await authority.refer(PROTECTED, terms(order=SECOND))
    await authority.under_review(case)
    one = await authority.file(case, "reviewer-1")
    await authority.signal(case, one.envelope or "")
    await until(lambda: _approvals(authority, case, 1), "the first approval")
    await authority.decide(case, "legal-head")
    await authority.closed(case)
    return authority.handle(case)


async def held_by_evidence(authority: Authority) -> WorkflowHandle[Any, Any]:
    """Nothing was known against it at intake; what the capture brought holds it for two reviewers."""
    authority.crawler.failure = "the site is down"
    case = await authority.refer("y2mate.com", terms(order=SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.decide(case, "reviewer-2")
    await authority.closed(case)
    return authority.handle(case)


async def returned_then_rejected(authority: Authority) -> WorkflowHandle[Any, Any]:
    """A reviewer asks for more evidence, and rejects the case on it."""
    case = await authority.refer("flvto.biz")
    first = await authority.under_review(case)
    await authority.decide(case, "reviewer-1", Outcome.RETURN)
    await authority.under_review(case, other_than=first)
    await authority.decide(case, "reviewer-2", Outcome.REJECT)
    await authority.handle(case).result()
    return authority.handle(case)


async def revoked(authority: Authority) -> WorkflowHandle[Any, Any]:
    """A revocation by somebody who may not, and one by an officer on duty."""
    case = await _in_force(authority, "yout.com")
    await authority.signal(case, "not signed by anybody")
    await until(lambda: authority.ledger(case, "decision_refused"), "the refusal")
    await authority.decide(case, "duty-1", Outcome.REVOKE)
    await authority.closed(case)
    return authority.handle(case)


async def stayed_then_resumed(authority: Authority) -> WorkflowHandle[Any, Any]:
    """The block is lifted while somebody thinks again, and comes back."""
    case = await _in_force(authority, "y2mate.com")
    await authority.decide(case, "duty-1", Outcome.STAY)
    await until(lambda: _blocks(authority, False), "the block lifted")
    await authority.decide(case, "reviewer-2", Outcome.RESUME)
    await until(lambda: _blocks(authority, True), "the block back")
    await authority.decide(case, "reviewer-1", Outcome.REVOKE)
    await authority.closed(case)
    return authority.handle(case)


async def renewed(authority: Authority) -> WorkflowHandle[Any, Any]:
    """An order that is lengthened before its end, and ends at its new date."""
    case = await authority.refer("flvto.biz", terms(order=3 * SECOND, renewal=SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    await authority.decide(case, "reviewer-2", Outcome.RENEW)
    await authority.closed(case)
    return authority.handle(case)


async def lapsed(authority: Authority) -> WorkflowHandle[Any, Any]:
    """An ISP that says yes and does nothing, and is reminded."""
    authority.isps["isp1"].ignores[Action.BLOCK] = 1
    case = await authority.refer("y2mate.com", terms(order=3 * SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.closed(case)
    assert any(action == "block" and reminder for _, action, reminder, _ in await authority.notices(case))
    return authority.handle(case)


async def overdue(authority: Authority) -> WorkflowHandle[Any, Any]:
    """Silence, which escalates; then a decision that nobody filed; then an honest one."""
    case = await authority.refer("mp3juices.cc", terms(review=SECOND, order=SECOND))
    await authority.under_review(case)
    await until(lambda: authority.escalations(case), "the escalation")
    with contextlib.suppress(WorkflowUpdateFailedError):
        await authority.tell(case, "0" * 32)
    await authority.decide(case, "reviewer-1")
    await authority.closed(case)
    return authority.handle(case)


async def flooded(authority: Authority) -> WorkflowHandle[Any, Any]:
    """Junk by signal, more of it at once than is looked at; then an honest decision."""
    case = await authority.refer("y2mate.com", terms(order=SECOND))
    await authority.under_review(case)
    await authority.signal(case, "junk")
    await until(lambda: authority.ledger(case, "decision_refused"), "the refusal")
    await asyncio.gather(*(authority.signal(case, f"junk {n}") for n in range(10 * AT_ONCE)))
    await authority.decide(case, "reviewer-1")
    await authority.closed(case)
    return authority.handle(case)


async def continued_before(authority: Authority) -> WorkflowHandle[Any, Any]:
    """The first run of a case whose history became full while its order was in force."""
    case, first = await _continued(authority)
    await authority.closed(case)
    return authority.client.get_workflow_handle(stubs.case_workflow(case), run_id=first)


async def continued(authority: Authority) -> WorkflowHandle[Any, Any]:
    """The run that took it up."""
    case, _ = await _continued(authority)
    await authority.closed(case)
    return authority.handle(case)


async def cancelled(authority: Authority) -> WorkflowHandle[Any, Any]:
    """Somebody cancels the workflow while the order is in force."""
    case = await authority.refer("y2mate.com", terms(order=2 * SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    await authority.handle(case).cancel()
    await authority.closed(case)
    return authority.handle(case)


async def sweep(authority: Authority) -> WorkflowHandle[Any, Any]:
    """One round of verification."""
    await authority.sweep(["isp0"])
    return await _only(authority, "VerificationSweep")


async def stamping(authority: Authority) -> WorkflowHandle[Any, Any]:
    """One round of late time stamps."""
    await _served(authority)
    await engine.stamp_now(authority.client)
    return await _only(authority, "EvidenceStamping")


async def anchoring(authority: Authority) -> WorkflowHandle[Any, Any]:
    """One anchor of the ledger."""
    await _served(authority)
    await engine.anchor_now(authority.client)
    return await _only(authority, "LedgerAnchoring")


async def watching(authority: Authority) -> WorkflowHandle[Any, Any]:
    """One round of the watch."""
    task = WatchTask(every=60 * SECOND)
    await authority.client.execute_workflow("CaseWatch", task, id="watch", task_queue=stubs.CASES)
    return authority.client.get_workflow_handle("watch")


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        approved,
        held,
        held_by_evidence,
        returned_then_rejected,
        revoked,
        stayed_then_resumed,
        renewed,
        lapsed,
        overdue,
        flooded,
        continued_before,
        continued,
        cancelled,
        sweep,
        stamping,
        anchoring,
        watching,
    )
}

LONG_STORIES = frozenset({continued_before.__name__, continued.__name__})
"""Stories on a server that soon asks a case to go on in another run."""


async def record(server: WorkflowEnvironment, story: Story) -> dict[str, Any]:
    """Play a story on a server and return its workflow's history, scrubbed."""
    target = server.client.service_client.config.target_host
    client = await Client.connect(target, identity="recorder", plugins=[engine.plugin()])
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite+aiosqlite:///{folder}/precinto.db")
        await database.migrate()
        async with open_authority(client, Store(database), {"isp0": FakeIsp(), "isp1": FakeIsp()}) as authority:
            history = await (await story(authority)).fetch_history()
        await database.close()
    return scrubbed(json.loads(history.to_json()))


def scrubbed(value: Any) -> Any:
    """The same without what tells of the machine: who polled, and where its files lie."""
    if isinstance(value, dict):
        kept = {key: scrubbed(part) for key, part in value.items() if key != "stackTrace"}  # pyright: ignore
        return kept | ({"identity": "recorder"} if "identity" in kept else {})
    return [scrubbed(part) for part in value] if isinstance(value, list) else value  # pyright: ignore


async def _in_force(authority: Authority, target: str) -> str:
    case = await authority.refer(target, LONG)
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    return case


async def _continued(authority: Authority) -> tuple[str, str]:
    """A case whose order is in force in its second run; with the id of the first."""
    case = await authority.refer("y2mate.com", terms(order=4 * SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    first = str((await authority.handle(case).describe()).run_id)
    await until(lambda: _another_run(authority, case, first), "another run")
    assert await authority.stage(case) is Stage.VERIFICATION
    return case, first


async def _another_run(authority: Authority, case: str, than: str) -> bool:
    await authority.signal(case, "junk, so that the history grows")
    await asyncio.sleep(0.1)
    return (await authority.handle(case).describe()).run_id != than


async def _approvals(authority: Authority, case: str, count: int) -> bool:
    return len((await authority.docket(case)).approvals) == count


async def _blocks(authority: Authority, blocks: bool) -> bool:
    return all(bool(isp.blocked) is blocks for isp in authority.isps.values())


async def _served(authority: Authority) -> None:
    for queue in (stubs.CASES, stubs.CAPTURE):
        await until(partial(engine.polled, authority.client, queue), f"a worker on {queue}")


async def _only(authority: Authority, workflow: str) -> WorkflowHandle[Any, Any]:
    (found,) = [one.id async for one in authority.client.list_workflows(f"WorkflowType = '{workflow}'")]
    return authority.client.get_workflow_handle(found)


async def main(names: list[str]) -> None:
    """Record the named stories, or those that have no history yet."""
    for name in names or [name for name in STORIES if not (FOLDER / f"{name}.json").exists()]:
        # A server for each story: their cases may have the same name.
        with tempfile.TemporaryDirectory() as folder:
            async with temporal_server(Path(folder), *(SOON_FULL if name in LONG_STORIES else ())) as server:
                history = await record(server, STORIES[name])
        (FOLDER / f"{name}.json").write_text(json.dumps(history, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{name}: {len(history['events'])} events")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
