"""What an IPA says: its property list, and the provisioning profile that lets it run outside the store."""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from xml.parsers.expat import ExpatError

from asn1crypto import x509

from precinto.adapters.crawlers.apps.archive import Archive, BadArchive, Entry
from precinto.adapters.crawlers.apps.signatures import Signature, described, loaded
from precinto.adapters.crawlers.apps.words import given, plain
from precinto.domain.apps import LIST, Certificate, Ios, Part, Problem, Reading

PLIST = 4 * 2**20
"""Bytes of a property list that are read."""

_READER = "ipa"
_APP = re.compile(r"Payload/([^/]+\.app)/Info\.plist")


def ipa(path: Path) -> Reading:
    """The app in an IPA.

    Raises:
        BadArchive: There is no app in it, or no property list that can be read.
    """
    with path.open("rb") as file:
        archive = Archive(file)
        found = [entry for entry in archive.entries if _APP.fullmatch(entry.name)]
        if not found:
            raise BadArchive("there is no Payload/*.app/Info.plist in it")
        folder = found[0].name.removesuffix("Info.plist")
        info = _plist(archive.read(found[0], PLIST), "Info.plist")
        parts, problems = [], [] if len(found) == 1 else [f"{len(found)} apps; the first is read"]
        if program := archive.find(f"{folder}{info.get('CFBundleExecutable')}"):
            parts = list(_program(archive, program, problems))
        profile, certificates = _profile(archive, archive.find(f"{folder}embedded.mobileprovision"), problems)
    return Reading(
        ios=_ios(info, profile),
        certificates=certificates[:LIST],
        parts=tuple(parts),
        problems=tuple(Problem(reader=_READER, reason=plain(reason)) for reason in problems),
    )


def _ios(info: dict[str, Any], profile: dict[str, Any]) -> Ios:
    entitlements = _dictionary(profile.get("Entitlements"))
    team = " ".join(plain(part) for part in (profile.get("TeamName"), *_list(profile.get("TeamIdentifier"))) if part)
    expires = profile.get("ExpirationDate")
    types = (_dictionary(one) for one in _list(info.get("CFBundleURLTypes")))
    return Ios(
        bundle=given(info.get("CFBundleIdentifier")),
        name=given(info.get("CFBundleDisplayName") or info.get("CFBundleName")),
        version=given(info.get("CFBundleShortVersionString")),
        build=given(info.get("CFBundleVersion")),
        minimum_os=given(info.get("MinimumOSVersion")),
        url_schemes=_texts(scheme for one in types for scheme in _list(one.get("CFBundleURLSchemes"))),
        domains=_texts(_list(entitlements.get("com.apple.developer.associated-domains"))),
        team=given(team),
        profile_name=given(profile.get("Name")),
        profile_expires=expires.replace(tzinfo=UTC) if isinstance(expires, datetime) else None,
        all_devices=bool(profile.get("ProvisionsAllDevices")) if profile else None,
        entitlements={
            plain(key): plain(json.dumps(value, default=str, sort_keys=True))
            for key, value in list(entitlements.items())[:LIST]
        },
    )


def _profile(
    archive: Archive, entry: Entry | None, problems: list[str]
) -> tuple[dict[str, Any], tuple[Certificate, ...]]:
    """The provisioning profile and the certificates in and on it; empty where there is none, as in the store's."""
    if entry is None:
        return {}, ()
    try:
        signature = Signature(archive.read(entry, PLIST))
        profile = _plist(signature.content(), "embedded.mobileprovision")
        certificates = [*signature.certificates("profile signer")]
        for der in _list(profile.get("DeveloperCertificates")):
            certificates.append(described(loaded(x509.Certificate, der), "profile", signer=False))
    except (ValueError, TypeError, BadArchive) as error:
        problems.append(f"embedded.mobileprovision: {error}")
        return {}, ()
    return profile, tuple(certificates)


def _program(archive: Archive, entry: Entry, problems: list[str]) -> Iterable[Part]:
    try:
        content = archive.read(entry)
    except BadArchive as error:
        problems.append(str(error))
    else:
        yield Part(name=plain(entry.name), size=len(content), sha256=sha256(content).hexdigest())


def _plist(content: bytes, what: str) -> dict[str, Any]:
    """A property list, binary or XML; ``plistlib`` refuses XML entities."""
    try:
        value: object = plistlib.loads(content)
    except (plistlib.InvalidFileException, ExpatError, ValueError, RecursionError) as error:
        raise BadArchive(f"{what} is no property list: {type(error).__name__}: {error}") from error
    if not isinstance(value, dict):
        raise BadArchive(f"{what} holds no dictionary")
    return cast("dict[str, Any]", value)


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(sorted({plain(value) for value in values})[:LIST])


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value)[:LIST] if isinstance(value, list) else []


def _dictionary(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
