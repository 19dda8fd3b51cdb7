"""The file of the installation's keys: nobody else reads it, and no key is lost on the way."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from precinto.domain.errors import CannotHere
from precinto.store.vault import Vault


def test_the_newest_key_comes_first_and_the_others_stay_until_they_are_forgotten(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "home" / "vault.key")
    assert vault.keys() == {}
    first = vault.add()
    both = vault.add()
    assert list(both)[1:] == list(first)
    assert vault.keys() == both
    vault.forget(set(first))
    assert list(vault.keys()) == list(both)[:1]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").glob("vault.key")} == {0o600}


def test_two_that_add_at_once_lose_no_key(tmp_path: Path) -> None:
    def add(_: int) -> set[str]:
        return set(Vault(tmp_path / "vault.key").add())

    with ThreadPoolExecutor(8) as pool:
        seen = set[str]().union(*pool.map(add, range(16)))
    assert set(Vault(tmp_path / "vault.key").keys()) == seen
    assert len(seen) == 16


@pytest.mark.parametrize("content", [b"", b"not base64!", base64.b64encode(b"short"), b"\xff\xfe"])
def test_a_file_of_something_else_is_named_and_never_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(CannotHere, match="does not hold keys") as wrong:
        Vault(path).keys()
    assert str(path) in str(wrong.value)
    assert "short" not in str(wrong.value)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault.key")
    vault.add()
    (tmp_path / "vault.key").chmod(0o640)
    with pytest.raises(CannotHere, match="chmod 600"):
        vault.keys()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CannotHere, match="cannot be"):
        Vault(tmp_path / "file" / "vault.key").add()
