"""Referral files as partners send them: each bad row is named by line and column, and the others go on."""

from __future__ import annotations

import codecs
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.errors import BadInput
from precinto.domain.intake import Service, TargetKind
from precinto.domain.referral_files import COLUMNS, MAX_BYTES, MAX_ROWS, BadRow, GoodRow, Row, read

HEADER = ",".join(COLUMNS)
ROW = "ifpi,R-1,domain,y2mate.com,stream-ripper,A catalogue"
RECORD = dict(zip(COLUMNS, ROW.split(","), strict=True))


def csv_of(*rows: str) -> bytes:
    """A CSV file with the usual header."""
    return "\n".join((HEADER, *rows)).encode()


def json_of(*records: object) -> bytes:
    """A JSON file."""
    return json.dumps(records).encode()


def only(rows: list[Row]) -> Row:
    """The one row of a file."""
    (row,) = rows
    return row


def bad(row: Row) -> tuple[int, str, str]:
    """Where a bad row is, and why it is bad."""
    assert isinstance(row, BadRow), row
    return row.line, row.column, row.reason


def targets(rows: list[Row]) -> list[str]:
    """The targets of the good rows."""
    return [row.referral.target.value for row in rows if isinstance(row, GoodRow)]


class TestCsv:
    """Commas, semicolons or tabs, as spreadsheets of different countries write them."""

    def test_a_row_becomes_a_referral(self) -> None:
        row = only(read(csv_of(ROW), "march.csv"))
        assert isinstance(row, GoodRow)
        assert (row.file, row.line) == ("march.csv", 2)
        referral = row.referral
        assert (referral.partner, referral.reference, referral.work) == ("ifpi", "R-1", "A catalogue")
        assert referral.service is Service.STREAM_RIPPER
        assert (referral.target.kind, referral.target.value) == (TargetKind.DOMAIN, "y2mate.com")

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
    def test_every_dialect(self, delimiter: str, end: str, mark: bytes) -> None:
        text = end.join((HEADER, ROW, ROW)).replace(",", delimiter) + end
        rows = read(mark + text.encode(), "dialect.csv")
        assert targets(rows) == ["y2mate.com"] * 2
        assert [row.line for row in rows] == [2, 3]

    def test_columns_may_stand_in_any_order_beside_others_and_in_capitals(self) -> None:
        content = b" Work ,KIND,Target,note,Partner,service,Reference\nA,domain,y2mate.com,x,ifpi,other,R-1"
        assert targets(read(content, "order.csv")) == ["y2mate.com"]

    def test_fields_may_be_quoted_and_hold_delimiters_quotes_and_ends_of_line(self) -> None:
        rows = read(csv_of('ifpi,R-1,domain,y2mate.com,other,"A ""live"" set,\nvolume 2"', ROW), "quoted.csv")
        assert isinstance(rows[0], GoodRow)
        assert rows[0].referral.work == 'A "live" set,\nvolume 2'
        assert [row.line for row in rows] == [2, 4]

    def test_empty_lines_are_passed_over_and_counted(self) -> None:
        assert [row.line for row in read(csv_of("", ROW, "", ROW, ""), "gaps.csv")] == [3, 5]

    def test_a_bad_row_does_not_hold_up_the_others(self) -> None:
        rows = read(csv_of(ROW, ROW.replace("y2mate.com", "192.0.2.1"), ROW), "mixed.csv")
        assert targets(rows) == ["y2mate.com"] * 2
        assert bad(rows[1])[:2] == (3, "target")
        assert "only names are targets" in bad(rows[1])[2]

    def test_a_wrong_number_of_fields_is_named(self) -> None:
        rows = read(csv_of(f"{ROW},more", ROW, "ifpi,R-1"), "fields.csv")
        assert bad(rows[0]) == (2, "*", "7 fields, the header has 6")
        assert bad(rows[2]) == (4, "*", "2 fields, the header has 6")
        assert len(targets(rows)) == 1

    def test_a_quote_that_never_closes_says_how_much_it_swallowed(self) -> None:
        rows = read(csv_of(ROW, ROW.replace("A cat", '"A cat'), ROW, ROW), "quote.csv")
        assert len(rows) == 2
        line, column, reason = bad(rows[1])
        assert (line, column) == (3, "*")
        assert reason.endswith("; lines 3 to 5 were not read")

    def test_and_reading_goes_on_behind_it(self) -> None:
        """The reader gives a field up after 128 KiB, wherever that is: everything before must be named."""
        rows = read(csv_of(ROW.replace("A cat", '"A cat'), *[ROW] * 5_000), "quote.csv")
        _, _, reason = bad(rows[0])
        last = int(reason.split()[-4])
        assert len(targets(rows)) == 5_001 + 1 - last

    def test_a_misplaced_quote_spoils_its_own_row_only(self) -> None:
        rows = read(csv_of(ROW.replace("A catalogue", '"A" catalogue'), ROW), "quote.csv")
        assert bad(rows[0])[:2] == (2, "*")
        assert targets(rows) == ["y2mate.com"]

    def test_a_field_longer_than_any_reader_takes_spoils_its_own_row_only(self) -> None:
        rows = read(csv_of(ROW + "x" * 200_000, ROW), "long.csv")
        assert bad(rows[0])[:2] == (2, "*")
        assert targets(rows) == ["y2mate.com"]

    @pytest.mark.parametrize("missing", COLUMNS)
    def test_a_missing_column_is_named(self, missing: str) -> None:
        header = ",".join(column for column in COLUMNS if column != missing)
        with pytest.raises(BadInput, match=rf"^march\.csv: line 1: column {missing} is missing; needed are "):
            read(f"{header}\n".encode(), "march.csv")

    def test_a_column_that_stands_there_twice_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"^twice\.csv: line 1: column target stands there twice"):
            read(f"{HEADER},Target\n{ROW},flvto.biz".encode(), "twice.csv")

    def test_an_empty_file_is_refused(self) -> None:
        for content in (b"", codecs.BOM_UTF8):
            with pytest.raises(BadInput, match=r"^none\.csv: line 1: "):
                read(content, "none.csv")

    def test_a_header_alone_is_a_file_without_rows(self) -> None:
        assert read(csv_of(), "quiet.csv") == []


