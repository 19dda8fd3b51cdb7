"""The command that checks a bundle: one line for each check, and an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from precinto.cli import run
from precinto.cli.output import Exit
from tests.bundle.conftest import GoodBundle
from tests.bundle.sealing import Sealing


def arguments(path: Path, authority: Sealing, *more: str) -> list[str]:
    return ["evidence", "verify", str(path), "--trust", str(authority.folder), *more]


@pytest.fixture
def spoiled(good: GoodBundle, tmp_path: Path) -> Path:
    """A bundle with a changed item and a hostile file name."""
    folder = good.unpacked(tmp_path / "bundle")
    (folder / "files/dom.html").write_bytes(b"<html>another</html>")
    (folder / "files/\x1b[2Jx").write_bytes(b"")
    return folder


def test_a_good_bundle(good: GoodBundle, authority: Sealing, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(good.path, authority)) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 14
    assert {line.partition(" ")[0] for line in lines[:-1]} == {"ok"}
    assert lines[-1] == "the bundle is good"
    assert good.parts.manifest.bundle_digest() in lines[0]


def test_a_bad_one_says_what_and_where(spoiled: Path, authority: Sealing, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(spoiled, authority)) == Exit.FAILED
    lines = capsys.readouterr().out.splitlines()
    refused = [line for line in lines if line.startswith("refused")]
    assert refused == [
        "refused  items: files/dom.html: 20 bytes, in place of 19",
        r"refused  container: 'files/\x1b[2Jx': not a name of a bundle",
    ]
    assert lines[-1] == "the bundle is refused"


def test_for_programs(good: GoodBundle, spoiled: Path, authority: Sealing, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(good.path, authority, "--json", "--deep")) == Exit.OK
    answer = json.loads(capsys.readouterr().out)
    assert (answer["good"], answer["bundle"]) == (True, good.parts.manifest.bundle_digest())
    assert run(arguments(spoiled, authority, "--json")) == Exit.FAILED
    answer = json.loads(capsys.readouterr().out)
    bad = {one["name"]: one["problems"] for one in answer["checks"] if one["problems"]}
    assert (answer["good"], list(bad)) == (False, ["items", "container"])


def test_a_window_that_is_asked_for(good: GoodBundle, authority: Sealing, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(good.path, authority, "--window-hours", "0")) in {Exit.OK, Exit.FAILED}
    assert "time stamp uno" in capsys.readouterr().out


def test_what_is_no_bundle_and_no_trust(
    good: GoodBundle, authority: Sealing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(tmp_path / "none.zip", authority)) == Exit.USAGE
    assert "cannot be read" in capsys.readouterr().err
    assert run(["evidence", "verify", str(good.path), "--trust", str(tmp_path)]) == Exit.USAGE
    assert "authority.pem: cannot be read" in capsys.readouterr().err
