"""The records, checked by others: real time-stamp authorities, an excerpt of one case, and ``openssl`` as outsider."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import json
import subprocess
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from activities.ledger import LedgerActivities
from lab.timestamps import Clock
from precinto.adapters.blobs.local import LocalBlobStore
from precinto.adapters.timestamps.rfc3161 import Rfc3161Timestamper
from precinto.bundle.trust import Trust, read_certificates
from precinto.contracts import AnchorTask
from precinto.domain.errors import BadInput, NotFound
from precinto.domain.ledger import BrokenAnchor, BrokenChain
from precinto.domain.model import canonical_json
from precinto.excerpt import check_excerpt
from precinto.records import Records
from precinto.store import ledger
from tests.activities.conftest import World, world  # noqa: F401 - a fixture
from tests.bundle.sealing import stamping
from tests.store.steps import open_case, seal
from tests.store.test_ledger import as_a_thief

Line = dict[str, Any]


@dataclasses.dataclass
class House:
    """A ledger with two anchors and a few rows since, kept by a house with real time stamps."""

    world: World
    records: Records
    clocks: dict[str, Clock]
    case: str
    folder: Path

    @property
    def trust(self) -> Trust:
        """Whom whoever checks trusts."""
        return Trust((), {name: read_certificates(clock.ca) for name, clock in self.clocks.items()})

    async def export(self) -> Path:
        """The excerpt of the case."""
        path = self.folder / "excerpt.jsonl"
        await self.records.export(self.case, path)
        return path

    async def tampered(self, change: Callable[[list[Line]], object]) -> Path:
        """An excerpt that somebody changed, line by line, on its way."""
        path = await self.export()
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        change(lines)
        path.write_bytes(b"".join(canonical_json(line) + b"\n" for line in lines))
        return path


@pytest.fixture
async def house(world: World, tmp_path: Path) -> AsyncGenerator[House]:  # noqa: F811 - the fixture
    """Rows of the case: two under the first anchor, some under the second, one that no anchor covers."""
    blobs = LocalBlobStore(tmp_path / "blobs")
    async with stamping(tmp_path / "clocks") as clocks:
        stampers = tuple(Rfc3161Timestamper(name, clock.url, clock.ca) for name, clock in clocks.items())
        ports = dataclasses.replace(world.ports, blobs=blobs, timestampers=stampers)
        case = await open_case(world.store)
        await open_case(world.store, "another.example.com")
        await world.run(LedgerActivities(ports).anchor, AnchorTask())
        await seal(world.store, case)
        await world.run(LedgerActivities(ports).anchor, AnchorTask())
        await open_case(world.store, "a-third.example.com")
        async with world.store.database.write() as session:
            await ledger.append(session, "test", {"n": 1}, case=case)
        yield House(world, Records(world.store, blobs), clocks, case, tmp_path)


async def test_the_ledger_verifies_against_its_anchors_and_their_stamps(house: House) -> None:
    found = await house.records.verify(house.trust)
    _, second = await house.records.anchors()
    assert (found.anchors, found.waiting, found.covered) == (2, 0, second.last)
    assert (found.rows, found.head) == await ledger.verify(house.world.store.database)
    assert found.stamped_at is not None
    assert found.stamped_at >= second.at.replace(microsecond=0)


async def test_rows_and_anchors_made_anew_together_are_found_by_the_time_stamps(house: House) -> None:
    """Whoever has the database can make every hash anew, but not what the authorities signed."""
    database, anchors = house.world.store.database, house.world.store.anchors
    stamps = await anchors.stamps()
    await as_a_thief(database, "DELETE FROM anchor_stamps", "DELETE FROM anchors", "DELETE FROM ledger")
    async with database.write() as session:
        await ledger.append(session, "test", {"forged": True})
    assert await anchors.anchor()
    for stamp in stamps[1]:
        await anchors.stamped(1, stamp)
    assert (await ledger.verify(database))[0] == 2, "the chains alone cannot know"
    with pytest.raises(BrokenAnchor, match="has a time stamp of 'dos' that is not good"):
        await house.records.verify(house.trust)


async def test_stamps_of_authorities_that_nobody_trusts_are_none(house: House) -> None:
    with pytest.raises(BrokenAnchor, match="no certificate of an authority 'dos' is trusted"):
        await house.records.verify(Trust((), {"uno": house.trust.timestamps["uno"]}))


async def test_an_excerpt_shows_one_case_and_proves_it(house: House) -> None:
    path = await house.export()
    found = check_excerpt(path, house.trust)
    assert (found.case, found.rows, found.proved) == (
        house.case,
        len(path.read_bytes().splitlines()) - 3,
        found.rows - 1,
    )
    assert {number: set(stated) for number, stated in found.stamps.items()} == {1: {"uno", "dos"}, 2: {"uno", "dos"}}
    for other in ("another", "a-third"):
        assert other.encode() not in path.read_bytes()


async def test_somebody_with_a_shell_can_check_it_without_our_code(house: House) -> None:
    """The recipe of docs/reference/ledger.md: hashes with ``sha256sum``'s algorithm, tokens with ``openssl``."""
    lines = [json.loads(line) for line in (await house.export()).read_bytes().splitlines()]
    anchor, row = lines[1], lines[3]["row"]
    written = json.dumps(
        {key: value for key, value in row.items() if key != "hash"},
        sort_keys=True, separators=(",", ":"), ensure_ascii=False,
    )  # fmt: skip
    assert hashlib.sha256(written.encode()).hexdigest() == row["hash"]
    statement = json.dumps(anchor["statement"], sort_keys=True, separators=(",", ":"))
    (house.folder / "statement.json").write_text(statement)
    for name, token in anchor["tokens"].items():
        (house.folder / f"{name}.tst").write_bytes(base64.b64decode(token))
        await asyncio.to_thread(_openssl, house.folder, name, house.clocks[name].ca)


