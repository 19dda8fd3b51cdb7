"""Fingerprints of a site, and how alike two of them are: the search for mirrors starts here.

A mirror changes its name, its network and its certificate first; what it looks like, how it is built and whose
account counts its visitors it changes last. Each sign alone can be chance (a kit that many buy, the default icon of a
hosting panel), so signs are added up. The sum says where a human should look: nothing is ever ordered on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import Field, StringConstraints

from precinto.domain.intake import registrable_domain
from precinto.domain.model import Digest, Value, canonical_json

PERMUTATIONS = 128
"""Hash functions of a shape; the estimate of likeness is off by some 4 parts in 100 (1/sqrt of twice this)."""

SHORTEST_STEM = 4
LONGEST_TITLE = 300

_FEWEST_PATHS = 10
_PRIME = (1 << 61) - 1
_LOW_32_BITS = (1 << 32) - 1
_SEED = b"precinto shape 1"

PictureHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""A difference hash of 64 bits in hexadecimal; of two, the number of different bits tells how alike they look."""


class Icon(Value):
    """The small picture that stands for a site in a browser's tab.

    Attributes:
        sha256: Digest of its bytes.
        murmur3: MurmurHash3 (32 bit, signed) of its Base64 form with line breaks, by which public indexes of the
            internet list icons.
        picture: What it looks like; None for what cannot be decoded (vector graphics) or is of one colour.
    """

    sha256: Digest
    murmur3: int
    picture: PictureHash | None


class Fingerprints(Value):
    """What a site can be found by again; ``fingerprints.json`` of a capture.

    Attributes:
        v: Version of this format; hashes of different versions cannot be compared.
        host: Where it was seen, A-labels.
        stem: What its name is made of, see ``name_stem``; empty where that says nothing.
        title: Title of its page.
        icon: Its icon.
        view: What the browser's window showed; not the whole page, whose height changes with its content.
        shape: How the page is built, see ``shape``; empty for a page too small to tell.
        certificate: SHA-256 of the certificate it showed (DER).
        public_key: SHA-256 of that certificate's public key (SubjectPublicKeyInfo, DER), which outlives it.
        trackers: Accounts with counters and advertisers, ``service:account``, sorted.
        links: Registrable domains that it links to or loads from, beside its own, sorted.
    """

    v: int = 1
    host: str | None
    stem: str = ""
    title: str = Field(default="", max_length=LONGEST_TITLE)
    icon: Icon | None = None
    view: PictureHash | None = None
    shape: tuple[int, ...] = ()
    certificate: Digest | None = None
    public_key: Digest | None = None
    trackers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    def canonical(self) -> bytes:
        """The bytes that are kept."""
        return canonical_json(self.model_dump(mode="json"))


class Sign(StrEnum):
    """What two sites can have in common."""

    TRACKER = "tracker"
    """One account of a counter or an advertiser."""
    ICON = "icon"
    """The same bytes."""
    ICON_LOOK = "icon_look"
    """Icons that look alike, of different bytes."""
    PUBLIC_KEY = "public_key"
    NAME = "name"
    """The stem of one name is that of the other, or stands in it."""
    TITLE = "title"
    VIEW = "view"
    SHAPE = "shape"


WEIGHTS = {
    Sign.TRACKER: 60,  # money or figures go to one account
    Sign.ICON: 40,
    Sign.PUBLIC_KEY: 40,  # also shared by strangers: certificates of content delivery networks, default keys
    Sign.NAME: 30,
    Sign.ICON_LOOK: 25,
    Sign.TITLE: 20,
    Sign.VIEW: 20,
    Sign.SHAPE: 20,
}
"""What a sign counts. Looks alone (icon apart) stay below ``ALIKE``: many rippers are sold as one kit."""

ALIKE = 60
"""Sum from which two sites are worth a human's look."""

NEAR_BITS = 10
"""Different bits up to which two pictures look alike. Measured: a copy scaled and brightened differs by 6, one with a
banner added by 3, one under noise by 27."""

NEAR_SHAPE = 0.8
"""Share of common tag paths from which two pages are built alike; a renamed copy stays above 0.9."""

_SHORTEST_TITLE = 8
_SHORTEST_INSIDE = 5


