"""A real S3 server on loopback: Versity's gateway, which keeps a bucket as a folder and an object as a file.

``make test`` runs this module before the tests, because the tests themselves run on an island from which nothing can
be fetched. It is built once with Go, at a fixed version whose sources Go's checksum database vouches for.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from precinto import devserver
from precinto.embedded import any_free_port
from precinto.supervisor import Service, supervised

VERSION = "v1.8.0"
ACCESS, SECRET = "a-tests-access-key", "a-tests-secret-key"
BUCKET = "precinto"

_PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
_BUILD_SECONDS = 600


class Missing(Exception):
    """The server is not to be had here; the message says why."""


@dataclass(frozen=True)
class S3Server:
    """A server that runs: where it listens, ``http://address:port``, and the folder of its one bucket."""

    url: str
    bucket: Path


def program() -> Path:
    """The gateway's program.

    Raises:
        Missing: It was never built.
    """
    kept = _folder() / "versitygw"
    if not kept.exists():
        raise Missing("there is no S3 server here (python -m tests.adapters.s3_server)")
    return kept


def build() -> None:
    """Build the gateway if it is not there.

    Raises:
        Missing: Go is not installed, or cannot fetch or build it.
    """
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs build it once
        if not (folder / "versitygw").exists():
            _build(folder)


def environment(url: str) -> dict[str, str]:
    """What a client's environment holds to reach a server at this address."""
    return {
        "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET,
    }  # fmt: skip


@asynccontextmanager
async def s3_server(folder: Path) -> AsyncGenerator[S3Server]:
    """A server whose bucket is in this folder; it is gone when the block ends, or this process."""
    address = f"127.0.0.1:{any_free_port()}"
    for each in ("objects", f"objects/{BUCKET}", "sidecar"):
        (folder / each).mkdir()
    # Beside the objects, because not every file system has the extended attributes that it would use.
    command = [
        str(program()), "--quiet", "--port", address, "--access", ACCESS, "--secret", SECRET, "--health", "/health",
        "posix", "--sidecar", str(folder / "sidecar"), str(folder / "objects"),
    ]  # fmt: skip
    async with supervised(folder) as supervisor, httpx.AsyncClient() as client:

        async def answers() -> bool:
            try:
                return (await client.get(f"http://{address}/health")).is_success
            except httpx.TransportError:
                return False

        await supervisor.start(Service("s3", command), answers)
        yield S3Server(f"http://{address}", folder / "objects" / BUCKET)


def _folder() -> Path:
    return devserver.cache_folder() / "versitygw" / VERSION


def _build(folder: Path) -> None:
    if (go := shutil.which("go")) is None:
        raise Missing("the S3 server is built with Go, which is not on PATH")
    fresh = folder / "unfinished"
    command = [go, "install", "-trimpath", "-ldflags=-s -w", f"{_PACKAGE}@{VERSION}"]
    built = subprocess.run(
        command, env=os.environ | {"GOBIN": str(fresh)}, cwd=folder,
        capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS,
    )  # fmt: skip
    if built.returncode:
        raise Missing(f"the S3 server {VERSION} cannot be built: {built.stderr[-500:]}")
    (fresh / "versitygw").rename(folder / "versitygw")  # last: it is there only when all of it is
    fresh.rmdir()


if __name__ == "__main__":
    try:
        build()
    except Missing as missing:
        print(f"{missing}: its tests will be skipped")  # noqa: T201
