"""An installation to give commands to: its settings in the environment, its home in the test's folder.

The engine, the database and the workers are real; the ISPs behind them are those of ``tests/fakes.py``, and the
registry names the same officers and ISPs, so that nothing is delivered anywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from precinto.cli import run
from precinto.domain.statements import key_id
from precinto.store import Store
from tests.authority import Authority, enrol, key_of, open_authority
from tests.conftest import address
from tests.fakes import OFFICERS, FakeIsp

ROOT = Path(__file__).resolve().parents[2]
ISPS = ("isp0", "isp1")
STAMPERS = ("uno", "dos")
"""Time-stamp authorities."""
PASSPHRASE = "una contraseña de prueba"  # noqa: S105 - of keys that everybody can make (tests/authority.py)


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document that it is."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error on standard error as JSON; nothing was answered beside it."""
        assert self.out == ""
        return json.loads(self.err)["error"]


Command = Callable[..., Answer]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and a registry and a procedure beside it."""
    for name in [name for name in os.environ if name.startswith("PRECINTO_")]:
        monkeypatch.delenv(name)
    (tmp_path / "registry.toml").write_text(registry())
    for name in STAMPERS:
        (tmp_path / f"{name}.pem").touch()  # nothing is stamped here
    monkeypatch.setenv("PRECINTO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRECINTO_REGISTRY", str(tmp_path / "registry.toml"))
    monkeypatch.setenv("PRECINTO_PROCEDURE", str(ROOT / "procedures" / "peru-precautionary.toml"))
    return tmp_path / "home"


def registry() -> str:
    """A registry with the officers and the ISPs of the fakes."""
    officers = "".join(
        f'[[officers]]\nid = "{one.id}"\nroles = {json.dumps([str(role) for role in one.roles])}\n' for one in OFFICERS
    )
    isps = "".join(
        f'[[isps]]\nid = "{isp}"\nname = "{isp}"\nresolvers = ["127.0.0.1:53"]\nchannel = "smtp"\n[isps.options]\n'
        f'server = "127.0.0.1:25"\nsender = "orders@autoridad.test"\nrecipient = "orders@{isp}.test"\n'
        for isp in ISPS
    )
    stampers = "".join(
        f'[[timestamp_authorities]]\nname = "{name}"\nurl = "http://127.0.0.1:9/"\nca_file = "{name}.pem"\n'
        for name in STAMPERS
    )
    return (
        'authority = "autoridad"\ncontrol_resolvers = ["127.0.0.1:53"]\ncanary = "ejemplo.test"\n'
        f'{officers}[[protected]]\nname = "gob.pe"\nreason = "government"\nsource = "test list"\n{stampers}{isps}'
    )


@pytest.fixture
def command(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs one command in this process."""
    monkeypatch.setattr(sys, "argv", ["starter.py"])

    def ran(*arguments: str) -> Answer:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return ran


@pytest.fixture
def database(home: Path, sqlite_template: Path) -> Path:
    """The installation's database, migrated and empty."""
    home.mkdir()
    (home / "precinto.db").write_bytes(sqlite_template.read_bytes())
    return home / "precinto.db"


@pytest.fixture
def engine(temporal: WorkflowEnvironment, namespace: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The installation's Temporal; its address. No worker runs."""
    monkeypatch.setenv("PRECINTO_TEMPORAL_ADDRESS", address(temporal))
    monkeypatch.setenv("PRECINTO_TEMPORAL_NAMESPACE", namespace)
    return address(temporal)


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key file of each officer, under one passphrase; made by ``openssl``, whose form ours is."""
    folder = tmp_path_factory.mktemp("keys")
    folder.chmod(0o700)
    for officer in OFFICERS:
        key = key_of(officer.id)
        path = folder / f"{officer.id}_{key_id(key.public_key())}.pem"
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        command = ["openssl", "pkcs8", "-topk8", "-scrypt", "-passout", f"pass:{PASSPHRASE}", "-out", str(path)]
        subprocess.run(command, input=plain, check=True, capture_output=True)
        path.chmod(0o600)
    return folder


@pytest.fixture
def keys(key_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the officers' keys, and a file with their passphrase in the settings."""
    passphrase = tmp_path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(f"{PASSPHRASE}\n")
    monkeypatch.setenv("PRECINTO_KEYS", str(key_folder))
    monkeypatch.setenv("PRECINTO_PASSPHRASE_FILE", str(passphrase))
    return key_folder


@pytest.fixture
async def authority(engine: str, client: Client, database: Path, keys: Path) -> AsyncGenerator[Authority]:
    """The whole installation, with its workers. What runs beside them goes to a thread, see ``beside``."""
    from precinto.store import Database

    opened = Database(f"sqlite+aiosqlite:///{database}")
    await enrol(Store(opened))
    async with open_authority(client, Store(opened), {isp: FakeIsp() for isp in ISPS}) as one:
        yield one
    await opened.close()
