"""A private PostgreSQL for the tests: real, empty, on a Unix socket, gone with the process that started it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from precinto.provision import PROGRAMS

_USER = "precinto"


def server_binaries() -> Path | None:
    """Folder of ``initdb`` and ``postgres``, or None where this machine has only a client or nothing."""
    initdb = next(program for program in PROGRAMS if program.name == "initdb").found()
    return initdb.resolve().parent if initdb else None


class PostgresCluster:
    """One cluster in ``folder``; :meth:`start` it, then make databases from a template.

    The server refuses to run as root, so root hands it to an unprivileged user. Nothing is synced to disk: no test
    here is about a power cut.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self._databases = 0

    async def start(self) -> None:
        """Make the cluster and wait until it answers."""
        self._folder.mkdir()
        log = self._folder.with_suffix(".log")
        who = _unprivileged()
        if "user" in who:
            shutil.chown(self._folder, who["user"], who["group"])
        await asyncio.to_thread(
            subprocess.run,
            [self._binaries / "initdb", "-D", self._folder / "data", "-U", _USER, "--auth=trust", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **who,
        )
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "100",
            "shared_buffers": "32MB",
        }
        with log.open("wb") as output:
            self._server = subprocess.Popen(
                [
                    self._binaries / "postgres",
                    "-D",
                    self._folder / "data",
                    *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
                ],
                stdout=output,
                stderr=output,
                cwd="/",
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread of ours holds a lock at this moment
                **who,
            )
        for _ in range(200):
            try:
                async with await psycopg.AsyncConnection.connect(self._dsn("postgres")):
                    return
            except psycopg.OperationalError:
                if self._server.poll() is not None:
                    raise RuntimeError(f"PostgreSQL ended at its start:\n{log.read_text()}") from None
                await asyncio.sleep(0.05)
        raise RuntimeError(f"PostgreSQL does not answer:\n{log.read_text()}")

    async def create(self, template: str = "template0", name: str | None = None) -> str:
        """A new database; returns its SQLAlchemy address."""
        self._databases += 1
        name = name or f"test_{self._databases}"
        async with await psycopg.AsyncConnection.connect(self._dsn("postgres"), autocommit=True) as connection:
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        return f"postgresql+psycopg://{_USER}@/{name}?host={self._folder}"

    def stop(self) -> None:
        """Stop at once; there is nothing to keep."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(10)

    def _dsn(self, database: str) -> str:
        return f"host={self._folder} user={_USER} dbname={database}"


def _unprivileged() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user 'postgres' or 'nobody'")


def _die_with_parent() -> None:
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGQUIT)
