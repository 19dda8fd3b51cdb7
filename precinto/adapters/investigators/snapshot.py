"""Dated copies of public registers that are looked up offline: files in a folder, and ``snapshot.toml`` beside them.

What an installation looks up must be what it says it is: a copy whose bytes are not those of its description is
refused, and its date enters the evidence.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pydantic import Field, ValidationError

from precinto.domain.errors import BadInput
from precinto.domain.model import Digest, Value, first_wrong

DESCRIPTION = "snapshot.toml"


class Snapshot(Value):
    """What a copy is.

    Attributes:
        title: Which register.
        source: Where the copy was taken from.
        licence: On what terms it may be used.
        dated: The day of its content.
        files: SHA-256 of each file, by name.
    """

    title: str = Field(min_length=1)
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    dated: date
    files: dict[str, Digest] = Field(min_length=1)


def read_snapshot(folder: Path, *needed: str) -> Snapshot:
    """Read a copy's description, and check that the files are those that it describes.

    Args:
        folder: Where it lies.
        needed: Names of files that must be among them.

    Raises:
        BadInput: It cannot be read, is not TOML, lacks a field or a file, or a file has another digest; names which.
    """
    path = folder / DESCRIPTION
    try:
        found = Snapshot.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        digests = {name: _digest(folder / name) for name in (*found.files, *needed)}
    except OSError as error:
        raise BadInput(f"{error.filename}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        raise BadInput(f"{path}: {': '.join(first_wrong(error))}") from error
    for name, digest in digests.items():
        if found.files.get(name) != digest:
            raise BadInput(f"{folder / name}: is not the file that {DESCRIPTION} describes: its SHA-256 is {digest}")
    return found


def write_snapshot(folder: Path, title: str, source: str, licence: str, dated: date, names: Iterable[str]) -> None:
    """Describe the files of these names in a folder."""
    digests = "".join(f"{json.dumps(name)} = {json.dumps(_digest(folder / name))}\n" for name in sorted(names))
    text = {"title": title, "source": source, "licence": licence}
    lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in text.items())
    (folder / DESCRIPTION).write_text(f"{lines}dated = {dated.isoformat()}\n\n[files]\n{digests}", encoding="utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
