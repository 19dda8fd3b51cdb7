"""A program that reads what somebody hostile made: killable, and with little to use up.

Limits are set by ``prlimit`` (util-linux) before the program starts: memory, CPU time, no file of any size, no
core dump. A wall clock and a cap on the answer are kept from outside. Whatever ends it, the answer is a reading.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from precinto.adapters.crawlers.apps.words import plain
from precinto.domain.apps import Problem, Reading
from precinto.supervisor import tied

_FILE = 4096
"""Bytes of a file that may be written: enough for a parser that, as it starts, tries whether it could."""
_GRACE = 2
"""CPU seconds between the signal that says why and the end that cannot be put off."""


@dataclass(frozen=True)
class Limits:
    """What one reader may use.

    Attributes:
        seconds: Wall clock.
        cpu_seconds: Processor time.
        memory: Bytes of address space.
        answer: Bytes of its answer.
    """

    seconds: float = 60.0
    cpu_seconds: int = 40
    memory: int = 1536 * 2**20
    answer: int = 8 * 2**20


async def isolated(reader: str, command: Sequence[str], limits: Limits) -> Reading:
    """Run a reader and take its answer, a ``Reading`` in JSON; what stops it is a problem in the reading.

    Raises:
        CannotHere: The program that ties it to this process is missing.
    """
    process = await asyncio.create_subprocess_exec(
        *tied(_limited(command, limits)),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(limits.seconds):
            answer = await _answer(process, limits.answer)
            if answer is not None:
                await process.wait()
    except TimeoutError:
        return _problem(reader, f"it took longer than {limits.seconds:g} s")
    finally:
        with suppress(ProcessLookupError):  # the whole group: a reader may have called others
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if answer is None:
        return _problem(reader, f"its answer is longer than {limits.answer} bytes")
    if process.returncode:
        return _problem(reader, _ended(process.returncode, limits))
    try:
        return Reading.model_validate_json(answer)
    except ValidationError as error:
        return _problem(reader, f"its answer is no reading: {error.errors()[0]['msg']}")


async def _answer(process: asyncio.subprocess.Process, limit: int) -> bytes | None:
    """Everything that it writes; None when that is more than ``limit``."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    answer = bytearray()
    while chunk := await process.stdout.read(2**16):
        answer += chunk
        if len(answer) > limit:
            return None
    return bytes(answer)


def _limited(command: Sequence[str], limits: Limits) -> list[str]:
    cpu = f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + _GRACE}"
    return ["prlimit", f"--as={limits.memory}", cpu, f"--fsize={_FILE}", "--core=0", "--nofile=64", "--", *command]


def _ended(code: int, limits: Limits) -> str:
    if code == -signal.SIGXCPU:
        return f"it used more than {limits.cpu_seconds} s of processor time"
    return f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"


def _problem(reader: str, reason: str) -> Reading:
    return Reading(problems=(Problem(reader=reader, reason=plain(reason)),))


def _environment() -> dict[str, str]:
    """Not ours: what breaks out of a parser finds no secret there."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
