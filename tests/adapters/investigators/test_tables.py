"""A publisher's table of networks becomes the copy that is looked up, with its day, its source and its digest."""

from __future__ import annotations

import gzip
import hashlib
from datetime import date
from ipaddress import ip_address
from pathlib import Path

import pytest

from precinto.adapters.investigators import tables
from precinto.adapters.investigators.networks import Networks
from precinto.adapters.investigators.tables import Imported, TableForm, import_networks
from precinto.domain.errors import BadInput

DAY = date(2026, 11, 20)
CSV = (
    b'1.0.0.0,1.0.0.255,13335,"Cloudflare, Inc."\n1.0.4.0,1.0.7.255,38803,Gtelecom Pty Ltd\n'
    b"2001:4:112::,2001:4:112:ffff:ffff:ffff:ffff:ffff,112,DNS-OARC\n"
)
TSV = (
    b"1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET\n1.0.1.0\t1.0.3.255\t0\tNone\tNot routed\n"
    b"1.0.4.0\t1.0.7.255\t38803\tAU\tGTELECOM\n2001:4:112::\t2001:4:112:ffff:ffff:ffff:ffff:ffff\t112\tUS\tOARC\n"
)


def imported(
    folder: Path, content: bytes, form: TableForm = TableForm.IP_LOCATION_DB, name: str = "table", dated: date = DAY
) -> Imported:
    """Import one file with this content."""
    (folder / name).write_bytes(content)
    return import_networks(folder / "copy", [folder / name], form, "networks", "a publisher", "CC0", dated)


def owner(folder: Path, address: str) -> str | None:
    """Whose an address is by the copy."""
    networks = Networks(folder / "copy")
    found = networks.of(ip_address(address))
    networks.close()
    return found.organisation if found else None


@pytest.mark.parametrize(
    ("content", "form", "name"),
    [
        (CSV, TableForm.IP_LOCATION_DB, "asn.csv"),
        (TSV, TableForm.IPTOASN, "ip2asn-combined.tsv"),
        (gzip.compress(TSV, mtime=0), TableForm.IPTOASN, "ip2asn-combined.tsv.gz"),
        (b"".join(reversed(CSV.splitlines(keepends=True))), TableForm.IP_LOCATION_DB, "any-order.csv"),
    ],
    ids=lambda one: one if isinstance(one, str) and "." in one else "",
)
def test_each_form_is_looked_up_afterwards(tmp_path: Path, content: bytes, form: TableForm, name: str) -> None:
    done = imported(tmp_path, content, form, name)
    assert (done.ipv4, done.ipv6, done.left_out) == (2, 1, ())
    assert "loud" in (owner(tmp_path, "1.0.0.1") or "").lower()
    assert "OARC" in (owner(tmp_path, "2001:4:112::1") or "")
    assert owner(tmp_path, "1.0.2.1") is None  # nobody's


def test_the_copy_says_what_it_was_made_from(tmp_path: Path) -> None:
    done = imported(tmp_path, CSV, name="asn.csv")
    assert done.snapshot == Networks(tmp_path / "copy").snapshot()
    assert done.snapshot.source == f"a publisher; asn.csv, SHA-256 {hashlib.sha256(CSV).hexdigest()}"
    assert (done.snapshot.dated, done.snapshot.licence) == (DAY, "CC0")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"asn-ipv4.csv", "asn-ipv6.csv", "snapshot.toml"}


def test_files_of_both_families_make_one_copy(tmp_path: Path) -> None:
    lines = CSV.splitlines(keepends=True)
    (tmp_path / "v4").write_bytes(b"".join(lines[:2]))
    (tmp_path / "v6").write_bytes(lines[2])
    files = [tmp_path / "v4", tmp_path / "v6"]
    done = import_networks(tmp_path / "copy", files, TableForm.IP_LOCATION_DB, "networks", "a publisher", "CC0", DAY)
    assert (done.ipv4, done.ipv6) == (2, 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1.1.0.0,1.1.0.255,1", "3 fields on one line are no row of 4"),
        (b"", "0 fields on one line"),
        (b"1.1.0.255,1.1.0.0,1,x", "1.1.0.255 to 1.1.0.0 is no range"),
        (b"1.1.0.0,1.1.0.255,AS1,x", "invalid literal"),
        (b"1.1.0.0,1.1.0.255,1,\xff", "invalid start byte"),
        (b'1.1.0.0,1.1.0.255,1,"open', "unexpected end of data"),
        (b"1.0.4.0,1.0.8.255,1,wide", "a narrower row begins at the same address"),
    ],
)
def test_a_line_that_is_no_row_is_named_and_the_others_go_on(tmp_path: Path, line: bytes, reason: str) -> None:
    lines = CSV.splitlines()
    done = imported(tmp_path, b"\n".join([lines[0], line, *lines[1:]]) + b"\n")
    (left,) = done.left_out
    assert (left.file, left.line) == ("table", 2)
    assert reason in left.reason
    assert (done.ipv4, done.ipv6) == (2, 1)
    assert owner(tmp_path, "1.0.4.1") == "Gtelecom Pty Ltd"


def test_lines_without_end_are_counted(tmp_path: Path) -> None:
    done = imported(tmp_path, CSV + b"<br>\n" * 5_000)
    assert (len(done.left_out), done.left_out_in_all) == (tables.MOST_TOLD, 5_000)


@pytest.mark.parametrize(
    ("content", "form", "name", "reason"),
    [
        (b"", TableForm.IP_LOCATION_DB, "t", "no line of it is a row of the form ip-location-db"),
        (CSV, TableForm.IPTOASN, "t", "no line of it is a row of the form iptoasn"),
        (TSV, TableForm.IPTOASN, "t.gz", "cannot be unpacked"),
        (gzip.compress(TSV, mtime=0)[:-9], TableForm.IPTOASN, "t.gz", "not one whole gzip file"),
        (gzip.compress(bytes(3_000), mtime=0), TableForm.IPTOASN, "t.gz", "more than 2000 bytes of text"),
        (bytes(3_000), TableForm.IPTOASN, "t", "more than 2000 bytes"),
    ],
)
def test_a_file_that_is_no_table_leaves_the_copy_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, form: TableForm, name: str, reason: str
) -> None:
    imported(tmp_path, CSV)
    monkeypatch.setattr(tables, "MAX_BYTES", 2_000)
    with pytest.raises(BadInput, match=reason):
        imported(tmp_path, content, form, name)
    assert owner(tmp_path, "1.0.4.1") == "Gtelecom Pty Ltd"


def test_a_later_copy_is_never_replaced_by_an_older_one(tmp_path: Path) -> None:
    imported(tmp_path, CSV)
    with pytest.raises(BadInput, match=r"is of 2026-11-20, later than 2026-11-19"):
        imported(tmp_path, CSV, dated=date(2026, 11, 19))
    assert imported(tmp_path, CSV.replace(b"Gtelecom", b"Another"), dated=date(2026, 11, 21)).ipv4 == 2
    assert owner(tmp_path, "1.0.4.1") == "Another Pty Ltd"


def test_without_a_source_nothing_is_put_in_place(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(CSV)
    with pytest.raises(BadInput, match="licence"):
        import_networks(tmp_path / "copy", [tmp_path / "table"], TableForm.IP_LOCATION_DB, "t", "s", "", DAY)
    assert list((tmp_path / "copy").iterdir()) == []
