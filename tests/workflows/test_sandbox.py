"""The workflow files stay clean: checked without a server, as the worker's own sandbox would load them."""

from __future__ import annotations

import pytest
from temporalio import workflow
from temporalio.exceptions import TemporalError
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import SandboxImportNotificationPolicy

import workflows
from precinto import engine
from tests.workflows.leaky import Leaky

STRICT = (
    SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
    | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
)


async def load(one: type) -> None:
    """Load a workflow as a worker does at its start, but refuse every import that is not passed through."""
    # The package's other workflows come along, by its __init__; each is loaded by a check of its own.
    others = {other.__module__ for other in workflows.WORKFLOWS} - {one.__module__}
    restrictions = (
        engine.sandbox().restrictions.with_passthrough_modules(*others).with_import_notification_policy(STRICT)
    )
    runner = SandboxedWorkflowRunner(restrictions=restrictions)
    runner.prepare_workflow(workflow._Definition.must_from_class(one))


@pytest.mark.parametrize("one", workflows.WORKFLOWS)
async def test_a_workflow_imports_only_what_is_passed_through(one: type) -> None:
    await load(one)


async def test_the_guard_refuses_a_workflow_that_leaks() -> None:
    """A guard that cannot fail guards nothing: 16 MB a case and 0.8 s are what this one stands against."""
    with pytest.raises(TemporalError, match="Module sqlmodel was not intentionally passed through"):
        await load(Leaky)


def test_every_workflow_has_a_wire_name_of_its_own() -> None:
    """Names that do not follow module paths: a module may move while cases are at work."""
    names = [workflow._Definition.must_from_class(one).name for one in workflows.WORKFLOWS]
    assert names == ["CaseWatch", "EnforcementCase", "EvidenceStamping", "LedgerAnchoring", "VerificationSweep"]
