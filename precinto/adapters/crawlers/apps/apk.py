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
from precinto.domain.apps import LIST, Android, Part, Reading


def structure(path: Path) -> Reading:
    """What the archive and its manifest are made like; the package id as the tolerant reader sees it.

    Raises:
        BadArchive: There is no APK in it.
    """
    inspector: Any = indicators  # neither module has types
    manifests: Any = axml
    content, archive, parts = base_apk(path)
    tampering = inspector.apk_tampering_check(io.BytesIO(content), False)
    manifest = manifests.parse_apk_for_manifest(io.BytesIO(content), raw=True, lite=True)
    return Reading(
        android=Android(
            package=given(manifest.get("package")),
            version_name=given(manifest.get("versionName")),
            version_code=given(manifest.get("versionCode")),
        ),
        parts=parts,
        oddities=(*archive.oddities(), *_told(tampering)),
        tools={"apkInspector": version("apkInspector")},
    )


def base_apk(path: Path) -> tuple[bytes, Archive, tuple[Part, ...]]:
    """The APK's bytes, its members, and for a set the APKs that are in it.

    Raises:
        BadArchive: There is no APK in it.
    """
    whole = path.read_bytes()
    archive = Archive(io.BytesIO(whole))
    if archive.find("AndroidManifest.xml"):
        return whole, archive, ()
    apks = [entry for entry in archive.entries if entry.name.endswith(".apk")]
    if not apks:
        raise BadArchive("there is no AndroidManifest.xml and no APK in it")
    base = _base_of(archive, apks)
    content = archive.read(base, len(whole))
    parts = tuple(part_of(entry, archive.read(entry, len(whole))) for entry in apks[:LIST])
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


def _told(tampering: dict[str, Any]) -> Iterable[str]:
    """What ``apkInspector`` found, a line for each kind of trick in archive and manifest."""
    for where, found in tampering.items():
        for what, detail in list(found.items())[:LIST]:
            yield plain(f"{where}: {what}: {json.dumps(detail, default=str)}")
