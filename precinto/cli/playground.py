"""An installation that works on the lab instead of the world: the settings for it, with the lab open."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from precinto.domain.errors import BadInput, CannotHere, Unavailable
from precinto.loopback import refuse_non_loopback
from precinto.settings import Settings

if TYPE_CHECKING:
    from lab.lab import Lab


@asynccontextmanager
async def lab_settings(settings: Settings) -> AsyncGenerator[tuple[Settings, Lab]]:
    """Open the lab in the home folder; from here on, nothing of this process leaves loopback.

    Raises:
        BadInput: A lab runs in this home already, or its path is too long.
        CannotHere: A program that the lab needs is missing, or the lab itself.
        Unavailable: The lab did not open, or a server of it died.
    """
    try:
        from lab.errors import FolderTaken, LabError, MissingProgram
        from lab.lab import open_lab
    except ModuleNotFoundError as missing:
        raise CannotHere(f"the lab is in the source tree, not in what was installed: {missing}") from missing

    refuse_non_loopback()
    settings.home.mkdir(parents=True, exist_ok=True)
    try:
        async with open_lab(settings.home.absolute() / "lab") as lab:
            said = lab.environment
            update = {
                "lab": True,
                "lab_ports": {int(port): there for port, there in json.loads(said["PRECINTO_LAB_PORTS"]).items()},
                "lab_ca": Path(said["PRECINTO_LAB_CA"]),
                "networks": Path(said["PRECINTO_NETWORKS"]),
                "rdap": Path(said["PRECINTO_RDAP"]),
                "registry": Path(said["PRECINTO_REGISTRY"]),
            }
            yield settings.model_copy(update=update), lab
    except MissingProgram as missing:
        raise CannotHere(f"{missing}, or: python starter.py setup --lab") from missing
    except FolderTaken as taken:
        raise BadInput(f"PRECINTO_HOME: {taken}") from taken
    except LabError as failed:
        raise Unavailable(f"the lab: {failed}") from failed
