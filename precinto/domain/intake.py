"""Intake: what a partner refers, its normal form, and the deterministic name of its case.

Two referrals of the same service, however written, must meet in one case; two different services must never
meet. So everything hangs on the normal form: IDNA 2008 (RFC 5891; the older IDNA 2003 maps ``straße`` to
``strasse``, somebody else's domain), the public suffix list (a whole suffix is never a target), lower case.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import unicodedata
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import idna
from pydantic import Field

from precinto.domain.errors import BadTarget
from precinto.domain.model import Value

if TYPE_CHECKING:
    from tldextract import TLDExtract


class TargetKind(StrEnum):
    """What is referred. Applications are targets of equal rank; their capture has its own crawlers."""

    DOMAIN = "domain"
    URL = "url"
    MOBILE_APP = "mobile_app"
    DESKTOP_APP = "desktop_app"


class Service(StrEnum):
    """What the service does (values of the MISP ``anti-piracy`` taxonomy where it has one)."""

    STREAM_RIPPER = "stream-ripper"
    LIVE_STREAM = "live-stream"
    WEB_STREAMING = "web-streaming"
    OTHER = "other"


class Target(Value):
    """One target in normal form.

    Attributes:
        kind: What it is.
        value: A-label host name; URL; Android package id or iOS bundle id; SHA-256 of a desktop program.
        host: The host that answers for it, where there is one (domains and URLs).
        registrable: The registrable domain (public suffix plus one label), where there is one.
    """

    kind: TargetKind
    value: str
    host: str | None = None
    registrable: str | None = None

    @property
    def key(self) -> str:
        """What makes two targets the same."""
        return f"{self.kind}:{self.value}"


class Referral(Value):
    """One row of what a partner sends, validated.

    Attributes:
        partner: Id of who refers; may not approve the case.
        reference: The partner's own reference.
        target: The target in normal form.
        service: What the service does.
        work: A protected work or repertoire that is infringed, in the partner's words.
        page: For an app: the store or download page where it is offered; None where the partner names none.
    """

    partner: str = Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9-]*$")
    reference: str = Field(min_length=1, max_length=128)
    target: Target
    service: Service
    work: str = Field(min_length=1, max_length=500)
    page: str | None = Field(default=None, max_length=2000)


_PACKAGE_ID = re.compile(r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+$")
_SHA256 = re.compile(r"^[0-9a-fA-F]{64}$")
_NUMBER = re.compile(r"^(\d+|0x[0-9a-f]*)$")
"""A last label that makes programs read a host as an IPv4 address (WHATWG URL, "ends in a number")."""
_MAX_VALUE = 2_000


def normalise(kind: TargetKind, raw: str) -> Target:
    """Bring a target to its normal form.

    Raises:
        BadTarget: It is empty, malformed, an address instead of a name, or a whole public suffix.
    """
    text = raw.strip()
    if not text:
        raise BadTarget("the target is empty")
    if len(text) > _MAX_VALUE:
        raise BadTarget(f"the target has {len(text)} characters; {_MAX_VALUE} are allowed")
    if unwritable(text) or set("\t\r\n") & set(text):
        raise BadTarget("the target holds control characters")
    match kind:
        case TargetKind.DOMAIN:
            return _domain(text)
        case TargetKind.URL:
            return _url(text)
        case TargetKind.MOBILE_APP:
            if not _PACKAGE_ID.match(text):
                raise BadTarget(f"{text!r} is not a package or bundle id such as com.example.app")
            return Target(kind=kind, value=text)
        case TargetKind.DESKTOP_APP:
            if not _SHA256.match(text):
                raise BadTarget(f"{text!r} is not the SHA-256 of a program (64 hexadecimal digits)")
            return Target(kind=kind, value=text.lower())


def unwritable(text: str) -> bool:
    """Whether a text holds what no database keeps: control characters (but tab and line ends), half characters."""
    return any(unicodedata.category(c) in {"Cc", "Cs"} and c not in "\t\r\n" for c in text)


def case_id(target: Target, ordinal: int) -> str:
    """The name of the ``ordinal``-th case (1, 2, ...) about a target: same input, same name, everywhere."""
    head = base64.b32encode(hashlib.sha256(target.key.encode()).digest()).decode().lower()[:10]
    return f"{head}-{ordinal}"


@cache
def _suffixes() -> TLDExtract:
    # Imported here: it brings an HTTP client along, and the verifier of bundles, which knows targets, asks no list.
    from tldextract import TLDExtract

    # The list that ships with the package: no network, and private suffixes (github.io) count, because
    # their customers are strangers to one another.
    return TLDExtract(suffix_list_urls=(), fallback_to_snapshot=True, cache_dir=None, include_psl_private_domains=True)


def registrable_domain(host: str) -> str | None:
    """Public suffix plus one label; None where ``host`` is itself a public suffix.

    A top-level domain that the list does not know is a public suffix too (the list's rule ``*``), for new ones come.
    """
    found = _suffixes()(host)
    if not found.suffix:
        return ".".join(host.split(".")[-2:]) if "." in host else None
    return found.top_domain_under_public_suffix or None


def shared_platform(host: str) -> str | None:
    """The platform whose customer ``host`` is (``github.io``), by the private section of the list; else None."""
    found = _suffixes()(host)
    return found.suffix if found.is_private else None


def _host(text: str) -> str:
    bare = text.rstrip(".").lower()
    try:
        ipaddress.ip_address(bare.strip("[]"))
    except ValueError:
        pass
    else:
        raise BadTarget(f"{text!r} is an address; only names are targets, addresses are evidence")
    try:
        name = idna.encode(bare, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise BadTarget(f"{text!r} is not a host name: {error}") from error
    if "." not in name:
        raise BadTarget(f"{text!r} has no dot: not a public host name")
    if _NUMBER.match(name.rpartition(".")[2]):
        raise BadTarget(f"{text!r} ends in a number, so programs read it as an address; only names are targets")
    return name


def _registrable(host: str) -> str:
    registrable = registrable_domain(host)
    if registrable is None:
        raise BadTarget(f"{host!r} is a public suffix: an order can never cover all of it")
    return registrable


def _domain(text: str) -> Target:
    if "://" in text or "/" in text or "@" in text or ":" in text:
        raise BadTarget(f"{text!r} is not a bare domain; give kind url for a web address")
    host = _host(text)
    while (bare := host.removeprefix("www.")) != host and registrable_domain(bare):
        host = bare
    return Target(kind=TargetKind.DOMAIN, value=host, host=host, registrable=_registrable(host))


def _url(text: str) -> Target:
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise BadTarget(f"{text!r} is not a web address: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadTarget(f"{text!r} is not an http or https address")
    if "@" in parts.netloc:
        raise BadTarget("a web address with a user name in it is refused: it hides its host")
    host = _host(parts.hostname)
    try:
        port = parts.port
    except ValueError as error:
        raise BadTarget(f"{text!r}: {error}") from error
    default = {"http": 80, "https": 443}[parts.scheme]
    where = host if port in {None, default} else f"{host}:{port}"
    value = urlunsplit((parts.scheme, where, parts.path or "/", parts.query, ""))
    return Target(kind=TargetKind.URL, value=value, host=host, registrable=_registrable(host))
