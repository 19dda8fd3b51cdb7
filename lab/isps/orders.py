"""An order as an ISP reads it: its own reading of the format ``precinto.notice`` version 1.

Written apart from the product's model on purpose: what the product sends must make sense to somebody who knows the
format only.
"""

from __future__ import annotations

import json
import uuid
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lab.errors import Malformed
from precinto.domain.model import canonical_json, digest
from precinto.domain.notification import Action, Method


def _canonical_uuid(value: str) -> str:
    if str(uuid.UUID(value)) != value:
        raise ValueError("an id is a UUID in lower case with hyphens")
    return value


Id = Annotated[str, AfterValidator(_canonical_uuid)]

HostName = Annotated[
    str,
    StringConstraints(
        max_length=253, pattern=r"^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
    ),
]
"""A name in A-labels. Whatever passes is safe to hand to a resolver's control channel: no space, no line break."""


class Item(BaseModel):
    """One measure: block this name by this method."""

    model_config = ConfigDict(frozen=True)

    measure: str = Field(min_length=1, max_length=64)
    target: HostName
    method: Method


class Order(BaseModel):
    """A notice as it came in. Fields that the ISP does not know are left alone, as a format that grows needs.

    Attributes:
        digest: SHA-256 of the document's canonical form: tells a repetition from another order with the same id.
    """

    model_config = ConfigDict(frozen=True)

    v: Literal[1]
    notice: Id
    order: str = Field(min_length=1, max_length=100)
    version: int = Field(default=1, ge=1, strict=True)
    action: Action
    reminder: int = Field(ge=0, strict=True)
    isp: str = Field(min_length=1, max_length=64)
    valid_from: AwareDatetime = Field(alias="from")
    valid_until: AwareDatetime = Field(alias="until")
    items: tuple[Item, ...] = Field(min_length=1, max_length=10_000)
    digest: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """The names it is about."""
        return tuple(item.target for item in self.items)


def read_order(content: bytes, isp: str) -> Order:
    """Read a notice that is addressed to this ISP.

    Raises:
        Malformed: It is not JSON, not of this format, or for somebody else; names the field.
    """
    try:
        document: Any = json.loads(content)
        order = Order.model_validate(document).model_copy(update={"digest": digest(canonical_json(document))})
    except ValidationError as error:
        first = error.errors()[0]
        raise Malformed(f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}") from error
    except (ValueError, TypeError, RecursionError) as error:  # no JSON, not UTF-8, a float, or nested too deep
        raise Malformed(f"document: {error}") from error
    if order.isp != isp:
        raise Malformed(f"isp: this is {isp}, not {order.isp[:64]}")
    if order.valid_until <= order.valid_from:
        raise Malformed("until: the order ends before it begins")
    return order