class Likeness(NamedTuple):
    """How alike two sites are: the signs that they share, and their sum."""

    signs: tuple[Sign, ...]
    score: int

    @property
    def alike(self) -> bool:
        """Whether a human should look."""
        return self.score >= ALIKE


def similar(one: Fingerprints, other: Fingerprints) -> Likeness:
    """Compare two sites; the order does not matter, and what is unknown of either is no sign."""
    if one.v != other.v:
        return Likeness((), 0)
    found = {
        Sign.TRACKER: bool(set(one.trackers) & set(other.trackers)),
        Sign.PUBLIC_KEY: one.public_key is not None and one.public_key == other.public_key,
        Sign.NAME: _same_name(one.stem, other.stem),
        Sign.TITLE: len(one.title) >= _SHORTEST_TITLE and one.title.casefold() == other.title.casefold(),
        Sign.VIEW: _look_alike(one.view, other.view),
        Sign.SHAPE: common_paths(one.shape, other.shape) >= NEAR_SHAPE,
    }
    if one.icon and other.icon:
        found[Sign.ICON] = one.icon.sha256 == other.icon.sha256
        found[Sign.ICON_LOOK] = not found[Sign.ICON] and _look_alike(one.icon.picture, other.icon.picture)
    signs = tuple(sorted(sign for sign, there in found.items() if there))
    return Likeness(signs, sum(WEIGHTS[sign] for sign in signs))


def name_stem(host: str) -> str:
    """What a site's name is made of: the label below the public suffix, less hyphens and a number at its end.

    ``y2mate.com`` and ``www.y2mate-3.lol`` are both of ``y2mate``.

    Returns:
        Empty where fewer than ``SHORTEST_STEM`` characters would be left.
    """
    label = (registrable_domain(host) or "").partition(".")[0]
    stem = label.replace("-", "").rstrip("0123456789")
    return stem if len(stem) >= SHORTEST_STEM else ""


def shape(paths: Collection[str]) -> tuple[int, ...]:
    """How a page is built: a MinHash (Broder 1997) over the paths of its tags, such as ``body/main/section/h2``.

    Texts do not enter, so a copy under another name in another language has the same shape. The hash functions are
    ``(a x + b) mod 2^61 - 1``, of which the low 32 bits count; ``x``, ``a`` and ``b`` come from BLAKE2b with a fixed
    key, so every installation gets the same numbers.

    Returns:
        ``PERMUTATIONS`` integers of 32 bits, or nothing for a page of too few paths to tell.
    """
    if len(paths) < _FEWEST_PATHS:
        return ()
    hashed = [_number(path.encode()) for path in paths]
    return tuple(min((a * x + b) % _PRIME & _LOW_32_BITS for x in hashed) for a, b in _FUNCTIONS)


def common_paths(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Estimated share of paths that two pages have in common (Jaccard index), 0 to 1; 0 where either has no shape."""
    if not one or len(one) != len(other):
        return 0.0
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def murmur3(content: bytes) -> int:
    """MurmurHash3, x86, 32 bit, seed 0, as a signed number (A. Appleby, public domain)."""
    value, whole = 0, len(content) - len(content) % 4
    for start in range(0, whole, 4):
        value ^= _mixed(int.from_bytes(content[start : start + 4], "little"))
        value = (_rotated(value, 13) * 5 + 0xE6546B64) & _LOW_32_BITS
    value ^= _mixed(int.from_bytes(content[whole:], "little")) ^ len(content)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = ((value ^ value >> shift) * factor) & _LOW_32_BITS
    value ^= value >> 16
    return value - (1 << 32) if value >> 31 else value


def _mixed(block: int) -> int:
    return _rotated(block * 0xCC9E2D51 & _LOW_32_BITS, 15) * 0x1B873593 & _LOW_32_BITS


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _LOW_32_BITS


def _number(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, key=_SEED).digest(), "big") % _PRIME


_FUNCTIONS = tuple((_number(b"a%d" % n) or 1, _number(b"b%d" % n)) for n in range(PERMUTATIONS))


def _same_name(one: str, other: str) -> bool:
    if not one or not other:
        return False
    short, long = sorted((one, other), key=len)
    return short == long or (len(short) >= _SHORTEST_INSIDE and short in long)


def _look_alike(one: PictureHash | None, other: PictureHash | None) -> bool:
    return one is not None and other is not None and (int(one, 16) ^ int(other, 16)).bit_count() <= NEAR_BITS
