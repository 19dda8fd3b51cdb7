"""The Temporal server of a benchmark: started as an installation on one machine starts it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from precinto import devserver


def temporal(address: str, database: Path) -> list[str]:
    """The command that starts it: of ``PRECINTO_TEMPORAL``, or the server that the product itself would use.

    Raises:
        CannotHere: There is no server, and none can be made.
    """
    binary = os.environ.get("PRECINTO_TEMPORAL") or asyncio.run(devserver.temporal_binary(print))
    return devserver.server_command(Path(binary), address, None, database)