class TestJson:
    """A list of objects."""

    def test_a_record_becomes_a_referral(self) -> None:
        rows = read(json_of(RECORD, RECORD | {"note": "more"}), "march.JSON")
        assert targets(rows) == ["y2mate.com"] * 2
        assert [row.line for row in rows] == [1, 2]

    def test_with_a_byte_order_mark(self) -> None:
        assert targets(read(codecs.BOM_UTF8 + json_of(RECORD), "bom.json")) == ["y2mate.com"]

    @pytest.mark.parametrize("record", [None, 3, "text", [RECORD]])
    def test_what_is_no_object_is_named_and_the_rest_goes_on(self, record: object) -> None:
        rows = read(json_of(record, RECORD), "mixed.json")
        assert bad(rows[0]) == (1, "*", "not an object")
        assert targets(rows) == ["y2mate.com"]

    @pytest.mark.parametrize("value", [None, 3, True, ["y2mate.com"], {"a": 1}, "", "  "])
    @pytest.mark.parametrize("column", COLUMNS)
    def test_a_value_that_is_no_text_is_named(self, column: str, value: object) -> None:
        assert bad(only(read(json_of(RECORD | {column: value}), "f.json"))) == (1, column, "is missing or empty")

    @pytest.mark.parametrize(
        ("content", "place"),
        [
            (b"[{,}]", "line 1 column 3"),
            (b'[\n{"partner": "ifpi"\n"kind": 1}]', "line 3 column 1"),
            (b"", "line 1 column 1"),
            (b"[" * 100_000, "nested too deeply"),
            (b'{"partner": "ifpi"}', "a list of objects is needed"),
            (b"[" + b"1" * 5_000 + b"]", "not JSON"),
        ],
    )
    def test_what_is_no_list_is_refused_with_its_place(self, content: bytes, place: str) -> None:
        with pytest.raises(BadInput, match=rf"^f\.json: {place}"):
            read(content, "f.json")


