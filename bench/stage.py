"""One subject on its stage: a fresh server, a worker process, a client process, and what each of them uses.

Fresh for each subject and round, and alone on the machine: so every CPU second is this subject's, no subject pays
for the histories of another, and all meet the same server with the same settings.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from bench.plan import Carried, Load
from bench.server import temporal
from precinto.embedded import any_free_port
from precinto.supervisor import tied

ROLES = ("client", "worker", "server")

SETTLES, STILL = 30, 1_000_000
"""Memory is read once no process has changed by so many bytes within a second, or after so many seconds."""


@dataclass(frozen=True)
class Usage:
    """What the three processes have used so far: CPU seconds (user and system), and memory held (bytes, PSS)."""

    cpu: dict[str, float]
    memory: dict[str, int]
    stored: dict[str, int]


@dataclass(frozen=True)
class Measured:
    """One load on one subject."""

    subject: str
    load: Load
    carried: Carried
    cpu: dict[str, float]
    memory: dict[str, int]
    stored: dict[str, int]

    @property
    def cases_per_second(self) -> float:
        """Cases per second."""
        return self.load.cases / self.carried.seconds

    def cpu_per_case(self, role: str = "") -> float:
        """CPU seconds per case of one role, or of all three."""
        return (self.cpu[role] if role else sum(self.cpu.values())) / self.load.cases

    def memory_per_case(self, role: str) -> float:
        """Bytes of memory by which a role has grown, per case."""
        return self.memory[role] / self.load.cases

    def line(self) -> str:
        """What to print while a run goes on."""
        what = f"{self.load.cases} cases, {self.load.at_once} at once" if self.load.decide else "waiting"
        cpu = ", ".join(f"{role} {self.cpu_per_case(role) * 1000:.0f}" for role in ROLES)
        held = ", ".join(f"{role} {self.memory_per_case(role) / 1000:.0f}" for role in ROLES)
        return f"{self.subject:9} {what}: {self.cases_per_second:.2f}/s; CPU ms {cpu}; memory kB {held}"


class Stage:
    """The three processes of one subject; use it as a context manager."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Stage:
        address = f"127.0.0.1:{any_free_port()}"
        folder = Path(self._folder.name)
        try:
            self._start("server", temporal(address, folder / "temporal.db"), subprocess.DEVNULL)
            _answers(address)
            # The client listens before the worker can have anything to tell it.
            for role in ("client", "worker"):
                command = [sys.executable, "-m", f"bench.{role}", self._subject, address, str(folder)]
                process = self._start(role, command, subprocess.PIPE)
                if _stream(process.stdout).readline() != "ready\n":
                    raise RuntimeError(f"the {role} of {self._subject} did not start: its error is above")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for role in ("client", "worker", "server"):
            if process := self._processes.get(role):
                if process.stdin:
                    process.stdin.close()
                else:
                    process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
        self._folder.cleanup()

    def run(self, load: Load) -> Measured:
        """Carry a load and say what it took."""
        before = self._usage()
        client = self._processes["client"]
        stdin, stdout = _stream(client.stdin), _stream(client.stdout)
        stdin.write(json.dumps(asdict(load)) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise RuntimeError(f"the client of {self._subject} broke off: its error is above")
        after = self._usage() if load.decide else self._settled()
        return Measured(
            subject=self._subject,
            load=load,
            carried=Carried.of(json.loads(answer)),
            cpu={role: after.cpu[role] - before.cpu[role] for role in ROLES},
            memory={role: after.memory[role] - before.memory[role] for role in ROLES},
            stored={name: after.stored[name] - before.stored[name] for name in after.stored},
        )

    def _settled(self) -> Usage:
        """What is used once the memory has stopped changing."""
        usage, deadline = self._usage(), time.monotonic() + SETTLES
        while time.monotonic() < deadline:
            time.sleep(1)
            before, usage = usage, self._usage()
            if all(abs(usage.memory[role] - before.memory[role]) < STILL for role in ROLES):
                break
        return usage

    def _start(self, role: str, command: list[str], pipe: int) -> subprocess.Popen[str]:
        quiet = role == "server"
        process = subprocess.Popen(
            tied(command),
            stdin=None if quiet else pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            # As in an installation: the sandbox loads workflow modules anew for every case, from bytecode.
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{self._folder.name}/bytecode"},
        )
        self._processes[role] = process
        return process

    def _usage(self) -> Usage:
        folder = Path(self._folder.name)
        pids = {role: self._processes[role].pid for role in ROLES}
        return Usage(
            cpu={role: _cpu(pid) for role, pid in pids.items()},
            memory={role: _memory(pid) for role, pid in pids.items()},
            stored={
                name: sum(file.stat().st_size for file in folder.glob(f"{name}.db*"))
                for name in ("temporal", "precinto")
            },
        )


def _stream(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise RuntimeError("the process was started without this pipe")
    return stream


def _cpu(pid: int) -> float:
    """User and system seconds of a process and all its threads, by its own clock (clock_getcpuclockid(3)).

    proc(5) counts in ticks of 10 ms, which is more than a client needs for a case.
    """
    return time.clock_gettime(~pid << 3 | 2)  # as the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)


def _memory(pid: int) -> int:
    """Proportional set size in bytes, from proc(5): memory that is shared is counted in shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has no proportional set size")


def _answers(address: str, within: float = 30) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + within
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
