"""Guard lists as files: entries are checked, mistakes are named with file and line, an import is whole or nothing."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from precinto.cli.guardlists import guardlists_app
from precinto.cli.output import Exit
from precinto.domain.errors import BadInput
from precinto.domain.evidence import FindingKind, guard
from precinto.domain.guards import Form, GuardLists, ListKind
from precinto.domain.intake import TargetKind, normalise
from precinto.guardlists import import_guardlist, normal_entries, read_guardlists

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "guardlists"

KEPT = """
id = "own"
title = "Own names"
kind = "isp"
form = "names"
source = "test"
licence = "none"
dated = 2026-11-01
stale_after_days = 30
entries = ["isp.example", "isp.test"]
"""


@pytest.fixture(scope="module")
def shipped() -> GuardLists:
    """The lists that come with Precinto."""
    return read_guardlists(FOLDER)


class TestShipped:
    """The lists in the repository are what their files say, and hold what they must hold."""

    def test_every_list_is_read_and_says_where_it_is_from(self, shipped: GuardLists) -> None:
        assert len(shipped.lists) == len(list(FOLDER.glob("*.toml")))
        for one in shipped.lists:
            assert one.entries > 0
            assert re.search(r"\w", one.source + one.licence)

    def test_no_data_file_is_left_over(self) -> None:
        named = {tomllib.loads(path.read_text("utf-8")).get("data") for path in FOLDER.glob("*.toml")}
        assert {path.name for path in FOLDER.glob("*.gz")} == named - {None}

    def test_they_stay_small_enough_for_a_repository(self) -> None:
        assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000

    @pytest.mark.parametrize(
        ("host", "kind"),
        [
            ("www.sunat.gob.pe", ListKind.GOVERNMENT),
            ("www.gov.uk", ListKind.GOVERNMENT),
            ("www.viabcp.com", ListKind.BANK),
            ("mit.edu", ListKind.EDUCATION),
            ("www.google.com.pe", ListKind.TOP_SITE),
            ("ocsp.digicert.com", ListKind.ESSENTIAL),
            ("www.claro.com.pe", ListKind.ISP),
            ("linktr.ee", ListKind.PLATFORM),
            ("a.ns.cloudflare.com", ListKind.CDN),
        ],
    )
    def test_names_that_somebody_would_miss(self, shipped: GuardLists, host: str, kind: ListKind) -> None:
        assert kind in {match.kind for match in shipped.above(host)}

    @pytest.mark.parametrize(
        ("address", "kind"),
        [
            ("188.114.97.7", ListKind.CDN),  # hit with all its customers in Italy, on 24 February 2024
            ("2606:4700::1", ListKind.CDN),
            ("8.8.8.8", ListKind.ESSENTIAL),
            ("52.95.110.1", ListKind.CLOUD),
        ],
    )
    def test_addresses_that_many_share(self, shipped: GuardLists, address: str, kind: ListKind) -> None:
        assert kind in {match.kind for match in shipped.around(address)}

    @pytest.mark.parametrize("name", ["com", "net", "com.pe", "co.uk", "org"])
    def test_no_entry_takes_a_whole_public_suffix(self, shipped: GuardLists, name: str) -> None:
        assert not [match for match in shipped.above(name) if match.kind is not ListKind.GOVERNMENT]

    def test_the_host_that_was_blocked_with_everything_on_it_would_be_held(self, shipped: GuardLists) -> None:
        """Italy blocked drive.google.com for six hours, on 19 October 2024, for the links in one folder."""
        findings = guard(normalise(TargetKind.URL, "https://drive.google.com/drive/folders/x"), shipped)
        assert {FindingKind.PROTECTED_NAME, FindingKind.SHARED_PLATFORM} <= {one.kind for one in findings}

    def test_an_unknown_ripper_is_on_no_list(self, shipped: GuardLists) -> None:
        assert guard(normalise(TargetKind.DOMAIN, "free-ripper-of-google.biz"), shipped) == ()


class TestReading:
    """What is wrong with a list is found when it is read."""

    def test_a_list_that_a_person_keeps(self, tmp_path: Path) -> None:
        (tmp_path / "own.toml").write_text(KEPT)
        lists = read_guardlists(tmp_path)
        (one,) = lists.lists
        assert (one.id, one.entries, one.dated) == ("own", 2, date(2026, 11, 1))
        assert [match.entry for match in lists.above("www.isp.test")] == ["isp.test"]

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("isp.test", "ISP.test", "own.toml: entries:2: 'ISP.test' is not in the normal form of names"),
            ("isp.test", "com", "own.toml: entries:2: 'com' is not"),
            ("isp.test", "192.0.2.1", "own.toml: entries:2: '192.0.2.1' is not"),
            ("isp.test", "-isp.test", "own.toml: entries:2"),
            ("isp.test", "isp.test.", "own.toml: entries:2"),
            ("isp.test", "a" * 64 + ".test", "own.toml: entries:2"),
            ("isp.test", "isp.test\\n", "own.toml: entries:2"),
            ('"names"', '"ranges"', "own.toml: entries:1: 'isp.example' is not in the normal form of ranges"),
            ('"names"', '"networks"', "own.toml: entries:1"),
            ('"isp"', '"enemy"', "own.toml: kind: Input should be 'government'"),
            ('id = "own"', 'id = "other"', "own.toml: id: 'other' must be the file's own name"),
            ("2026-11-01", '"soon"', "own.toml: dated: "),
            ("= 30", "= 0", "own.toml: stale_after_days: "),
            ('title = "Own names"', "", "own.toml: title: Field required"),
            ("entries", "entrys", "own.toml: entrys: "),
            ('entries = ["isp.example", "isp.test"]', "", "own.toml: either entries or data is needed"),
            ('"test"', "test", "own.toml: not TOML"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        assert old in KEPT
        (tmp_path / "own.toml").write_text(KEPT.replace(old, new))
        with pytest.raises(BadInput) as caught:
            read_guardlists(tmp_path)
        assert str(caught.value).startswith(message)

    def test_a_folder_without_lists_is_no_installation(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="no guard lists"):
            read_guardlists(tmp_path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (gzip.compress(b"isp.example\nisp.tast\n", mtime=0), "its text has SHA-256"),
            (gzip.compress(b"isp.example\nisp.test\n", mtime=0)[:-9], "cannot be read"),
            (b"isp.example\n", "cannot be read"),
            (None, "cannot be read"),
        ],
        ids=["another text", "cut off", "not packed", "gone"],
    )
    def test_a_data_file_that_is_not_the_one(self, tmp_path: Path, content: bytes | None, message: str) -> None:
        imported(tmp_path, "isp.example\nisp.test\n")
        (data,) = tmp_path.glob("*.gz")
        data.unlink()
        if content is not None:
            data.write_bytes(content)
        with pytest.raises(BadInput, match=message) as caught:
            read_guardlists(tmp_path)
        assert str(caught.value).startswith(data.name)

    def test_a_data_file_that_unpacks_without_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        imported(tmp_path, "isp.example\n")
        (data,) = tmp_path.glob("*.gz")
        data.write_bytes(gzip.compress(b"isp.example\n" * 100_000))
        monkeypatch.setattr("precinto.guardlists.MAX_BYTES", 100_000)
        with pytest.raises(BadInput, match="more than 100000 bytes"):
            read_guardlists(tmp_path)

    def test_a_data_file_may_not_lie_elsewhere(self, tmp_path: Path) -> None:
        (tmp_path / "own.toml").write_text(re.sub("entries.*", 'data = "../own.txt.gz"', KEPT))
        with pytest.raises(BadInput, match="data: String should match"):
            read_guardlists(tmp_path)


def imported(folder: Path, text: str, **known: Any) -> Any:
    """Import a text as a list."""
    file = folder.parent / "list.txt"
    file.write_text(text)
    fields = {
        "id": "own",
        "title": "Own",
        "kind": ListKind.ISP,
        "form": Form.NAMES,
        "source": 'a "quoted" source',
        "licence": "none",
        "dated": date(2026, 11, 1),
        "stale_after_days": 30,
    }
    return import_guardlist(folder, file, fields | known)


class TestNormalForm:
    @pytest.mark.parametrize(
        ("form", "line", "entry"),
        [
            (Form.NAMES, "Google.COM.", ("google.com", None)),
            (Form.NAMES, ".bank.example", ("bank.example", None)),
            (Form.NAMES, "*.bank.example  # why", ("bank.example", None)),
            (Form.NAMES, "ñandú.pe", ("xn--and-6ma2c.pe", None)),
            (Form.NAMES, "17,example.org", ("example.org", 17)),
            (Form.RANGES, "192.0.2.9/24", ("192.0.2.0/24", None)),
            (Form.RANGES, "192.0.2.9", ("192.0.2.9/32", None)),
            (Form.RANGES, "2001:DB8::/32", ("2001:db8::/32", None)),
            (Form.NETWORKS, "as64500", ("AS64500", None)),
            (Form.HEADERS, "CF-Ray", ("cf-ray", None)),
        ],
    )
    def test_as_publishers_write_them(self, form: Form, line: str, entry: tuple[str, int | None]) -> None:
        assert normal_entries([line], ListKind.BANK, form) == ([entry], [])

    @pytest.mark.parametrize("line", ["com", "com.pe", "a_.b.com", "a b", "192.0.2.1", "http://a.com/", "\x00.com"])
    def test_lines_that_are_no_names_are_named_and_left_out(self, line: str) -> None:
        entries, left_out = normal_entries(["# a comment", "", line, "bank.example"], ListKind.BANK, Form.NAMES)
        assert entries == [("bank.example", None)]
        assert [one.line for one in left_out] == [3]

    def test_a_government_has_whole_suffixes(self) -> None:
        assert normal_entries(["gov", "gob.pe"], ListKind.GOVERNMENT, Form.NAMES)[1] == []

    def test_the_best_rank_counts(self) -> None:
        lines = ["1000,a.com", "10,a.com", "a.com", "b.com", "5,b.com"]
        assert normal_entries(lines, ListKind.TOP_SITE, Form.NAMES)[0] == [("a.com", 10), ("b.com", 5)]


class TestImport:
    def test_what_was_imported_is_read(self, tmp_path: Path) -> None:
        folder = tmp_path / "lists"
        written, left_out = imported(folder, "2,b.example\n1,a.example\n", kind=ListKind.TOP_SITE, hold_within=1)
        lists = read_guardlists(folder)
        assert (lists.lists, left_out) == ((written,), [])
        assert [match.holds for name in ("a.example", "b.example") for match in lists.above(name)] == [True, False]

    def test_the_same_list_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("one", "two"):
            imported(tmp_path / name, "a.example\nb.example\n")
        first, second = ([f.read_bytes() for f in sorted((tmp_path / n).iterdir())] for n in ("one", "two"))
        assert first == second
        assert first[0][4:8] == bytes(4), "the packed file bears no time of its own"

    def test_a_newer_list_takes_the_place_of_the_older(self, tmp_path: Path) -> None:
        folder = tmp_path / "lists"
        imported(folder, "a.example\n")
        imported(folder, "b.example\n", dated=date(2026, 11, 2))
        assert len(list(folder.iterdir())) == 2
        assert [bool(read_guardlists(folder).above(name)) for name in ("a.example", "b.example")] == [False, True]

    def test_the_same_list_again_is_the_same(self, tmp_path: Path) -> None:
        assert imported(tmp_path / "lists", "a.example\n") == imported(tmp_path / "lists", "a.example\n")

    def test_an_older_list_does_not(self, tmp_path: Path) -> None:
        folder = tmp_path / "lists"
        imported(folder, "a.example\n")
        with pytest.raises(BadInput, match="of 2026-11-01, later than 2026-10-31"):
            imported(folder, "b.example\n", dated=date(2026, 10, 31))
        assert read_guardlists(folder).above("a.example")

    @pytest.mark.parametrize(
        ("text", "known", "message"),
        [
            ("", {}, "no line of it is an entry"),
            ("a b\n", {}, "no line of it is an entry"),
            ("a.example\n", {"form": Form.RANGES}, "no line of it is an entry of the form ranges"),
            ("a.example\n", {"id": "../own"}, "id: String should match"),
            ("a.example\n", {"title": ""}, "title: String should have at least 1"),
        ],
    )
    def test_what_is_wrong_leaves_everything_as_it_was(
        self, tmp_path: Path, text: str, known: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(BadInput, match=message):
            imported(tmp_path / "lists", text, **known)
        assert not (tmp_path / "lists").exists()


class TestCommands:
    @pytest.fixture(autouse=True)
    def lists(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The installation's folder of lists."""
        monkeypatch.setenv("PRECINTO_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("PRECINTO_GUARDLISTS", str(tmp_path / "lists"))
        return tmp_path / "lists"

    def say(self, *arguments: str | Path) -> Any:
        """Run a command; its exit code."""
        return guardlists_app([str(one) for one in arguments], standalone_mode=False)

    def test_list(self, lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lists.mkdir()
        (lists / "own.toml").write_text(KEPT.replace("2026-11-01", "2001-01-01"))
        self.say("list")
        assert re.search(r"own +isp +2 +2001-01-01 +\d+ +stale +test", capsys.readouterr().out)
        self.say("list", "--json")
        assert [(one["id"], one["stale"]) for one in json.loads(capsys.readouterr().out)] == [("own", True)]

    def test_check(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("PRECINTO_GUARDLISTS", str(FOLDER))
        self.say("check", "www.gob.pe", "188.114.97.7", "nothing.example", "--json")
        found = json.loads(capsys.readouterr().out)
        assert {hit["entry"] for hit in found["www.gob.pe"]} >= {"gob.pe"}
        assert [hit["source"] for hit in found["188.114.97.7"]] == ["Cloudflare, 2025-12-23"]
        assert found["nothing.example"] == []
        self.say("check", "nothing.example")
        assert re.search(r"nothing\.example +none", capsys.readouterr().out)

    def test_import(self, tmp_path: Path, lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "top.csv").write_text("1,a.example\n2,com\n")
        options = ("--id", "top", "--kind", "top_site", "--source", "test", "--dated", "2026-11-01")
        code = self.say("import", tmp_path / "top.csv", *options)
        captured = capsys.readouterr()
        assert code == Exit.PARTIAL
        assert captured.out.startswith("top: 1 entries of 2026-11-01, SHA-256 ")
        assert captured.err == "top.csv:2: com: a public suffix: everybody lives below it\n"
        assert read_guardlists(lists).above("www.a.example")
