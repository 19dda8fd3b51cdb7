"""The wheel: what is in it, and what of it works outside a checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

NEEDED = (
    "worker.py",
    "starter.py",
    "precinto/cli/__init__.py",
    "workflows/case.py",
    "activities/notification.py",
    "migrations/env.py",
    "migrations/versions/0001_the_whole_chain.py",
    "precinto/adapters/channels/templates/order.es.txt",
)

OUTSIDE = """
import os, sys, pathlib
import precinto, worker, starter, workflows, activities
from precinto.adapters.channels import mail
from precinto.plugins import Group, installed
from precinto.store import database
here = pathlib.Path(sys.argv[1])
for module in (precinto, worker, starter, workflows, activities):
    assert pathlib.Path(module.__file__).is_relative_to(here), module.__file__
assert mail._template().name == "order.es.txt"
assert (database.MIGRATIONS / "env.py").is_file() and database.MIGRATIONS.is_relative_to(here)
assert set(installed(Group.CHANNELS)) >= {"smtp", "rest", "rpz"}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel. Tests have no network: hatchling comes from uv's cache, where installing the project has put it."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    if not Path(uv).exists():
        pytest.skip("uv, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [uv, "build", "--wheel", "--quiet", "--offline", "--out-dir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 and "hatchling" in done.stderr and "cache" in done.stderr:
        pytest.skip("hatchling, which builds the wheel, is not in uv's cache")
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as an installer leaves it."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("name", NEEDED)
def test_it_holds(unpacked: Path, name: str) -> None:
    assert (unpacked / name).is_file()


def test_it_holds_nothing_else(unpacked: Path) -> None:
    top = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"precinto", "workflows", "activities", "migrations", "worker.py", "starter.py"}


def test_every_module_of_the_tree_is_in_it(unpacked: Path) -> None:
    for folder in ("precinto", "workflows", "activities", "migrations"):
        files = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py")}
        assert files
        assert not [path for path in sorted(files) if not (unpacked / path).is_file()]


def test_it_names_its_licence_and_its_command(unpacked: Path) -> None:
    (info,) = unpacked.glob("*.dist-info")
    assert Parser().parsestr((info / "METADATA").read_text())["License-Expression"] == "Apache-2.0"
    assert "precinto = precinto.cli:main" in (info / "entry_points.txt").read_text()


def test_it_works_outside_a_checkout(unpacked: Path, tmp_path: Path) -> None:
    """Isolated from the work tree: templates, migrations and channels are found in the wheel."""
    code = f"import sys; sys.path.insert(0, {str(unpacked)!r})\n{OUTSIDE}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(unpacked)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
