"""Texts out of an app as they may stand in its facts: the app chose them, so they are cut and made printable."""

from __future__ import annotations

from precinto.domain.apps import TEXT


def plain(value: object) -> str:
    """At most ``TEXT`` characters, of which UTF-8 can carry each; bytes are read as UTF-8."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text[:TEXT].encode(errors="replace").decode()


def given(value: object) -> str | None:
    """The same, or None for what is empty or not there."""
    return plain(value) if value not in (None, "", b"") else None
