"""Records the histories that ``test_replay`` replays: ``python -m tests.replay.record [STORY ...]``.

Cases that are at work when a release comes out were begun by the code before it, and must go on under the new one.
So a history is recorded once, by the release it belongs to, and stays: a story that is recorded anew after a change
to the workflows proves nothing about the cases of yesterday. Give the old file a new name instead.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from precinto import engine, stubs
from precinto.domain.case import Stage
from precinto.domain.notification import Action
from precinto.domain.review import Outcome
from precinto.store import Database, Store
from tests.authority import SECOND, Authority, decision, open_authority, terms, until
from tests.fakes import FakeIsp
from tests.temporal import temporal_server

FOLDER = Path(__file__).parent / "histories"
PROTECTED = "descargas.gob.pe"

Story = Callable[[Authority], Awaitable[str]]


async def approved(authority: Authority) -> str:
    """The usual way, to the measured unblock."""
    case = await authority.refer("y2mate.com", terms(order=SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.closed(case)
    return stubs.case_workflow(case)


async def held(authority: Authority) -> str:
    """On hold: two reviewers, one by signal."""
    case = await authority.refer(PROTECTED, terms(order=SECOND))
    await authority.under_review(case)
    await authority.handle(case).signal("legal_review", await authority.file(case, "reviewer-1"))
    await until(lambda: _approvals(authority, case, 1), "the first approval")
    await authority.decide(case, "legal-head")
    await authority.closed(case)
    return stubs.case_workflow(case)


async def returned_then_rejected(authority: Authority) -> str:
    """A reviewer asks for more evidence, and rejects the case on it."""
    case = await authority.refer("flvto.biz")
    first = await authority.under_review(case)
    await authority.decide(case, "reviewer-1", Outcome.RETURN)
    await authority.under_review(case, other_than=first)
    await authority.decide(case, "reviewer-2", Outcome.REJECT)
    await authority.handle(case).result()
    return stubs.case_workflow(case)


async def revoked(authority: Authority) -> str:
    """A revocation that is not on file, and one that is."""
    case = await authority.refer("yout.com", terms(order=600 * SECOND))
    bundle = await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    forged = decision(case, bundle, "reviewer-2", Outcome.REVOKE)
    await authority.handle(case).execute_update("revoke", forged, id="forged")
    await until(lambda: authority.ledger(case, "decision_refused"), "the refusal")
    await until(lambda: _in(authority, case, Stage.VERIFICATION), "the order in force again")
    await authority.revoke(case, "reviewer-1")
    await authority.closed(case)
    return stubs.case_workflow(case)


async def lapsed(authority: Authority) -> str:
    """An ISP that says yes and does nothing, and is reminded."""
    authority.isps["isp1"].ignores[Action.BLOCK] = 1
    case = await authority.refer("y2mate.com", terms(order=3 * SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.closed(case)
    assert any(action == "block" and reminder for _, action, reminder, _ in await authority.notices(case))
    return stubs.case_workflow(case)


async def overdue_then_forged(authority: Authority) -> str:
    """Silence, which escalates; then an approval that nobody filed; then an honest one."""
    case = await authority.refer("mp3juices.cc", terms(review=SECOND, order=SECOND))
    bundle = await authority.under_review(case)
    await until(lambda: authority.escalations(case), "the escalation")
    await authority.tell(case, decision(case, bundle, "reviewer-2"))
    await until(lambda: authority.ledger(case, "decision_refused"), "the refusal")
    await until(lambda: _in(authority, case, Stage.REVIEW), "the case under review again")
    await authority.decide(case, "reviewer-1")
    await authority.closed(case)
    return stubs.case_workflow(case)


async def cancelled(authority: Authority) -> str:
    """Somebody cancels the workflow while the order is in force."""
    case = await authority.refer("y2mate.com", terms(order=2 * SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.reached(case, Stage.VERIFICATION)
    await authority.handle(case).cancel()
    await authority.closed(case)
    return stubs.case_workflow(case)


async def sweep(authority: Authority) -> str:
    """One round of verification."""
    await authority.sweep(["isp0"])
    (found,) = [one.id async for one in authority.client.list_workflows("WorkflowType = 'VerificationSweep'")]
    return found


async def stamping(authority: Authority) -> str:
    """One round of late time stamps."""
    await engine.stamp_now(authority.client)
    (found,) = [one.id async for one in authority.client.list_workflows("WorkflowType = 'EvidenceStamping'")]
    return found


async def held_by_evidence(authority: Authority) -> str:
    """Nothing was known against it at intake; what the capture brought holds it for two reviewers."""
    authority.crawler.failure = "the site is down"
    case = await authority.refer("y2mate.com", terms(order=SECOND))
    await authority.under_review(case)
    await authority.decide(case, "reviewer-1")
    await authority.decide(case, "reviewer-2")
    await authority.closed(case)
    return stubs.case_workflow(case)


STORIES: dict[str, Story] = {
    story.__name__: story
    for story in (
        approved,
        held,
        returned_then_rejected,
        revoked,
        lapsed,
        overdue_then_forged,
        cancelled,
        sweep,
        stamping,
        held_by_evidence,
    )
}


async def record(server: WorkflowEnvironment, story: Story) -> dict[str, Any]:
    """Play a story on a server and return its workflow's history, scrubbed."""
    target = server.client.service_client.config.target_host
    client = await Client.connect(target, identity="recorder", plugins=[engine.plugin()])
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite+aiosqlite:///{folder}/precinto.db")
        await database.migrate()
        async with open_authority(client, Store(database), {"isp0": FakeIsp(), "isp1": FakeIsp()}) as authority:
            workflow = await story(authority)
            history = await client.get_workflow_handle(workflow).fetch_history()
        await database.close()
    return scrubbed(json.loads(history.to_json()))


def scrubbed(value: Any) -> Any:
    """The same without what tells of the machine: who polled, and where its files lie."""
    if isinstance(value, dict):
        kept = {key: scrubbed(part) for key, part in value.items() if key != "stackTrace"}  # pyright: ignore
        return kept | ({"identity": "recorder"} if "identity" in kept else {})
    return [scrubbed(part) for part in value] if isinstance(value, list) else value  # pyright: ignore


async def _approvals(authority: Authority, case: str, count: int) -> bool:
    return (await authority.status(case)).approvals == count


async def _in(authority: Authority, case: str, stage: Stage) -> bool:
    return (await authority.status(case)).stage is stage


async def main(names: list[str]) -> None:
    """Record the named stories, or those that have no history yet."""
    for name in names or [name for name in STORIES if not (FOLDER / f"{name}.json").exists()]:
        # A server for each story: their cases may have the same name.
        with tempfile.TemporaryDirectory() as folder:
            async with temporal_server(Path(folder)) as server:
                history = await record(server, STORIES[name])
        (FOLDER / f"{name}.json").write_text(json.dumps(history, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{name}: {len(history['events'])} events")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