def _openssl(folder: Path, name: str, root: Path) -> None:
    done = subprocess.run(
        [
            "openssl", "ts", "-verify", "-token_in", "-in", folder / f"{name}.tst",
            "-data", folder / "statement.json", "-CAfile", root,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Verification: OK" in done.stdout + done.stderr


def _swap_rows(lines: list[Line]) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def _drop_path(lines: list[Line]) -> None:
    lines[3]["path"] = lines[3]["path"][:-1]


def _forge(lines: list[Line]) -> None:
    """Change the last row that is proved, and hash it anew."""
    row = lines[-2]["row"]
    row["actor"] = "nobody"
    row["hash"] = hashlib.sha256(canonical_json({k: v for k, v in row.items() if k != "hash"})).hexdigest()
    lines.pop()
    lines[0]["rows"] -= 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: lines[4]["row"].update(actor="nobody"), "was changed after it was written"),
        (lambda lines: lines.pop(4), "is number 3 of its case; number 2 is missing"),
        (_swap_rows, "is number 2 of its case; number 1 is missing"),
        (lambda lines: lines[0].update(case="another-1"), "or is of another case"),
        (_forge, "is not among the rows of anchor 2"),
        (_drop_path, "is not among the rows of anchor 1"),
        (lambda lines: lines[3].update(anchor=2), "is not among the rows of anchor 2"),
        (lambda lines: lines[3].update(anchor=9), "names an anchor that did not come along"),
        (lambda lines: lines[3].update(anchor=None, path=[]), "comes after one that no anchor covers"),
        (lambda lines: lines[1]["statement"].update(last=99), "has a time stamp of 'dos' that is not good"),
        (lambda lines: lines[1]["tokens"].update(lines[2]["tokens"]), "has a time stamp of 'dos' that is not good"),
        (lambda lines: lines[1]["tokens"].clear(), "has no time stamp"),
        (lambda lines: lines[1]["tokens"].update({"../uno": ""}), "no certificate of an authority '../uno'"),
    ],
)  # fmt: skip
async def test_an_excerpt_that_was_changed_is_refused(
    house: House, change: Callable[[list[Line]], object], reason: str
) -> None:
    path = await house.tampered(change)
    with pytest.raises(BrokenChain) as broken:
        check_excerpt(path, house.trust)
    assert reason in str(broken.value)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"{}\n", b"[" * 100_000 + b"\n", b"\xff\n", b'{"kind": "ledger_excerpt"}\n', b"no end",
        b'{"anchors":0,"anchors":0,"case":"a-1","kind":"ledger_excerpt","rows":0,"v":1}\n', b"x" * 2**21,
        b'{"anchors":3,"case":"a-1","kind":"ledger_excerpt","rows":0,"v":1}\n',
        b'{"anchors":0,"case":"a-1","kind":"ledger_excerpt","rows":3,"v":1}\n',
    ],
    ids=lambda content: content[:20].decode(errors="replace"),
)  # fmt: skip
def test_what_is_no_excerpt_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "excerpt.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInput):
        check_excerpt(path, Trust((), {}))


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-23:59", "2026-11-24T12:00:00", 5, None])
async def test_a_moment_is_one_that_there_is(house: House, at: object) -> None:
    for which in (lambda lines: lines[3]["row"].update(at=at), lambda lines: lines[1]["statement"].update(at=at)):
        path = await house.tampered(which)
        with pytest.raises((BadInput, BrokenChain)):
            check_excerpt(path, house.trust)


async def test_a_float_has_no_place_in_a_row(house: House) -> None:
    path = await house.export()
    path.write_bytes(path.read_bytes().replace(b'"body":{', b'"body":{"a":1.5,', 1))
    with pytest.raises(BadInput, match="line 4"):
        check_excerpt(path, house.trust)


async def test_a_case_that_the_ledger_does_not_know_has_no_excerpt(house: House, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await house.records.export("nobody-1", tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()


async def test_a_token_that_the_blob_store_has_lost_is_named(house: House) -> None:
    for path in (house.folder / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(BrokenAnchor, match="not in the blob store"):
        await house.records.verify(house.trust)
