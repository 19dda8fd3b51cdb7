"""The one tree of errors, and its one mapping to what Temporal retries."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationErrorCategory

from precinto.domain import errors
from precinto.domain.errors import (
    BadInput,
    BadTarget,
    CannotHere,
    IllegalTransition,
    NotFound,
    NotYet,
    PrecintoError,
    Refused,
    Throttled,
    Unavailable,
)
from precinto.engine import MAX_MESSAGE, to_application_error

HOUR = timedelta(hours=1)

FINAL: list[PrecintoError] = [
    BadInput("row 3"),
    BadTarget("no dot"),
    Refused("not_ours", "no"),
    IllegalTransition("illegal_transition", "no"),
    NotFound("no case"),
]
AGAIN: list[PrecintoError] = [
    CannotHere("no browser"),
    Unavailable("no route"),
    Throttled("busy", HOUR),
    NotYet("in force", HOUR),
]


def tree(root: type[PrecintoError]) -> set[type[PrecintoError]]:
    """A class and everything below it, of this module (tests elsewhere may derive their own)."""
    below = {error for error in root.__subclasses__() if error.__module__ == errors.__name__}
    return {root}.union(*map(tree, below))


def test_the_mapping_is_tested_for_the_whole_tree() -> None:
    assert {type(error) for error in (*FINAL, *AGAIN)} | {PrecintoError} == tree(PrecintoError)


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = set(re.findall(r"^\s*(?:[│├└─\s]*)([A-Z]\w+)(?=\s{2,}|$)", errors.__doc__ or "", flags=re.MULTILINE))
    assert drawn == {error.__name__ for error in tree(PrecintoError)}


@pytest.mark.parametrize("error", [*FINAL, PrecintoError("other")], ids=lambda error: type(error).__name__)
def test_what_trying_again_cannot_help_is_not_tried_again(error: PrecintoError) -> None:
    mapped = to_application_error(error)
    assert mapped.non_retryable
    assert (mapped.type, mapped.message) == (type(error).__name__, str(error))


@pytest.mark.parametrize("error", AGAIN, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_tried_again(error: PrecintoError) -> None:
    mapped = to_application_error(error)
    assert not mapped.non_retryable
    assert mapped.type == type(error).__name__


def test_whoever_said_when_to_come_back_is_believed() -> None:
    assert to_application_error(Throttled("busy", HOUR)).next_retry_delay == HOUR
    assert to_application_error(NotYet("in force", HOUR)).next_retry_delay == HOUR
    assert to_application_error(Unavailable("no route")).next_retry_delay is None


def test_only_waiting_is_benign() -> None:
    benign = [e for e in (*FINAL, *AGAIN) if to_application_error(e).category is ApplicationErrorCategory.BENIGN]
    assert [type(error) for error in benign] == [NotYet]


def test_a_refusal_carries_its_code() -> None:
    assert to_application_error(Refused("approvals_missing", "0 of 1")).details == ("approvals_missing",)


def test_a_long_message_is_cut_before_the_server_cuts_it() -> None:
    assert len(to_application_error(Unavailable("x" * 10_000)).message) == MAX_MESSAGE
