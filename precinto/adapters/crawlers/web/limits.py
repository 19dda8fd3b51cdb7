"""What a capture may use of the machine, and the watch that ends its browser when that is not enough for it.

A page decides how much memory and disk a browser takes: a few kilobytes of a compressed answer unfold to gigabytes,
and the guard, which counts what goes over the wire, never sees them. Nothing of the page runs in this process, so the
kernel is asked: every quarter of a second, from a thread, which a page that floods the event loop cannot hold up.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from precinto.adapters.crawlers.guard.egress import BYTES

_LOOK_SECONDS = 0.25
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """What one capture may use, beside its time.

    Attributes:
        memory: Bytes of memory of all the browser's processes and its driver's.
        disk: Bytes that the browser may have on disk at a time: profile, cache, downloads.
        files: Files that it may have there.
        network: Bytes to sites and back.
    """

    memory: int = 1_500_000_000
    disk: int = 1_000_000_000
    files: int = 20_000
    network: int = BYTES


@dataclass
class Use:
    """What one capture used; ``exceeded`` says which limit its browser was ended for, or is None."""

    memory: int = 0
    disk: int = 0
    files: int = 0
    exceeded: str | None = None


class Watch:
    """Measures a browser that runs in a folder, and kills it when it exceeds a limit; a context manager.

    Attributes:
        use: The most that was measured so far.
    """

    def __init__(self, home: Path, limits: Limits) -> None:
        self.use = Use()
        self._home = home
        self._limits = limits
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            self._look()
            if self.use.exceeded:
                kill(self._home)

    def _look(self) -> None:
        memory = _memory(self._home)
        files, disk = _disk(self._home, self._limits.files)
        use, limits = self.use, self._limits
        use.memory, use.disk, use.files = max(use.memory, memory), max(use.disk, disk), max(use.files, files)
        if use.exceeded:
            return
        if memory > limits.memory:
            use.exceeded = f"the browser took more than {limits.memory} bytes of memory"
        elif disk > limits.disk:
            use.exceeded = f"the browser took more than {limits.disk} bytes of disk"
        elif files > limits.files:
            use.exceeded = f"the browser wrote more than {limits.files} files"


def kill(home: Path) -> int:
    """Kill every process group that has ``home`` in a command line; returns how many there were.

    Not only the browser's: its crash handlers put themselves into groups of their own.
    """
    groups = {process.group for process in _processes() if process.names(home)} - {os.getpgrp()}
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(groups)


@dataclass(frozen=True)
class _Process:
    id: int
    parent: int
    group: int

    def names(self, home: Path) -> bool:
        """Whether its command line names the folder."""
        try:
            return os.fsencode(home) in Path(f"/proc/{self.id}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False  # it ended meanwhile

    def memory(self) -> tuple[int, int]:
        """Bytes that are its own, and bytes that it maps from files or shares (proc(5), ``statm``)."""
        try:
            _, resident, shared, *_ = Path(f"/proc/{self.id}/statm").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return 0, 0
        return (int(resident) - int(shared)) * _PAGE, int(shared) * _PAGE


def _processes() -> Iterator[_Process]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The name of a program may hold anything, also what ends it here; nothing after it may (proc(5)).
            _, parent, group, *_ = stat.rpartition(")")[2].split()
            yield _Process(int(entry.name), int(parent), int(group))


def _memory(home: Path) -> int:
    """Bytes of memory of all processes of the browser, and of the driver that started it.

    What a process has for itself counts; of what they share, only the share of the one that has most: the sum would
    count the browser's own code once for each process. The kernel's exact figure (PSS) is closed to us for processes
    in a sandbox, and costs more than it is worth four times a second.
    """
    processes = list(_processes())
    groups: dict[int, int] = {one.group: one.parent for one in processes if one.names(home) and one.id == one.group}
    groups.pop(os.getpgrp(), None)
    drivers = set(groups.values()) - {1, os.getpid()}
    figures = [one.memory() for one in processes if one.group in groups or one.id in drivers]
    return sum(own for own, _ in figures) + max((shared for _, shared in figures), default=0)


def _disk(home: Path, most: int) -> tuple[int, int]:
    """Files below a folder, and bytes that they take on disk; not counted further than one file too many."""
    files = size = 0
    for folder, _, names in os.walk(home):
        for name in names:
            try:
                size += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue
            files += 1
            if files > most:
                return files, size
    return files, size
