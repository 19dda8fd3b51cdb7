"""Whose network an address is in: the search on disk finds what a search through all rows finds."""

from __future__ import annotations

from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.adapters.investigators.networks import FILES, Networks, describe, write_rows
from precinto.domain.errors import BadInput

DAY = date(2026, 6, 17)

V4 = '1.0.0.0,1.0.0.255,13335,"Cloudflare, Inc."\n1.0.4.0,1.0.7.255,38803,Gtelecom Pty Ltd\n'
V6 = "2001:4:112::,2001:4:112:ffff:ffff:ffff:ffff:ffff,112,DNS-OARC\n"


def copy(folder: Path, v4: str = V4, v6: str = V6) -> Networks:
    """A copy with these rows."""
    (folder / FILES[4]).write_text(v4)
    (folder / FILES[6]).write_text(v6)
    describe(folder, "networks", "a test", "none", DAY)
    return Networks(folder)


@pytest.mark.parametrize(
    ("address", "asn"),
    [
        ("0.255.255.255", None),
        ("1.0.0.0", 13335),
        ("1.0.0.255", 13335),
        ("1.0.1.0", None),
        ("1.0.7.255", 38803),
        ("1.0.8.0", None),
        ("255.255.255.255", None),
        ("2001:4:112::1", 112),
        ("2001:4:113::", None),
        ("::", None),
    ],
)
def test_both_ends_of_a_range_belong_to_it(tmp_path: Path, address: str, asn: int | None) -> None:
    network = copy(tmp_path).of(ip_address(address))
    assert (network.asn if network else None) == asn


def test_a_name_with_a_comma_is_one_name(tmp_path: Path) -> None:
    network = copy(tmp_path).of(IPv4Address("1.0.0.1"))
    assert network
    assert network.organisation == "Cloudflare, Inc."


def test_of_two_ranges_that_overlap_the_later_one_counts(tmp_path: Path) -> None:
    rows = "214.95.0.0,215.0.255.255,749,wide\n215.0.0.0,215.1.3.255,721,narrow\n"
    network = copy(tmp_path, rows).of(IPv4Address("215.0.5.5"))
    assert network
    assert network.asn == 721


@pytest.mark.parametrize("v4", ["", V4.rstrip("\n"), V4.replace("\n", "\r\n")], ids=["empty", "no last line", "crlf"])
def test_files_may_be_empty_and_lines_end_as_they_like(tmp_path: Path, v4: str) -> None:
    found = copy(tmp_path, v4).of(IPv4Address("1.0.4.1"))
    assert (found.organisation if found else "") == ("Gtelecom Pty Ltd" if v4 else "")


@given(st.sets(st.integers(0, 2**16), min_size=1, max_size=60), st.lists(st.integers(0, 2**16), max_size=30))
def test_it_finds_what_a_search_through_all_rows_finds(
    tmp_path_factory: pytest.TempPathFactory, starts: set[int], wanted: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("copy")
    ordered = sorted(starts)
    ends = [min(start + 7, later - 1) for start, later in zip(ordered, [*ordered[1:], 2**17], strict=True)]
    ranges = list(enumerate(zip(ordered, ends, strict=True)))
    rows = [(str(IPv4Address(a)), str(IPv4Address(b)), n, f"AS {n}") for n, (a, b) in ranges]
    write_rows(folder / FILES[4], reversed(rows))
    write_rows(folder / FILES[6], [("2001::", "2001::ffff", 7, "six")])
    describe(folder, "networks", "a test", "none", DAY)
    networks = Networks(folder)
    for number in wanted:
        truth = next((n for n, (a, b) in ranges if a <= number <= b), None)
        found = networks.of(IPv4Address(number))
        assert (found.asn if found else None) == truth
    assert networks.of(IPv6Address("2001::5")) is not None
    networks.close()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("1.0.0.0,1.0.0.255,13335\n", "line 1: 3 fields"),
        ("1.0.0.0,1.0.0.255,AS1,x\n", "line 1: invalid literal"),
        ("1.0.0.9,1.0.0.1,1,x\n", "line 1: 1.0.0.9 to 1.0.0.1 is no range"),
        ("1.0.0.0,2001::,1,x\n", "line 1: 1.0.0.0 to 2001:: is no range"),
        ("2.0.0.0,2.0.0.1,1,x\n1.0.0.0,1.0.0.1,1,x\n", "line 2: 1.0.0.0 is not above"),
        ('1.0.0.0,1.0.0.1,1,"two\nlines"\n', "line 1: 4 fields on one line"),
        ("<html>\n", "line 1: 1 fields"),
    ],
)
def test_a_wrong_row_is_named_before_anything_is_described(tmp_path: Path, rows: str, reason: str) -> None:
    with pytest.raises(BadInput, match=rf"asn-ipv4\.csv: {reason}"):
        copy(tmp_path, rows)
    assert not (tmp_path / "snapshot.toml").exists()


def test_a_copy_that_was_changed_is_refused(tmp_path: Path) -> None:
    networks = copy(tmp_path)
    (tmp_path / FILES[4]).write_text(V4.replace("13335", "64500"))
    with pytest.raises(BadInput, match=r"asn-ipv4\.csv: is not the file that snapshot\.toml describes"):
        networks.of(IPv4Address("1.0.0.1"))


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        (None, "cannot be read"),
        ("title = ", "not TOML"),
        ('title = "x"', "source: Field required"),
        ("\xff", "not TOML"),
    ],
)
def test_a_copy_without_a_sound_description_is_refused(tmp_path: Path, description: str | None, reason: str) -> None:
    networks = copy(tmp_path)
    (tmp_path / "snapshot.toml").unlink()
    if description is not None:
        (tmp_path / "snapshot.toml").write_bytes(description.encode("latin-1"))
    with pytest.raises(BadInput, match=reason):
        networks.snapshot()


def test_a_file_that_is_needed_must_be_described(tmp_path: Path) -> None:
    networks = copy(tmp_path)
    text = (tmp_path / "snapshot.toml").read_text().splitlines()
    (tmp_path / "snapshot.toml").write_text("\n".join(line for line in text if FILES[6] not in line))
    with pytest.raises(BadInput, match=r"asn-ipv6\.csv: is not the file"):
        networks.snapshot()
