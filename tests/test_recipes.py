"""Recipe files where the settings say; what may be in one is tested in ``tests/domain/test_recipes.py``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from precinto.adapters.crawlers.web.crawler import KEEP_SECONDS
from precinto.assembly import CAPTURE_LIMIT
from precinto.domain.errors import BadInput
from precinto.domain.intake import Service
from precinto.domain.recipes import RECIPE_SECONDS, Consent, Download, Open, Play, Recipe, Type
from precinto.recipes import read_recipes

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
OURS = read_recipes(RECIPES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of our recipes to spoil."""
    return shutil.copytree(RECIPES, tmp_path / "recipes")


@pytest.mark.parametrize("recipe", OURS.recipes, ids=lambda recipe: recipe.id)
def test_every_recipe_of_ours_is_for_the_service_that_its_file_is_named_after(recipe: Recipe) -> None:
    assert (RECIPES / f"{recipe.id}.toml").is_file()
    assert recipe.services == (recipe.id,)


@pytest.mark.parametrize("recipe", OURS.recipes, ids=lambda recipe: recipe.id)
def test_no_recipe_of_ours_needs_a_banner_but_each_answers_one_in_three_languages(recipe: Recipe) -> None:
    (consent,) = [step for step in recipe.steps if isinstance(step, Consent)]
    assert consent.optional
    assert {"Accept all", "Aceptar todo", "Aceitar tudo"} < set(consent.texts)


def test_every_service_has_one_and_each_shows_what_the_service_is_for() -> None:
    steps = {service: [type(step) for step in OURS.recipe(service).steps] for service in Service}
    assert {Type, Download} < set(steps[Service.STREAM_RIPPER])
    assert Play in steps[Service.LIVE_STREAM]
    assert Play in steps[Service.WEB_STREAMING]
    assert steps[Service.OTHER][0] is Open


def test_a_capture_has_time_for_the_longest_recipe_and_for_what_is_kept_after_it() -> None:
    assert RECIPE_SECONDS <= CAPTURE_LIMIT.total_seconds() - KEEP_SECONDS


def test_the_test_video_of_an_authority_is_still_to_be_set() -> None:
    """``.test`` exists nowhere (RFC 2606): nobody's video is converted because a setting was forgotten."""
    assert OURS.recipe(Service.STREAM_RIPPER).values["test_url"].startswith("https://video.test/")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"^{tmp_path}/none: no such folder$"):
        read_recipes(tmp_path / "none")


def test_an_empty_folder_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"^{tmp_path}: there is no recipe for the service other$"):
        read_recipes(tmp_path)


def test_a_mistake_in_a_file_is_named_by_file_and_key(folder: Path) -> None:
    path = folder / "other.toml"
    path.write_text(path.read_text().replace("screens", "sreens"))
    with pytest.raises(BadInput, match=r"^other\.toml: steps\.2\.scroll\.sreens: "):
        read_recipes(folder)


def test_a_recipe_that_would_take_longer_than_a_visit_has_is_refused_by_file_and_key(folder: Path) -> None:
    path = folder / "other.toml"
    path.write_text(path.read_text() + '[[steps]]\ndo = "wait"\nseconds = 120\n')
    with pytest.raises(BadInput, match=r"^other\.toml: steps: they may take 167 s together; a visit has 150 s "):
        read_recipes(folder)


def test_two_files_for_one_service_do_not_fit_together(folder: Path) -> None:
    text = (folder / "other.toml").read_text().replace('id = "other"', 'id = "another"')
    (folder / "another.toml").write_text(text)
    with pytest.raises(BadInput, match=r"more than one recipe for the service other$"):
        read_recipes(folder)


def test_another_encoding_is_bad_input(folder: Path) -> None:
    (folder / "a.toml").write_bytes('id = "año"'.encode("cp1252"))
    with pytest.raises(BadInput, match=r"^a\.toml: not TOML: .*utf-8"):
        read_recipes(folder)


def test_a_folder_in_the_place_of_a_file_is_bad_input(folder: Path) -> None:
    (folder / "a.toml").mkdir()
    with pytest.raises(BadInput, match="Is a directory"):
        read_recipes(folder)
