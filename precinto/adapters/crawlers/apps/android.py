"""What an Android app declares, by ``androguard``: manifest, resources, signature blocks and code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from androguard.core.apk import APK

from precinto.adapters.crawlers.apps.apk import base_apk, part_of
from precinto.adapters.crawlers.apps.archive import Archive, BadArchive
from precinto.adapters.crawlers.apps.signatures import Signature, described
from precinto.adapters.crawlers.apps.words import given, plain
from precinto.adapters.investigators.pictures import difference_hash
from precinto.domain.apps import LIST, Android, Certificate, Component, Part, Problem, Reading

_DEX = re.compile(r"classes[0-9]*\.dex")
_COMPONENTS = ("activity", "activity-alias", "service", "receiver", "provider")
_FILTER_LINKS = 50
_LARGEST_DPI = 640
"""Above it come icons of vectors, which are drawn by the telephone."""
_ICON_BYTES = 4 * 2**20


def declarations(path: Path) -> Reading:
    """The app's own account, its certificates, its icon, and the digests of its code.

    Raises:
        BadArchive: There is no APK in it.
    """
    content, archive, _ = base_apk(path)
    apk: Any = APK(content, raw=True)  # pyright: ignore
    problems: list[str] = []
    ask = partial(_answer, problems)
    manifest = apk.get_android_manifest_xml()
    components = [] if manifest is None else list(manifest.iter(*_COMPONENTS))
    icon = ask("the icon", lambda: _icon(apk, archive))
    picture, looks = icon or (None, None)
    return Reading(
        android=Android(
            package=given(apk.get_package()),
            label=given(ask("the label", apk.get_app_name)),
            version_name=given(ask("the version", apk.get_androidversion_name)),
            version_code=given(ask("the version code", apk.get_androidversion_code)),
            min_sdk=given(ask("the lowest SDK", apk.get_min_sdk_version)),
            target_sdk=given(ask("the target SDK", apk.get_target_sdk_version)),
            schemes=ask("the schemes", lambda: tuple(name for name, there in _schemes(apk) if there)) or (),
            permissions=tuple(sorted({plain(name) for name in apk.get_permissions()})[:LIST]),
            exported=ask("the components", lambda: tuple(_exported(apk, components))[:LIST]) or (),
            deep_links=ask("the links", lambda: tuple(sorted(set(_links(apk, components)))[:LIST])) or (),
            icon=picture,
            icon_look=looks,
        ),
        certificates=_certificates(apk, archive, ask),
        parts=tuple(islice(_dex(archive, problems), LIST)),
        problems=tuple(Problem(reader="declarations", reason=plain(reason)) for reason in problems[:LIST]),
        tools={"androguard": version("androguard")},
    )


def _answer(problems: list[str], what: str, question: Callable[[], Any]) -> Any:
    """What ``androguard`` answers; where it runs into a hostile file, that is a problem and the rest goes on."""
    try:
        return question()
    except Exception as error:  # it raises whatever its parsing runs into
        problems.append(f"{what}: {type(error).__name__}: {error}")
        return None


def _icon(apk: Any, archive: Archive) -> tuple[Part, str | None] | None:
    """The icon's file and what it looks like; None for an app without one, or with one of vectors alone."""
    name = apk.get_app_icon(max_dpi=_LARGEST_DPI)
    if not name or name.endswith(".xml"):
        return None
    entry = archive.entry(name)
    content = archive.read(entry, _ICON_BYTES)
    return part_of(entry, content), difference_hash(content)


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


def _certificates(apk: Any, archive: Archive, ask: Callable[[str, Callable[[], Any]], Any]) -> tuple[Certificate, ...]:
    """Those of the files in META-INF (scheme v1), then those of the signing block; none is validated."""

    def of_file(name: str) -> tuple[Certificate, ...]:
        return Signature(archive.read(archive.entry(name))).certificates("v1")

    def of_block(scheme: str, certificates: Callable[[], list[Any]]) -> tuple[Certificate, ...]:
        return tuple(described(one, scheme, signer=True) for one in certificates())

    blocks = (
        ("v2", apk.get_certificates_v2),
        ("v3", apk.get_certificates_v3),
        ("v3.1", apk.get_certificates_v31),
    )
    found: list[Certificate] = []
    for name in ask("the signatures", apk.get_signature_names) or ():
        found += ask(name, partial(of_file, name)) or ()
    for scheme, certificates in blocks:
        found += ask(f"the certificates of scheme {scheme}", partial(of_block, scheme, certificates)) or ()
    return tuple(found[:LIST])


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
