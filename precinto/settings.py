"""The one place where settings come from: environment variables ``PRECINTO_*``, with defaults that just work.

Secrets are never settings: the registry names the files that hold them.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of every process of Precinto; printed, it shows no secret."""

    model_config = SettingsConfigDict(env_prefix="PRECINTO_", extra="ignore", frozen=True)

    home: Path = Field(Path("var"), description="Folder for what this installation keeps: database, blobs, logs.")
    database_url: SecretStr = Field(
        SecretStr(""),
        description="SQLAlchemy address; empty: SQLite in the home folder. postgresql+psycopg://... works.",
    )
    blobs: Path | None = Field(None, description="Folder of the blob store; empty: below the home folder.")
    registry: Path = Field(Path("registry.toml"), description="TOML file with officers, ISPs and guard lists.")
    procedure: Path = Field(
        Path("procedures/precautionary.toml"), description="TOML file with the legal terms of new cases."
    )
    temporal_address: str = Field("", description="Temporal frontend, host:port; empty: the embedded server.")
    temporal_namespace: str = Field("default", description="Temporal namespace.")
    chromium: Path | None = Field(None, description="Browser for captures; empty: looked for on this machine.")
    sweep_seconds: float = Field(900.0, gt=0, description="Seconds between two sweeps of a vantage.")
    heartbeat_seconds: float = Field(30.0, gt=0, description="A capture that is silent this long is given to another.")
    cached_workflows: int = Field(2000, ge=0, description="Open cases that a worker keeps in memory.")
    vantages: tuple[str, ...] = Field(
        (), description="Vantages this worker probes from; empty: every ISP's resolvers."
    )
    lab: bool = Field(False, description="Lab mode: every connection that would leave loopback is refused.")
    lab_ports: dict[int, int] = Field({}, description="Lab mode: real port to the lab's port.")
    lab_ca: Path | None = Field(None, description="Lab mode: the lab's certificate authority (PEM).")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @property
    def database(self) -> str:
        """The database's address, with the default filled in."""
        return self.database_url.get_secret_value() or f"sqlite+aiosqlite:///{self.home / 'precinto.db'}"

    @property
    def blob_folder(self) -> Path:
        """The blob store's folder, with the default filled in."""
        return self.blobs or self.home / "blobs"
