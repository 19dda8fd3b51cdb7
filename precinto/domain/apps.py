"""What can be read out of an app's file, and whether it is the app that was referred.

An app is judged by its content, never by its name. The facts are a reader's account of a file that somebody hostile
may have made: nothing in them was *validated*, and each says who read it. Texts are cut to ``TEXT`` characters.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from precinto.domain.fingerprints import PictureHash
from precinto.domain.intake import Target, TargetKind
from precinto.domain.model import Digest, Instant, Value

TEXT = 500
"""Characters of a text out of an app that are kept."""

LIST = 2_000
"""Entries of a list out of an app that are kept."""

Text = Annotated[str, StringConstraints(max_length=TEXT)]
Texts = Annotated[tuple[Text, ...], Field(max_length=LIST)]


class AppKind(StrEnum):
    """What a file is, by its content."""

    APK = "apk"
    APK_SET = "apk-set"
    """Several APKs that are installed together, in one archive (XAPK, APKS, APKM)."""
    AAB = "aab"
    """An Android App Bundle, which stores make APKs from."""
    IPA = "ipa"
    PE = "pe"
    MSI = "msi"
    APPX = "appx"
    """A package of the Windows store (APPX, MSIX)."""
    OTHER = "other"


class Problem(Value):
    """Something that a reader could not do.

    Attributes:
        reader: Which reader.
        reason: Why not.
    """

    reader: str
    reason: Text


class Certificate(Value):
    """A certificate that came with an app; the best link there is between an app and its copies under other names.

    Attributes:
        sha256: Digest of its DER form.
        found_in: Where it stood: ``v1`` to ``v3.1`` (APK signature schemes), ``profile`` (developer certificates of a
            provisioning profile), ``profile signer``, ``authenticode``, ``msi``.
        signer: Whether a signature in the file names it as its own; the others are its chain, or beside it.
    """

    sha256: Digest
    subject: Text
    issuer: Text
    not_before: Instant
    not_after: Instant
    found_in: Text
    signer: bool


class Part(Value):
    """A part of the file whose digest tells a copy: a dex file, a section, an app inside a set.

    Attributes:
        size: Bytes.
    """

    name: Text
    size: int = Field(ge=0)
    sha256: Digest


class Component(Value):
    """A component of an Android app that other apps may call.

    Attributes:
        kind: ``activity``, ``activity-alias``, ``service``, ``receiver`` or ``provider``.
        permission: What the caller must hold; None where anybody may call.
    """

    kind: str
    name: Text
    permission: Text | None


class Android(Value):
    """What an APK says of itself.

    Attributes:
        package: The package id.
        min_sdk: Lowest Android API level that it runs on; None where it does not say.
        schemes: Signature schemes whose blocks are there (``v1`` ... ``v3.1``): present, not validated.
        exported: Components that say ``exported``, or that do not say and have an intent filter.
        deep_links: ``scheme://host`` of the links that it opens.
        icon: The file of its icon, in the finest resolution; None where it has only one of vectors.
        icon_look: What the icon looks like, comparable with a site's.
    """

    package: Text | None = None
    label: Text | None = None
    version_name: Text | None = None
    version_code: Text | None = None
    min_sdk: Text | None = None
    target_sdk: Text | None = None
    schemes: Texts = ()
    permissions: Texts = ()
    exported: Annotated[tuple[Component, ...], Field(max_length=LIST)] = ()
    deep_links: Texts = ()
    icon: Part | None = None
    icon_look: PictureHash | None = None


class Ios(Value):
    """What an IPA says of itself, and what its provisioning profile allows it.

    Attributes:
        bundle: The bundle id.
        url_schemes: Schemes of the links that it opens.
        domains: Associated domains, as in the profile (``applinks:example.com``).
        team: Name and id of the developers' team, by the profile.
        entitlements: Keys of the profile's entitlements with their values as JSON.
        profile_name, profile_expires: Of the profile; None without one.
        all_devices: Whether the profile is an enterprise's, which runs on any device.
    """

    bundle: Text | None = None
    name: Text | None = None
    version: Text | None = None
    build: Text | None = None
    minimum_os: Text | None = None
    url_schemes: Texts = ()
    domains: Texts = ()
    team: Text | None = None
    profile_name: Text | None = None
    profile_expires: Instant | None = None
    all_devices: bool | None = None
    entitlements: dict[Text, Text] = Field(default_factory=dict)


class Program(Value):
    """What a Windows program (PE) says of itself.

    Attributes:
        machine: The processor it is for.
        linked_at: When it was linked, by its header; reproducible builds write anything there, None means zero.
        imphash: MD5 over its imports, as ``pefile`` computes it; other programs compute other values.
        version: Its version resource: company, product, original file name ...
        authenticode: Whether a signature is embedded: present, not validated.
        intact: Whether the file is as it was signed, by ``osslsigncode``; it says nothing of who signed. None where
            nothing is signed, or the program is not there.
        overlay: Bytes after its last section, less the signature.
    """

    machine: Text
    linked_at: Instant | None
    imphash: Text
    version: dict[Text, Text] = Field(default_factory=dict)
    authenticode: bool
    intact: bool | None = None
    overlay: int = Field(ge=0)


class Installer(Value):
    """What a Windows installer (MSI) says in its Property table.

    Attributes:
        signed: Whether a signature is embedded: present, not validated.
    """

    product_code: Text | None = None
    upgrade_code: Text | None = None
    manufacturer: Text | None = None
    name: Text | None = None
    version: Text | None = None
    signed: bool = False


class Reading(Value):
    """What one reader found; a reader gives what it can, and the rest is empty.

    Attributes:
        urls: Web addresses that stand in the file as text, sorted: mentioned, not known to be called.
        oddities: What makes the file unlike what ordinary tools make, such as archives that hide from readers.
    """

    kind: AppKind | None = None
    android: Android | None = None
    ios: Ios | None = None
    program: Program | None = None
    installer: Installer | None = None
    certificates: Annotated[tuple[Certificate, ...], Field(max_length=LIST)] = ()
    parts: Annotated[tuple[Part, ...], Field(max_length=LIST)] = ()
    urls: Texts = ()
    domains: Texts = ()
    oddities: Texts = ()
    problems: Annotated[tuple[Problem, ...], Field(max_length=LIST)] = ()
    tools: dict[Text, Text] = Field(default_factory=dict)


class AppFacts(Reading):
    """Everything that was read out of one file.

    Attributes:
        v: Version of this format.
        size: Bytes.
        sha256: With ``sha1`` and ``md5``, the names under which stores and scanners know the file.
    """

    v: int = 1
    size: int = Field(ge=0)
    sha256: Digest
    sha1: str = Field(pattern=r"^[0-9a-f]{40}$")
    md5: str = Field(pattern=r"^[0-9a-f]{32}$")

    @property
    def identity(self) -> str | None:
        """The package or bundle id; None for what has none, or hides it."""
        if self.android and self.android.package:
            return self.android.package
        return self.ios.bundle if self.ios else None


def mismatch(target: Target, facts: AppFacts) -> str | None:
    """Why a file is not the app that was referred; None when it is."""
    match target.kind:
        case TargetKind.MOBILE_APP:
            what, found = "package or bundle id", facts.identity
        case TargetKind.DESKTOP_APP:
            what, found = "SHA-256", facts.sha256
        case other:
            return f"a target of kind {other} is no app"
    if found == target.value:
        return None
    return f"the file's {what} is {found or 'not to be read'}; the target's is {target.value}"
