"""Cases that were begun by an earlier release go on under this one: every recorded history is replayed.

``python -m tests.replay.record`` records the stories that have no history yet.
"""

from __future__ import annotations

import base64
import json
import re
import socket
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

import workflows
from precinto import engine, stubs
from tests.replay.record import FOLDER, STORIES

HISTORIES = sorted(FOLDER.glob("*.json"))

MACHINE = re.compile(rf"/home/|/root/|/usr/|/tmp/|\.py\b|\d+@\w|\b{re.escape(socket.gethostname())}@", re.IGNORECASE)
"""What would tell of the machine that a history was recorded on."""


def replayer() -> Replayer:
    """Replays as the worker runs: converter, errors and sandbox come from the same plugin."""
    return Replayer(workflows=workflows.WORKFLOWS, plugins=[engine.plugin()])


def history(path: Path, *changes: tuple[str, str]) -> WorkflowHistory:
    """A recorded history, with some of its text changed."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return WorkflowHistory.from_json(f"replay/{path.stem}", text)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_can_be_replayed(path: Path) -> None:
    await replayer().replay_workflow(history(path))


def tasks(path: Path) -> list[int]:
    """The places in a history at which a worker took the case up."""
    events = json.loads(path.read_text(encoding="utf-8"))["events"]
    return [int(event["eventId"]) for event in events if event["eventType"] == "EVENT_TYPE_WORKFLOW_TASK_STARTED"]


@pytest.mark.parametrize(
    ("name", "task"),
    [
        (name, task)
        for name in ("held", "stayed_then_resumed", "continued_before", "continued")
        for task in tasks(FOLDER / f"{name}.json")
    ],
)
async def test_a_case_that_is_still_at_work_can_be_taken_up_at_any_task(name: str, task: int) -> None:
    recorded = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    begun = json.dumps({"events": recorded["events"][:task]})
    await replayer().replay_workflow(WorkflowHistory.from_json("replay/begun", begun))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("approved", ('"name": "notification.notify"', '"name": "notification.tell"')),
        ("approved", ('"name": "verification.end"', '"name": "verification.finish"')),
        ("sweep", ('"name": "verification.sweep"', '"name": "verification.measure"')),
    ],
)
async def test_the_replay_fails_where_the_workflow_would_do_something_else(name: str, change: tuple[str, str]) -> None:
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(history(FOLDER / f"{name}.json", change))


def test_every_story_has_its_history() -> None:
    assert set(STORIES) <= {path.stem for path in HISTORIES}


def test_together_they_give_every_command_that_a_workflow_can_give() -> None:
    """An activity that no history holds could be changed without any replay noticing."""
    recorded = "".join(map(readable, HISTORIES))
    every = {stub.name for stub in vars(stubs).values() if isinstance(stub, stubs.Stub)}
    assert {name for name in every if f'"{name}"' in recorded} == every
    for event in (
        "TIMER_STARTED",
        "TIMER_CANCELED",
        "ACTIVITY_TASK_CANCEL_REQUESTED",
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
        "UPDATE_COMPLETED",
        "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
    ):
        assert event in recorded


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_history_tells_nothing_of_the_machine_it_was_recorded_on(path: Path) -> None:
    assert not MACHINE.findall(readable(path))


def readable(path: Path) -> str:
    """A history as text, with the payloads that are base64 in it decoded."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r'(?<="data": ")[A-Za-z0-9+/=]+', lambda found: base64.b64decode(found[0]).decode(), text)
