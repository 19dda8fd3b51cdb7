"""The page about orders says what the code does: the fields, the commands."""

from __future__ import annotations

import re
from pathlib import Path

from precinto.domain.order_document import document
from precinto.reports.order import RECIPE, TEMPLATES
from tests.orders import paper

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/order.md").read_text(encoding="utf-8")


def test_every_field_is_documented() -> None:
    rows = "\n".join(re.findall(r"^\| `.*", PAGE, re.MULTILINE))
    assert not [name for name in document(paper(), "es") if f"`{name}`" not in rows]


def test_the_commands_are_those_on_the_letter() -> None:
    assert (TEMPLATES / RECIPE).read_text(encoding="utf-8") in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
