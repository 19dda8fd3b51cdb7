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
    procedure = read_procedure(_text(path), path.name)
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


def _text(path: Path) -> str:
    try:
        with own_or_shipped(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise BadInput(f"{path.name}: more than {_MOST_BYTES} bytes are no procedure")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name}: not TOML: {error}") from error
