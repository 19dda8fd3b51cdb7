"""What an Android app declares, by ``androguard``: manifest, resources, signature blocks and code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from androguard.core.apk import APK

from precinto.adapters.crawlers.apps.apk import base_apk, part_of
from precinto.adapters.crawlers.apps.archive import Archive, BadArchive
from precinto.adapters.crawlers.apps.signatures import Signature, described
from precinto.adapters.crawlers.apps.words import given, plain
from precinto.domain.apps import LIST, Android, Certificate, Component, Part, Problem, Reading

_DEX = re.compile(r"classes[0-9]*\.dex")
_COMPONENTS = ("activity", "activity-alias", "service", "receiver", "provider")
_FILTER_LINKS = 50


def declarations(path: Path) -> Reading:
    """The app's own account, its certificates, and the digests of its code.

    Raises:
        BadArchive: There is no APK in it.
    """
    content, archive, _ = base_apk(path)
    apk: Any = APK(content, raw=True)  # pyright: ignore
    problems: list[str] = []
    certificates = _certificates(apk, archive, problems)
    manifest = apk.get_android_manifest_xml()
    components = [] if manifest is None else [tag for tag in manifest.iter(*_COMPONENTS)]
    return Reading(
        android=Android(
            package=given(apk.get_package()),
            label=given(apk.get_app_name()),
            version_name=given(apk.get_androidversion_name()),
            version_code=given(apk.get_androidversion_code()),
            min_sdk=given(apk.get_min_sdk_version()),
            target_sdk=given(apk.get_target_sdk_version()),
            schemes=tuple(name for name, there in _schemes(apk) if there),
            permissions=tuple(sorted({plain(name) for name in apk.get_permissions()})[:LIST]),
            exported=tuple(_exported(apk, components))[:LIST],
            deep_links=tuple(sorted(set(_links(apk, components)))[:LIST]),
        ),
        certificates=certificates[:LIST],
        parts=tuple(_dex(archive, problems)),
        problems=tuple(Problem(reader="declarations", reason=plain(reason)) for reason in problems[:LIST]),
        tools={"androguard": version("androguard")},
    )


def _dex(archive: Archive, problems: list[str]) -> Iterable[Part]:
    for entry in archive.entries:
        if _DEX.fullmatch(entry.name):
            try:
                yield part_of(entry, archive.read(entry))
            except BadArchive as error:
                problems.append(str(error))


def _schemes(apk: Any) -> tuple[tuple[str, bool], ...]:
    return (
        ("v1", apk.is_signed_v1()),
        ("v2", apk.is_signed_v2()),
        ("v3", apk.is_signed_v3()),
        ("v3.1", apk.is_signed_v31()),
    )


def _certificates(apk: Any, archive: Archive, problems: list[str]) -> tuple[Certificate, ...]:
    found: list[Certificate] = []
    for name in apk.get_signature_names():
        try:
            found += Signature(archive.read(archive.entry(name))).certificates("v1")
        except (ValueError, TypeError, BadArchive) as error:
            problems.append(f"{name}: {error}")
    blocks = {
        "v2": apk.get_certificates_v2,
        "v3": apk.get_certificates_v3,
        "v3.1": apk.get_certificates_v31,
    }
    for scheme, certificates in blocks.items():
        try:
            found += [described(one, scheme, signer=True) for one in certificates()]
        except (ValueError, TypeError) as error:
            problems.append(f"the certificates of scheme {scheme}: {error}")
    return tuple(found)


def _exported(apk: Any, components: list[Any]) -> Iterable[Component]:
    for tag in components:
        told = apk.get_value_from_tag(tag, "exported")
        if told == "true" or (told is None and tag.find("intent-filter") is not None):
            yield Component(
                kind=str(tag.tag),
                name=plain(apk.get_value_from_tag(tag, "name")),
                permission=given(apk.get_value_from_tag(tag, "permission")),
            )


def _links(apk: Any, components: list[Any]) -> Iterable[str]:
    """Android lets every scheme of a filter go with every host of it."""
    for tag in components:
        for intent in tag.findall("intent-filter"):
            data = intent.findall("data")[:_FILTER_LINKS]
            schemes = [value for one in data if (value := _resolved(apk, one, "scheme"))]
            hosts = [value for one in data if (value := _resolved(apk, one, "host"))]
            yield from (plain(f"{scheme}://{host}") for scheme in schemes for host in hosts or [""])


def _resolved(apk: Any, tag: Any, name: str) -> str | None:
    value = apk.get_value_from_tag(tag, name)
    return apk.get_res_value(value) if value and value.startswith("@") else value
