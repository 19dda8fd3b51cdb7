"""pywb plays a WARC or a WACZ on loopback; what it serves is compared with what the site served."""

from __future__ import annotations

import http.client
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from precinto.embedded import any_free_port

_SECONDS = 30.0


@dataclass(frozen=True)
class Played:
    """An answer of the player: status, header fields in lower case, and the body as it was recorded."""

    status: int
    headers: dict[str, str]
    body: bytes


class Player:
    """A running player of one archive."""

    def __init__(self, port: int) -> None:
        self._port = port

    def play(
        self, url: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Played:
        """Ask for a recorded URL as it was served: nothing rewritten (``id_``), no content coding taken off."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_SECONDS)
        try:
            connection.request(method, f"/archive/id_/{url}", body, {"Accept-Encoding": "gzip, br", **(headers or {})})
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Played(answer.status, fields, answer.read())
        finally:
            connection.close()


@contextmanager
def player(programs: Path, archive: Path, folder: Path) -> Iterator[Player]:
    """Start pywb on an archive, by its own rules for each kind: a WACZ with the index inside, a WARC with pywb's own.

    Args:
        programs: Where its programs are.
        archive: The ``.wacz`` or ``.warc.gz``.
        folder: An empty folder for its collection.
    """
    manager = str(programs / "wb-manager")
    unpack = ["--unpack-wacz"] if archive.suffix == ".wacz" else []
    for command in ([manager, "init", "archive"], [manager, "add", *unpack, "archive", str(archive)]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_SECONDS)
    port = any_free_port()
    command = [str(programs / "wayback"), "-b", "127.0.0.1", "-p", str(port)]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as running:
        try:
            _wait(running, port)
            yield Player(port)
        finally:
            running.terminate()


def _wait(running: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except ConnectionRefusedError:
            assert running.poll() is None, "the player has ended"
            assert time.monotonic() < until, "the player does not answer"
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
