"""Reads the wire record of a capture in a process of its own, within limits of memory and time.

A hostile site has written half of the record: whatever it does to whoever reads it must end with this process.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from precinto.adapters.archives import reading
from precinto.domain.evidence import Missing
from precinto.ports import Archive, Capture, CapturedFile, Subject

RECORD = "wire.pcapng"
"""Name of the wire record among the files of a capture."""

_ANSWER_BYTES = 4_000_000
_MISSING = TypeAdapter(tuple[Missing, ...])


class WireArchiver:
    """Port ``Archiver``.

    Args:
        timeout: Wall clock of one reading.
    """

    def __init__(self, timeout: timedelta = timedelta(minutes=3)) -> None:
        self._seconds = timeout.total_seconds()

    async def archive(
        self, subject: Subject, attempt: int, started: datetime, capture: Capture, folder: Path
    ) -> Archive:
        """Decode the record, if the capture has one; a record that cannot be read is missing, never an error."""
        if not any(file.name == RECORD for file in capture.files):
            return Archive(files=(), tools={})
        provenance = {
            "software": f"precinto {version('precinto')}",
            "case": subject.case,
            "attempt": attempt,
            "vantage": capture.vantage,
            "captured_at": started.astimezone(UTC).isoformat(),
            "description": f"{subject.target.kind} {subject.target.value}"[:500],
        }
        try:
            missing = await self._read(folder, json.dumps(provenance).encode())
        except _Unreadable as unreadable:
            missing = (Missing(what=RECORD, reason=f"the archive could not be made from it: {unreadable}"[:500]),)
        files = [
            CapturedFile(name=name, media_type=kind, path=folder / name)
            for name, kind in reading.FILES.items()
            if (folder / name).is_file()
        ]
        tools = {name: version(name) for name in ("cryptography", "h11", "hpack", "hyperframe", "warcio", "wsproto")}
        return Archive(files=tuple(files), tools=tools, missing=missing)

    async def _read(self, folder: Path, provenance: bytes) -> tuple[Missing, ...]:
        reader = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", reading.__name__, str(folder),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", "")},  # no secret of ours is in its reach
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


class _Unreadable(Exception):
    """The record cannot be read; says why."""
