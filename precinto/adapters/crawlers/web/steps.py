"""What became of each step of a recipe, written down as it happens: the content of ``steps.json``.

A step that the visit never came to is told as well, so the record is whole wherever the visit broke off.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from precinto.adapters.crawlers.web.record import moment
from precinto.domain.evidence import Missing
from precinto.domain.recipes import AnyStep, Recipe


class Outcome(StrEnum):
    """What became of a step."""

    DONE = "done"
    SKIPPED = "skipped"
    """It was optional, and could not be done."""
    FAILED = "failed"
    NOT_REACHED = "not reached"


class NotDone(Exception):
    """A step cannot be done; says why."""


class Steps:
    """The steps of one visit and their outcomes.

    Attributes:
        told: One entry for each step, in order: what it was, its outcome and why, when it began and ended, and what
            was seen, clicked on and typed.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.told: list[dict[str, Any]] = [
            {
                "step": number,
                "do": step.do,
                "optional": step.optional,
                "outcome": Outcome.NOT_REACHED,
                "why": "the visit was broken off",
                "started_at": None,
                "finished_at": None,
            }
            for number, step in enumerate(recipe.steps, 1)
        ]
        self._steps = recipe.steps

    def __iter__(self) -> Iterator[tuple[AnyStep, dict[str, Any]]]:
        """Each step with its entry."""
        return iter(zip(self._steps, self.told, strict=True))

    @contextmanager
    def under_way(self, step: AnyStep, noted: dict[str, Any]) -> Generator[None]:
        """Do a step inside the block; ``NotDone`` ends it."""
        noted |= {"outcome": Outcome.FAILED, "started_at": moment()}  # until the block has come to its end
        try:
            yield
        except NotDone as error:
            noted |= {"outcome": Outcome.SKIPPED if step.optional else Outcome.FAILED, "why": str(error)}
        else:
            noted |= {"outcome": Outcome.DONE, "why": None}
        finally:
            noted["finished_at"] = moment()

    @staticmethod
    def failed(noted: dict[str, Any]) -> bool:
        """Whether a step failed, so that those after it make no sense."""
        return noted["outcome"] is Outcome.FAILED

    def give_up(self, why: str) -> None:
        """Say why the steps that were not reached were not."""
        for noted in self.told:
            if noted["outcome"] is Outcome.NOT_REACHED:
                noted["why"] = why

    @property
    def failure(self) -> str | None:
        """The first step that a whole capture would have and this one does not, with the reason."""
        undone = (noted for noted in self.told if not noted["optional"] and noted["outcome"] is not Outcome.DONE)
        return next((f"{_name(noted)}: {noted['why']}" for noted in undone), None)

    def missing(self) -> Iterator[Missing]:
        """Every step that was not done."""
        for noted in self.told:
            if noted["outcome"] is not Outcome.DONE:
                yield Missing(what=_name(noted), reason=f"{noted['outcome']}: {noted['why']}"[:500])


def _name(noted: dict[str, Any]) -> str:
    return f"step {noted['step']} ({noted['do']})"
