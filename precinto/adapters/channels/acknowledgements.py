"""What an ISP's interface answers at once: ``{"notice": id, "items": [{"measure": id, "claim": "enforced"}]}``.

Claims, not facts; and only on what was asked. An item that is malformed, or speaks of a measure of some other
notice, is left out; the others count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from precinto.domain.notification import Acknowledgement, Claim, Notice


class Read(NamedTuple):
    """The acknowledgements of a notice's measures, and how many items of the answer were left out."""

    taken: tuple[Acknowledgement, ...]
    ignored: int


class _Answer(BaseModel):
    notice: str
    items: list[Any] = Field(max_length=10_000)


class _Item(BaseModel):
    measure: str
    claim: Claim
    code: str | None = Field(None, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")


def read_acknowledgements(body: bytes, notice: Notice) -> Read:
    """Read an answer; of two items on one measure the first counts.

    Raises:
        ValueError: It is not JSON of the expected form, or answers another notice.
    """
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError as error:
        raise ValueError(f"the answer is not of the expected form: {error.errors()[0]['msg']}") from error
    if answer.notice != notice.id:
        raise ValueError("the answer speaks of another notice")
    asked = {item.id for item in notice.items}
    taken: dict[str, Acknowledgement] = {}
    for raw in answer.items:
        try:
            item = _Item.model_validate(raw)
        except ValidationError:
            continue
        if item.measure in asked and item.measure not in taken:
            taken[item.measure] = Acknowledgement(measure=item.measure, claim=item.claim, code=item.code)
    return Read(tuple(taken.values()), len(answer.items) - len(taken))
