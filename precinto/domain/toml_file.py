"""Values that stand in TOML files of the authority's own: procedures, recipes, standing orders."""

from __future__ import annotations

import tomllib
from typing import TypeVar

from pydantic import ValidationError

from precinto.domain.errors import BadInput
from precinto.domain.model import Value, first_wrong

T = TypeVar("T", bound=Value)


def read_toml(kind: type[T], text: str, where: str, whole: str = "") -> T:
    """The value that a file holds.

    Args:
        kind: What it should be.
        text: The file's TOML text.
        where: Name of the file, for error messages.
        whole: What stands for the key where the value as a whole is wrong.

    Raises:
        BadInput: Not TOML, or a key is missing, unknown or wrong; names file, key and reason.
    """
    try:
        return kind.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{where}: not TOML: {error}") from error
    except RecursionError as error:
        raise BadInput(f"{where}: not TOML that anybody wrote: nested too deep") from error
    except ValidationError as error:
        key, reason = first_wrong(error)
        raise BadInput(f"{where}: {key or whole}: {reason.removeprefix('Value error, ')}") from error
