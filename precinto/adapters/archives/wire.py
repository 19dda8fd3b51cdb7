"""Reads the wire record of a capture in a process of its own, within limits of memory and time.

A hostile site has written half of the record: whatever it does to whoever reads it must end with this process.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from precinto.adapters.archives import reading
from precinto.domain.evidence import MISSING, Missing
from precinto.ports import Archive, Capture, CapturedFile, Subject
from precinto.wire.archive import tools
from precinto.wire.pcapng import RECORD

_ANSWER_BYTES = MISSING * 6 * 2_700  # what is missing, each character of it written as \uXXXX
_MISSING = TypeAdapter(tuple[Missing, ...])


class WireArchiver:
    """Port ``Archiver``.

    Args:
        timeout: Wall clock of one reading.
        memory_bytes: Address space of the process that reads.
    """

    def __init__(self, timeout: timedelta = timedelta(minutes=3), memory_bytes: int = 2 * 2**30) -> None:
        self._seconds = timeout.total_seconds()
        self._memory = memory_bytes

    async def archive(
        self, subject: Subject, attempt: int, started: datetime, capture: Capture, folder: Path
    ) -> Archive:
        """Decode the record, if the capture has one; a record that cannot be read is missing, never an error."""
        record = next((file.path for file in capture.files if file.name == RECORD), None)
        if record is None:
            return Archive(files=(), tools={})
        provenance = {
            "software": f"precinto {version('precinto')}",
            "case": subject.case,
            "attempt": attempt,
            "vantage": capture.vantage,
            "captured_at": started.astimezone(UTC).isoformat(),
            "description": f"{subject.target.kind} {subject.target.value}"[:500],
        }
        files: list[CapturedFile] = []
        # The reader writes to a folder of its own: one that was stopped half-way leaves half a file.
        with tempfile.TemporaryDirectory(prefix="archive-", dir=folder) as made:
            try:
                missing = await self._read(record, Path(made), json.dumps(provenance).encode())
            except _Unreadable as unreadable:
                missing = (Missing(what=RECORD, reason=f"the archive could not be made from it: {unreadable}"[:500]),)
            else:
                for name, kind in reading.FILES.items():
                    path = (Path(made) / name).rename(folder / name)
                    files.append(CapturedFile(name=name, media_type=kind, path=path))
        return Archive(files=tuple(files), tools=_tools(), missing=missing)

    async def _read(self, record: Path, folder: Path, provenance: bytes) -> tuple[Missing, ...]:
        reader = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", reading.__name__, str(record), str(folder), str(self._memory),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", ""), "TMPDIR": str(folder)},  # no secret of ours is in its reach
            start_new_session=True,
        )  # fmt: skip
        try:
            answer, errors = await asyncio.wait_for(reader.communicate(provenance), self._seconds)
        except TimeoutError as late:
            raise _Unreadable(f"not read within {self._seconds:g} s") from late
        finally:
            if reader.returncode is None:
                os.killpg(reader.pid, signal.SIGKILL)
                await reader.wait()
        if reader.returncode != 0:
            last = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise _Unreadable(last or f"its reader ended with {reader.returncode}")
        try:
            return _MISSING.validate_json(answer[:_ANSWER_BYTES])
        except ValidationError as error:
            raise _Unreadable("its reader gave no answer") from error


def _tools() -> dict[str, str]:
    """What took part, and what the bytes of the archive depend on beside the record."""
    took_part = ("precinto", "cryptography", "h11", "hpack", "hyperframe", "brotli", "zstandard")
    return {name: version(name) for name in took_part} | tools()


class _Unreadable(Exception):
    """The record cannot be read; says why."""
