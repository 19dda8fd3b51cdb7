"""The chain of custody: whoever changes, removes, inserts or reorders a record is found out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from precinto.domain.custody import (
    GENESIS,
    Act,
    CustodyRecord,
    check_chain,
    next_record,
    read_chain,
    write_chain,
)
from precinto.domain.errors import BadInput, Refused
from precinto.domain.model import digest

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
BUNDLE = digest(b"manifest")


def record(last: CustodyRecord | None = None, **changed: Any) -> CustodyRecord:
    """The record that follows, with some fields chosen."""
    fields: dict[str, Any] = {"case": "ws5ksqpoov-1", "attempt": 1, "at": NOON, "actor": "engine", "act": Act.OPENED}
    return next_record(last, **fields | changed)


def chain() -> list[CustodyRecord]:
    """Two attempts: the first ended with its worker, the second was sealed and opened."""
    acts: list[dict[str, Any]] = [
        {"act": Act.ATTEMPT_BEGUN},
        {"act": Act.ATTEMPT_INTERRUPTED, "detail": "the worker is gone"},
        {"act": Act.ATTEMPT_BEGUN, "attempt": 2},
        {"act": Act.SEALED, "attempt": 2, "subject": BUNDLE},
        {"act": Act.OPENED, "attempt": 2, "subject": BUNDLE, "actor": "reviewer-1"},
    ]
    records: list[CustodyRecord] = []
    for number, act in enumerate(acts):
        records.append(record(records[-1] if records else None, at=NOON + timedelta(seconds=number), **act))
    return records


def broken(records: list[CustodyRecord]) -> str:
    """What is wrong with a chain."""
    with pytest.raises(Refused) as refused:
        check_chain(records)
    assert refused.value.code == "broken_custody"
    return refused.value.reason


class TestChain:
    def test_the_first_record_follows_nothing_and_each_other_the_one_before(self) -> None:
        first, second = chain()[:2]
        assert (first.seq, first.prev) == (1, GENESIS)
        assert (second.seq, second.prev) == (2, first.hash)
        check_chain(chain())
        check_chain([])

    def test_anybody_can_recompute_a_hash(self) -> None:
        first = chain()[0]
        fields = json.loads(first.canonical())
        assert fields.pop("hash") == first.hash
        assert digest(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()) == first.hash

    def test_a_hash_never_changes(self) -> None:
        """A chain of years ago must still be whole: this is the format."""
        assert chain()[-1].canonical().decode() == (
            '{"act":"opened","actor":"reviewer-1","at":"2026-11-24T12:00:04Z","attempt":2,"case":"ws5ksqpoov-1",'
            '"detail":"","hash":"c948562adfe5e2ce99bc5ac298c075375d441c659557ec1a6db1783fd83c7ef6",'
            '"prev":"0d9d8a7b9bd335dfedc6950dc5aeb9c194476b05ef4ff6b321d23155afbe1a87","seq":5,'
            f'"subject":"{BUNDLE}","v":1}}'
        )

    @pytest.mark.parametrize(
        "changed",
        [
            {"actor": "reviewer-2"},
            {"act": Act.EXPORTED},
            {"at": NOON - timedelta(days=1)},
            {"subject": digest(b"another")},
            {"detail": "nothing happened"},
            {"attempt": 7},
            {"hash": digest(b"any")},
        ],
        ids=lambda changed: next(iter(changed)),
    )
    @pytest.mark.parametrize("at", range(5))
    def test_a_changed_record(self, at: int, changed: dict[str, Any]) -> None:
        records = chain()
        records[at] = records[at].model_copy(update=changed)
        assert broken(records) == f"record {at + 1} was changed after it was written"

    def test_a_changed_record_with_a_hash_to_match(self) -> None:
        records = chain()
        forged = records[1].model_copy(update={"actor": "nobody"})
        records[1] = forged.model_copy(update={"hash": forged.expected()})
        assert broken(records) == "record 3 does not follow the record before it"

    def test_a_removed_record(self) -> None:
        records = chain()
        del records[1]
        assert broken(records) == "record 2 is missing: the next one is 3"
        assert broken(chain()[1:]) == "record 1 is missing: the next one is 2"

    def test_an_inserted_record(self) -> None:
        records = chain()
        records.insert(2, record(records[1]))
        assert broken(records) == "record 4 is missing: the next one is 3"

    def test_two_chains_that_are_joined(self) -> None:
        records = chain()
        assert broken([*records, record(records[-1], case="ws5ksqpoov-2")]) == (
            "record 6 is of another case: ws5ksqpoov-2"
        )

    def test_a_tail_that_was_cut_off_does_not_show(self) -> None:
        """So whoever hands the chain on signs it: see the verifier."""
        check_chain(chain()[:3])

    @given(order=st.permutations(range(5)))
    def test_any_other_order(self, order: list[int]) -> None:
        records = chain()
        shuffled = [records[at] for at in order]
        if order == sorted(order):
            check_chain(shuffled)
        else:
            broken(shuffled)


class TestFile:
    def test_what_is_written_is_read(self) -> None:
        assert list(read_chain(write_chain(chain()))) == chain()

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (b"", "the last line is not whole"),
            (write_chain(chain())[:-1], "the last line is not whole"),
            (b"\n", "line 1: not a record"),
            (write_chain(chain()) + b"\n", "line 6: not a record"),
            (b"[]\n", "line 1: not a record"),
            (b"[" * 100_000 + b"\n", "line 1: not a record"),
            (b"\xff\n", "line 1: not a record"),
            (write_chain(chain()).replace(b'"act":', b'"act": ', 1), "line 1: not in its canonical form"),
            (write_chain(chain()).replace(b'"v":1', b'"v":2', 1), "line 1: v: "),
            (write_chain(chain()).replace(b'"v":1', b'"v":1,"x":1', 1), "line 1: x: "),
            (write_chain(chain()).replace(b'"opened"', b'"lost"'), "line 5: act: "),
            (write_chain(chain()).replace(b"\n", b"\r\n", 1), "line 1: not in its canonical form"),
        ],
    )
    def test_what_is_no_chain(self, content: bytes, complaint: str) -> None:
        with pytest.raises(BadInput) as bad:
            read_chain(content)
        assert str(bad.value).startswith(complaint)

    def test_a_record_without_a_time_zone_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="a time needs its time zone"):
            record(at=NOON.replace(tzinfo=None))


@pytest.mark.parametrize("act", Act)
def test_every_act_is_documented(act: Act) -> None:
    page = Path(__file__).parents[2] / "docs/reference/bundle.md"
    assert f"| `{act}` |" in page.read_text(encoding="utf-8")
