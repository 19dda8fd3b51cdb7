"""Reads an app's file: its digests here, everything else in processes that may be ended at any moment.

Each reader runs by itself, so a file that brings one down loses what that one would have said and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from precinto.adapters.crawlers.apps import reader
from precinto.adapters.crawlers.apps.isolation import Limits, isolated
from precinto.domain.apps import LIST, Android, AppFacts, AppKind, Reading
from precinto.domain.errors import CannotHere

PARSERS = ("androguard", "apkInspector", "asn1crypto", "olefile", "pefile")
"""Modules of the optional part ``apps``."""

PROGRAMS = ("prlimit", "setpriv")
"""Programs of util-linux."""

_READERS = {
    AppKind.APK: ("structure", "declarations"),
    AppKind.APK_SET: ("structure", "declarations"),
    AppKind.IPA: ("ipa",),
    AppKind.PE: ("program",),
    AppKind.MSI: ("installer",),
}
"""Beside the search for web addresses, which every kind gets."""


def check_tools() -> None:
    """Make sure that apps can be read on this machine.

    Raises:
        CannotHere: The parsers, which are an optional part for they are large, or the programs that keep them within
            limits, are not installed.
    """
    if missing := [name for name in PARSERS if find_spec(name) is None]:
        raise CannotHere(f"apps cannot be read without {', '.join(missing)}: pip install 'precinto[apps]'")
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise CannotHere(f"apps cannot be read without {', '.join(missing)}: apt install util-linux")


async def analyse(path: Path, limits: Limits | None = None) -> AppFacts:
    """Everything that can be read out of a file; what cannot is among its problems.

    Args:
        path: The file.
        limits: For each reader; two run at a time.

    Raises:
        CannotHere: See ``check_tools``.
    """
    check_tools()
    bounds = limits or Limits()
    digests = await asyncio.to_thread(_digests, path)
    first = await _read("kind", path, bounds)
    names = (*_READERS.get(first.kind or AppKind.OTHER, ()), "mentions")
    slots = asyncio.Semaphore(2)

    async def in_turn(name: str) -> Reading:
        async with slots:
            return await _read(name, path, bounds)

    readings = await asyncio.gather(*(in_turn(name) for name in names))
    return AppFacts.model_validate(_merged((first, *readings)) | digests)


async def _read(name: str, path: Path, limits: Limits) -> Reading:
    return await isolated(name, _command(name, path), limits)


def _command(name: str, path: Path) -> list[str]:
    return [sys.executable, "-I", "-B", "-m", reader.__name__, name, str(path.absolute())]


def _digests(path: Path) -> dict[str, Any]:
    """Size and digests; SHA-1 and MD5 are names that others use, nothing rests on them."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", "sha1", "md5")}
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            size += len(chunk)
            for one in hashes.values():
                one.update(chunk)
    return {"size": size} | {name: one.hexdigest() for name, one in hashes.items()}


def _merged(readings: Sequence[Reading]) -> dict[str, Any]:
    """One reading of several: lists one after the other; of the rest, what was said first."""
    merged: dict[str, Any] = {}
    for reading in readings:
        for name in reading.model_fields_set:
            before: Any = merged.get(name)
            value: Any = getattr(reading, name)
            if before is None:
                merged[name] = value
            elif isinstance(value, tuple):
                merged[name] = (*before, *value)[:LIST]
            elif isinstance(value, dict):
                merged[name] = value | before
            elif isinstance(value, Android):
                merged[name] = _both(before, value)
                merged["oddities"] = (*_disagreements(before, value), *merged.get("oddities", ()))[:LIST]
    return merged


def _both(first: Android, second: Android) -> Android:
    said = {name: value for name in type(first).model_fields if (value := getattr(first, name)) not in (None, ())}
    return second.model_copy(update=said)


def _disagreements(first: Android, second: Android) -> list[str]:
    """Where two readers of one manifest see different things: the file was made to be read in two ways."""
    pairs = {name: (getattr(first, name), getattr(second, name)) for name in ("package", "version_code")}
    return [
        f"two readers disagree on {name}: {one} and {other}"[:500]
        for name, (one, other) in pairs.items()
        if one and other and one != other
    ]
