"""Plugins: found by the name that a package gives them, and clear words where one is missing or wrong.

The packages here are real to Python: a module and its metadata on the import path, as ``pip install`` leaves them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from precinto import plugins
from precinto.domain.errors import BadInput, NotFound
from precinto.plugins import Group

Install = Callable[[str, str, str], None]

GOOD = """
from pydantic import BaseModel
class FaxChannel:
    class Options(BaseModel):
        number: str
    def __init__(self, isp, options, folder): ...
    async def deliver(self, notice): ...
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package: its name, its module's text, its entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def add(package: str, code: str, points: str) -> None:
        (tmp_path / f"{package}.py").write_text(code)
        metadata = tmp_path / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(points)

    return add


def test_what_ships_with_precinto_is_listed() -> None:
    assert {"rest", "rpz", "smtp"} <= set(plugins.installed(Group.CHANNELS))
    assert "dns" in plugins.installed(Group.PROBERS)
    assert "web" in plugins.installed(Group.CRAWLERS)


@pytest.mark.parametrize("name", ["rest", "rpz", "smtp"])
def test_every_channel_that_ships_keeps_the_contract(name: str) -> None:
    assert plugins.load_channel(name).Options.model_fields


def test_the_prober_that_ships_keeps_the_contract() -> None:
    assert plugins.load(Group.PROBERS, "dns").__name__ == "DnsProber"


def test_a_strangers_channel_is_found(install: Install) -> None:
    install("fax_one", GOOD, "[precinto.channels]\nfax1 = fax_one:FaxChannel\n")
    assert "fax1" in plugins.installed(Group.CHANNELS)
    assert plugins.load_channel("fax1").Options.model_validate({"number": "1"}) is not None


def test_a_name_that_nobody_brings_lists_those_that_there_are() -> None:
    with pytest.raises(NotFound, match=r"no plugin 'pigeon' in precinto.channels; installed: .*rest.*rpz.*smtp"):
        plugins.load(Group.CHANNELS, "pigeon")


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import no_such_module_anywhere", "cannot be imported: ModuleNotFoundError"),
        ("raise RuntimeError('at import')", "cannot be imported: RuntimeError: at import"),
        ("x = 1", "cannot be imported: AttributeError"),
        ("FaxChannel = 5", "is not a class"),
        ("class FaxChannel: pass", r"has no coroutine deliver\(\)"),
        ("class FaxChannel:\n    def deliver(self, notice): ...", r"has no coroutine deliver\(\)"),
        ("class FaxChannel:\n    async def deliver(self, notice): ...", "has no nested pydantic model Options"),
    ],
)
def test_a_plugin_that_is_wrong_says_what_is_wrong(
    install: Install, request: pytest.FixtureRequest, code: str, complaint: str
) -> None:
    package = f"wrong_{abs(hash(request.node.name))}"
    install(package, code, f"[precinto.channels]\n{package} = {package}:FaxChannel\n")
    with pytest.raises(BadInput, match=complaint) as bad:
        plugins.load(Group.CHANNELS, package)
    assert f"{package}:FaxChannel" in str(bad.value)


def test_two_packages_may_not_claim_one_name(install: Install) -> None:
    install("fax_two", GOOD, "[precinto.channels]\nfax2 = fax_two:FaxChannel\n")
    install("fax_three", GOOD, "[precinto.channels]\nfax2 = fax_three:FaxChannel\n")
    with pytest.raises(BadInput, match="more than one package claims this name"):
        plugins.load(Group.CHANNELS, "fax2")
