"""Guard lists are looked up by label and by range, and say of what day they are."""

from __future__ import annotations

from datetime import date
from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.guards import Entry, Form, GuardList, GuardLists, ListKind, ProtectedName

DAY = date(2026, 11, 1)


def listed(
    kind: ListKind, *entries: str | Entry, form: Form = Form.NAMES, within: int | None = None, id: str = "a-list"
) -> tuple[GuardList, list[Entry]]:
    """A list of these entries."""
    pairs: list[Entry] = [one if isinstance(one, tuple) else (one, None) for one in entries]
    known = GuardList(
        id=id,
        title=f"{kind} list",
        kind=kind,
        form=form,
        source="test",
        licence="none",
        dated=DAY,
        stale_after_days=30,
        hold_within=within,
        sha256="0" * 64,
        entries=len(pairs),
    )
    return known, pairs


NAMES = GuardLists(
    [
        listed(ListKind.GOVERNMENT, "gob.pe", "gov"),
        listed(ListKind.TOP_SITE, ("google.com", 10), ("maps.google.com", 500), ("small.com", 20_000), within=10_000),
    ]
)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "entries"),
        [
            ("gob.pe", ["gob.pe"]),
            ("tramites.gob.pe", ["gob.pe"]),
            ("nasa.gov", ["gov"]),
            ("a.maps.google.com", ["maps.google.com", "google.com"]),
            ("notgoogle.com", []),
            ("google.com.ripper.biz", []),
            ("com", []),
            ("", []),
        ],
    )
    def test_a_name_is_found_below_every_entry(self, name: str, entries: list[str]) -> None:
        assert [match.entry for match in NAMES.above(name)] == entries

    @pytest.mark.parametrize(
        ("name", "entries"),
        [
            ("com", ["google.com", "maps.google.com", "small.com"]),
            ("google.com", ["maps.google.com"]),
            ("maps.google.com", []),
            ("oogle.com", []),
            ("pe", ["gob.pe"]),
        ],
    )
    def test_entries_below_a_name_the_most_used_first(self, name: str, entries: list[str]) -> None:
        assert [match.entry for match in NAMES.below(name)] == entries

    def test_a_match_names_kind_rank_list_and_date(self) -> None:
        (match,) = NAMES.above("google.com")
        assert match.reason == "top site, among the first 10"
        assert match.source == "top_site list, 2026-11-01"

    def test_an_entry_below_that_has_no_rank_is_given_none(self) -> None:
        (match,) = GuardLists([listed(ListKind.BANK, "www.bank.com")]).below("bank.com")
        assert match.reason == "bank"

    def test_only_ranks_up_to_the_lists_own_bound_hold(self) -> None:
        assert [match.holds for name in ("google.com", "small.com") for match in NAMES.above(name)] == [True, False]

    def test_the_registrys_own_names_are_one_more_list(self) -> None:
        own = ProtectedName(name="isp-one.example", reason="an ISP's own name", source="this registry")
        joined = NAMES.joined([own])
        assert [match.source for match in joined.above("www.isp-one.example")] == ["this registry"]
        assert [match.entry for match in joined.below("example")] == ["isp-one.example"]
        assert NAMES.above("www.isp-one.example") == []

    @given(st.lists(st.lists(st.sampled_from(["a", "b", "a-b", "b0"]), min_size=2, max_size=4), max_size=8), st.data())
    def test_below_is_the_converse_of_above(self, names: list[list[str]], data: st.DataObject) -> None:
        entries = sorted({".".join(labels) for labels in names})
        lists = GuardLists([listed(ListKind.BANK, *entries)])
        name = ".".join(data.draw(st.lists(st.sampled_from(["a", "b", "a-b", "b0"]), min_size=1, max_size=4)))
        expected = {entry for entry in entries if entry.endswith("." + name)}
        assert {match.entry for match in lists.below(name)} == expected


class TestAddresses:
    RANGES = ("192.0.2.0/25", "192.0.2.64/26", "198.51.100.7/32", "2001:db8::/32")
    LISTS = GuardLists([listed(ListKind.CDN, *RANGES, form=Form.RANGES), listed(ListKind.CDN, "x.com")])

    @pytest.mark.parametrize(
        ("address", "found"),
        [
            ("192.0.2.0", True),
            ("192.0.2.127", True),
            ("192.0.2.128", False),
            ("198.51.100.7", True),
            ("198.51.100.8", False),
            ("2001:db8::1", True),
            ("2001:db9::", False),
            ("::192.0.2.0", False),
            ("255.255.255.255", False),
            ("no address", False),
        ],
    )
    def test_an_address_is_in_a_range_or_not(self, address: str, found: bool) -> None:
        assert bool(self.LISTS.around(address)) is found

    @given(
        st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=12),
        st.integers(0, 255),
    )
    def test_overlapping_ranges_are_looked_up_as_if_one_by_one(self, ranges: list[tuple[int, int]], last: int) -> None:
        networks = [ip_network((f"192.0.2.{start}", length), strict=False) for start, length in ranges]
        lists = GuardLists([listed(ListKind.CDN, *map(str, networks), form=Form.RANGES)])
        address = IPv4Address(f"192.0.2.{last}")
        assert bool(lists.around(str(address))) == any(address in network for network in networks)


class TestOtherForms:
    def test_networks_and_header_fields(self) -> None:
        lists = GuardLists(
            [listed(ListKind.CDN, "AS64500", form=Form.NETWORKS), listed(ListKind.CDN, "cf-ray", form=Form.HEADERS)]
        )
        assert [match.entry for match in lists.network(64500)] == ["AS64500"]
        assert [match.entry for match in lists.header("CF-Ray")] == ["cf-ray"]
        assert lists.network(64501) == lists.header("server") == []


class TestAge:
    @pytest.mark.parametrize(
        ("today", "stale"),
        [(DAY, False), (date(2026, 12, 1), False), (date(2026, 12, 2), True), (date(2026, 10, 31), True)],
    )
    def test_a_list_is_stale_after_its_own_term_and_before_its_date(self, today: date, stale: bool) -> None:
        assert listed(ListKind.BANK)[0].stale(today) is stale

    def test_entries_that_nobody_confirmed_are_cited_as_such(self) -> None:
        known, _ = listed(ListKind.BANK)
        assert known.model_copy(update={"verify": True}).cited == "bank list, 2026-11-01 (entries to be confirmed)"
