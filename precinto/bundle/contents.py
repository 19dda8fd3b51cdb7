"""What lies in a bundle, whether it comes as a ZIP or as the folder of it: names, sizes, bytes, and nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from precinto.bundle.archive import CHUNK, MAX_ENTRIES, Archive, plain
from precinto.domain.errors import BadInput

FOLDERS = frozenset({"files", "timestamps"})


class Contents(Protocol):
    """The files of a bundle.

    Attributes:
        problems: Where the container is not what it must be; grows while it is read.
    """

    problems: list[str]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Name of each file to its size in bytes."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, never more than its size."""
        ...


class Folder:
    """A bundle that was unpacked, or never packed. Links are not followed, and special files not opened."""

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        self._path = path
        self._sizes: dict[str, int] = {}
        self._walk(path, "")

    @property
    def sizes(self) -> Mapping[str, int]:
        """Name of each file to its size in bytes."""
        return self._sizes

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, as many as it had when the folder was listed."""
        left = self._sizes[name]
        handle = os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as file:
            while left and (chunk := file.read(min(left, CHUNK))):
                left -= len(chunk)
                yield chunk

    def _walk(self, folder: Path, prefix: str) -> None:
        with os.scandir(folder) as listing:
            for entry in listing:
                name = prefix + entry.name
                if len(self._sizes) + len(self.problems) > MAX_ENTRIES:
                    raise BadInput(f"{self._path}: more than {MAX_ENTRIES} files")
                if entry.is_symlink():
                    self.problems.append(f"{name!r}: a symbolic link")
                elif entry.is_dir() and name in FOLDERS:
                    self._walk(Path(entry.path), f"{name}/")
                elif not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                    self.problems.append(f"{name!r}: neither a file nor a folder of a bundle")
                elif not plain(name):
                    self.problems.append(f"{name!r}: not a name of a bundle")
                else:
                    self._sizes[name] = entry.stat(follow_symlinks=False).st_size


@contextmanager
def open_contents(path: Path) -> Generator[Contents]:
    """Open a bundle, a ZIP or a folder.

    Raises:
        BadInput: It cannot be read.
    """
    try:
        if path.is_dir():
            yield Folder(path)
        else:
            with path.open("rb") as file:
                yield Archive(file)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from error
