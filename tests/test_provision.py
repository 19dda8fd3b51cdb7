"""What a machine must have: found, installed, or told in one line.

``apt-get`` and Playwright are fakes here, shell scripts that do as a test tells them: the real ones change the machine
that runs the tests, and ask package servers.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from precinto import provision
from precinto.domain.errors import CannotHere
from precinto.provision import CHROMIUM, PROGRAMS, Need, install_missing

INSTALLS = """
[ "$1" = install ] || exit 0
shift 3
for package in "$@"; do
    case $package in bind9) names=named;; util-linux) names="setpriv prlimit";; *) names=$package;; esac
    for name in $names; do
        printf '#!/bin/sh\\n' > {bin}/$name
        chmod +x {bin}/$name
    done
done
"""
"""A fake ``apt-get`` that installs the programs of each package."""

UTIL_LINUX = ("setpriv", "prlimit")

FETCHES = """
browser={browsers}/chromium-1234/chrome-linux64/chrome
mkdir -p "$(dirname $browser)"
printf '#!/bin/sh\\n' > $browser
chmod +x $browser
"""
"""A fake Playwright that installs its browser."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it; its folder ``bin`` is all of the PATH, and Playwright cannot fetch anything."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "browsers"))
    monkeypatch.setattr(provision, "_SBIN", str(tmp_path / "sbin"))
    monkeypatch.setattr(provision, "_POSTGRES", str(tmp_path / "postgresql"))
    playwright(tmp_path, monkeypatch, "echo 'no way out' >&2; exit 1")
    return tmp_path


def script(path: Path, text: str, folder: Path) -> Path:
    """A shell script as a program; it notes its arguments in ``calls``."""
    text = text.replace("{bin}", str(folder / "bin")).replace("{browsers}", str(folder / "browsers"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\necho {path.name} "$@" >> {folder}/calls\n{text}\n')
    path.chmod(0o755)
    return path


def playwright(machine: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A Python whose Playwright does this."""
    monkeypatch.setattr(sys, "executable", str(script(machine / "python", text, machine)))


def apt(machine: Path, monkeypatch: pytest.MonkeyPatch, text: str = INSTALLS, *, root: bool = True) -> None:
    """A distribution whose ``apt-get`` does this."""
    script(machine / "bin" / "apt-get", text, machine)
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)


def present(machine: Path, *names: str) -> None:
    """Programs that are there already."""
    for name in names:
        script(machine / "bin" / name, "", machine)


def calls(machine: Path) -> list[str]:
    """What was run, with its arguments."""
    return (machine / "calls").read_text().splitlines() if (machine / "calls").exists() else []


def names(programs: list[provision.Program]) -> set[str]:
    return {one.name for one in programs}


async def test_where_nothing_is_missing_nothing_is_run(machine: Path) -> None:
    present(machine, *(one.name for one in PROGRAMS))
    told: list[str] = []
    assert await install_missing(Need.LAB, told.append) == []
    assert told == calls(machine) == []


async def test_what_only_the_lab_needs_is_asked_for_with_the_lab_alone(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    present(machine, "chromium", *UTIL_LINUX)
    apt(machine, monkeypatch)
    assert await install_missing(Need.RUN, lambda _: None) == []
    assert names(await install_missing(Need.LAB, lambda _: None)) == {"named", "unbound", "openssl"}


async def test_what_only_tests_need_is_asked_for_and_not_insisted_on(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo must run where no PostgreSQL can be had; the tests that need one are skipped."""
    apt(machine, monkeypatch)
    await install_missing(Need.LAB, lambda _: None)
    apt(machine, monkeypatch, "exit 100")
    told: list[str] = []
    assert await install_missing(Need.TESTS, told.append) == []
    assert told[-1].startswith("missing: initdb (makes the PostgreSQL")
    assert told[-1].endswith(
        "apt-get install postgresql iproute2 tshark wixl osslsigncode poppler-utils; some tests will be skipped"
    )


async def test_the_newest_postgresql_of_the_distribution_is_found(machine: Path) -> None:
    for version in ("9.6", "15", "17"):
        script(machine / "postgresql" / version / "bin" / "initdb", "", machine)
    [initdb] = [one for one in PROGRAMS if one.name == "initdb"]
    assert initdb.found() == machine / "postgresql" / "17" / "bin" / "initdb"


async def test_the_distribution_brings_it_where_it_may(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt(machine, monkeypatch)
    told: list[str] = []
    installed = await install_missing(Need.LAB, told.append)
    assert names(installed) == {one.name for one in PROGRAMS if one.need <= Need.LAB}
    packages = "chromium util-linux bind9 unbound openssl"
    assert calls(machine) == [
        "python -m playwright install chromium",
        "apt-get update",
        f"apt-get install -y --no-install-recommends {packages}",
    ]
    assert told == [
        "installing Chromium with Playwright",
        f"installing {packages.replace(' ', ', ')} from the distribution",
    ]


async def test_the_browser_comes_from_playwright_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present(machine, *UTIL_LINUX)
    apt(machine, monkeypatch, "exit 1")
    playwright(machine, monkeypatch, FETCHES)
    assert await install_missing(Need.RUN, lambda _: None) == [CHROMIUM]
    assert CHROMIUM.found() == machine / "browsers" / "chromium-1234" / "chrome-linux64" / "chrome"
    assert calls(machine) == ["python -m playwright install chromium"]


async def test_who_is_not_root_is_told_in_one_line_what_is_missing_and_how_to_get_it(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    present(machine, *UTIL_LINUX, "openssl")
    apt(machine, monkeypatch, root=False)
    with pytest.raises(CannotHere) as refused:
        await install_missing(Need.LAB, lambda _: None)
    assert str(refused.value) == (
        "missing: chromium (captures web sites); named (is the lab's name servers and one ISP's resolver); "
        "unbound (is two ISPs' resolvers in the lab). As root: apt-get install chromium bind9 unbound"
    )
    assert not any(call.startswith("apt-get") for call in calls(machine))


async def test_another_distribution_is_told_the_same(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present(machine, "chromium")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(
        CannotHere, match=r"^missing: setpriv \(ends child processes with their parent\); prlimit "
    ) as no:
        await install_missing(Need.RUN, lambda _: None)
    assert str(no.value).endswith(". As root: apt-get install util-linux")


async def test_an_installation_that_fails_says_which_and_why(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt(machine, monkeypatch, "[ $1 = update ] || { echo 'E: Unable to locate package' >&2; exit 100; }")
    with pytest.raises(CannotHere, match=r"^apt-get install -y .* failed: E: Unable to locate package$"):
        await install_missing(Need.LAB, lambda _: None)


async def test_a_package_that_brings_no_such_program_is_not_taken_for_success(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    present(machine, *UTIL_LINUX, "named", "unbound", "openssl")
    apt(machine, monkeypatch, "exit 0")
    with pytest.raises(CannotHere, match=r"^missing: chromium"):
        await install_missing(Need.LAB, lambda _: None)


async def test_an_installation_that_hangs_is_given_up(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present(machine, "chromium")
    apt(machine, monkeypatch, "exec sleep 600")
    monkeypatch.setattr(provision, "_INSTALL_SECONDS", 0.05)
    with pytest.raises(CannotHere, match=r"apt-get update failed: .*apt-get did not end within"):
        await install_missing(Need.RUN, lambda _: None)


def test_daemons_are_found_where_a_users_path_does_not_lead(machine: Path) -> None:
    named = next(one for one in PROGRAMS if one.name == "named")
    assert named.found() is None
    script(machine / "sbin" / "named", "", machine)
    assert named.found() == machine / "sbin" / "named"
