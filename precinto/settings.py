"""The one place where settings come from: environment variables ``PRECINTO_*``, with defaults that just work.

Secrets are never settings: the registry names the files that hold them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from precinto.domain.errors import BadInput


class Settings(BaseSettings):
    """Settings of every process of Precinto; printed, it shows no secret."""

    model_config = SettingsConfigDict(env_prefix="PRECINTO_", extra="ignore", frozen=True)

    home: Path = Field(
        default=Path("var"), description="Folder for what this installation keeps: database, blobs, logs."
    )
    database_url: SecretStr = Field(
        default=SecretStr(""),
        description="SQLAlchemy address; empty: SQLite in the home folder. postgresql+psycopg://... works.",
    )
    blobs: str = Field(
        default="", description="Folder of the blob store, or s3://bucket/prefix; empty: below the home folder."
    )
    registry: Path = Field(default=Path("registry.toml"), description="TOML file with officers, ISPs and guard lists.")
    procedure: Path = Field(
        default=Path("procedures/peru-precautionary.toml"), description="TOML file with the legal terms of new cases."
    )
    recipes: Path = Field(default=Path("recipes"), description="Folder of the capture recipes, one for each service.")
    guardlists: Path = Field(default=Path("guardlists"), description="Folder of the guard lists.")
    networks: Path | None = Field(
        default=None, description="Folder with a dated copy of whose networks addresses are in; empty: not looked up."
    )
    rdap: Path | None = Field(
        default=None, description="Folder with IANA's bootstrap files for RDAP; empty: the copy that is shipped."
    )
    sealing: Path | None = Field(
        default=None, description="Folder of the sealing key and its certificates; empty: below the home folder."
    )
    temporal_address: str = Field(default="", description="Temporal frontend, host:port; empty: the embedded server.")
    temporal_namespace: str = Field(default="default", description="Temporal namespace.")
    chromium: Path | None = Field(default=None, description="Browser for captures; empty: looked for on this machine.")
    sweep_seconds: float = Field(default=900.0, gt=0, description="Seconds between two sweeps of a vantage.")
    stamping_seconds: float = Field(default=300.0, gt=0, description="Seconds between two rounds of late time stamps.")
    anchor_seconds: float = Field(default=86_400.0, gt=0, description="Seconds between two anchors of the ledger.")
    watch_seconds: float = Field(default=60.0, gt=0, description="Seconds between two rounds of the watch.")
    vault: Path | None = Field(
        default=None,
        description="File with the installation's key to personal data; empty: below the home folder.",
    )
    cached_workflows: int = Field(default=2000, ge=0, description="Open cases that a worker keeps in memory.")
    vantages: tuple[str, ...] = Field(
        default=(), description="Vantages this worker probes from; empty: every ISP's resolvers."
    )
    lab: bool = Field(default=False, description="Lab mode: every connection that would leave loopback is refused.")
    lab_ports: dict[int, int] = Field(default={}, description="Lab mode: real port to the lab's port.")
    lab_ca: Path | None = Field(default=None, description="Lab mode: the lab's certificate authority (PEM).")
    officer: str = Field(default="", description="Id of the officer who acts; empty: named with each command.")
    keys: Path | None = Field(
        default=None, description="Folder of the officers' keys on this machine; empty: below the home folder."
    )
    passphrase_file: Path | None = Field(
        default=None, description="File with the passphrase of the officer's key; empty: asked for."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR."
    )

    def environment(self, *, secrets: bool) -> dict[str, str]:
        """These settings as environment variables, for a process that is to work on the same installation."""
        found: dict[str, str] = {}
        for name, value in self.model_dump(mode="json", exclude_defaults=True).items():
            setting = getattr(self, name)
            if isinstance(setting, SecretStr):
                if not secrets:
                    continue
                value = setting.get_secret_value()  # noqa: PLW2901 - the masked form is what must not be passed on
            found[f"PRECINTO_{name.upper()}"] = value if isinstance(value, str) else json.dumps(value)
        return found

    @property
    def running(self) -> Path:
        """What ``up`` writes while it runs, so that commands beside it find the same installation."""
        return self.home / "up.env"

    @property
    def database(self) -> str:
        """The database's address, with the default filled in."""
        return self.database_url.get_secret_value() or f"sqlite+aiosqlite:///{self.home / 'precinto.db'}"

    @property
    def blob_place(self) -> str:
        """Where the blobs are, with the default filled in."""
        return self.blobs or str(self.home / "blobs")

    @property
    def vault_file(self) -> Path:
        """The file of the installation's key to personal data, with the default filled in."""
        return self.vault or self.home / "vault.key"

    @property
    def sealing_folder(self) -> Path:
        """The sealing key's folder, with the default filled in."""
        return self.sealing or self.home / "sealing"

    @property
    def keys_folder(self) -> Path:
        """The folder of the officers' keys, with the default filled in."""
        return self.keys or self.home / "keys"


def load_settings(*, beside_up: bool = True) -> Settings:
    """The settings of this process: its environment, then what a running ``up`` of the same home says.

    Args:
        beside_up: False for ``up`` itself, which must not take over what one that was killed has left behind.

    Raises:
        BadInput: A setting is wrong; names its variable.
    """
    try:
        first = Settings()
        if not beside_up:
            return first
        # pydantic-settings knows this argument; its type does not say so.
        return Settings(_env_file=first.running)  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        wrong = error.errors()[0]
        raise BadInput(f"PRECINTO_{str(wrong['loc'][0]).upper()}: {wrong['msg']}") from error
    except SettingsError as error:  # a list or a table that is no JSON; the field's name is in the message alone
        name = re.search(r'field "(\w+)"', str(error))
        raise BadInput(f"PRECINTO_{name[1].upper() if name else '*'}: not JSON") from error
