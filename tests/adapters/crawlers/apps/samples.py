"""Apps to read: real files out of public packages, fetched once, kept for good, and pinned by their digests.

``make test`` runs this module before the tests, because the tests themselves run on an island from which nothing can
be fetched. Where it cannot, the tests that need them are skipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from precinto import devserver

_SECONDS = 240


@dataclass(frozen=True)
class Sample:
    """A file inside a package of npm or a module of Go, with its SHA-256."""

    manager: str
    package: str
    member: str
    sha256: str


_RELIC = "github.com/sassoftware/relic/v8@v8.2.0"
_SAMPLES = {
    "settings.apk": Sample(
        "npm", "io.appium.settings@8.0.10", "package/apks/settings_apk-debug.apk",
        "4c5d60ab5ae56502857dc625e1dde2996fa6d9e64c479bbce59214774e2129dd",
    ),
    "test.apk": Sample(
        "npm", "appium-uiautomator2-server@10.6.6", "package/apks/appium-uiautomator2-server-debug-androidTest.apk",
        "e6f729287d72351388fd66597c35b69988b9091a7011954bf92a55d416cb1e1c",
    ),
    "signed.exe": Sample(
        "go", "golang.org/x/sys@v0.33.0", "windows/testdata/ev-signed-file.exe",
        "5d92ebb58e887fe05878ac8805bc125eb47916764678668cd8cbd4c092cd6667",
    ),
    "forms.exe": Sample(
        "go", _RELIC, "functest/packages/WindowsFormsApplication1.exe",
        "04d2b978087fc2f54aae0e6fb7edd6d6b5ca7df29c545458936640fb819ff085",
    ),
    "dummy.msi": Sample(
        "go", _RELIC, "functest/packages/dummy.msi",
        "fc7ea0d260924a6f402c226d65d358ad58e39e6346f3fe78fe4eeef52a050856",
    ),
    "app.appx": Sample(
        "go", _RELIC, "functest/packages/App1_1.0.3.0_x64.appx",
        "d261fa04efca3fff4827ab0e49cb5c3d3f113c275c886b73083d0386f623a839",
    ),
}  # fmt: skip


class Missing(Exception):
    """A sample is not to be had here; the message says why."""


def sample(name: str) -> Path:
    """A sample, fetched if it is not there.

    Raises:
        Missing: The package manager is not installed, cannot fetch it, or brings another file.
    """
    wanted = _SAMPLES[name]
    folder = devserver.cache_folder() / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / wanted.sha256 / name
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of one test run fetch it once
        if not path.exists():
            _keep(_fetched(wanted), wanted, path)
    return path


def _fetched(wanted: Sample) -> bytes:
    if shutil.which(wanted.manager) is None:
        raise Missing(f"{wanted.package} needs {wanted.manager}, which is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        if wanted.manager == "go":
            told = _run(["go", "mod", "download", "-json", wanted.package], folder)
            return (Path(json.loads(told)["Dir"]) / wanted.member).read_bytes()
        (name,) = _run(["npm", "pack", "--silent", wanted.package], folder).split()
        with tarfile.open(Path(folder) / name) as package:
            member = package.extractfile(wanted.member)
            assert member is not None
            return member.read()


def _run(command: list[str], folder: str) -> str:
    try:
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Missing(f"{command[-1]} could not be fetched within {_SECONDS} s") from error
    if ran.returncode:
        raise Missing(f"{command[-1]} could not be fetched: {(ran.stderr or ran.stdout)[-300:]}")
    return ran.stdout


def _keep(content: bytes, wanted: Sample, path: Path) -> None:
    if (found := hashlib.sha256(content).hexdigest()) != wanted.sha256:
        raise Missing(f"{wanted.package} holds another {wanted.member}: {found}")
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.rename(path)  # last: it is there only when all of it is


if __name__ == "__main__":
    for each in _SAMPLES:
        try:
            sample(each)
        except Missing as missing:
            print(f"{missing}: its tests will be skipped")  # noqa: T201
