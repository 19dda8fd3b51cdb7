"""The Temporal server of a benchmark: started as an installation on one machine starts it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from precinto import devserver


def temporal(address: str, database: Path) -> list[str]:
    """The command that starts the server that the product itself would use.

    Raises:
        CannotHere: There is no server, and none can be made.
    """
    return devserver.server_command(asyncio.run(devserver.temporal_binary(print)), address, None, database)
