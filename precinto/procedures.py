"""Procedure files, read from where the settings say, and the snapshot that a new case takes of one."""

from __future__ import annotations

from datetime import date
from importlib.metadata import version
from pathlib import Path

from precinto.domain.errors import BadInput
from precinto.domain.procedures import Procedure, Snapshot, read_procedure
from precinto.shipped import own_or_shipped

YEARS = 3
"""A snapshot covers the year of its case and the two after it."""

_MOST_BYTES = 256 * 1024


def load_procedure(path: Path) -> Procedure:
    """Read a procedure file.

    Raises:
        BadInput: There is no such file, it is wrong, or nobody knows the holidays of its country; names file, key and
            reason.
    """
    procedure = read_procedure(text_of(path, "procedure"), path.name)
    try:
        _holidays(procedure, range(2000, 2001))
    except NotImplementedError as error:
        key = "subdivision" if procedure.subdivision and "subdivision" in str(error) else "country"
        raise BadInput(f"{path.name}: {key}: no holidays are known: {error}") from error
    return procedure


def snapshot(procedure: Procedure, today: date) -> Snapshot:
    """What a case that starts today keeps of its procedure: all of it, and the holidays of three years.

    A holiday or closed day that is decreed later is not in it: it counts for new cases only.
    """
    years = range(today.year, today.year + YEARS)
    closed = {day for day in procedure.closed if day.year in years}
    found, source = _holidays(procedure, years)
    return Snapshot(procedure=procedure, holidays=tuple(sorted(found | closed)), holidays_source=source)


def _holidays(procedure: Procedure, years: range) -> tuple[set[date], str]:
    # Imported here: the library takes half a second to load, and most commands count nothing.
    import holidays

    of = procedure.country + (f"-{procedure.subdivision}" if procedure.subdivision else "")
    found = holidays.country_holidays(procedure.country, subdiv=procedure.subdivision, years=years)
    return set(found), f"holidays {version('holidays')}, {of}"


def text_of(path: Path, what: str) -> str:
    """The text of a file of the installation's own, or of a shipped one.

    Args:
        path: The file.
        what: What it should be, for error messages.

    Raises:
        BadInput: It cannot be read, is larger than any such file, or is no UTF-8.
    """
    try:
        with own_or_shipped(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise BadInput(f"{path.name}: more than {_MOST_BYTES} bytes are no {what}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name}: not TOML: {error}") from error
