"""What any blob store must do. Subclass it in a test module and give it the fixture ``blobs``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from precinto.domain.errors import BadInput, NotFound
from precinto.domain.model import digest
from precinto.ports import BlobStore


class BlobStoreContract:
    """The contract of port ``BlobStore``."""

    @pytest.mark.parametrize("content", [b"", b"evidence", bytes(range(256)) * 5_000], ids=["empty", "small", "large"])
    async def test_what_was_put_comes_back_under_its_digest(self, blobs: BlobStore, content: bytes) -> None:
        name = await blobs.put(content)
        assert name == digest(content)
        assert await blobs.get(name) == content

    @pytest.mark.parametrize("size", [0, 1, 3 * 2**20 + 1])
    async def test_a_file_goes_in_and_comes_out(self, blobs: BlobStore, tmp_path: Path, size: int) -> None:
        content = bytes(size)
        (tmp_path / "in").write_bytes(content)
        assert await blobs.put_file(tmp_path / "in") == (digest(content), size)
        await blobs.get_file(digest(content), tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == content
        assert await blobs.get(digest(content)) == content

    async def test_a_file_that_cannot_be_had_is_not_begun(self, blobs: BlobStore, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            await blobs.get_file(digest(b"never put"), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    async def test_putting_again_is_the_same(self, blobs: BlobStore) -> None:
        assert await blobs.put(b"twice") == await blobs.put(b"twice")
        assert await blobs.get(digest(b"twice")) == b"twice"

    async def test_many_may_put_the_same_at_once(self, blobs: BlobStore) -> None:
        names = await asyncio.gather(*(blobs.put(b"at once") for _ in range(20)))
        assert set(names) == {digest(b"at once")}
        assert await blobs.get(names[0]) == b"at once"

    async def test_what_was_never_put_is_not_found(self, blobs: BlobStore) -> None:
        with pytest.raises(NotFound):
            await blobs.get(digest(b"never put"))

    @pytest.mark.parametrize(
        "name", ["", "../secrets/updater.key", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", "/etc/passwd"]
    )
    async def test_what_is_no_digest_is_bad_input(self, blobs: BlobStore, name: str) -> None:
        with pytest.raises(BadInput):
            await blobs.get(name)
