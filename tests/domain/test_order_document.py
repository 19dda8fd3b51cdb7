"""What an order document says: everything that the law asks of an order, the same in each language."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import ValidationError

import precinto
from precinto.domain.intake import Service
from precinto.domain.model import canonical_json
from precinto.domain.order_document import AuthorityCard, DocumentKind, document
from precinto.domain.orders import EndReason
from precinto.domain.procedures import Bilingual, Language
from precinto.domain.review import Outcome, Role
from tests.orders import MOMENT, paper

SCHEMA: dict[str, Any] = json.loads((Path(precinto.__file__).parent / "reports/order.schema.json").read_text("utf-8"))
ARTICLE_9 = {
    "(a)(i) legal basis": ("legal_basis", "text"),
    "(a)(ii) reasons": ("reasons", 0, "text"),
    "(a)(ii) with the provision": ("reasons", 0, "provision"),
    "(a)(iii) issuing authority": ("authority", "name"),
    "(a)(iv) where it is": ("locations", 0, "target"),
    "(a)(v) redress": ("redress", "text"),
    "(a)(v) where to seek it": ("redress", "objections_at"),
    "(a)(vi) who receives the report of effect": ("report_effect_to",),
    "(b) territory": ("territory",),
    "(c) language": ("language",),
}


def by_schema(content: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(content)


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("element", ARTICLE_9)
def test_it_has_each_element_of_article_9(element: str, language: Language) -> None:
    found: Any = document(paper(), language)
    for step in ARTICLE_9[element]:
        found = found[step]
    assert found


@pytest.mark.parametrize("kind", DocumentKind)
def test_it_is_as_its_schema_says(kind: DocumentKind) -> None:
    by_schema(document(paper(kind=kind, replaces="2026-000001 v1", standing_order="2026-000009"), "es"))


def test_an_authority_that_states_its_id_alone_is_no_error_but_says_nothing_made_up() -> None:
    bare = AuthorityCard(id="autoridad", name=Bilingual(es="autoridad", en="autoridad"))
    content = document(paper(authority=bare, territory=None), "en")
    by_schema(content)
    assert content["authority"] == {"id": "autoridad", "name": "autoridad", "address": None, "country": None}
    assert (content["report_effect_to"], content["redress"]["objections_at"]) == (None, None)
    assert bare.unstated == ("address", "contact", "objections_at", "country")


def test_the_schema_refuses_what_is_no_order() -> None:
    good = document(paper(), "es")
    for spoiled in (
        good | {"v": 2},
        good | {"locations": []},
        good | {"valid_until": "tomorrow"},
        {key: value for key, value in good.items() if key != "redress"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            by_schema(spoiled)


def test_the_schema_knows_every_kind_end_role_outcome_and_service() -> None:
    assert SCHEMA["properties"]["kind"]["enum"] == [one.value for one in DocumentKind]
    assert SCHEMA["properties"]["end_reason"]["enum"] == [*(one.value for one in EndReason), None]
    decision = SCHEMA["properties"]["decisions"]["items"]["properties"]
    assert decision["role"]["enum"] == [one.value for one in Role]
    assert decision["outcome"]["enum"] == [one.value for one in Outcome]
    assert SCHEMA["properties"]["facts"]["properties"]["service"]["enum"] == [one.value for one in Service]


def test_languages_differ_in_their_words_and_in_nothing_else() -> None:
    spanish, english = document(paper(), "es"), document(paper(), "en")
    differ = {key for key in spanish if spanish[key] != english[key]}
    assert differ == {"language", "authority", "legal_basis", "reasons", "redress"}
    assert spanish["authority"]["name"] == "Comisión de Derecho de Autor"


def test_moments_are_in_utc_whatever_zone_they_came_in() -> None:
    lima = datetime(2026, 11, 25, 9, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert document(paper(issued_at=lima), "es")["issued_at"] == "2026-11-25T14:30:00+00:00"


def test_it_has_a_canonical_form() -> None:
    assert canonical_json(document(paper(), "es")) == canonical_json(document(paper(), "es"))


def test_an_order_that_ends_before_it_begins_is_none() -> None:
    with pytest.raises(ValidationError, match="ends after it begins"):
        paper(valid_until=MOMENT)


@pytest.mark.parametrize("kind", [DocumentKind.STAY, DocumentKind.END])
def test_a_block_may_be_lifted_after_its_end(kind: DocumentKind) -> None:
    assert document(paper(kind=kind, valid_until=MOMENT), "es")["kind"] == kind


def test_an_order_that_is_over_says_why_and_no_other_does() -> None:
    assert document(paper(kind=DocumentKind.END), "es")["end_reason"] == "revoked"
    assert document(paper(), "es")["end_reason"] is None
    with pytest.raises(ValidationError, match="says why"):
        paper(kind=DocumentKind.END, end_reason=None)
    with pytest.raises(ValidationError, match="says why"):
        paper(end_reason=EndReason.EXPIRED)


@pytest.mark.parametrize("targets", [[], ["a.example"] * 10_001])
def test_an_order_has_targets_and_not_without_bound(targets: list[str]) -> None:
    with pytest.raises(ValidationError, match="targets"):
        paper(targets)
