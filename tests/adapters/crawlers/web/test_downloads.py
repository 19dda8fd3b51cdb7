"""The copy of a file from the browser's folder; whole downloads are in ``test_visit.py``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from precinto.adapters.crawlers.web.downloads import copied


def test_a_file_is_copied_and_its_digest_is_that_of_the_copy(tmp_path: Path) -> None:
    source, copy = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(3_000_000))
    assert copied(source, copy, 3_000_000) == (3_000_000, hashlib.sha256(copy.read_bytes()).hexdigest())
    assert copy.read_bytes() == source.read_bytes()


def test_of_a_file_that_is_too_large_nothing_stays(tmp_path: Path) -> None:
    source, copy = tmp_path / "a", tmp_path / "b"
    with source.open("wb") as file:
        file.truncate(1 << 40)  # a hole: no byte of it is on the disk
    assert copied(source, copy, 1_000)[0] == 1_001
    assert not copy.exists()


@pytest.mark.parametrize("make", [lambda path, secret: path.symlink_to(secret), lambda path, _: os.mkfifo(path)])
def test_what_a_browser_out_of_control_put_there_is_not_followed(
    make: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    secret, source = tmp_path / "secret", tmp_path / "a"
    secret.write_bytes(b"secret")
    make(source, secret)
    with pytest.raises(OSError, match=r"symbolic link|not the browser's own"):
        copied(source, tmp_path / "b", 1_000)
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a browser of another user")
def test_a_file_of_another_user_is_not_the_browsers(tmp_path: Path) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (tmp_path / "secret").write_bytes(b"root's own")
    os.chown(downloads, 61_184, 61_184)
    os.link(tmp_path / "secret", downloads / "a")
    with pytest.raises(PermissionError, match="not the browser's own"):
        copied(downloads / "a", tmp_path / "b", 1_000)
