"""From start to end: a lab leaves no process and no port behind, whichever way it ends, and never leaves loopback."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import signal
import sys
import time
import tomllib
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from lab.errors import DaemonFailed, FolderTaken
from lab.lab import Lab, open_lab
from lab.names import CONTROL, HOSTS
from precinto.adapters.investigators.bootstrap import Bootstrap
from precinto.adapters.investigators.networks import Networks
from precinto.registry import read_registry
from tests.lab.notices import until

DAEMONS = {"root", "primary", "norte", "sur", "andes", "control", "second-control"}


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a zombie has ended, whether or not somebody has collected it."""
    found: list[psutil.Process] = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[tuple[asyncio.subprocess.Process, list[psutil.Process], str]]:
    """``python -m lab`` in a process of its own: the process, all processes of the lab, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lab", str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    printed = ""
    try:
        while "The lab is open" not in printed:
            line = await asyncio.wait_for(process.stdout.readline(), 60)
            assert line, (await process.communicate())[1].decode()
            printed += line.decode()
        own = psutil.Process(process.pid)
        yield process, [own, *own.children(recursive=True)], printed
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_starts_and_stops_in_moments(tmp_path: Path) -> None:
    began = time.monotonic()
    async with open_lab(tmp_path / "lab") as lab:
        opened = time.monotonic()
        processes = [psutil.Process(pid) for pid in lab.pids.values()]
        assert set(lab.pids) == DAEMONS
        assert len(alive(processes)) == len(DAEMONS)
        stopping = time.monotonic()
    sys.stdout.write(f"open after {opened - began:.2f} s, closed after {time.monotonic() - stopping:.2f} s\n")
    assert alive(processes) == []


async def test_two_labs_run_side_by_side_and_one_folder_holds_one(lab: Lab, tmp_path: Path) -> None:
    async with open_lab(tmp_path / "lab") as other:
        assert not {lab.ports[443], lab.ports[80]} & set(other.ports.values())
        for opened in (lab, other):
            assert (await opened.resolve(CONTROL, "flvto.biz")).rcode == "NOERROR"
        with pytest.raises(FolderTaken, match="already"):
            async with open_lab(tmp_path / "lab"):
                pass


async def test_a_folder_is_used_again_but_never_a_strangers(tmp_path: Path) -> None:
    for _ in range(2):
        async with open_lab(tmp_path / "lab") as lab:
            assert await lab.norte.names() == ()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    with pytest.raises(FolderTaken, match="no lab wrote"):
        async with open_lab(tmp_path / "other"):
            pass
    assert (tmp_path / "other" / "thesis.txt").exists()


async def test_a_daemon_that_dies_is_told_at_the_end(tmp_path: Path) -> None:
    async def lose_one() -> None:
        async with open_lab(tmp_path / "lab") as lab:
            process = psutil.Process(lab.pids["sur"])
            process.kill()

            async def dead() -> bool:
                return alive([process]) == []

            await until(dead)

    with pytest.raises(DaemonFailed, match="sur had ended"):
        await lose_one()


async def test_a_lab_that_fails_to_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(psutil.Process().children(recursive=True))
    monkeypatch.setattr("lab.resolvers.NAME_SERVER", "no name at all")
    with pytest.raises(DaemonFailed):
        async with open_lab(tmp_path / "lab"):
            pass
    assert alive(set(psutil.Process().children(recursive=True)) - before) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_every_process_goes_with_the_one_that_opened_the_lab(tmp_path: Path, how: signal.Signals) -> None:
    async def gone() -> bool:
        return alive(processes) == []

    async with running(tmp_path / "lab") as (process, processes, printed):
        assert len(processes) == 1 + len(DAEMONS)
        for host in HOSTS:
            assert host.name in printed
        process.send_signal(how)
        assert await process.wait() == (-how if how is signal.SIGKILL else 0)
        await until(gone)


async def test_a_folder_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lab", str(tmp_path), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert "no lab wrote" in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_no_socket_is_bound_or_connected_outside_loopback(tmp_path: Path) -> None:
    """What the kernel says of every process of a lab, while its resolvers are at work."""
    async with running(tmp_path / "lab") as (_, processes, _):
        registry = tomllib.loads((tmp_path / "lab" / "registry.toml").read_text())
        servers = [*registry["control_resolvers"], *(isp["resolvers"][0] for isp in registry["isps"])]
        await asyncio.gather(*(_nag(server) for server in servers))
        sockets = [socket for process in processes for socket in process.net_connections("inet")]
        assert len(sockets) > len(servers)
        for socket in sockets:
            for address in (socket.laddr, socket.raddr):
                assert not address or ipaddress.ip_address(address.ip) in ipaddress.ip_network("127.0.0.0/8"), socket


async def _nag(server: str) -> None:
    from lab.resolvers import Resolver

    address, _, port = server.partition(":")
    for name in ("flvto.biz", "www.example.com", "_nothing.gob.pe"):
        await Resolver(address, int(port)).ask(name)


async def test_the_product_is_told_where_everything_is(lab: Lab) -> None:
    told = {"LAB", "LAB_PORTS", "LAB_CA", "NETWORKS", "RDAP", "REGISTRY"}
    assert set(lab.environment) == {f"PRECINTO_{name}" for name in told}
    ports = {"443": lab.ports[443], "80": lab.ports[80], "53": lab.root}
    assert json.loads(lab.environment["PRECINTO_LAB_PORTS"]) == ports
    assert Bootstrap(lab.rdap).for_domain("flvto.biz")
    assert Networks(lab.networks).of(ipaddress.ip_address("127.0.1.1"))
    registry = tomllib.loads(lab.registry.read_text())
    assert [isp["id"] for isp in registry["isps"]] == ["norte", "sur", "andes"]
    for isp in registry["isps"]:
        assert isp["resolvers"] == [str(lab.resolvers[isp["id"]])]
        for key, value in isp["options"].items():
            if key.endswith("_file"):
                assert (lab.registry.parent / value).is_file()
    read = read_registry(lab.registry)
    assert read.control_resolvers == (str(lab.control), str(lab.second_control))
    assert lab.control.address != lab.second_control.address
    assert read.canary in {host.name for host in HOSTS}
    for secret in (lab.folder / "secrets").iterdir():
        assert secret.stat().st_mode & 0o777 == 0o600
