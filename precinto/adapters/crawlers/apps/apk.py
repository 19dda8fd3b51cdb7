"""How an APK is made, by ``apkInspector``: a small reader that goes on where hostile archives stop the others.

For a set of APKs (XAPK, APKS, APKM) it is the base APK that is read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from apkInspector import axml, indicators

from precinto.adapters.crawlers.apps.archive import Archive, BadArchive, Entry
from precinto.adapters.crawlers.apps.words import given, plain
from precinto.domain.apps import LIST, Android, Part, Problem, Reading

MANIFEST = "AndroidManifest.xml"

_MANIFEST_BYTES = 16 * 2**20
_APK_BYTES = 256 * 2**20
_FIRST_ELEMENTS = 3
"""Elements of the manifest that the tolerant reader looks at: the first has the ids."""


def structure(path: Path) -> Reading:
    """What the archive and its manifest are made like; the package id as the tolerant reader sees it.

    Raises:
        BadArchive: There is no APK in it.
    """
    content, archive, parts = base_apk(path)
    inspector: Any = indicators  # neither module has types
    manifests: Any = axml
    problems: list[Problem] = []
    oddities = list(archive.oddities()) if parts else []  # the file's own are told with its kind
    said: dict[str, Any] = {}
    try:
        oddities += _told("archive", inspector.zip_tampering_indicators(io.BytesIO(content), False))
        manifest = archive.read(archive.entry(MANIFEST), _MANIFEST_BYTES)
        said = manifests.get_manifest_lite(io.BytesIO(manifest), _FIRST_ELEMENTS)
        oddities += _told("manifest", inspector.manifest_tampering_indicators(io.BytesIO(manifest)))
    except Exception as error:  # this reader raises whatever its parsing runs into; what it had found by then counts
        problems.append(Problem(reader="structure", reason=plain(f"{type(error).__name__}: {error}")))
    return Reading(
        android=Android(
            package=given(said.get("package")),
            version_name=given(said.get("versionName")),
            version_code=given(said.get("versionCode")),
        ),
        parts=parts,
        oddities=tuple(oddities[:LIST]),
        problems=tuple(problems),
        tools={"apkInspector": version("apkInspector")},
    )


def base_apk(path: Path) -> tuple[bytes, Archive, tuple[Part, ...]]:
    """The APK's bytes, its members, and for a set the APKs that are in it.

    Raises:
        BadArchive: There is no APK in it.
    """
    whole = path.read_bytes()
    archive = Archive(io.BytesIO(whole))
    if archive.find(MANIFEST):
        return whole, archive, ()
    apks = [entry for entry in archive.entries if entry.name.endswith(".apk")]
    if not apks:
        raise BadArchive("there is no AndroidManifest.xml and no APK in it")
    base = _base_of(archive, apks)
    content = archive.read(base, _APK_BYTES)
    parts = tuple(part_of(entry, archive.read(entry, _APK_BYTES)) for entry in apks[:LIST])
    return content, Archive(io.BytesIO(content)), parts


def _base_of(archive: Archive, apks: list[Entry]) -> Entry:
    """By what the set says of itself (XAPK), then by the usual names, else the largest."""
    names = ["base.apk", "splits/base-master.apk"]
    if manifest := archive.find("manifest.json"):
        with suppress(ValueError, BadArchive):
            told: Any = json.loads(archive.read(manifest, 2**20))
            if isinstance(told, dict):
                names.insert(0, f"{told.get('package_name')}.apk")  # pyright: ignore[reportUnknownMemberType]
    found = (entry for name in names for entry in apks if entry.name == name)
    return next(found, max(apks, key=lambda entry: entry.size))


def part_of(entry: Entry, content: bytes) -> Part:
    """A member, as a part of the app."""
    return Part(name=plain(entry.name), size=len(content), sha256=sha256(content).hexdigest())


def _told(where: str, found: dict[str, Any]) -> Iterable[str]:
    """What ``apkInspector`` found, a line for each kind of trick."""
    for what, detail in list(found.items())[:LIST]:
        yield plain(f"{where}: {what}: {json.dumps(detail, default=str)}")
