"""The base of every value that crosses a boundary: frozen, checked, and with one canonical byte form."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs its time zone")
    return value


Instant = Annotated[datetime, AfterValidator(_aware)]
"""An aware moment. Naive times are refused: an order's end may not depend on a machine's time zone."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in lower-case hexadecimal (64 characters)."""


class Value(BaseModel):
    """An immutable value; unknown fields are an error, so that a typing mistake never passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_wrong(error: ValidationError) -> tuple[str, str]:
    """The first thing that is wrong with a value: its place, dotted (empty for the whole), and the reason."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ".".join(map(str, first["loc"])), first["msg"]


def canonical_json(value: Any) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces, UTF-8, no NaN (the idea of RFC 8785).

    Only strings, integers, booleans, null, lists and objects may occur: floats have no single text form.
    """
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: bytes) -> str:
    """SHA-256 of bytes, lower-case hexadecimal."""
    return hashlib.sha256(value).hexdigest()


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError(f"{value!r}: a float has no canonical form; give an integer with its unit")
    if isinstance(value, dict):
        for part in value.values():  # pyright: ignore[reportUnknownVariableType]
            _refuse_floats(part)
    elif isinstance(value, list | tuple):
        for part in value:  # pyright: ignore[reportUnknownVariableType]
            _refuse_floats(part)
