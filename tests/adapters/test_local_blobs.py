"""The blob store in a folder: the contract, and what a disk can do to it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from precinto.adapters.blobs.local import LocalBlobStore
from precinto.domain.errors import Refused, Unavailable
from precinto.domain.model import digest
from tests.contract.blob_kit import BlobStoreContract


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobStore:
    return LocalBlobStore(tmp_path / "new" / "blobs")


class TestLocalBlobStore(BlobStoreContract):
    """The contract, kept in a folder that does not exist at first."""


def _file(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256[2:4] / sha256


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_blob_is_a_read_only_file_two_folders_deep(tmp_path: Path) -> None:
    name = await LocalBlobStore(tmp_path).put(b"evidence")
    assert stat.S_IMODE(_file(tmp_path, name).stat().st_mode) == 0o444


async def test_nothing_half_written_is_left_beside_it(tmp_path: Path) -> None:
    await LocalBlobStore(tmp_path).put(b"evidence")
    assert list((tmp_path / "incoming").iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"evidencE", b"evidence and more"], ids=["cut", "changed", "longer"])
async def test_a_damaged_blob_is_refused_when_it_is_read(tmp_path: Path, damage: bytes) -> None:
    blobs = LocalBlobStore(tmp_path)
    name = await blobs.put(b"evidence")
    _file(tmp_path, name).chmod(0o644)
    _file(tmp_path, name).write_bytes(damage)
    with pytest.raises(Refused) as refused:
        await blobs.get(name)
    assert refused.value.code == "corrupt_blob"


async def test_putting_the_right_bytes_again_heals_a_damaged_blob(tmp_path: Path) -> None:
    blobs = LocalBlobStore(tmp_path)
    name = await blobs.put(b"evidence")
    _file(tmp_path, name).chmod(0o644)
    _file(tmp_path, name).write_bytes(b"damage")
    await blobs.put(b"evidence")
    assert await blobs.get(name) == b"evidence"


async def test_what_a_killed_process_left_is_no_blob(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "tmpabc").write_bytes(b"half of the evi")
    blobs = LocalBlobStore(tmp_path)
    assert await blobs.get(await blobs.put(b"evidence")) == b"evidence"


async def test_a_disk_that_cannot_be_written_is_tried_again_later(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file where the folder should be")
    with pytest.raises(Unavailable, match="nothing can be stored in"):
        await LocalBlobStore(tmp_path / "blobs").put(b"evidence")


async def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    # Stands for a full disk: filling a real one needs a file system of our own, and privileges to mount it.
    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "incoming").mkdir()
    _file(tmp_path, digest(b"evidence")).parent.mkdir(parents=True)
    with pytest.raises(Unavailable, match="No space left"):
        await LocalBlobStore(tmp_path).put(b"evidence")
    assert _files(tmp_path) == []
