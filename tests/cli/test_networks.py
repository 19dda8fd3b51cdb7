"""``networks import``: the copy of whose networks addresses are in, from a table that somebody has fetched."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from precinto.adapters.investigators.networks import Networks
from tests.cli.conftest import Command

KNOWN = ("--form", "iptoasn", "--source", "iptoasn.com", "--licence", "PDDL 1.0", "--dated", "2026-11-20")


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A table of two networks, with a line that is none."""
    path = tmp_path / "ip2asn-v4.tsv"
    path.write_text("1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET\n<br>\n1.0.4.0\t1.0.7.255\t38803\tAU\tGTELECOM\n")
    return str(path)


def test_it_goes_where_the_settings_say(
    command: Command, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRECINTO_NETWORKS", str(tmp_path / "copy"))
    answer = command("networks", "import", table, *KNOWN)
    assert answer.code == 6
    assert answer.out == f"{tmp_path}/copy: 2 networks of IPv4, 0 of IPv6, 2026-11-20\n"
    assert answer.err == "ip2asn-v4.tsv: line 2: 1 fields on one line are no row of 5\n"
    found = Networks(tmp_path / "copy").of(ip_address("1.0.4.1"))
    assert found is not None
    assert found.asn == 38803


def test_without_a_setting_it_says_which_to_set(command: Command, table: str, home: Path) -> None:
    told = command("networks", "import", table, *KNOWN).out
    assert f"PRECINTO_NETWORKS={home}/networks" in told
    assert (home / "networks" / "snapshot.toml").exists()


def test_programs_get_what_the_copy_is(command: Command, table: str, tmp_path: Path) -> None:
    answer = command("networks", "import", table, *KNOWN, "--to", str(tmp_path / "copy"), "--json")
    assert {key: answer.json[key] for key in ("dated", "licence", "ipv4", "ipv6", "left_out")} == {
        "dated": "2026-11-20",
        "licence": "PDDL 1.0",
        "ipv4": 2,
        "ipv6": 0,
        "left_out": 1,
    }
    assert set(answer.json["files"]) == {"asn-ipv4.csv", "asn-ipv6.csv"}
