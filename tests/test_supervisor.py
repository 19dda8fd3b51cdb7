"""The supervisor with real processes: whoever dies is replaced, and nobody outlives the one who started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from precinto import supervisor as module
from precinto.domain.errors import CannotHere, Unavailable
from precinto.supervisor import Service, Supervisor, supervised
from tests.authority import until

READY = "import pathlib, signal, sys; pathlib.Path(sys.argv[1]).touch(); print('ready', flush=True); "
SERVES = READY + "signal.pause()"
STUBBORN = READY.replace("pathlib.Path", "signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path") + (
    "\nwhile True: signal.pause()"
)
POLITE = """
import pathlib, signal, sys
def end(*_):
    print("goodbye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1]).touch()
signal.pause()
"""
"""Small servers: each touches the file of its first argument once it serves, and then waits for signals."""


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncGenerator[Supervisor]:
    """A supervisor whose services have ended when the test has."""
    async with supervised(tmp_path / "run") as one:
        yield one


def service(folder: Path, program: str = SERVES, name: str = "server", **environment: str) -> Service:
    """A service that runs a Python program, and that file by which it says that it serves."""
    return Service(name, [sys.executable, "-c", program, str(folder / f"{name}.serves")], environment)


def serves(folder: Path, name: str = "server") -> Callable[[], Awaitable[bool]]:
    """Asks whether a service serves."""

    async def asked() -> bool:
        return (folder / f"{name}.serves").exists()

    return asked


def pid_file(folder: Path, name: str = "server") -> int:
    """What the file that others find a service by says."""
    return int((folder / "run" / f"{name}.pid").read_text())


def log(folder: Path, name: str = "server") -> str:
    """What a service wrote."""
    return (folder / "run" / f"{name}.log").read_text()


async def gone(process: psutil.Process) -> bool:
    """Whether a process has ended; a zombie has, whether or not somebody has collected it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# ------------------------------------------------------------------------------------------------------ at the start


async def test_a_service_runs_once_it_answers(keeper: Supervisor, tmp_path: Path) -> None:
    await keeper.start(service(tmp_path), serves(tmp_path))
    process = psutil.Process(keeper.pids["server"])
    assert "signal.pause" in " ".join(process.cmdline())  # the program itself, nothing wrapped around it
    assert pid_file(tmp_path) == process.pid
    assert keeper.restarts == {"server": 0}


async def test_it_gets_what_it_needs_beside_our_own_environment(keeper: Supervisor, tmp_path: Path) -> None:
    tells = "import os; print(os.environ['PRECINTO_OFFICER'], os.environ['PATH'], flush=True); " + SERVES
    await keeper.start(service(tmp_path, tells, PRECINTO_OFFICER="operator-1"), serves(tmp_path))
    assert log(tmp_path).startswith(f"operator-1 {os.environ['PATH']}\n")


async def test_one_that_ends_at_its_start_is_reported_with_the_end_of_its_log(
    keeper: Supervisor, tmp_path: Path
) -> None:
    fails = "[print(f'line {n}', flush=True) for n in range(50)]; raise SystemExit('there is no database')"
    with pytest.raises(Unavailable, match=r"(?s)server ended at its start: .*there is no database$") as failed:
        await keeper.start(service(tmp_path, fails), serves(tmp_path))
    assert "line 49" in str(failed.value)
    assert "line 10" not in str(failed.value)


async def test_a_program_that_is_not_there_is_reported_by_name(keeper: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"(?s)server ended at its start: .*no-such-program"):
        await keeper.start(Service("server", ["no-such-program"]), serves(tmp_path))


async def test_one_that_never_answers_is_reported_and_ends_with_the_rest(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with supervised(tmp_path / "run") as keeper:
        started = service(tmp_path)
        await keeper.start(service(tmp_path, name="other"), serves(tmp_path, "other"))
        with pytest.raises(Unavailable, match=r"(?s)server does not answer after 0.5 s: "):
            await keeper.start(started, never, within=0.5)
        processes = [psutil.Process(pid) for pid in keeper.pids.values()]
        assert len(processes) == 2
    assert [await gone(process) for process in processes] == [True, True]


async def test_without_setpriv_nothing_is_started(
    keeper: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotHere, match="setpriv is missing: apt install util-linux"):
        await keeper.start(service(tmp_path), serves(tmp_path))
    assert keeper.pids == {}


# -------------------------------------------------------------------------------------------------- while it runs


async def test_a_killed_service_is_started_again_and_its_pid_file_follows(tmp_path: Path) -> None:
    told: list[str] = []
    async with supervised(tmp_path / "run", told.append) as keeper:
        await keeper.start(service(tmp_path), serves(tmp_path))
        killed = keeper.pids["server"]
        (tmp_path / "server.serves").unlink()
        os.kill(killed, signal.SIGKILL)
        await until(serves(tmp_path), "the service that was started again")
        assert keeper.pids["server"] not in {0, killed}
        assert pid_file(tmp_path) == keeper.pids["server"]
        assert keeper.restarts == {"server": 1}
        assert told == ["server"]
        assert log(tmp_path).count("ready\n") == 2  # what the dead one wrote is kept


async def test_one_that_dies_again_and_again_is_given_ever_longer_pauses(
    keeper: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RESTART_SECONDS", (0.01, 0.04))
    dies = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(0.1); sys.exit(3)"
    with capture_logs() as logs:
        await keeper.start(service(tmp_path, dies), serves(tmp_path))

        async def restarted() -> bool:
            return keeper.restarts["server"] >= 4

        await until(restarted, "the fourth restart")
    deaths = [(one["exit"], one["restart_in"]) for one in logs if one["event"] == "service_died"]
    assert deaths[:4] == [(3, 0.01), (3, 0.02), (3, 0.04), (3, 0.04)]


async def test_one_that_had_settled_is_given_a_short_pause_again(
    keeper: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RESTART_SECONDS", (0.01, 0.04))
    monkeypatch.setattr(module, "_SETTLED_SECONDS", 0.0)
    with capture_logs() as logs:
        await keeper.start(service(tmp_path), serves(tmp_path))
        for deaths in range(1, 4):
            os.kill(keeper.pids["server"], signal.SIGKILL)

            async def runs_again(deaths: int = deaths) -> bool:
                return keeper.restarts["server"] == deaths and "server" in keeper.pids

            await until(runs_again, "the restart")
    assert [one["restart_in"] for one in logs if one["event"] == "service_died"] == [0.01] * 3


async def test_a_restart_that_cannot_be_made_now_is_tried_again(
    keeper: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process can be made while there is no setpriv; a machine short of memory or of files is the like."""
    monkeypatch.setattr(module, "_RESTART_SECONDS", (0.01, 0.04))
    await keeper.start(service(tmp_path), serves(tmp_path))
    (tmp_path / "server.serves").unlink()
    with monkeypatch.context() as without, capture_logs() as logs:
        without.setenv("PATH", str(tmp_path))
        os.kill(keeper.pids["server"], signal.SIGKILL)

        async def failed_twice() -> bool:
            return sum(one["event"] == "service_not_restarted" for one in logs) >= 2

        await until(failed_twice, "two attempts that failed")
    await until(serves(tmp_path), "the service that was started again")
    assert keeper.restarts == {"server": 1}


# ------------------------------------------------------------------------------------------------------ at the end


async def test_services_are_asked_to_end_the_last_started_first(tmp_path: Path) -> None:
    tells = POLITE.replace("print(", "open('order', 'a').write(sys.argv[2] + ' '); print(")
    async with supervised(tmp_path / "run") as keeper:
        for name in ("first", "second"):
            one = service(tmp_path, tells.replace("'order'", repr(str(tmp_path / "order"))), name)
            one.command = [*one.command, name]
            await keeper.start(one, serves(tmp_path, name))
    assert (tmp_path / "order").read_text() == "second first "


async def test_a_service_may_say_goodbye(tmp_path: Path) -> None:
    async with supervised(tmp_path / "run") as keeper:
        await keeper.start(service(tmp_path, POLITE), serves(tmp_path))
        process = psutil.Process(keeper.pids["server"])
    assert log(tmp_path).endswith("goodbye\n")
    assert await gone(process)
    assert keeper.pids == {}
    assert keeper.restarts == {}


async def test_one_that_does_not_listen_is_killed_with_all_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.2)
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}, sys.argv[1]]); " + (
        STUBBORN.replace("pathlib.Path(sys.argv[1]).touch()", "None")
    )
    async with supervised(tmp_path / "run") as keeper:
        await keeper.start(service(tmp_path, parent), serves(tmp_path))
        process = psutil.Process(keeper.pids["server"])
        processes = [process, *process.children()]
        assert len(processes) == 2
    for one in processes:
        await until(lambda one=one: gone(one), f"the end of {one}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_services_die_with_the_one_that_started_them(tmp_path: Path, how: signal.Signals) -> None:
    """No cleaning up runs in a process that is killed: the kernel must see to it."""
    program = f"""
import asyncio, pathlib, sys
from precinto.supervisor import Service, supervised

async def main():
    folder = pathlib.Path(sys.argv[1])
    async def answers():
        return (folder / "server.serves").exists()
    async with supervised(folder / "run") as keeper:
        command = [sys.executable, "-c", {STUBBORN!r}, str(folder / "server.serves")]
        await keeper.start(Service("server", command), answers)
        (folder / "started").touch()
        await asyncio.Event().wait()

asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path))
    try:

        async def started() -> bool:
            assert parent.returncode is None
            return (tmp_path / "started").exists()

        await until(started, "the supervisor and its service")
        child = psutil.Process(pid_file(tmp_path))
        parent.send_signal(how)
        assert await parent.wait() == -how
        await until(lambda: gone(child), "the end of the service")
    finally:
        if parent.returncode is None:
            parent.kill()
            await parent.wait()


async def test_closing_while_a_service_is_between_two_lives_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RESTART_SECONDS", (60.0, 60.0))
    async with supervised(tmp_path / "run") as keeper:
        await keeper.start(service(tmp_path), serves(tmp_path))
        os.kill(keeper.pids["server"], signal.SIGKILL)

        async def dead() -> bool:
            return keeper.pids == {}

        await until(dead, "its death")
    assert (tmp_path / "run" / "server.pid").exists()
    assert keeper.restarts == {}
