"""Procedure files: the legal terms of new cases, read from where the settings say."""

from __future__ import annotations

from pathlib import Path

from precinto.domain.errors import BadInput
from precinto.domain.terms import Terms, read_procedure


def load_terms(path: Path) -> Terms:
    """The terms of a procedure file, as a new case snapshots them.

    Raises:
        BadInput: There is no such file, or it is wrong; names file and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name}: not TOML: {error}") from error
    return read_procedure(text, path.name).terms()
