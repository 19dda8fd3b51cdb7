"""The ZIP of a bundle has one form: anybody's program reads it, and nothing can hide in it."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from precinto.bundle import archive
from precinto.bundle.archive import Archive, write_archive
from precinto.bundle.verifier import verify
from precinto.bundle.writer import write_bundle
from precinto.domain.errors import BadInput
from tests.bundle.conftest import GoodBundle
from tests.bundle.sealing import Sealing

FILES = {"a.txt": b"first", "files/b.bin": bytes(1000), "files/c": b""}


def written(files: dict[str, bytes]) -> bytes:
    """An archive of these files."""
    sink = io.BytesIO()
    write_archive(sink, ((name, [content]) for name, content in files.items()))
    return sink.getvalue()


def problems(content: bytes) -> str:
    """What is wrong with an archive when all of it was read."""
    read = Archive(io.BytesIO(content))
    for name in read.sizes:
        list(read.chunks(name))
    return "; ".join(read.problems)


def changed(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


class TestForm:
    def test_what_was_written_is_read(self) -> None:
        read = Archive(io.BytesIO(written(FILES)))
        assert {name: b"".join(read.chunks(name)) for name in read.sizes} == FILES
        assert read.problems == []

    def test_others_read_it(self) -> None:
        with zipfile.ZipFile(io.BytesIO(written(FILES))) as other:
            assert other.testzip() is None
            assert {info.filename: other.read(info) for info in other.infolist()} == FILES
            assert all(info.external_attr >> 16 == 0o100644 for info in other.infolist())

    def test_the_same_contents_are_the_same_bytes(self, good: GoodBundle, tmp_path: Path) -> None:
        write_bundle(tmp_path / "again.zip", good.parts)
        assert (tmp_path / "again.zip").read_bytes() == good.path.read_bytes()

    def test_from_files_as_from_memory(self, good: GoodBundle, tmp_path: Path) -> None:
        folder = good.unpacked(tmp_path / "bundle")
        items = {name: folder / "files" / name for name in good.parts.items}
        write_bundle(tmp_path / "again.zip", replace(good.parts, items=items))
        assert (tmp_path / "again.zip").read_bytes() == good.path.read_bytes()

    def test_a_zip_that_another_program_made_is_refused(self, good: GoodBundle, tmp_path: Path) -> None:
        """Its contents may be good: unpacked, they are judged by themselves."""
        with zipfile.ZipFile(good.path) as one, zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
            for info in one.infolist():
                other.writestr(info.filename, one.read(info))
        assert "its header is not in the one form" in problems((tmp_path / "other.zip").read_bytes())

    def test_one_that_is_too_large_is_not_written(
        self, good: GoodBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(archive, "LARGEST", 5_000)
        with pytest.raises(BadInput, match="the bundle is larger than 5000 bytes"):
            write_bundle(tmp_path / "b.zip", good.parts)
        assert list(tmp_path.iterdir()) == []

    def test_an_item_that_is_not_the_sealed_one_is_not_written(self, good: GoodBundle, tmp_path: Path) -> None:
        items = {**good.parts.items, "dom.html": b"<html>another</html>"}
        with pytest.raises(BadInput, match=r"dom\.html: not the bytes that the manifest says"):
            write_bundle(tmp_path / "b.zip", replace(good.parts, items=items))
        assert list(tmp_path.iterdir()) == []


def rewritten(content: bytes, name: bytes, new: bytes) -> bytes:
    """Both names of an entry, replaced by one of the same length."""
    assert len(name) == len(new)
    return content.replace(name, new)


def doubled(content: bytes) -> bytes:
    """An archive with an entry twice, in both lists, as ``zipfile`` would write it."""
    return rewritten(written({"a.txt": b"first", "b.txt": b"other"}), b"b.txt", b"a.txt")


LEADS_OUT = "a name that can lead out of the bundle"
OTHERWISE = "the directory says otherwise than the entry itself"

SPOILED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "path traversal": (
        lambda z: rewritten(z, b"files/b.bin", b"../../b.bin"),
        "a name that can lead out of the bundle",
    ),
    "traversal inside": (lambda z: rewritten(z, b"files/b.bin", b"files/../ab"), LEADS_OUT),
    "absolute path": (
        lambda z: rewritten(z, b"files/b.bin", b"/etc/passwd"),
        "a name that can lead out of the bundle",
    ),
    "drive": (lambda z: rewritten(z, b"a.txt", b"C:\\tx"), LEADS_OUT),
    "null byte": (lambda z: rewritten(z, b"a.txt", b"a.\0xt"), LEADS_OUT),
    "duplicate entry": (doubled, "a.txt: is there twice"),
    "order": (lambda z: rewritten(z, b"a.txt", b"z.txt"), "not in the order of names"),
    "symbolic link": (
        lambda z: changed(z, z.index(b"PK\1\2") + 38, struct.pack("<I", 0o120777 << 16)),
        f"'a.txt': {OTHERWISE}",
    ),
    "other name in the directory": (
        lambda z: changed(z, z.rindex(b"a.txt"), b"b.txt"),
        f"'a.txt': {OTHERWISE}",
    ),
    "other size in the directory": (
        lambda z: changed(z, z.index(b"PK\1\2") + 24, struct.pack("<I", 4)),
        f"'a.txt': {OTHERWISE}",
    ),
    "local header differs": (
        lambda z: changed(z, z.index(b"a.txt"), b"b.txt"),
        f"'b.txt': {OTHERWISE}",
    ),
    "wrong checksum": (
        lambda z: z.replace(z[14:18], b"\1\2\3\4"),
        "a.txt: the checksum in its header is another one",
    ),
    "encrypted": (lambda z: changed(z, 6, b"\1\0"), "entry 1, 'a.txt': encrypted; nothing behind it was read"),
    "compressed": (lambda z: changed(z, 8, b"\x08\0"), "entry 1, 'a.txt': compressed; nothing behind it was read"),
    "bomb": (lambda z: changed(z, 22, struct.pack("<I", 2**31)), "entry 1, 'a.txt': compressed"),
    "size beyond the end": (lambda z: changed(z, 18, struct.pack("<II", 2**31, 2**31)), "entry 1, 'a.txt': cut off"),
    "extra field": (lambda z: changed(z, 28, b"\4\0"), "entry 1, 'a.txt': its header is not in the one form"),
    "date": (lambda z: changed(z, 10, b"\1\1"), "entry 1, 'a.txt': its header is not in the one form"),
    "something before it": (lambda z: b"MZ" + z, "the end of the archive is not in the one form"),
    "something behind it": (lambda z: z + b"\0", "the end of the archive is not in the one form"),
    "comment": (lambda z: changed(z, len(z) - 2, b"\4\0") + b"note", "the end of the archive is not in the one form"),
    "something between": (
        lambda z: z[: z.index(b"PK\1\2")] + b"hidden" + z[z.index(b"PK\1\2") :],
        OTHERWISE,
    ),
    "an entry that no directory lists": (
        lambda z: z[: z.index(b"PK\1\2")] + written({"z": b"hidden"})[:37] + z[z.index(b"PK\1\2") :],
        f"'z': {OTHERWISE}",
    ),
    "cut off": (lambda z: z[:-1], "the end of the archive is not in the one form"),
    "cut off in a header": (lambda z: z[:20], "entry 1 is not whole, or one too many"),
}


class TestSpoiled:
    @pytest.mark.parametrize(("spoil", "complaint"), SPOILED.values(), ids=SPOILED)
    def test_is_refused_by_name(self, spoil: Callable[[bytes], bytes], complaint: str) -> None:
        spoiled = spoil(written(FILES))
        assert spoiled != written(FILES)
        assert complaint in problems(spoiled)

    def test_no_byte_of_it_may_differ(self) -> None:
        """Outside the contents, for which the manifest stands."""
        content = written({"a": b"x", "b": b"y"})
        for at in range(len(content)):
            if content[at : at + 1] not in (b"x", b"y"):
                assert problems(changed(content, at, bytes([content[at] ^ 1]))), f"byte {at}"

    def test_more_entries_than_any_bundle_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
        content = written(FILES)
        monkeypatch.setattr(archive, "MAX_ENTRIES", 2)
        assert "entry 3 is not whole, or one too many" in problems(content)

    def test_what_was_readable_is_judged_all_the_same(
        self, good: GoodBundle, authority: Sealing, tmp_path: Path
    ) -> None:
        path = tmp_path / "b.zip"
        path.write_bytes(good.path.read_bytes() + b"more")
        bad = [check for check in verify(path, authority.trust).checks if check.problems]
        assert [(check.name, check.problems) for check in bad] == [
            ("container", ("the end of the archive is not in the one form",))
        ]

    @pytest.mark.parametrize("content", [b"", b"PK\5\6" + bytes(18), os.urandom(3000)])
    def test_what_is_no_bundle(self, authority: Sealing, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "b.zip").write_bytes(content)
        assert not verify(tmp_path / "b.zip", authority.trust).good
