"""What README.txt tells people to do by hand: its very commands, run by a shell with ``openssl`` and ``sha256sum``."""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from precinto.bundle import layout
from precinto.bundle.writer import write_bundle
from precinto.domain.custody import read_chain
from tests.bundle.certificates import issue_chain
from tests.bundle.conftest import GoodBundle
from tests.bundle.sealing import ITEMS, Sealing, captured, unpack

TIME, SIGNATURE, FILES, NOTHING_ELSE, CUSTODY = "12345"


def steps(folder: Path) -> dict[str, str]:
    """The commands of a bundle's README.txt by the number of their step: what stands behind its words, set in."""
    text = (folder / "README.txt").read_text(encoding="utf-8")
    found = re.findall(r"^(\d)\. .*?\n\n((?: {8}[^\n]*\n)+)", text, re.MULTILINE | re.DOTALL)
    return {number: textwrap.dedent(commands) for number, commands in found}


def failing(folder: Path, trust: Path) -> list[str]:
    """The steps that do not end without an error; each is run as a person would, one after the other in one shell."""
    commands = steps(folder)
    assert commands.pop("0") == "TRUST=../trust\n"
    script = f"TRUST={trust}\n"
    for number, text in commands.items():
        script += f"{text.rstrip()}\nif [ $? -ne 0 ]; then echo FAILED {number}; fi\n"
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    return re.findall(r"^FAILED (\d)$", done.stdout, re.MULTILINE)


