"""Reads a captured page for what it can be found by again: title, tag paths, accounts with counters, other domains.

The page is hostile, and Python's own HTML parser can be kept busy for minutes by a page made for it. This reader
needs no parser: ``page.html`` was written by the browser, which closes its tags and escapes ``<`` and ``>`` in texts
and attributes. It goes once through the text, from one ``find`` to the next, and never back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from typing import NamedTuple
from urllib.parse import urlsplit

from precinto.domain.fingerprints import LONGEST_TITLE
from precinto.domain.intake import registrable_domain

TAGS = 100_000
"""Tags that are read."""

PATHS = 4_000
"""Different tag paths that are kept."""

LINKS = 500
"""Other hosts that are looked at."""

TRACKERS = 50
ICONS = 10

_PATH_TAGS = 5  # a whole path would change all the way down with one more wrapper at the top
_DEEPEST = 512
_LONGEST_TAG = 4_096
_LONGEST_TEXT = 1_200
_TAG_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_ADDRESS = re.compile(r"""\b(?:href|src|action)="([^"]{1,2000})\"""")
_ICON = re.compile(r'\brel="[a-z ]{0,40}\bicon\b')
_RAW = frozenset({"script", "style", "noscript", "iframe", "noembed", "noframes", "xmp", "textarea", "title"})
"""Elements whose content is text to the browser."""

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
"""Elements without an end tag (HTML standard, 13.1.2)."""

_ACCOUNTS = (
    ("adsense", re.compile(r"ca-pub-([0-9]{10,20})\b")),
    ("facebook", re.compile(r"fbq\( {0,3}['\"]init['\"] {0,3}, {0,3}['\"]([0-9]{8,20})['\"]")),
    ("google-analytics", re.compile(r"UA-(?<!\wUA-)([0-9]{4,10}-[0-9]{1,4})\b")),
    ("google-analytics-4", re.compile(r"G-(?<=['\"=]G-)([A-Z0-9]{8,12})\b")),
    ("google-tag-manager", re.compile(r"GTM-(?<!\wGTM-)([A-Z0-9]{4,9})\b")),
    ("histats", re.compile(r"Histats\.start['\"] {0,3}, {0,3}['\"]1, {0,3}([0-9]{4,10}),")),
    ("yandex-metrika", re.compile(r"ym\((?<!\wym\() {0,3}([0-9]{5,10})\b")),
    ("yandex-metrika", re.compile(r"mc\.yandex\.ru/watch/([0-9]{5,10})\b")),
)
"""How accounts with counters and advertisers stand in a page, by the services' own instructions.

Each pattern begins with its letters, and looks back only behind them: that is many times faster on a large page.
"""


@dataclass
class Page:
    """What was read.

    Attributes:
        title: Its title.
        paths: Paths of its tags, the last few of each.
        trackers: Accounts, ``service:account``, sorted.
        links: Registrable domains of the addresses in its tags, sorted.
        icons: Addresses of its icons, as they are written, in order.
    """

    title: str = ""
    paths: set[str] = field(default_factory=set[str])
    trackers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    icons: list[str] = field(default_factory=list[str])


class _Tag(NamedTuple):
    name: str
    closing: bool
    text: str
    content: str
    """Of an element whose content is text; otherwise empty."""


def read_page(text: str) -> Page:
    """Read a page as the browser wrote it; of anything else, whatever of it looks like tags."""
    page, open_tags, hosts = Page(), list[str](), set[str]()
    for tag in _tags(text):
        if tag.closing:
            if open_tags and open_tags[-1] == tag.name:
                open_tags.pop()
            continue
        if len(page.paths) < PATHS:
            page.paths.add("/".join([*open_tags[-_PATH_TAGS + 1 :], tag.name]))
        if len(hosts) < LINKS:
            hosts.update(_hosts(tag.text))
        if tag.name == "link" and _ICON.search(tag.text) and len(page.icons) < ICONS:
            page.icons += [unescape(address) for address in _ADDRESS.findall(tag.text)]
        if tag.name == "title" and not page.title and "svg" not in open_tags:
            page.title = " ".join(unescape(tag.content).split())[:LONGEST_TITLE]
        if tag.name not in _VOID and tag.name not in _RAW and len(open_tags) < _DEEPEST:
            open_tags.append(tag.name)
    page.links = tuple(sorted({domain for host in hosts if (domain := registrable_domain(host))}))
    page.trackers = tuple(sorted(_accounts(text)))[:TRACKERS]
    return page


def _tags(text: str) -> Iterator[_Tag]:
    at = 0
    for _ in range(TAGS):
        at = text.find("<", at)
        if at < 0:
            return
        if text.startswith("<!--", at):
            at = _after(text, "-->", at)
            continue
        closing = text.startswith("</", at)
        name = _TAG_NAME.match(text, at + 1 + closing)
        if name is None:
            at += 1
            continue
        end = _after(text, ">", at)
        raw = name[0] in _RAW and not closing
        after = _after(text, f"</{name[0]}>", end) if raw else end
        content = text[end : min(after, end + _LONGEST_TEXT)].partition("</")[0] if raw else ""
        yield _Tag(name[0], closing, text[at : min(end, at + _LONGEST_TAG)], content)
        at = after


def _after(text: str, mark: str, at: int) -> int:
    found = text.find(mark, at)
    return len(text) if found < 0 else found + len(mark)


def _hosts(tag: str) -> Iterator[str]:
    for address in _ADDRESS.findall(tag):
        try:
            host = urlsplit(unescape(address)).hostname
        except ValueError:  # such as an unclosed bracket
            continue
        if host and "." in host and ":" not in host and len(host) <= 253 and not host.rpartition(".")[2].isdigit():
            yield host.rstrip(".")


def _accounts(text: str) -> set[str]:
    found: set[str] = set()
    for service, pattern in _ACCOUNTS:
        for match in pattern.finditer(text):
            found.add(f"{service}:{match[1]}")
            if len(found) >= TRACKERS:
                return found
    return found
