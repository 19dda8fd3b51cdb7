"""Make the guard lists that are taken from others anew: ``python -m tools.guardlists WHEEL``.

They come from one pinned release of the MISP warning lists and from the public suffix list that tldextract brings, so
that the same lists come out everywhere. The release is not a dependency; get it with::

    pip download --no-deps pymispwarninglists==1.7.0

The lists that people keep (``entries`` in their TOML file) are not touched.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from precinto.domain.guards import Form, GuardList, ListKind
from precinto.guardlists import normal_entries, write_guardlist

FOLDER = Path(__file__).resolve().parents[1] / "guardlists"
RELEASE = "1.7.0"
RELEASED = date(2026, 1, 1)
"""Month of the release: the date of lists that bear none themselves."""
WHEEL_SHA256 = "18b0922a6334e20850b7ab84a0d9e52746302abc36ec034ecc141fb2db67d4a7"
_INSIDE = "pymispwarninglists/data/misp-warninglists/lists/{}/list.json"


@dataclass(frozen=True)
class Recipe:
    """How one guard list is made.

    Attributes:
        id: Its id.
        title: What it lists.
        kind: What its entries are.
        origin: Who publishes it, for people.
        parts: Lists of the release, each with the rank that all its entries have at worst.
        form: What its entries are.
        stale_after_days: Age from which it is old.
        hold_within: Rank up to which an entry holds a case.
    """

    id: str
    title: str
    kind: ListKind
    origin: str
    parts: dict[str, int | None]
    form: Form = Form.NAMES
    stale_after_days: int = 730
    hold_within: int | None = None


def _names(id: str, title: str, kind: ListKind, origin: str, part: str) -> Recipe:
    return Recipe(id, title, kind, origin, {part: None})


def _ranges(id: str, title: str, kind: ListKind, origin: str, part: str) -> Recipe:
    return Recipe(id, title, kind, origin, {part: None}, form=Form.RANGES, stale_after_days=365)


RECIPES = (
    Recipe(
        "top-umbrella",
        "Cisco Umbrella's most asked names",
        ListKind.TOP_SITE,
        "Cisco Umbrella popularity list",
        {"cisco_top1000": 1_000, "cisco_top5k": 5_000, "cisco_top10k": 10_000, "cisco_top20k": 20_000},
        stale_after_days=365,
        hold_within=10_000,
    ),
    Recipe(
        "top-tranco",
        "Tranco's most used sites",
        ListKind.TOP_SITE,
        "tranco-list.eu",
        {"tranco10k": 10_000},
        stale_after_days=365,
        hold_within=10_000,
    ),
    Recipe(
        "top-moz",
        "Moz's most linked domains",
        ListKind.TOP_SITE,
        "moz.com/top500",
        {"moz-top500": 500},
        stale_after_days=365,
        hold_within=10_000,
    ),
    _names("google", "Google's own domains", ListKind.TOP_SITE, "MISP project", "google"),
    _names("banks", "Bank web sites", ListKind.BANK, "MISP project", "bank-website"),
    _names("universities", "University domains", ListKind.EDUCATION, "university-domains-list", "university_domains"),
    _names("captive-portals", "Names that devices test their connection with", ListKind.ESSENTIAL,
           "Wireless Broadband Alliance", "captive-portals"),
    _names("platforms-lots", "Trusted sites where anybody can publish", ListKind.PLATFORM,
           "LOTS project, lots-project.com", "lots-project"),
    _names("platforms-link-in-bio", "Link pages", ListKind.PLATFORM, "MISP project", "link-in-bio"),
    _names("platforms-shorteners", "Link shorteners", ListKind.PLATFORM, "MISP project", "url-shortener"),
    _names("platforms-ipfs", "Public IPFS gateways", ListKind.PLATFORM, "MISP project", "public-ipfs-gateways"),
    _names("parking-name-servers", "Name servers of domain parking", ListKind.PARKING,
           "MISP project", "parking-domain-ns"),
    _ranges("parking-addresses", "Addresses of domain parking", ListKind.PARKING, "MISP project", "parking-domain"),
    _ranges("sinkholes", "Known sinkholes", ListKind.SINKHOLE, "MISP project", "sinkholes"),
    _ranges("cloudflare", "Cloudflare", ListKind.CDN, "cloudflare.com/ips", "cloudflare"),
    _ranges("fastly", "Fastly", ListKind.CDN, "api.fastly.com/public-ip-list", "fastly"),
    _ranges("akamai", "Akamai", ListKind.CDN, "BGP search", "akamai"),
    _ranges("stackpath", "StackPath", ListKind.CDN, "support.stackpath.com", "stackpath"),
    _ranges("amazon", "Amazon Web Services", ListKind.CLOUD, "ip-ranges.amazonaws.com", "amazon-aws"),
    _ranges("google-cloud", "Google Cloud", ListKind.CLOUD, "gstatic.com/ipranges/cloud.json", "google-gcp"),
    _ranges("azure", "Microsoft Azure", ListKind.CLOUD, "Microsoft Azure data centre ranges", "microsoft-azure"),
    _ranges("ovh-shared", "OVH shared hosting", ListKind.CLOUD, "docs.ovh.com", "ovh-cluster"),
)  # fmt: skip


def make(wheel: Path) -> Iterator[str]:
    """Write every list; says what was written."""
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        raise SystemExit(f"{wheel} has SHA-256 {found}; the pinned release has {WHEEL_SHA256}")
    with zipfile.ZipFile(wheel) as release:
        for recipe in RECIPES:
            yield _make(recipe, {part: json.loads(release.read(_INSIDE.format(part))) for part in recipe.parts})
    yield _governments()


def _make(recipe: Recipe, parts: dict[str, Any]) -> str:
    lines = [
        entry if recipe.parts[name] is None else f"{recipe.parts[name]},{entry}"
        for name, part in parts.items()
        for entry in part["list"]
    ]
    known = GuardList(
        id=recipe.id,
        title=recipe.title,
        kind=recipe.kind,
        form=recipe.form,
        source=f"{recipe.origin}; MISP warning lists {RELEASE}: {', '.join(parts)}",
        licence="CC0-1.0",
        dated=min(_dated(part["version"]) for part in parts.values()),
        stale_after_days=recipe.stale_after_days,
        hold_within=recipe.hold_within,
        sha256="0" * 64,
        entries=0,
    )
    return _write(known, lines)


def _dated(version: int) -> date:
    text = str(version)
    return date(int(text[:4]), int(text[4:6]), int(text[6:])) if len(text) == 8 else RELEASED


_STATE = frozenset({"gov", "gob", "gouv", "gub", "govt", "go", "gv", "gc", "mil", "int"})
_NOT_STATE = frozenset({"go.it"})
"""Gorizia, a province, is no ministry."""


def _governments() -> str:
    """What states keep for themselves among the public suffixes: ``gob.pe``, ``gov.uk``, ``go.jp``, ``mil``."""
    text = (files("tldextract") / ".tld_set_snapshot").read_text(encoding="utf-8")
    version = re.search(r"VERSION: (\d{4}-\d{2}-\d{2})", text)
    if version is None:
        raise SystemExit("the public suffix list does not say its version")
    public = text.partition("===END ICANN DOMAINS===")[0].splitlines()
    lines = [line for line in public if line.partition(".")[0] in _STATE and line not in _NOT_STATE]
    known = GuardList(
        id="governments",
        title="Domains of governments and armed forces",
        kind=ListKind.GOVERNMENT,
        form=Form.NAMES,
        source="Public suffix list, publicsuffix.org, ICANN section: suffixes that states keep for themselves",
        licence="MPL-2.0",
        dated=date.fromisoformat(version[1]),
        stale_after_days=1_095,
        sha256="0" * 64,
        entries=0,
    )
    return _write(known, lines)


def _write(known: GuardList, lines: Iterable[str]) -> str:
    entries, left_out = normal_entries(lines, known.kind, known.form)
    written = write_guardlist(FOLDER, known, entries)
    said = f"{written.id}: {written.entries} entries, {written.dated}"
    return "\n  left out: ".join([said, *(f"{one.text}: {one.reason}" for one in left_out)])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    for said in make(Path(sys.argv[1])):
        print(said)  # noqa: T201
