"""What tests of the crawler ask of a capture, and of the machine after it."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from precinto.domain.intake import Service, Target, TargetKind, normalise
from precinto.domain.recipes import Open, Recipe, RecipeBook
from precinto.ports import Capture, Subject

OPEN_SECONDS = 5

ONLY_OPEN = RecipeBook(
    recipes=(
        Recipe(
            id="open",
            services=(Service.OTHER,),
            description="Opens the page.",
            steps=(Open(do="open", seconds=OPEN_SECONDS),),
        ),
    )
)
"""Where a test is about the page, and not about what the visit does there."""


def url(address: str) -> Subject:
    """An address to capture."""
    return _subject(normalise(TargetKind.URL, address))


def domain(name: str) -> Subject:
    """A domain to capture."""
    return _subject(normalise(TargetKind.DOMAIN, name))


def _subject(target: Target) -> Subject:
    return Subject(case="case-1", target=target, service=Service.OTHER)


def content(capture: Capture, name: str) -> bytes:
    """A file of a capture."""
    return next(file.path.read_bytes() for file in capture.files if file.name == name)


def facts(capture: Capture, name: str) -> Any:
    """A JSON file of a capture."""
    return json.loads(content(capture, name))


def rules(capture: Capture) -> dict[str, str]:
    """Host and port to the rule by which it was refused."""
    return {f"{r['host']}:{r['port']}": r["rule"] for r in facts(capture, "refused.json")["refusals"]}


def size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG."""
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24])


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Captures keep their homes in a folder of this process's own, because other tests capture at the same time.

    It is not below pytest's: the browser's sockets are in there, and a socket's path is short (unix(7)). And it lets
    the users through that browsers run as.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="pc-") as folder:
        Path(folder).chmod(0o711)
        tempfile.tempdir = folder
        yield
        tempfile.tempdir = before


def leftovers() -> list[str]:
    """Command lines of processes that belong to a capture of this process, and files that one left."""
    homes = f"{tempfile.gettempdir()}/precinto-capture-"
    found = [str(path) for path in Path(tempfile.gettempdir()).glob("precinto-capture-*")]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if homes in line:
            found.append(line)
    return found
