"""A browser's home: its own user where we are root, the key log that is read from it, and that nothing of it stays."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from precinto.adapters.crawlers.web.browser import find_chromium
from precinto.adapters.crawlers.web.home import KEY_LOG, opened_home
from tests.adapters.crawlers.web.captures import leftovers

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a browser a user of its own")


@root
async def test_it_belongs_to_a_user_that_is_not_root_and_is_not_the_next_homes() -> None:
    chromium = find_chromium(None)
    async with opened_home(chromium, None) as one, opened_home(chromium, None) as other:
        assert one.sandbox == other.sandbox == "on"
        assert one.path.stat().st_uid == one.downloads.stat().st_uid != 0
        assert one.path.stat().st_uid != other.path.stat().st_uid
        assert one.path.stat().st_mode & 0o077 == 0
        assert one.executable.stat().st_uid == 0  # the browser cannot change what starts it
    assert leftovers() == []


@root
async def test_where_no_other_user_may_enter_it_says_that_the_sandbox_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chromium = find_chromium(None)
    async with opened_home(chromium, None) as home:
        assert home.sandbox.startswith("off (root: ")
        assert home.executable == chromium
        assert home.profile.stat().st_uid == 0


async def test_the_browser_gets_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECINTO_DATABASE_URL", "postgresql://secret@db")
    async with opened_home(find_chromium(None), None) as home:
        environment = home.environment("America/Lima")
        assert set(environment) <= {"PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "TZ", "SSLKEYLOGFILE"}
        assert environment["HOME"] == str(home.path)


class TestTheKeyLog:
    async def test_it_is_cut_and_empty_where_there_is_none(self) -> None:
        async with opened_home(find_chromium(None), None) as home:
            assert home.key_log() == b""
            place = Path(str(home.environment("UTC")["SSLKEYLOGFILE"]))
            place.write_bytes(b"x" * (KEY_LOG + 1))
            assert len(home.key_log()) == KEY_LOG

    async def test_what_a_browser_puts_in_its_place_is_not_followed(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("ours")
        async with opened_home(find_chromium(None), None) as home:
            place = Path(str(home.environment("UTC")["SSLKEYLOGFILE"]))
            place.symlink_to(secret)
            assert home.key_log() == b""
            place.unlink()
            os.mkfifo(place)
            assert home.key_log() == b""
