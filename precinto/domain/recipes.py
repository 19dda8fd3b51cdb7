"""Capture recipes as data: what a visit does at a service, step by step, so that it shows what the service does.

A recipe is a TOML file (``recipes/*.toml``). The recipe that was followed is part of the bundle, and the manifest
names its digest: the other side can read what was clicked and typed, and do the same.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from precinto.domain.errors import BadInput
from precinto.domain.intake import Service
from precinto.domain.model import Value, canonical_json, digest
from precinto.domain.toml_file import read_toml

STEPS = 40
"""Steps of one recipe."""

RECIPE_SECONDS = 150
"""What the steps of one recipe may take together: a visit has no more for them, and would end before their end."""

_SLACK_SECONDS = 5  # for what a step does beside waiting

Seconds = Annotated[int, Field(ge=1, le=120)]
Selector = Annotated[str, StringConstraints(pattern=r"^[^<{}]+$", strip_whitespace=True, max_length=300)]
"""A CSS selector (Selectors Level 4)."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class Step(Value):
    """What every step has.

    Attributes:
        optional: Whether the capture is whole without it.
        seconds: What it may take.
    """

    optional: bool = False
    seconds: Seconds = 10

    @property
    def limit(self) -> int:
        """What it may take in all, in seconds."""
        return self.seconds


class Find(Step):
    """A step at an element of the page: the first visible one that a selector finds, or else one with such a text.

    Attributes:
        selectors: CSS selectors; any of them will do.
        texts: The whole text of a button or link, in any case; any of them will do.
    """

    selectors: tuple[Selector, ...] = Field(default=(), max_length=50)
    texts: tuple[Text, ...] = Field(default=(), max_length=100)

    @model_validator(mode="after")
    def _plain_css(self) -> Find:
        if any(">>" in selector for selector in self.selectors):
            raise ValueError("'>>' is no CSS")  # the browser's driver would read another language after it
        return self

    @property
    def names_something(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.selectors or self.texts)


class FindOne(Find):
    """A step that cannot be done without an element."""

    @model_validator(mode="after")
    def _names_something(self) -> FindOne:
        if not self.names_something:
            raise ValueError("needs selectors or texts")
        return self


class Open(Step):
    """Open the target: always the first step, and never optional.

    Attributes:
        seconds: What it may take, also where a second address is tried.
    """

    do: Literal["open"]
    seconds: Seconds = 30


class Consent(FindOne):
    """Answer a banner about cookies or age, if one comes within ``seconds``."""

    do: Literal["consent"]


class Scroll(Step):
    """Scroll down, so that what loads late is there, and back to the top.

    Attributes:
        screens: Heights of the window, at most.
    """

    do: Literal["scroll"]
    screens: int = Field(default=10, ge=1, le=50)


class Type(FindOne):
    """Type into a field.

    Attributes:
        value: Which of the recipe's values.
        enter: Whether to press Enter then.
    """

    do: Literal["type"]
    value: Name
    enter: bool = False


class Click(FindOne):
    """Click, once."""

    do: Literal["click"]


class Wait(Find):
    """Wait until an element is to be seen, or until the network is silent; with neither, for ``seconds``.

    Attributes:
        idle: Whether to wait for the network: half a second without a request under way.
    """

    do: Literal["wait"]
    idle: bool = False

    @property
    def limit(self) -> int:
        """What it may take in all, in seconds; waiting for nothing, it always takes its ``seconds``."""
        return self.seconds if self.names_something else self.seconds + _SLACK_SECONDS

    @model_validator(mode="after")
    def _one_thing(self) -> Wait:
        if self.idle and self.names_something:
            raise ValueError("waits for an element or for the network, not both")
        return self


class Download(Find):
    """Keep the file that the page offers: the one that came already, or the one that a click brings.

    Attributes:
        bytes: What the file may have; one that is larger is broken off and not kept.
        find_seconds: Within which there must be something to click on, or the file: a page that has neither by then
            offers none.
    """

    do: Literal["download"]
    seconds: Seconds = 60
    find_seconds: Seconds = 10
    bytes: int = Field(default=50_000_000, ge=1, le=200_000_000)


