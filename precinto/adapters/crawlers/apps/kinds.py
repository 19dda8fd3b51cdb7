"""What kind of file an app is, by its content: a name is whatever the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import olefile

from precinto.adapters.crawlers.apps.archive import Archive, BadArchive
from precinto.domain.apps import AppKind, Reading

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_MSI = "000C1084-0000-0000-C000-000000000046"
"""Class id of a Windows Installer package."""

_PLIST = re.compile(r"Payload/[^/]+\.app/Info\.plist")


def kind_of(path: Path) -> AppKind:
    """The kind; ``OTHER`` for what is none of them."""
    with path.open("rb") as file:
        head = file.read(2**12)
        if head.startswith(b"MZ"):
            file.seek(int.from_bytes(head[0x3C:0x40], "little"))
            return AppKind.PE if file.read(4) == b"PE\0\0" else AppKind.OTHER
        if head.startswith(_OLE):
            return _compound(path)
        try:
            names = {entry.name for entry in Archive(file).entries}
        except BadArchive:
            return AppKind.OTHER
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


def recognised(path: Path) -> Reading:
    """The kind, as a reading."""
    return Reading(kind=kind_of(path))
