"""Procedure files: every term is data with its source, and a mistake is named by file and key."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from pydantic import ValidationError

from precinto.domain.errors import BadInput
from precinto.domain.terms import Terms, read_procedure

TERMS = ("review", "order", "comply", "remind", "release", "recheck")

GOOD = """
name = "precautionary"
basis = "dl-822-art-177"
review = { days = 10, source = "art. 1" }
order = { days = 180, source = "art. 2", verify = true }
comply = { hours = 24, source = "art. 3" }
remind = { hours = 12, source = "art. 4" }
release = { days = 1, hours = 12, source = "art. 5" }
recheck = { minutes = 1, seconds = 30, source = "practice" }
"""


def refused(text: str, reason: str) -> None:
    """Reading ``text`` must fail with a message that begins with the file and the reason's pattern."""
    with pytest.raises(BadInput, match=rf"^{re.escape('procedures/bad.toml')}: {reason}"):
        read_procedure(text, "procedures/bad.toml")


def test_a_procedure_gives_the_snapshot_that_a_case_takes() -> None:
    assert read_procedure(GOOD, "good.toml").terms() == Terms(
        procedure="precautionary",
        basis="dl-822-art-177",
        review=timedelta(days=10),
        order=timedelta(days=180),
        comply=timedelta(hours=24),
        remind=timedelta(hours=12),
        release=timedelta(hours=36),
        recheck=timedelta(seconds=90),
    )


def test_a_snapshot_survives_being_stored() -> None:
    terms = read_procedure(GOOD, "good.toml").terms()
    assert Terms.model_validate_json(terms.model_dump_json()) == terms


@pytest.mark.parametrize("term", TERMS)
def test_a_missing_term_is_named(term: str) -> None:
    refused(re.sub(rf"^{term} = .*$", "", GOOD, flags=re.MULTILINE), f"{term}: Field required")


@pytest.mark.parametrize("term", TERMS)
def test_a_term_without_its_source_is_refused(term: str) -> None:
    refused(
        re.sub(rf"^{term} = .*$", f"{term} = {{ days = 1 }}", GOOD, flags=re.M), rf"{term}\.source: Field required"
    )


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("length", ["days = 0", "days = -1", "days = 1, hours = -24"])
def test_a_term_must_be_positive(term: str, length: str) -> None:
    text = re.sub(rf"^{term} = .*$", f'{term} = {{ {length}, source = "x" }}', GOOD, flags=re.M)
    refused(text, f"{term}: Input should be greater than 0")


def test_a_key_that_is_not_known_is_named() -> None:
    refused(GOOD + 'reveiw = { days = 1, source = "x" }', "reveiw: Extra inputs are not permitted")
    refused(GOOD.replace("hours = 24", "hour = 24"), r"comply\.hour: Extra inputs are not permitted")


def test_what_is_not_toml_is_named_by_its_line() -> None:
    refused("name = \n", r"not TOML: .*line 1")


def test_a_number_that_is_none_is_named() -> None:
    refused(GOOD.replace("days = 180", 'days = "half a year"'), r"order\.days: Input should be a valid integer")


def test_terms_built_by_hand_must_be_positive_too() -> None:
    terms = read_procedure(GOOD, "good.toml").terms()
    with pytest.raises(ValidationError, match="order"):
        Terms.model_validate(terms.model_dump() | {"order": timedelta(0)})
