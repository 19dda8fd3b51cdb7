"""The installation's keys to personal data: a file beside the database, so that a copy of either opens nothing."""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from precinto.domain.errors import CannotHere
from precinto.domain.model import digest

KEY_BYTES = 32
_LARGEST_FILE = 4096


class Vault:
    """A file of keys, mode 0600: one a line in base64, the newest first. It seals; the others only open."""

    def __init__(self, path: Path) -> None:
        """Keep the keys in this file; it need not be there yet."""
        self._path = path

    def keys(self) -> dict[str, bytes]:
        """The keys by their names, the newest first; empty where there is no file.

        Raises:
            CannotHere: The file cannot be read, others may read it, or it holds something else.
        """
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    raise CannotHere(f"others may read the keys {self._path}: chmod 600 it, and rewrap the subjects")
                keys = [base64.b64decode(line, validate=True) for line in file.read(_LARGEST_FILE).split()]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CannotHere(f"the keys {self._path} cannot be read: {error.strerror or error}") from error
        except binascii.Error:  # its words could quote a key
            keys = []
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise CannotHere(f"{self._path} does not hold keys of {KEY_BYTES} bytes in base64")
        return {_name(key): key for key in keys}

    def add(self) -> dict[str, bytes]:
        """Make a new key, which seals from now on; the keys after that. Errors as ``keys``."""
        key = os.urandom(KEY_BYTES)
        with self._alone():
            keys = {_name(key): key, **self.keys()}
            self._write(keys)
        return keys

    def forget(self, names: Collection[str]) -> None:
        """Take keys out of the file. Errors as ``keys``.

        What a disk keeps of a file that was replaced is out of reach from here.
        """
        with self._alone():
            self._write({name: key for name, key in self.keys().items() if name not in names})

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Nobody else changes the file meanwhile: a key that is lost is every text that it opens."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._path.with_name(f"{self._path.name}.lock").open("w")
        except OSError as error:
            raise CannotHere(f"the keys {self._path} cannot be written: {error.strerror or error}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, keys: Mapping[str, bytes]) -> None:
        content = b"".join(base64.b64encode(key) + b"\n" for key in keys.values())
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise CannotHere(f"the keys {self._path} cannot be written: {error.strerror or error}") from error


def _name(key: bytes) -> str:
    return digest(key)[:16]
