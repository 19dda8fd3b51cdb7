"""Which files a bundle consists of, and those among them whose every byte follows from the others."""

from __future__ import annotations

from pathlib import Path

from precinto.domain.evidence import Manifest

README = "README.txt"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.p7s"
SUMS = "SHA256SUMS"
CUSTODY = "custody.jsonl"
CUSTODY_SIGNATURE = "custody.p7s"

VERSION = 2
"""Of the manifest and of all that is laid around it."""

LARGEST_MANIFEST = 16 * 2**20
LARGEST_CUSTODY = 16 * 2**20
"""Bytes: a chain of some 40,000 records."""


def item(name: str) -> str:
    """Where an item lies."""
    return f"files/{name}"


def token(authority: str) -> str:
    """Where the token of a time-stamp authority lies."""
    return f"timestamps/{authority}.tst"


def authority_of(name: str) -> str | None:
    """The time-stamp authority whose token lies here; None for any other file."""
    is_token = name.startswith("timestamps/") and name.endswith(".tst")
    return name.removeprefix("timestamps/").removesuffix(".tst") if is_token else None


def readme() -> bytes:
    """``README.txt``: how to check a bundle by hand; the same in every bundle of this version."""
    return Path(__file__).with_name(README).read_bytes()


def sums(manifest: Manifest) -> bytes:
    """``SHA256SUMS``, for ``sha256sum --check``: the items, in the manifest's order."""
    return b"".join(f"{one.sha256}  {item(one.name)}\n".encode() for one in manifest.items)
