"""What a recipe may say, and that a mistake in one is named."""

from __future__ import annotations

import hashlib
import json

import pytest
from pydantic import ValidationError

from precinto.domain.errors import BadInput
from precinto.domain.evidence import EvidenceItem
from precinto.domain.intake import Service
from precinto.domain.recipes import STEPS, Click, Open, Picture, Play, Recipe, RecipeBook, Wait, read_recipe

WHOLE = """
id = "ripper"
services = ["stream-ripper"]
description = "Convert."

[values]
link = "https://video.test/1"

[[steps]]
do = "open"

[[steps]]
do = "type"
value = "link"
selectors = ["input[type=url]"]

[[steps]]
do = "wait"
idle = true

[[steps]]
do = "picture"
name = "pasted"
optional = true
"""


def book(*recipes: Recipe) -> RecipeBook:
    return RecipeBook(recipes=recipes)


def recipe(name: str, *services: Service) -> Recipe:
    return Recipe(id=name, services=services, description="A test.", steps=(Open(do="open"),))


def test_a_recipe_says_what_each_step_is_and_how_long_it_may_take() -> None:
    read = read_recipe(WHOLE, "ripper.toml")
    assert read.services == (Service.STREAM_RIPPER,)
    assert [(step.do, step.seconds, step.optional) for step in read.steps] == [
        ("open", 30, False),
        ("type", 10, False),
        ("wait", 10, False),
        ("picture", 10, True),
    ]


def test_its_digest_is_that_of_the_file_that_is_kept() -> None:
    read = read_recipe(WHOLE, "ripper.toml")
    assert read.digest() == hashlib.sha256(read.canonical()).hexdigest()
    assert Recipe.model_validate(json.loads(read.canonical())) == read


def test_a_comment_changes_no_digest_and_a_step_does() -> None:
    digest = read_recipe(WHOLE, "ripper.toml").digest()
    assert read_recipe(f"# Adapt me.\n{WHOLE}", "other.toml").digest() == digest
    assert read_recipe(WHOLE.replace("pasted", "typed"), "ripper.toml").digest() != digest


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ('id = "ripper"', 'id = "Ripper!"', "id: String should match pattern"),
        ("[values]", "[value]", "value: Extra inputs are not permitted"),
        ("idle = true", "idel = true", "steps.2.wait.idel: Extra inputs are not permitted"),
        ("idle = true", "idle = true\nseconds = 0", "steps.2.wait.seconds: Input should be greater"),
        ("idle = true", "idle = true\nseconds = 999", "steps.2.wait.seconds: Input should be less"),
        ("idle = true", "seconds = 98", "steps: they may take 153 s together; a visit has 150 s for them"),
        ("idle = true", 'idle = true\ntexts = ["Go"]', "steps.2.wait: waits for an element or for the network"),
        ('do = "wait"', 'do = "wiat"', "steps.2: Input tag 'wiat' found using 'do' does not match"),
        ('selectors = ["input[type=url]"]', "", "steps.1.type: needs selectors or texts"),
        ("input[type=url]", "div >> xpath=//input", "steps.1.type: '>>' is no CSS"),
        ('value = "link"', 'value = "lnk"', "the recipe: no value is called lnk"),
        ('do = "open"', 'do = "scroll"', "the recipe: the first step, and no other, is 'open'"),
        ('do = "wait"\nidle = true', 'do = "open"', "the recipe: the first step, and no other, is 'open'"),
        ('do = "open"', 'do = "open"\noptional = true', "the recipe: the step 'open' is not optional"),
        ('name = "pasted"', 'name = "../page"', "steps.3.picture.name: String should match pattern"),
        ('"stream-ripper"', '"ripping"', "services.0: Input should be 'stream-ripper'"),
        ("[[steps]]", "[[steps", "not TOML: "),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_and_key(wrong: str, right: str, message: str) -> None:
    assert wrong in WHOLE
    with pytest.raises(BadInput) as error:
        read_recipe(WHOLE.replace(wrong, right, 1), "ripper.toml")
    assert str(error.value).startswith(f"ripper.toml: {message}")


def test_two_pictures_need_two_names() -> None:
    twice = '[[steps]]\ndo = "picture"\nname = "pasted"\n'
    with pytest.raises(BadInput, match="two pictures have one name"):
        read_recipe(WHOLE + twice, "ripper.toml")


def test_a_recipe_has_an_end() -> None:
    steps = [Open(do="open"), *[Click(do="click", texts=("Go",))] * STEPS]
    with pytest.raises(ValidationError, match="at most 40"):
        Recipe(id="long", services=(Service.OTHER,), description="A test.", steps=tuple(steps))


def test_what_a_step_may_take_counts_its_own_work_beside_its_waiting() -> None:
    play = Play(do="play", seconds=20, play_seconds=10)
    assert (play.limit, Wait(do="wait", seconds=20).limit, Click(do="click", texts=("Go",)).limit) == (35, 25, 10)


def test_every_picture_can_be_a_file_of_a_bundle() -> None:
    longest = Picture(do="picture", name="a" * 40)
    EvidenceItem(name=f"picture-{longest.name}.png", media_type="image/png", size=0, sha256="0" * 64)


def test_a_service_without_a_recipe_of_its_own_is_seen_as_any_other_site() -> None:
    recipes = book(recipe("ripper", Service.STREAM_RIPPER), recipe("any", Service.OTHER, Service.WEB_STREAMING))
    assert recipes.recipe(Service.STREAM_RIPPER).id == "ripper"
    assert recipes.recipe(Service.WEB_STREAMING).id == recipes.recipe(Service.LIVE_STREAM).id == "any"


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ([recipe("a", Service.LIVE_STREAM)], "no recipe for the service other"),
        ([recipe("a", Service.OTHER), recipe("a", Service.LIVE_STREAM)], "more than one recipe a"),
        ([recipe("a", Service.OTHER), recipe("b", Service.OTHER)], "more than one recipe for the service other"),
    ],
)
def test_a_book_has_one_recipe_for_each_service(recipes: list[Recipe], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        book(*recipes)
