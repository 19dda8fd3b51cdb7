"""Who reads a wire record: each a process of its own that is timed, and held against what the site served.

The packet analyser tshark stands beside our own readers: it knows nothing of us, and reads the very same file.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.plan import Wrong
from bench.records import SMALL, Answers, Recorded
from bench.stopwatch import Taken, timed
from precinto.adapters.archives import reading

READER_BYTES = 2**31
"""Address space of the process that writes the archive: as the product gives it."""

Reader = Callable[[Recorded], Taken]
"""Reads a record in a process of its own; raises ``Wrong`` where it does not find what was served."""


def _decode(recorded: Recorded) -> Taken:
    output = recorded.folder / "decoded.json"
    taken = timed([sys.executable, "-m", "bench.decoded", str(recorded.path)], output)
    _same("the decoder", recorded, Counter((path, sha256) for path, sha256 in json.loads(output.read_bytes())))
    return taken


def archive(recorded: Recorded) -> Taken:
    """Exchanges, certificates, WARC and WACZ, by the very process that makes them in a capture."""
    provenance = {
        "software": "bench",
        "case": "bench",
        "attempt": 1,
        "vantage": "bench",
        "captured_at": "2026-01-01T00:00:00+00:00",
        "description": f"{recorded.shape.answers} answers",
    }
    command = [sys.executable, "-I", "-m", reading.__name__, str(recorded.path), str(recorded.folder)]
    output = recorded.folder / "missing.json"
    for name in reading.FILES:
        (recorded.folder / name).unlink(missing_ok=True)
    taken = timed([*command, str(READER_BYTES)], output, json.dumps(provenance).encode())
    if missing := json.loads(output.read_bytes()):
        raise Wrong(f"the archive says that something is missing: {missing[:3]}")
    exchanges = json.loads((recorded.folder / "exchanges.json").read_bytes())["exchanges"]
    _same("the archive", recorded, Counter((_path(one["url"]), one["received"]["sha256"]) for one in exchanges))
    return taken


def _heads(recorded: Recorded) -> Taken:
    """tshark lists what was asked; bodies are decrypted on the way, and neither put together nor written."""
    output = recorded.folder / "heads.txt"
    wanted = ["-Y", "http2.headers.path", "-T", "fields", "-e", "http2.headers.path"]
    taken = timed(["tshark", "-r", str(recorded.path), *wanted], output)
    found = Counter(path for line in output.read_text().splitlines() for path in line.split(","))
    if found != Counter({recorded.shape.path: recorded.shape.answers}):
        raise Wrong(f"tshark found {dict(found)} where {recorded.shape.answers} were asked for")
    return taken


def _bodies(recorded: Recorded) -> Taken:
    """tshark prints each body, the only form in which it gives out those of HTTP/2: as hexadecimal digits."""
    output = recorded.folder / "bodies.txt"
    wanted = ["-Y", "http2.data.data", "-T", "fields", "-e", "http2.body.reassembled.data", "-e", "http2.data.data"]
    taken = timed(["tshark", "-r", str(recorded.path), *wanted], output)
    found: Answers = Counter()
    with output.open() as lines:
        for line in lines:
            whole, _, pieces = line.rstrip("\n").partition("\t")
            bodies = whole.split(",") if whole else pieces.split(",") if recorded.shape.path == SMALL else []
            found.update((recorded.shape.path, hashlib.sha256(bytes.fromhex(body)).hexdigest()) for body in bodies)
    output.unlink()
    _same("tshark", recorded, found)
    return taken


def verifier(trust: Path) -> Reader:
    """Who verifies ``bundle.zip`` beside a record, offline, with these trusted certificates."""

    def verify(recorded: Recorded) -> Taken:
        command = [sys.executable, "starter.py", "evidence", "verify", str(recorded.folder / "bundle.zip")]
        return timed([*command, "--trust", str(trust)], recorded.folder / "verified.txt")

    return verify


READERS: Mapping[str, Reader] = {
    "precinto: decode": _decode,
    "precinto: WARC and WACZ": archive,
    "tshark: heads": _heads,
    "tshark: bodies": _bodies,
}
PEERS = ("tshark: heads", "tshark: bodies")


def _same(who: str, recorded: Recorded, found: Answers) -> None:
    if found != recorded.served:
        raise Wrong(f"{who} found {found.total()} answers that are not the {recorded.served.total()} that were served")


def _path(url: str) -> str:
    return f"/{url.partition('://')[2].partition('/')[2]}"
