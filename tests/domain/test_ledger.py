"""The rules of the chains: what a hash is over, and what does not follow."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from precinto.domain.ledger import GENESIS, Anchor, BrokenAnchor, BrokenChain, CaseChain, Chain, Entry, tell
from precinto.domain.merkle import TreeHead

AT = datetime(2026, 11, 24, 20, 45, 40, 123456, tzinfo=UTC)


def sealed(**fields: Any) -> Entry:
    """A row with the hash that it must have."""
    entry = Entry(
        **{"at": AT, "action": "test", "actor": "engine", "body": "{}", "hash": "", "v": 2} | fields
    )  # fmt: skip
    return replace(entry, hash=entry.expected())


def rows(*cases: str | None, old: int = 0) -> list[Entry]:
    """A ledger whose rows are about these cases; the first ``old`` of them of version 1."""
    made: list[Entry] = []
    own: dict[str, tuple[int, str]] = {}
    for seq, case in enumerate(cases, 1):
        number, before = own.get(case, (0, GENESIS)) if case else (None, None)
        place = {"v": 1, "case_seq": None, "case_prev": None}
        if seq > old:
            place = {"v": 2, "case_seq": None if number is None else number + 1, "case_prev": before}
        made.append(sealed(seq=seq, case=case, prev=made[-1].hash if made else GENESIS, **place))
        if case and number is not None:
            own[case] = (number + 1, made[-1].hash)
    return made


def walk(entries: list[Entry], anchors: list[Anchor] | None = None) -> Chain:
    """A chain that has taken all of them."""
    chain = Chain(anchors or [])
    for entry in entries:
        chain.follow(entry)
    chain.end()
    return chain


def broken(entries: list[Entry], anchors: list[Anchor] | None = None) -> BrokenChain:
    """What is wrong with them."""
    with pytest.raises(BrokenChain) as found:
        walk(entries, anchors)
    return found.value


def test_the_hash_is_over_the_documented_object() -> None:
    """Recomputed from the page in docs/reference, not by the code."""
    [entry] = rows("a-1")
    written = (
        '{"action":"test","actor":"engine","at":"2026-11-24T20:45:40.123456+00:00","body":{},"case":"a-1",'
        f'"case_prev":"{GENESIS}","case_seq":1,"prev":"{GENESIS}","seq":1,"v":2}}'
    )
    assert entry.hash == hashlib.sha256(written.encode()).hexdigest()


def test_a_row_of_version_1_keeps_the_hash_that_it_had() -> None:
    [entry] = rows("a-1", old=1)
    written = (
        '{"action":"test","actor":"engine","at":"2026-11-24T20:45:40.123456+00:00","body":{},"case":"a-1",'
        f'"prev":"{GENESIS}","seq":1}}'
    )
    assert entry.hash == hashlib.sha256(written.encode()).hexdigest()


@pytest.mark.parametrize("old", range(6))
def test_new_rows_follow_old_ones_in_the_ledger_and_in_each_case(old: int) -> None:
    entries = rows("a-1", "b-1", None, "a-1", "a-1", "b-1", old=old)
    assert (chain := walk(entries)).rows == 6
    assert chain.head == entries[-1].hash


def rewritten(entries: list[Entry], at: int, **changed: Any) -> list[Entry]:
    """A row changed and everything after it hashed anew, by somebody who knows how the whole chain is made, but who
    leaves the chains of the cases."""
    made = entries[: at - 1]
    for entry in entries[at - 1 :]:
        more = changed if entry.seq == at else {}
        made.append(sealed(**{**_fields(entry), "prev": made[-1].hash if made else GENESIS, **more}))
    return made


def _fields(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__slots__ if name != "hash"}


def test_a_whole_chain_made_anew_still_breaks_the_chain_of_a_case() -> None:
    entries = rewritten(rows("a-1", "b-1", "a-1", "b-1"), 1, actor="nobody")
    assert (broken(entries).seq, broken(entries).reason) == (3, "does not follow the row before it of its case")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"case_seq": 1}, "is number 1 of its case; number 2 is missing or is not this"),
        ({"case_seq": 3}, "is number 3 of its case; number 2 is missing or is not this"),
        ({"case": "b-1"}, "is number 2 of its case; number 1 is missing or is not this"),
        ({"v": 1, "case_seq": None, "case_prev": None}, "is of version 1, which cannot follow version 2"),
        ({"v": 3}, "is of version 3, which cannot follow version 2"),
    ],
)
def test_the_place_in_the_case_is_checked(changed: dict[str, Any], reason: str) -> None:
    found = broken(rewritten(rows("a-1", "a-1", "a-1"), 2, **changed))
    assert (found.seq, found.reason) == (2, reason)


def test_an_old_row_with_a_place_in_its_case_is_none() -> None:
    """The hash of version 1 is not over the place, so anything could stand there."""
    [entry] = rows("a-1", old=1)
    chain = CaseChain()
    with pytest.raises(BrokenChain, match="which its version does not have"):
        chain.follow(replace(entry, case_seq=1, case_prev=GENESIS))


# ----------------------------------------------------------------------------------------------------------- anchors


def anchored(entries: list[Entry], first: int, last: int, before: Anchor | None = None) -> Anchor:
    """An anchor of these rows."""
    tree = TreeHead()
    for entry in entries[first - 1 : last]:
        tree.add(bytes.fromhex(entry.hash))
    return Anchor(
        anchor=before.anchor + 1 if before else 1, at=AT, first=first, last=last, head=entries[last - 1].hash,
        root=tree.root(), prev=before.digest() if before else GENESIS,
    )  # fmt: skip


def told(entries: list[Entry], anchor: Anchor) -> list[Entry]:
    """The ledger with one more row, which tells of an anchor."""
    from precinto.domain.model import canonical_json

    body = canonical_json(tell(anchor)).decode()
    last = entries[-1]
    more = {"case": None, "case_seq": None, "case_prev": None, "action": "ledger_anchored", "body": body}
    return [*entries, sealed(seq=last.seq + 1, prev=last.hash, **more)]


@pytest.fixture
def ledger() -> tuple[list[Entry], list[Anchor]]:
    """Seven rows: three, one that tells of their anchor, two more, and one that tells of the second anchor."""
    three = rows("a-1", "b-1", "a-1")
    first = anchored(three, 1, 3)
    four = told(three, first)
    more = rows("c-1", "c-1")
    six = four[:]
    own = GENESIS
    for number, entry in enumerate(more, 1):
        fields = {**_fields(entry), "seq": len(six) + 1, "prev": six[-1].hash, "case_seq": number, "case_prev": own}
        six.append(sealed(**fields))
        own = six[-1].hash
    second = anchored(six, 4, 6, first)
    return told(six, second), [first, second]


Ledger = tuple[list[Entry], list[Anchor]]


def test_a_ledger_that_its_anchors_bear_out_holds(ledger: Ledger) -> None:
    assert walk(*ledger).rows == 7


@pytest.mark.parametrize(("left", "reason"), [(5, "and all after it: anchor 2 covers rows up to 6"), (2, "anchor 1")])
def test_an_end_that_was_cut_off_is_found_by_the_anchors(ledger: Ledger, left: int, reason: str) -> None:
    found = broken(ledger[0][:left], ledger[1])
    assert found.seq == left + 1
    assert reason in found.reason


def test_the_row_that_tells_of_an_anchor_cannot_be_cut_off_either(ledger: Ledger) -> None:
    assert str(broken(ledger[0][:6], ledger[1])) == "ledger row 7: is missing: it would tell of anchor 2"


def test_a_ledger_made_anew_as_a_whole_is_found_by_the_anchors(ledger: Ledger) -> None:
    """What no chain can see: somebody made every hash anew, those of the cases too."""
    entries = told(rows("a-1", "b-1", "b-1"), ledger[1][0])
    found = broken(entries, ledger[1][:1])
    assert isinstance(found, BrokenAnchor)
    assert str(found) == "ledger row 1: is the first of anchor 1, which states other rows than these"


def test_an_anchor_that_is_gone_is_missed_by_the_ledger(ledger: Ledger) -> None:
    entries, (first, second) = ledger
    assert (broken(entries, [first]).seq, broken(entries, [first]).reason) == (
        7,
        "tells of anchor 2, which is missing",
    )
    assert isinstance(broken(entries, [second]), BrokenAnchor)
    assert broken(entries, []).seq == 4


def test_the_first_bad_row_is_named_though_an_anchor_after_it_is_bad_too(ledger: Ledger) -> None:
    entries, (first, second) = ledger
    entries[1] = replace(entries[1], actor="nobody")
    found = broken(entries, [first, second.model_copy(update={"first": 5})])
    assert (found.seq, found.reason) == (2, "was changed after it was written")


def test_an_anchor_that_was_changed_is_not_the_one_that_was_told_of(ledger: Ledger) -> None:
    entries, (first, second) = ledger
    changed = first.model_copy(update={"at": AT.replace(year=2020)})
    assert "does not follow the one before" in broken(entries, [changed, second]).reason
    assert "is not the one that row 4 tells of" in broken(entries[:4], [changed]).reason
