"""The registry that the lab writes for the product: who works for the authority, and how to reach the lab's ISPs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lab.isps.andes import Andes
from lab.names import ABUSE_DESK, RPZ_ZONE, SENDER, SINKHOLE_ADDRESS, UPDATER_KEY
from lab.resolvers import Resolver
from lab.timestamps import Clock

CANARY = "ejemplo.test"
"""A name that no order blocks: who cannot resolve it does not measure, but is cut off."""

_OFFICERS = {
    "operator-1": "operator",
    "reviewer-1": "reviewer",
    "reviewer-2": "reviewer",
    "legal-head": "legal_head",
    "duty-1": "duty_officer",
}


@dataclass(frozen=True)
class Reach:
    """Where the registry's parties are."""

    controls: tuple[Resolver, ...]
    norte: Resolver
    primary: Resolver
    sur: Resolver
    mail: Resolver
    andes: Andes
    updater_secret: str
    timestamps: dict[str, Clock]


def write_registry(folder: Path, ca: Path, reach: Reach) -> Path:
    """Write ``registry.toml`` and the secrets it names; returns its path."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    _write_secret(secrets / "updater.key", reach.updater_secret)
    _write_secret(secrets / "andes.token", reach.andes.token)
    officers = "".join(f'[[officers]]\nid = "{name}"\nroles = ["{role}"]\n\n' for name, role in _OFFICERS.items())
    path = folder / "registry.toml"
    path.write_text(f"""# Written by the lab each time it starts.
authority = "autoridad"
control_resolvers = {json.dumps([str(one) for one in reach.controls])}
canary = "{CANARY}"
sinkholes = ["{SINKHOLE_ADDRESS}"]

[issuing_authority]
name = {{ es = "Autoridad de Derecho de Autor del laboratorio", en = "The lab's copyright authority" }}
address = "Calle del Ensayo 1"
contact = "cumplimiento@autoridad.test"
objections_at = "objeciones@autoridad.test"
country = "PE"

{officers}[[protected]]
name = "gob.pe"
reason = "government"
source = "public register of state domains, snapshot of the lab"

{_timestamps(reach, folder)}{_isps(reach, ca)}""")
    return path


def _timestamps(reach: Reach, folder: Path) -> str:
    return "".join(
        f'[[timestamp_authorities]]\nname = "{name}"\nurl = "{clock.url}"\n'
        f'ca_file = "{clock.ca.relative_to(folder)}"\n\n'
        for name, clock in reach.timestamps.items()
    )


def _isps(reach: Reach, ca: Path) -> str:
    return f"""[[isps]]
id = "norte"
name = "ISP Norte"
resolvers = ["{reach.norte}"]
channel = "rpz"
[isps.options]
primary = "{reach.primary}"
zone = "{RPZ_ZONE}"
key = "{UPDATER_KEY}"
secret_file = "secrets/updater.key"

[[isps]]
id = "sur"
name = "ISP Sur"
resolvers = ["{reach.sur}"]
channel = "smtp"
[isps.options]
server = "{reach.mail}"
sender = "{SENDER}"
recipient = "{ABUSE_DESK}"

[[isps]]
id = "andes"
name = "ISP Andes"
resolvers = ["{reach.andes.resolver}"]
channel = "rest"
[isps.options]
url = "{reach.andes.url}"
token_file = "secrets/andes.token"
ca_file = "{ca.name}"
"""


def _write_secret(path: Path, secret: str) -> None:
    path.touch(mode=0o600)
    path.write_text(secret + "\n")
