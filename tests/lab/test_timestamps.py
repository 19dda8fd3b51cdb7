"""Time stamps: what the authority signs, ``openssl ts -verify`` accepts; what is no query, it rejects."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from lab.lab import Lab
from lab.processes import program

QUERY = {"Content-Type": "application/timestamp-query"}


async def openssl(*arguments: str | Path) -> tuple[int | None, str]:
    """Run ``openssl ts``; returns exit status and everything that it wrote."""
    process = await asyncio.create_subprocess_exec(
        program("openssl"), "ts", *map(str, arguments),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode, output.decode(errors="replace")


async def ask(lab: Lab, query: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(
            lab.timestamps["uno"].url, content=query, headers=QUERY if headers is None else headers
        )


async def stamp(lab: Lab, folder: Path, content: bytes) -> None:
    """Have content stamped; leaves ``data``, ``query`` and ``reply`` in the folder."""
    (folder / "data").write_bytes(content)
    made, output = await openssl("-query", "-data", folder / "data", "-sha256", "-cert", "-out", folder / "query")
    assert made == 0, output
    reply = await ask(lab, (folder / "query").read_bytes())
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/timestamp-reply")
    (folder / "reply").write_bytes(reply.content)


def verification(lab: Lab, folder: Path, data: str = "data") -> tuple[str | Path, ...]:
    return ("-verify", "-data", folder / data, "-in", folder / "reply", "-CAfile", lab.timestamps["uno"].ca)


async def test_a_stamp_verifies_and_a_changed_file_does_not(lab: Lab, tmp_path: Path) -> None:
    await stamp(lab, tmp_path, b"evidence")
    status, output = await openssl(*verification(lab, tmp_path))
    assert (status, "Verification: OK" in output) == (0, True), output
    status, output = await openssl("-verify", "-queryfile", tmp_path / "query", *verification(lab, tmp_path)[3:])
    assert status == 0, output  # the nonce is that of the query
    (tmp_path / "changed").write_bytes(b"evidence!")
    status, output = await openssl(*verification(lab, tmp_path, "changed"))
    assert status != 0
    assert "message imprint mismatch" in output


async def test_the_sites_authority_does_not_vouch_for_the_time(lab: Lab, tmp_path: Path) -> None:
    await stamp(lab, tmp_path, b"evidence")
    status, _ = await openssl(*verification(lab, tmp_path)[:-1], lab.ca)
    assert status != 0


async def test_one_authority_does_not_vouch_for_the_other(lab: Lab, tmp_path: Path) -> None:
    await stamp(lab, tmp_path, b"evidence")
    status, _ = await openssl(*verification(lab, tmp_path)[:-1], lab.timestamps["dos"].ca)
    assert status != 0


async def test_stamps_at_the_same_moment_have_serials_of_their_own(lab: Lab, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(5)]
    for folder in folders:
        folder.mkdir()
    await asyncio.gather(*(stamp(lab, folder, b"evidence") for folder in folders))
    texts = [(await openssl("-reply", "-in", folder / "reply", "-text"))[1] for folder in folders]
    serials = {line for text in texts for line in text.splitlines() if line.startswith("Serial number:")}
    assert len(serials) == len(folders)


@pytest.mark.parametrize("query", [b"", b"nonsense", b"\x30\x82\xff\xff", b"x" * 10_000])
async def test_what_is_no_query_is_rejected_in_the_protocols_own_words(lab: Lab, tmp_path: Path, query: bytes) -> None:
    reply = await ask(lab, query)
    assert reply.status_code == 200
    (tmp_path / "reply").write_bytes(reply.content)
    _, text = await openssl("-reply", "-in", tmp_path / "reply", "-text")
    assert "Status: Rejected." in text


async def test_other_requests_are_refused(lab: Lab) -> None:
    assert (await ask(lab, b"", {"Content-Type": "text/plain"})).status_code == 415
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(lab.timestamps["uno"].url)).status_code == 405
