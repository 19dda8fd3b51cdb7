"""Logs: one JSON object a line, whoever speaks. In a process of its own, because a process sets up its logs once."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest

PROGRAM = """
import logging, sys

import structlog
from temporalio.client import Client  # its loggers are there before ours are set up

from precinto.observability import set_up_logging

early = structlog.get_logger("precinto.early")
set_up_logging(sys.argv[1])
early.debug("looked_closely", case="c-1")
early.info("case_opened", case="c-1", isps=["norte", "sur"])
structlog.contextvars.bind_contextvars(request="r-1")
early.warning("service_died", exit=-9)
structlog.contextvars.clear_contextvars()
logging.getLogger("temporalio.activity").warning("Activity %s is slow\\nand says so", "intake.accept")
logging.getLogger("httpx").info("HTTP Request: GET https://127.0.0.1/ %s", "200 OK")
logging.getLogger("httpx").warning("a connection was lost")
try:
    raise ValueError("no such column: target")
except ValueError:
    early.exception("could_not_read")
    logging.getLogger("library").exception("failed")
print("an answer")
"""


def said(level: str) -> list[dict[str, Any]]:
    """What a process at this level writes to standard error; standard output stays for answers."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, level], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == "an answer\n"
    return [json.loads(line) for line in ran.stderr.splitlines()]


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """The log at the default level."""
    return said("INFO")


def one(lines: list[dict[str, Any]], event: str) -> dict[str, Any]:
    """The one line about an event."""
    [found] = [line for line in lines if line["event"].startswith(event)]
    return found


def test_a_line_says_when_who_how_serious_and_what(lines: list[dict[str, Any]]) -> None:
    line = one(lines, "case_opened")
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() == timedelta(0)
    assert line == {
        "event": "case_opened",
        "case": "c-1",
        "isps": ["norte", "sur"],
        "level": "info",
        "logger": "precinto.early",
    }


def test_libraries_speak_the_same_and_a_line_stays_a_line(lines: list[dict[str, Any]]) -> None:
    line = one(lines, "Activity intake.accept is slow")
    assert (line["level"], line["logger"]) == ("warning", "temporalio.activity")
    assert set(line) == {"event", "level", "logger", "timestamp"}


def test_an_exception_is_told_whole_in_one_line(lines: list[dict[str, Any]]) -> None:
    for event in ("could_not_read", "failed"):
        line = one(lines, event)
        assert line["level"] == "error"
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("ValueError: no such column: target")


def test_what_is_bound_to_a_context_is_told_with_each_line_of_it(lines: list[dict[str, Any]]) -> None:
    assert [line["event"] for line in lines if line.get("request") == "r-1"] == ["service_died"]


def test_talkative_libraries_are_heard_from_warnings_on(lines: list[dict[str, Any]]) -> None:
    assert [line["event"] for line in lines if line["logger"] == "httpx"] == ["a connection was lost"]


@pytest.mark.parametrize(("level", "lowest"), [("DEBUG", "looked_closely"), ("INFO", "case_opened")])
def test_the_level_is_where_the_log_begins(level: str, lowest: str) -> None:
    assert said(level)[0]["event"] == lowest


def test_at_error_only_errors_are_told() -> None:
    assert {line["level"] for line in said("ERROR")} == {"error"}
