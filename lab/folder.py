"""The folder that a lab runs in: its own alone, and empty whenever it starts."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import FolderTaken

_MARK = ".lab"
_PATH_BYTES = 80  # a socket's path in it must stay below 108 bytes, see unix(7)


@contextmanager
def own_folder(path: Path) -> Generator[Path]:
    """Hold the folder, cleared of what an earlier lab left there; made if missing.

    Raises:
        FolderTaken: A lab runs there now, it holds anything that is not a lab's, or its path is too long.
    """
    folder = path.resolve()
    if len(str(folder).encode()) > _PATH_BYTES:
        raise FolderTaken(f"{folder}: a lab's folder needs a path of at most {_PATH_BYTES} bytes")
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / _MARK
    if not mark.exists() and any(folder.iterdir()):
        raise FolderTaken(f"{folder} holds files that no lab wrote; give an empty folder")
    with mark.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, also after SIGKILL
        except BlockingIOError as error:
            raise FolderTaken(f"a lab runs in {folder} already") from error
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != mark:
                entry.unlink()
        yield folder
