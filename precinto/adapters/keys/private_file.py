"""Files that are one user's alone: what is read was written by nobody else, and what is written nobody else reads."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from precinto.domain.errors import BadInput, CannotHere

_LARGEST = 2**16


def read_private(path: Path) -> bytes:
    """The content of such a file, up to 64 KiB.

    Raises:
        CannotHere: There is no such file.
        BadInput: It is a symbolic link, no regular file, another user's, open to others, or it cannot be read.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise CannotHere(f"{path}: there is no such file here") from None
    except OSError as error:
        reason = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        raise BadInput(f"{path}: {reason}") from error
    try:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{path}: not a file")
        if status.st_uid != os.geteuid():
            raise BadInput(f"{path}: belongs to another user")
        if status.st_mode & 0o077:
            raise BadInput(f"{path}: others may read or change it: chmod 600 it, and consider it known to them")
        with os.fdopen(opened, "rb", closefd=False) as file:
            return file.read(_LARGEST)
    finally:
        os.close(opened)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file, mode 0600, in a folder of mode 0700, and return when it is on the disk.

    Raises:
        CannotHere: It cannot be written, or is there already.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(opened)
        _keep_name(path.parent)
    except OSError as error:
        raise CannotHere(f"{path}: cannot be written: {error.strerror}") from error


def _keep_name(folder: Path) -> None:
    """After a power cut a new file may be on the disk and have no name there, unless its folder was synced too."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
