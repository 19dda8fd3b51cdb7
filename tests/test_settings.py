"""Settings: from the environment, then from what a running ``up`` of the same home says; secrets are never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from precinto.domain.errors import BadInput
from precinto.embedded import announce
from precinto.settings import Settings, load_settings

SECRET = "correct-horse"  # noqa: S105 - looked for where it must not be
DATABASE = f"postgresql+psycopg://precinto:{SECRET}@127.0.0.1/precinto"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting but those that a test makes, and a working directory without an installation."""
    for name in [name for name in os.environ if name.startswith("PRECINTO_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults_just_work() -> None:
    settings = load_settings()
    assert settings.home == Path("var")
    assert settings.database == "sqlite+aiosqlite:///var/precinto.db"
    assert settings.blob_place == "var/blobs"
    assert settings.temporal_address == ""  # the embedded server


def test_the_environment_sets_each_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRECINTO_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PRECINTO_DATABASE_URL", DATABASE)
    monkeypatch.setenv("PRECINTO_BLOBS", str(tmp_path / "proof"))
    monkeypatch.setenv("PRECINTO_LAB_PORTS", '{"443": 20001}')
    monkeypatch.setenv("PRECINTO_VANTAGES", '["norte", "sur"]')
    settings = load_settings()
    assert settings.home == tmp_path / "elsewhere"
    assert settings.database == DATABASE
    assert settings.blob_place == str(tmp_path / "proof")
    assert settings.lab_ports == {443: 20001}
    assert settings.vantages == ("norte", "sur")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PRECINTO_SWEEP_SECONDS", "0"),
        ("PRECINTO_SWEEP_SECONDS", "soon"),
        ("PRECINTO_CACHED_WORKFLOWS", "-1"),
        ("PRECINTO_LAB", "perhaps"),
        ("PRECINTO_LAB_PORTS", "443:20001"),
        ("PRECINTO_LAB_PORTS", '{"https": 20001}'),
        ("PRECINTO_VANTAGES", "norte,sur"),
        ("PRECINTO_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_setting_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match=f"^{name}: .+"):
        load_settings()


def test_a_wrong_setting_in_up_env_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "up.env").write_text("PRECINTO_LAB='perhaps'\n")
    with pytest.raises(BadInput, match=r"^PRECINTO_LAB: "):
        load_settings()


# ----------------------------------------------------------------------------------- what a running ``up`` leaves


@pytest.mark.parametrize("name", ["installation", "it's here", 'a "home" of $HOME', "back\\slash", "ends with \\"])
def test_commands_find_what_up_works_with_by_its_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    home = tmp_path / name
    home.mkdir()
    up = Settings(home=home, temporal_address="127.0.0.1:7233", lab_ports={443: 20001}, lab_ca=home / "ca.pem")
    announce(up)
    monkeypatch.setenv("PRECINTO_HOME", str(home))
    assert load_settings() == up


def test_the_environment_wins_over_up_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "var"
    home.mkdir()
    announce(Settings(home=home, temporal_address="127.0.0.1:7233", sweep_seconds=5))
    monkeypatch.setenv("PRECINTO_TEMPORAL_ADDRESS", "temporal.autoridad.test:7233")
    settings = load_settings()
    assert (settings.temporal_address, settings.sweep_seconds) == ("temporal.autoridad.test:7233", 5)


def test_up_env_holds_no_secret(tmp_path: Path) -> None:
    announce(settings := Settings(home=tmp_path, database_url=SecretStr(DATABASE), temporal_address="127.0.0.1:7233"))
    text = settings.running.read_text()
    assert "127.0.0.1:7233" in text
    assert "DATABASE" not in text
    assert SECRET not in text
    assert list(tmp_path.iterdir()) == [settings.running]  # nothing half-written lies beside it


# ----------------------------------------------------------------------------------------------------- secrets


def test_printed_it_shows_no_secret() -> None:
    settings = Settings(database_url=SecretStr(DATABASE))
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "database_url" in text
        assert SECRET not in text


def test_only_a_process_of_the_same_installation_is_given_the_secrets() -> None:
    settings = Settings(database_url=SecretStr(DATABASE), officer="operator-1")
    assert settings.environment(secrets=False) == {"PRECINTO_OFFICER": "operator-1"}
    assert settings.environment(secrets=True) == {"PRECINTO_OFFICER": "operator-1", "PRECINTO_DATABASE_URL": DATABASE}


def test_a_child_with_the_environment_has_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parent = Settings(
        home=tmp_path,
        database_url=SecretStr(DATABASE),
        vantages=("norte",),
        lab=True,
        lab_ports={443: 20001, 80: 20002},
        sweep_seconds=1.5,
    )
    for name, value in parent.environment(secrets=True).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == parent


def test_blobs_are_in_the_home_unless_a_place_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Settings(home=tmp_path).blob_place == str(tmp_path / "blobs")
    monkeypatch.setenv("PRECINTO_BLOBS", "s3://evidence/blobs")
    assert Settings(home=tmp_path).blob_place == "s3://evidence/blobs"