def put_together(folder: Path) -> Path:
    """Do what the page about a change of roots says, beside ``trust``; returns the folder that it makes."""
    page = (Path(__file__).parents[2] / "docs/how-to/change-a-root.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    subprocess.run(["sh", "-c", commands], cwd=folder, check=False)
    return folder / "then"


@pytest.fixture
def folder(good: GoodBundle, tmp_path: Path) -> Path:
    """A good bundle, unpacked: to be spoiled."""
    return good.unpacked(tmp_path / "bundle")


@pytest.fixture
def by_hand(folder: Path, authority: Sealing) -> Callable[[], list[str]]:
    """Do by hand what the bundle says; returns the steps that fail."""
    return lambda: failing(folder, authority.folder)


ByHand = Callable[[], list[str]]


def test_the_text_fits_a_terminal_and_every_step_has_commands(folder: Path) -> None:
    assert max(map(len, layout.readme().decode().splitlines())) <= 119
    assert list(steps(folder)) == ["0", "1", "2", "3", "4", "5"]
    for program in ("openssl ts -verify", "openssl cms -verify", "sha256sum --check"):
        assert program in "".join(steps(folder).values())


def test_a_good_bundle_passes_each_step(by_hand: ByHand) -> None:
    assert by_hand() == []


async def test_one_without_items_too(authority: Sealing, tmp_path: Path) -> None:
    await authority.bundle(tmp_path / "b.zip", {}, failure="the site did not answer")
    assert failing(unpack(tmp_path / "b.zip", tmp_path / "bundle"), authority.folder) == []


async def test_one_by_a_chain_of_three_whose_issuer_alone_is_trusted(authority: Sealing, tmp_path: Path) -> None:
    theirs = issue_chain(tmp_path)
    sealing = Sealing.known(tmp_path / "trust", theirs.sealer, theirs.certificates, authority.clocks)
    await sealing.bundle(tmp_path / "b.zip")
    assert failing(unpack(tmp_path / "b.zip", tmp_path / "bundle"), sealing.folder) == []


def test_another_item(folder: Path, by_hand: ByHand) -> None:
    (folder / "files/dom.html").write_bytes(b"<html>Ripper</html>")
    assert by_hand() == [FILES]


def test_another_item_with_sums_to_match(folder: Path, by_hand: ByHand) -> None:
    """Which a mere ``sha256sum --check`` would let through."""
    (folder / "files/dom.html").write_bytes(b"<html>Ripper</html>")
    sums = subprocess.run(
        ["sha256sum", *sorted(f"files/{name}" for name in ITEMS)], cwd=folder, capture_output=True, check=True
    )
    (folder / "SHA256SUMS").write_bytes(sums.stdout)
    assert by_hand() == [FILES]


def test_another_manifest(folder: Path, by_hand: ByHand) -> None:
    content = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(content.replace(b"lima", b"cima"))
    assert by_hand() == [SIGNATURE, CUSTODY]


def test_a_removed_and_an_added_file(folder: Path, by_hand: ByHand) -> None:
    (folder / "files/more.html").write_bytes(b"more")
    assert by_hand() == [NOTHING_ELSE]
    (folder / "files/more.html").unlink()
    (folder / "files/dom.html").unlink()
    assert by_hand() == [FILES, NOTHING_ELSE]


async def test_a_transplanted_signature(folder: Path, authority: Sealing, by_hand: ByHand) -> None:
    other = await authority.seal(captured(ITEMS), ITEMS)
    (folder / "manifest.p7s").write_bytes(other.signature)
    for name, token in other.tokens.items():
        (folder / f"timestamps/{name}.tst").write_bytes(token)
    assert by_hand() == [SIGNATURE, CUSTODY]


def test_a_token_that_is_missing(folder: Path, by_hand: ByHand) -> None:
    (folder / "timestamps/dos.tst").unlink()
    assert TIME in by_hand()


def test_a_token_of_another_authority(folder: Path, by_hand: ByHand) -> None:
    (folder / "timestamps/dos.tst").write_bytes((folder / "timestamps/uno.tst").read_bytes())
    assert TIME in by_hand()


def test_wrong_roots(folder: Path, authority: Sealing, tmp_path: Path) -> None:
    stranger = issue_chain(tmp_path)
    trust = Sealing.known(tmp_path / "trust", stranger.sealer, stranger.root, authority.clocks)
    assert failing(folder, trust.folder) == [SIGNATURE, CUSTODY]


async def test_under_a_former_root(good: GoodBundle, authority: Sealing, tmp_path: Path) -> None:
    """With the certificates put together as ``docs/how-to/change-a-root.md`` says; sealed before, exported after."""
    renewed = Sealing.own(tmp_path, authority.clocks)
    (renewed.folder / "former").mkdir()
    (renewed.folder / "former/authority_2024-03-01_2999-01-01.pem").write_bytes(
        (authority.folder / "authority.pem").read_bytes()
    )
    write_bundle(tmp_path / "b.zip", await renewed.export(good.parts, read_chain(good.parts.custody)))
    old = unpack(tmp_path / "b.zip", tmp_path / "bundle")
    assert failing(old, renewed.folder) == [SIGNATURE]
    assert failing(old, put_together(tmp_path)) == []


def test_a_cut_chain_of_custody(folder: Path, by_hand: ByHand) -> None:
    lines = (folder / "custody.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "custody.jsonl").write_bytes(b"".join(lines[:-1]))
    assert by_hand() == [CUSTODY]


async def test_a_broken_chain_of_custody_that_the_authority_signed(
    good: GoodBundle, authority: Sealing, tmp_path: Path
) -> None:
    records = list(read_chain(good.parts.custody))
    records[2] = records[2].model_copy(update={"actor": "nobody"})
    write_bundle(tmp_path / "b.zip", await authority.export(good.parts, records))
    assert failing(unpack(tmp_path / "b.zip", tmp_path / "bundle"), authority.folder) == [CUSTODY]


async def test_texts_that_look_like_entries_of_the_manifest(authority: Sealing, tmp_path: Path) -> None:
    """Whatever a site makes us write down, the sums that are taken out of the manifest are the items' alone."""
    hostile = '"name":"evil.exe","sha256":"' + "0" * 64 + '"'
    await authority.bundle(tmp_path / "b.zip", failure=hostile, vantage=hostile)
    assert failing(unpack(tmp_path / "b.zip", tmp_path / "bundle"), authority.folder) == []


def test_the_page_of_the_documentation_gives_the_same_commands(folder: Path) -> None:
    """A forged bundle may bring a forged README.txt: the page is where the commands are taken from."""
    page = (Path(__file__).parents[2] / "docs/how-to/verify-a-bundle.md").read_text(encoding="utf-8")
    assert re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL) == list(steps(folder).values())
