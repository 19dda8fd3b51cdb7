"""Data that is shipped with the code: in a wheel inside the package, in a checkout beside it.

An installation keeps copies of its own of what it changes, and they come first; what it does not change need not be
copied.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
FOLDER = _PACKAGE / "data" if (_PACKAGE / "data").is_dir() else _PACKAGE.parent
"""Where the folders ``recipes``, ``guardlists``, ``procedures`` and ``tools`` are."""


def own_or_shipped(path: Path) -> Path:
    """A file or folder of the installation's own where it is there; else what is shipped under this relative path."""
    shipped = FOLDER / path
    return shipped if not path.exists() and shipped.exists() else path
