"""The rules that never break, under everything that people, ISPs, time and chance do; and that a break is noticed.

``make invariants`` takes more steps, from a new seed each time, and says how often what happened.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.invariants.machine import Enforcement

STEPS = 1_500
"""In a run of the suite, the same ones each time; another number by ``INVARIANT_STEPS``, from a new seed or from
``INVARIANT_SEED``."""

A_LIFE = 50
"""Steps from one empty database to the next."""


def test_no_rule_is_ever_broken(machine: type[Enforcement], capsys: pytest.CaptureFixture[str]) -> None:
    machine.steps = 0
    machine.seen.clear()
    wanted = int(os.environ.get("INVARIANT_STEPS", "0"))
    chosen = int(os.environ.get("INVARIANT_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    settled = settings(
        max_examples=(wanted or STEPS) // A_LIFE,
        stateful_step_count=A_LIFE,
        derandomize=not wanted,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    try:
        if wanted:
            run_state_machine_as_test(seed(chosen)(machine), settings=settled)
        else:
            run_state_machine_as_test(machine, settings=settled)
    finally:
        if wanted:
            with capsys.disabled():
                print(f"\nseed {chosen}: {machine.steps} steps")  # noqa: T201 - what was asked for
                for what, count in machine.seen.most_common():
                    print(f"{count:7} {what}")  # noqa: T201
    assert wanted or {"order issued", "case closed: unblocked"} <= set(machine.seen)
