"""Whose networks a target's addresses are in: looked up in the installation's copy, never asked of anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from precinto.adapters.investigators.networks import Networks
from precinto.domain.errors import BadInput
from precinto.domain.evidence import Missing
from precinto.domain.proportionality import AddressFact

FILE = "networks.json"


@dataclass(frozen=True)
class Owned:
    """What was found.

    Attributes:
        addresses: Each address, with its network where the copy knows it.
        document: Content of ``networks.json``: which copy, and the rows that matched; None where there is no copy.
        dated: The day of the copy.
        missing: Why nothing was looked up.
    """

    addresses: tuple[AddressFact, ...]
    document: dict[str, Any] | None = None
    dated: date | None = None
    missing: tuple[Missing, ...] = ()


class Owners:
    """Looks addresses up.

    Args:
        folder: Folder of the copy; None where the installation has none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._networks = Networks(folder) if folder else None
        self._opening = asyncio.Lock()

    async def find(self, addresses: Sequence[str]) -> Owned:
        """The networks of these addresses."""
        bare = tuple(AddressFact(address=one, asn=None, organisation="") for one in addresses)
        if not addresses:
            return Owned(bare)
        if self._networks is None:
            return Owned(bare, missing=(Missing(what=FILE, reason="no copy of the networks is set"),))
        try:
            async with self._opening:
                copy = await asyncio.to_thread(self._networks.snapshot)
            found = {one: self._networks.of(ip_address(one)) for one in addresses}
        except BadInput as error:
            return Owned(bare, missing=(Missing(what=FILE, reason=str(error)[:500]),))
        rows = {one: row for one, row in found.items() if row}
        known = tuple(
            AddressFact(address=one.address, asn=row.asn, organisation=row.organisation)
            if (row := rows.get(one.address))
            else one
            for one in bare
        )
        lines = [
            {"address": one, "first": str(row.first), "last": str(row.last), "asn": row.asn, "name": row.organisation}
            for one, row in rows.items()
        ]
        return Owned(known, {"copy": copy.model_dump(mode="json"), "rows": lines}, copy.dated)
