"""The wheel: what is in it, and what of it works outside a checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
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
    "precinto/adapters/investigators/bootstrap/dns.json",
    "precinto/bundle/README.txt",
    "precinto/reports/templates/evidence.typ",
    "precinto/data/tools/temporal/go.mod",
)

SHIPPED = ("guardlists", "procedures", "recipes")

DATA = """
import pathlib
from precinto.guardlists import read_guardlists
from precinto.procedures import load_procedure
from precinto.recipes import read_recipes
from precinto.settings import load_settings
settings = load_settings()
print(len(read_guardlists(settings.guardlists).lists))
print(load_procedure(settings.procedure).name)
for folder in (settings.recipes, settings.recipes / "apps"):
    print(len(read_recipes(folder).recipes))
"""

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


def _uv() -> str:
    return shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")


def _install(folder: Path, *what: str) -> None:
    target = ("--target", str(folder), "--python", sys.executable)
    subprocess.run([_uv(), "pip", "install", "--quiet", "--offline", "--no-deps", *target, *what], check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel. Tests have no network: hatchling comes from uv's cache, where installing the project has put it."""
    uv = _uv()
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
    """The wheel as an installer leaves it, without what it depends on: that comes from this environment."""
    folder = tmp_path_factory.mktemp("site")
    _install(folder, str(wheel))
    return folder


@pytest.fixture
def installed(unpacked: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs Python with the installed wheel before this work tree, in a folder with nothing of ours; its output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PRECINTO_")}

    def ran(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env={**clean, "PYTHONPATH": str(unpacked)}, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return ran


@pytest.mark.parametrize("name", NEEDED)
def test_it_holds(unpacked: Path, name: str) -> None:
    assert (unpacked / name).is_file()


def test_it_holds_nothing_else(unpacked: Path) -> None:
    top = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")} - {".lock", "bin"}
    assert top == {"precinto", "workflows", "activities", "migrations", "worker.py", "starter.py"}


def test_every_module_of_the_tree_is_in_it(unpacked: Path) -> None:
    for folder in ("precinto", "workflows", "activities", "migrations"):
        files = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py")}
        assert files
        assert not [path for path in sorted(files) if not (unpacked / path).is_file()]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_shipped_is_whole(unpacked: Path, name: str) -> None:
    files = {path.relative_to(ROOT): path.read_bytes() for path in (ROOT / name).rglob("*") if path.is_file()}
    assert files
    assert {path: (unpacked / "precinto/data" / path).read_bytes() for path in files} == files


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


@pytest.mark.usefixtures("wheel")
def test_a_checkout_is_installed_as_it_lies(tmp_path: Path) -> None:
    """In place, without copies that would grow old; also where, as in the image, not all folders are there."""
    checkout, site = tmp_path / "checkout", tmp_path / "site"
    (checkout / "precinto").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, checkout)
    _install(site, "--editable", str(checkout))
    assert [path.read_text().strip() for path in site.glob("*.pth")] == [str(checkout)]
    assert not (site / "precinto").exists()


def test_its_commands_run_outside_a_checkout(unpacked: Path, installed: Callable[..., str]) -> None:
    starter = str(unpacked / "starter.py")
    assert str(unpacked) in installed("-c", "import precinto; print(precinto.__file__)")
    assert "evidence" in installed(starter, "--help")
    lists = json.loads(installed(starter, "guardlists", "list", "--json"))
    assert {one["id"] for one in lists} == {path.stem for path in (ROOT / "guardlists").glob("*.toml")}


def test_its_data_is_read_outside_a_checkout(installed: Callable[..., str]) -> None:
    expected = [len(list((ROOT / name).glob("*.toml"))) for name in ("guardlists", "recipes", "recipes/apps")]
    lists, procedure, recipes, apps = installed("-c", DATA).split()
    assert [int(lists), int(recipes), int(apps)] == expected
    assert procedure


def test_what_an_installation_has_itself_comes_first(installed: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "guardlists").mkdir()
    shutil.copy(ROOT / "guardlists/banks-pe.toml", tmp_path / "guardlists")
    assert installed("-c", DATA).split()[0] == "1"


def test_a_list_is_never_imported_into_the_place_of_all_that_are_shipped(
    unpacked: Path, installed: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("bank.example\n")
    known = ("--id", "banks", "--kind", "bank", "--source", "test", "--dated", "2026-11-01")
    told = installed(str(unpacked / "starter.py"), "guardlists", "import", "list.txt", *known, code=2)
    assert f"copy the lists that are shipped there first, from {unpacked}/precinto/data/guardlists" in told
    assert not (tmp_path / "guardlists").exists()


def test_what_needs_the_lab_says_that_it_is_not_here(unpacked: Path, installed: Callable[..., str]) -> None:
    """In one line, whatever of this work tree the environment still finds."""
    assert "in the source tree" in installed(str(unpacked / "starter.py"), "demo", code=1)