class TestEveryField:
    """What is wrong with a row is said of the field that is wrong."""

    @pytest.mark.parametrize(
        ("column", "value", "reason"),
        [
            ("kind", "website", "'website' is none of domain, url, mobile_app, desktop_app"),
            ("service", "piracy", "'piracy' is none of "),
            ("target", "com", "has no dot"),
            ("target", "co.uk", "is a public suffix"),
            ("partner", "IFPI", "String should match pattern"),
            ("partner", "p" * 65, "String should have at most 64 characters"),
            ("reference", "r" * 129, "String should have at most 128 characters"),
            ("work", "w" * 501, "String should have at most 500 characters"),
        ],
    )
    def test_it_is_named(self, column: str, value: str, reason: str) -> None:
        line, where, why = bad(only(read(json_of(RECORD | {column: value}), "f.json")))
        assert (line, where) == (1, column)
        assert reason in why

    @pytest.mark.parametrize("column", COLUMNS)
    @pytest.mark.parametrize("text", ["a\0b", "a\x1bb", "a\x7fb", "a\ud800b"])
    def test_control_characters_and_half_characters_are_refused(self, column: str, text: str) -> None:
        """JSON can spell them by escapes, and no database takes them all."""
        value = f"https://y2mate.com/{text}" if column == "target" else text
        kind = {"kind": "url"} if column == "target" else {}
        row = only(read(json_of(RECORD | kind | {column: value}), "f.json"))
        assert bad(row)[1] == column

    def test_space_around_a_value_is_not_part_of_it(self) -> None:
        row = only(read(json_of({key: f"  {value}\t" for key, value in RECORD.items()}), "f.json"))
        assert isinstance(row, GoodRow)
        assert row.referral.reference == "R-1"


class TestTheFileAsAWhole:
    """A file that cannot be read at all is refused with its name and the place."""

    def test_more_bytes_than_are_taken(self) -> None:
        with pytest.raises(BadInput, match=rf"^big\.csv: {MAX_BYTES + 1} bytes; at most {MAX_BYTES}"):
            read(b"x" * (MAX_BYTES + 1), "big.csv")

    def test_more_rows_than_are_taken(self) -> None:
        content = f"{HEADER}\n".encode() + b"x\n" * (MAX_ROWS + 1)
        with pytest.raises(BadInput, match=rf"^many\.csv: more than {MAX_ROWS} rows; split the file"):
            read(content, "many.csv")
        assert len(read(content[:-2], "many.csv")) == MAX_ROWS

    def test_bytes_that_are_not_utf_8(self) -> None:
        with pytest.raises(BadInput, match=r"^latin\.csv: byte 1: not UTF-8"):
            read("p\u00e9".encode("latin-1"), "latin.csv")
        with pytest.raises(BadInput, match="not UTF-8"):
            read(csv_of(ROW).decode().encode("utf-16"), "wide.csv")

    def test_a_nul_byte(self) -> None:
        with pytest.raises(BadInput, match=r"^nul\.csv: character 3: a NUL byte"):
            read(b"par\0tner", "nul.csv")

    @given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
    def test_no_content_whatever_makes_it_fail_in_another_way(self, content: bytes) -> None:
        for file in ("f.csv", "f.json"):
            try:
                rows = read(content, file)
            except BadInput:
                continue
            assert all(row.file == file and row.line >= 1 for row in rows)

    @given(fields=st.lists(st.text(max_size=30), min_size=len(COLUMNS), max_size=len(COLUMNS)))
    def test_nor_does_any_record(self, fields: list[str]) -> None:
        record = dict(zip(COLUMNS, fields, strict=True))
        assert len(read(json_of(record, RECORD), "f.json")) == 2
        assert (
            len(read(json_of(RECORD | {"target": fields[0]}, RECORD | {"kind": "url", "target": fields[1]}), "f.json"))
            == 2
        )
