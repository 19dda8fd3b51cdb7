"""What kind of file an app is, by its content: a name is whatever the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import olefile

from precinto.adapters.crawlers.apps.archive import Archive, BadArchive
from precinto.domain.apps import AppKind, Problem, Reading

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_MSI = "000C1084-0000-0000-C000-000000000046"
"""Class id of a Windows Installer package."""

_PLIST = re.compile(r"Payload/[^/]+\.app/Info\.plist")


def kind_of(path: Path) -> AppKind:
    """The kind; ``OTHER`` for what is none of them."""
    return _kind(path)[0]


def recognised(path: Path) -> Reading:
    """The kind, and what is odd about the archive that it is."""
    kind, archive, problem = _kind(path)
    return Reading(
        kind=kind,
        oddities=archive.oddities() if archive else (),
        problems=(Problem(reader="kind", reason=problem),) if problem else (),
    )


def _kind(path: Path) -> tuple[AppKind, Archive | None, str | None]:
    """The kind, the archive where it is one, and why what begins like an archive is none."""
    with path.open("rb") as file:
        head = file.read(2**12)
        if head.startswith(b"MZ"):
            file.seek(int.from_bytes(head[0x3C:0x40], "little"))
            return (AppKind.PE if file.read(4) == b"PE\0\0" else AppKind.OTHER), None, None
        if head.startswith(_OLE):
            return _compound(path), None, None
        try:
            archive = Archive(file)
        except BadArchive as error:
            return AppKind.OTHER, None, str(error) if head.startswith(b"PK\x03\x04") else None
    return _contained({entry.name for entry in archive.entries}), archive, None


def _contained(names: set[str]) -> AppKind:
    if "AndroidManifest.xml" in names:
        return AppKind.APK
    if "BundleConfig.pb" in names:
        return AppKind.AAB
    if any(_PLIST.fullmatch(name) for name in names):
        return AppKind.IPA
    if names & {"AppxManifest.xml", "AppxMetadata/AppxBundleManifest.xml"}:
        return AppKind.APPX
    return AppKind.APK_SET if any(name.endswith(".apk") for name in names) else AppKind.OTHER


def _compound(path: Path) -> AppKind:
    file: Any = olefile.OleFileIO(str(path))
    with file:
        root: Any = file.root
        return AppKind.MSI if root is not None and root.clsid.upper() == _MSI else AppKind.OTHER
