"""Recipe files: what captures do at each service, read from where the settings say."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from precinto.domain.errors import BadInput
from precinto.domain.recipes import RecipeBook, read_recipe
from precinto.shipped import own_or_shipped


def read_recipes(folder: Path) -> RecipeBook:
    """The recipes of a folder, or of the shipped one of its name: every ``*.toml`` in it.

    Raises:
        BadInput: The folder or a file cannot be read, a file is wrong (names file and key), or the recipes do not fit
            together.
    """
    folder = own_or_shipped(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder")
    recipes = [read_recipe(_text(path), path.name) for path in sorted(folder.glob("*.toml"))]
    try:
        return RecipeBook(recipes=tuple(recipes))
    except ValidationError as error:
        raise BadInput(f"{folder}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name}: not TOML: {error}") from error