class Play(Find):
    """See a player play, and keep frames of it; it is clicked on only where it does not play by itself.

    Attributes:
        seconds: What it may take to begin.
        play_seconds: How long it is watched.
        frames: Frames that are kept, evenly over that time.
    """

    do: Literal["play"]
    seconds: Seconds = 15
    play_seconds: Seconds = 10
    frames: int = Field(default=10, ge=1, le=100)

    @property
    def limit(self) -> int:
        """What it may take in all, in seconds."""
        return self.seconds + self.play_seconds + _SLACK_SECONDS


class Picture(Step):
    """Keep what the window shows, as ``picture-<name>.png``.

    Attributes:
        name: Different in each picture of a recipe.
    """

    do: Literal["picture"]
    name: Name


AnyStep = Annotated[
    Open | Consent | Scroll | Type | Click | Wait | Download | Play | Picture, Field(discriminator="do")
]


class Recipe(Value):
    """What a visit does at a service.

    Attributes:
        id: Its name.
        services: The services it is for.
        description: What it is to show, in a sentence.
        values: What is typed, by name.
        steps: In this order.
    """

    id: Name
    services: tuple[Service, ...] = Field(min_length=1)
    description: str = Field(min_length=1, max_length=500)
    values: dict[Name, Annotated[str, StringConstraints(min_length=1, max_length=500)]] = Field(
        default_factory=dict, max_length=20
    )
    steps: tuple[AnyStep, ...] = Field(min_length=1, max_length=STEPS)

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if [isinstance(step, Open) for step in self.steps] != [True] + [False] * (len(self.steps) - 1):
            raise ValueError("the first step, and no other, is 'open'")
        if self.steps[0].optional:
            raise ValueError("the step 'open' is not optional")
        if unknown := {step.value for step in self.steps if isinstance(step, Type)} - set(self.values):
            raise ValueError(f"no value is called {', '.join(sorted(unknown))}")
        names = [step.name for step in self.steps if isinstance(step, Picture)]
        if len(set(names)) < len(names):
            raise ValueError("two pictures have one name")
        return self

    def canonical(self) -> bytes:
        """The bytes that are kept as ``recipe.json``."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> str:
        """The digest that the manifest names."""
        return digest(self.canonical())


class RecipeBook(Value):
    """The recipes of an authority: one for each service; ``other`` stands in for a service that has none."""

    recipes: tuple[Recipe, ...]

    @model_validator(mode="after")
    def _one_for_each(self) -> RecipeBook:
        ids = [recipe.id for recipe in self.recipes]
        services = [service.value for recipe in self.recipes for service in recipe.services]
        for what, names in (("recipe", ids), ("recipe for the service", services)):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"there is more than one {what} {', '.join(twice)}")
        if Service.OTHER.value not in services:
            raise ValueError(f"there is no recipe for the service {Service.OTHER}")
        return self

    def recipe(self, service: Service) -> Recipe:
        """The recipe that captures of this service follow."""
        found = {s: recipe for recipe in self.recipes for s in recipe.services}
        return found.get(service, found[Service.OTHER])


def read_recipe(text: str, where: str) -> Recipe:
    """Read a recipe file.

    Args:
        text: The file's TOML text.
        where: Name of the file, for error messages.

    Raises:
        BadInput: Not TOML, or a key is missing, unknown or wrong, or the steps may take longer than
            ``RECIPE_SECONDS``; names file, key and reason.
    """
    recipe = read_toml(Recipe, text, where, whole="the recipe")
    if (seconds := sum(step.limit for step in recipe.steps)) > RECIPE_SECONDS:
        raise BadInput(f"{where}: steps: they may take {seconds} s together; a visit has {RECIPE_SECONDS} s for them")
    return recipe
