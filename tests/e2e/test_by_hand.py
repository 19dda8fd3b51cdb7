"""A day at the authority by hand: ``up --lab`` in one terminal, commands in another, everything real.

The commands run in this process, as ``tests/cli`` runs them; the installation is a process of its own, with its
Temporal server, its worker, its browsers and the lab's servers below it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from precinto.cli import run
from precinto.devserver import installed
from precinto.settings import load_settings

pytestmark = pytest.mark.xdist_group("by_hand")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "referrals" / "stream-rippers.csv"
ISPS = {"norte", "sur", "andes"}
REASON = "The bundle shows a recording being converted and offered for download."
PATIENCE_SECONDS = 60.0

Command = Callable[..., Any]


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the installation; its orders outlast the test, and the end of one is looked at every second."""
    for name in [name for name in os.environ if name.startswith("PRECINTO_")]:
        monkeypatch.delenv(name)
    procedure = (ROOT / "procedures" / "demo.toml").read_text().replace("seconds = 18", "hours = 1")
    (folder / "procedure.toml").write_text(procedure)
    monkeypatch.setenv("PRECINTO_PROCEDURE", str(folder / "procedure.toml"))
    monkeypatch.setenv("PRECINTO_HOME", str(folder / "home"))
    return folder / "home"


@pytest.fixture
def command(home: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Gives one command and returns the JSON that it answers; its exit code must be the one that is expected."""

    def given(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert run([*arguments, "--json"]) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        return json.loads(out or err)

    return given


@contextmanager
def up(home: Path) -> Generator[subprocess.Popen[str]]:
    """``starter.py up --lab`` in another terminal, once it says where everything is."""
    command = [sys.executable, "starter.py", "up", "--lab"]
    with (home.parent / "up.err").open("a") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("Temporal "), (home.parent / "up.err").read_text()
            yield process
        finally:
            process.kill()
            process.communicate()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; fail with what was waited for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for: {what}"
        time.sleep(0.1)


def processes(home: Path) -> list[psutil.Process]:
    """Every living process of the machine that was started for this home, by its arguments or its environment."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(home) in word for word in words):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone, or somebody else's
            continue
    return found


def stop(process: subprocess.Popen[str], home: Path, how: signal.Signals) -> int:
    """Stop an installation; returns its exit code once no process of it is left."""
    assert {"temporal", "worker.py", "named", "unbound"} <= {
        Path(word).name for one in processes(home) for word in one.cmdline()[:2]
    }
    process.send_signal(how)
    code = process.wait(PATIENCE_SECONDS)
    until(lambda: processes(home) == [], f"the end of {processes(home)}")
    return code


def stages(command: Command) -> dict[str, str]:
    """The stage of each case by its target, closed ones too."""
    return {line["target"]: line["stage"] for line in command("cases", "--all")}


def standings(command: Command, target: str) -> dict[str, str]:
    """Where a target's case stands at each ISP, after a sweep."""
    command("sweep")
    [line] = [line for line in command("cases", "--all") if line["target"] == target]
    return line["standings"]


def everywhere(command: Command, target: str, standing: str) -> None:
    """Sweep until it stands so at every ISP."""
    until(lambda: standings(command, target) == dict.fromkeys(ISPS, standing), f"{target} to be {standing} everywhere")


def approve(command: Command, case: str, *officers: str) -> None:
    """Officers approve, one after the other; the last one's word is carried out."""
    for left, officer in reversed(list(enumerate(reversed(officers)))):
        answer = command("decide", case, "approve", "--as", officer, "--reason", REASON)
        assert answer["needed"] == left


def enrol(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reviewer makes a key, with a passphrase in a file; nobody decides before that."""
    passphrase = folder / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("cinco palabras que ningún libro tiene\n")
    for officer in ("reviewer-1", "reviewer-2"):
        made = command("officers", "enrol", officer, "--as", "admin", "--passphrase-file", str(passphrase))
        assert Path(made["file"]).stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("PRECINTO_PASSPHRASE_FILE", str(passphrase))


def approve_by_signal(command: Command, case: str, officer: str) -> None:
    """An officer signs and files; the case is told by Temporal's own tool, which knows nothing of us."""
    temporal = installed()
    assert temporal is not None, "'up' runs it, so it is here"
    signed = command("decide", case, "approve", "--as", officer, "--reason", REASON, "--for-signal")
    address = load_settings().temporal_address
    told = ["--address", address, "--workflow-id", f"case/{case}", "--name", "legal_review"]
    subprocess.run(
        [temporal, "workflow", "signal", *told, "--input", json.dumps(signed)], check=True, capture_output=True
    )


def test_cases_are_carried_by_hand_and_outlive_the_installation(
    home: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with up(home) as first:
        cases = refer(command)
        assert command("doctor")["ok"]

        words = ("--as", "reviewer-1", "--reason", REASON)
        error = command("decide", cases["flvto.biz"], "approve", *words, code=1)["error"]
        assert error["message"].endswith("officers enrol reviewer-1")
        enrol(command, home.parent, monkeypatch)

        approve_by_signal(command, cases["flvto.biz"], "reviewer-1")
        approve(command, cases["tramites.gob.pe"], "reviewer-1", "reviewer-2")
        for target in ("flvto.biz", "tramites.gob.pe"):
            everywhere(command, target, "compliant")

        words = ("--as", "reviewer-2", "--reason", "The portal is innocent.")
        assert command("decide", cases["tramites.gob.pe"], "revoke", *words)["needed"] == 0
        everywhere(command, "tramites.gob.pe", "released")
        until(lambda: stages(command)["tramites.gob.pe"] == "closed", "the case to be closed")
        is_consistent(command("show", cases["tramites.gob.pe"]))
        assert command("ledger", "verify")["valid"]

        assert stop(first, home, signal.SIGTERM) == 0
        assert not (home / "up.env").exists()

    nobody_answers(command, cases["yout.com"])
    before = stages(command)
    assert before == {
        "flvto.biz": "verification",
        "y2mate.com": "review",
        "yout.com": "review",
        "tramites.gob.pe": "closed",
    }

    with up(home) as second:
        assert stages(command) == before
        approve(command, cases["yout.com"], "reviewer-2")
        everywhere(command, "yout.com", "compliant")
        # The lab's ISPs begin anew and know of no order: that is a lapse, and they are reminded.
        everywhere(command, "flvto.biz", "compliant")
        assert [one["notices"] for one in command("show", cases["flvto.biz"])["placements"]] == [
            ["v1 block: delivered", "v1 block, reminder 1: delivered"]
        ] * len(ISPS)
        assert command("ledger", "verify")["valid"]
        stop(second, home, signal.SIGKILL)
    nobody_answers(command, cases["y2mate.com"])  # where it announced that it is


def nobody_answers(command: Command, case: str) -> None:
    """What acts needs an installation that runs, and says so; the records can be looked at without."""
    error = command("decide", case, "approve", "--as", "reviewer-1", "--reason", REASON, code=7)["error"]
    assert error["code"] == "Unavailable"
    assert command("show", case)["decisions"] == []
    assert command("ledger", "verify")["valid"]


def refer(command: Command) -> dict[str, str]:
    """Refer the example and wait until the evidence of each case is sealed; the cases by target."""
    answer = command("refer", str(EXAMPLE), code=6)
    assert [(bad["line"], bad["column"]) for bad in answer["bad"]] == [(6, "target")]
    cases = {one["target"]: one["case"] for one in answer["referrals"]}
    assert set(cases) == {"flvto.biz", "y2mate.com", "yout.com", "tramites.gob.pe"}
    until(lambda: set(stages(command).values()) == {"review"}, "the evidence of every case")
    return cases


def is_consistent(file: dict[str, Any]) -> None:
    """The parts of a closed case's file say the same."""
    case = file["case"]
    assert (case["hold"], case["stage"], case["closure"]) == (True, "closed", "unblocked")
    assert {(one["officer"], one["outcome"], one["state"]) for one in file["decisions"]} == {
        ("reviewer-1", "approve", "admitted"),
        ("reviewer-2", "approve", "admitted"),
        ("reviewer-2", "revoke", "admitted"),
    }
    [bundle] = file["bundles"]
    assert file["bundle"] == bundle["digest"] == file["decisions"][0]["bundle"]
    assert bundle["items"] == len(file["items"])
    keys = {one["officer"]: one["key"] for one in file["decisions"]}
    assert len(set(keys.values())) == 2
    assert all(one["envelope"] for one in file["decisions"])
    [order] = file["orders"]
    assert (order["end_reason"], order["version"], order["bundle"]) == ("revoked", 2, bundle["digest"])
    assert order["valid_from"] < order["ended_at"] < order["valid_until"]
    assert {one["isp"] for one in file["placements"]} == ISPS
    for one in file["placements"]:
        assert one["notices"] == ["v1 block: delivered", "v2 release: delivered"]
        assert (one["standing"], one["differs"]) == ("released", False)
    told = [row["action"] for row in file["ledger"]]
    assert told[0] == "referral_registered"
    assert told[-1] == "case_closed"
    for earlier, later in (("evidence_sealed", "decision_admitted"), ("order_issued", "notice_delivered")):
        assert told.index(earlier) < told.index(later)
