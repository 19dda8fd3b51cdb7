"""The benchmark runs from end to end: figures are looked at by people, never by a test."""

from __future__ import annotations

import pytest

from bench.cases import QUICK, check_shapes, machine, measure
from bench.plan import Wrong
from bench.report import write
from bench.stage import Measured


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    """A smoke run of every subject."""
    return list(measure(QUICK))


def test_every_subject_yields_positive_figures(measured: list[Measured]) -> None:
    assert {one.subject for one in measured} == {"precinto", "twin", "naive"}
    for one in measured:
        assert one.cases_per_second > 0
        assert all(one.cpu_per_case(role) > 0 for role in ("client", "worker", "server"))
        assert all(count > 0 for count in (*one.carried.events, *one.carried.history_bytes))


def test_the_twin_has_the_very_events_of_precinto(measured: list[Measured]) -> None:
    check_shapes(measured)


def test_a_twin_that_lacks_an_event_stops_the_run(measured: list[Measured]) -> None:
    for one in measured:
        if one.subject == "twin":
            del one.carried.shapes[0][-1]
    with pytest.raises(Wrong, match="WORKFLOW_EXECUTION_COMPLETED in precinto, but None in another of twin"):
        check_shapes(measured)


def test_the_report_names_every_subject_and_goal(measured: list[Measured]) -> None:
    text = write(measured, machine())
    for expected in ("| precinto |", "| twin |", "| naive |", "times the twin", "memory of a waiting case"):
        assert expected in text
