"""Evidence: the digest that stands for a bundle, and the guards that can hold a case."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from precinto.domain.evidence import NO_LISTS, Clock, EvidenceItem, Finding, FindingKind, Manifest, Missing, guard
from precinto.domain.guards import GuardLists, ListKind, ProtectedName
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.domain.model import digest
from tests.domain.test_guards import listed

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAGE = EvidenceItem(name="page.html", media_type="text/html", size=4, sha256=digest(b"page"))


def manifest(**changed: Any) -> Manifest:
    """The manifest of a capture, with some fields changed."""
    fields: dict[str, Any] = {
        "case": "ws5ksqpoov-1",
        "attempt": 1,
        "target": normalise(TargetKind.DOMAIN, "y2mate.com"),
        "service": Service.STREAM_RIPPER,
        "recipe": digest(b"recipe"),
        "clock": Clock(synchronised=True, offset_us=-12, error_us=900, source="adjtimex"),
        "started_at": NOON,
        "finished_at": NOON + timedelta(seconds=9),
        "vantage": "lima",
        "tools": {"chromium": "142", "openssl": "3"},
        "addresses": {"y2mate.com": ("192.0.2.1", "2001:db8::1")},
        "items": (PAGE,),
    }
    return Manifest.model_validate(fields | changed)


class TestManifest:
    """What the reviewers decide on is named by 64 digits; so must every byte of it be."""

    def test_the_digest_never_changes(self) -> None:
        """Decisions of years ago name it: a release that computed another could prove none of them."""
        assert manifest().bundle_digest() == "9171bc2250a3beb6497885cb7356687c445238727df22618c0a277428129d1af"

    def test_it_is_that_of_the_canonical_bytes_which_anyone_can_recompute(self) -> None:
        stored = manifest().canonical()
        again = json.dumps(json.loads(stored), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert again == stored
        assert digest(again) == manifest().bundle_digest()

    def test_a_manifest_that_was_stored_and_read_again_is_the_same(self) -> None:
        read = Manifest.model_validate_json(manifest().canonical())
        assert read == manifest()
        assert read.canonical() == manifest().canonical()

    def test_the_order_in_which_things_were_noted_makes_no_difference(self) -> None:
        assert manifest(tools={"openssl": "3", "chromium": "142"}).canonical() == manifest().canonical()

    @pytest.mark.parametrize(
        "changed",
        [
            {"case": "ws5ksqpoov-2"},
            {"attempt": 2},
            {"target": normalise(TargetKind.DOMAIN, "yout.com")},
            {"started_at": NOON + timedelta(microseconds=1)},
            {"finished_at": NOON},
            {"vantage": "madrid"},
            {"tools": {}},
            {"addresses": {"y2mate.com": ("2001:db8::1", "192.0.2.1")}},
            {"failure": "the site did not answer"},
            {"service": Service.OTHER},
            {"recipe": None},
            {"clock": Clock(synchronised=False, offset_us=-12, error_us=900, source="adjtimex")},
            {"missing": (Missing(what="page.pdf", reason="not had within 10 s"),)},
            {"items": ()},
            {"items": (PAGE.model_copy(update={"sha256": digest(b"Page")}),)},
            {"items": (PAGE.model_copy(update={"size": 5}),)},
        ],
        ids=lambda changed: next(iter(changed)),
    )
    def test_every_part_counts(self, changed: dict[str, Any]) -> None:
        assert manifest(**changed).bundle_digest() != manifest().bundle_digest()

    def test_a_time_without_its_zone_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="a time needs its time zone"):
            manifest(started_at=NOON.replace(tzinfo=None))

    def test_the_same_moment_in_another_zone_is_another_text(self) -> None:
        """The bytes say what was written down; activities write UTC."""
        lima = NOON.astimezone(timezone(timedelta(hours=-5)))
        assert manifest(started_at=lima) == manifest()
        assert manifest(started_at=lima).canonical() != manifest().canonical()


class TestItems:
    """A file's name becomes a path when a bundle is exported."""

    @pytest.mark.parametrize("name", ["page.html", "screenshot.png", "dns-1.json", "0", "a" * 100])
    def test_plain_names(self, name: str) -> None:
        assert EvidenceItem(name=name, media_type="x/y", size=0, sha256=digest(b"")).name == name

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..", "../page", "a/b", "a\\b", ".hidden", "-rf", "Page", "a b", "é", "a" * 101, "a\n", "a\0"],
    )
    def test_names_that_could_lead_elsewhere_are_refused(self, name: str) -> None:
        with pytest.raises(ValidationError):
            EvidenceItem(name=name, media_type="x/y", size=0, sha256=digest(b""))

    def test_a_size_is_not_negative(self) -> None:
        with pytest.raises(ValidationError):
            EvidenceItem(name="a", media_type="x/y", size=-1, sha256=digest(b""))


GOVERNMENT = ProtectedName(name="gob.pe", reason="government", source="list of portals, 2026-11-24")
TOP_SITE = ProtectedName(name="google.com", reason="top site", source="top list, 2026-11-24")
LISTS = (GOVERNMENT, TOP_SITE)


def findings(host: str, *lists: ProtectedName) -> list[tuple[FindingKind, str]]:
    """What the guards say of a domain, as kind and source."""
    found = guard(normalise(TargetKind.DOMAIN, host), NO_LISTS.joined(lists or LISTS))
    return [(finding.kind, finding.source) for finding in found]


class TestGuard:
    """By label, never by substring."""

    @pytest.mark.parametrize("host", ["google.com", "WWW.Google.com.", "maps.google.com", "a.b.c.google.com"])
    def test_a_protected_name_and_all_below_it(self, host: str) -> None:
        assert findings(host) == [(FindingKind.PROTECTED_NAME, TOP_SITE.source)]

    @pytest.mark.parametrize(
        "host",
        [
            "google-free-movies.com",
            "notgoogle.com",
            "google.com.ripper.biz",
            "google.com-free.biz",
            "google.co",
            "ogle.com",
            "gob.pe.ripper.biz",
            "xgob.pe",
        ],
    )
    def test_names_that_only_look_alike(self, host: str) -> None:
        assert findings(host) == []

    def test_the_finding_names_entry_reason_and_source(self) -> None:
        (finding,) = guard(normalise(TargetKind.DOMAIN, "descargas.gob.pe"), NO_LISTS.joined(LISTS))
        assert finding.detail == "descargas.gob.pe is gob.pe or below it (government)"
        assert finding.source == GOVERNMENT.source

    def test_every_list_that_names_it_is_a_finding(self) -> None:
        own = ProtectedName(name="maps.google.com", reason="map service", source="own list")
        assert len(findings("maps.google.com", *LISTS, own)) == 2

    def test_a_customer_of_a_shared_platform(self) -> None:
        assert findings("ripper.github.io") == [
            (FindingKind.SHARED_PLATFORM, "public suffix list, private section"),
        ]

    def test_a_web_address_is_looked_up_by_its_host(self) -> None:
        target = normalise(TargetKind.URL, "https://docs.google.com/ripper")
        assert [finding.kind for finding in guard(target, NO_LISTS.joined(LISTS))] == [FindingKind.PROTECTED_NAME]

    def test_what_lies_below_the_name_would_be_hit_too(self) -> None:
        names = [ProtectedName(name=f"{n}.shop.com", reason="bank", source="list of banks") for n in range(7)]
        (finding,) = guard(normalise(TargetKind.DOMAIN, "shop.com"), NO_LISTS.joined(names))
        assert (finding.kind, finding.source) == (FindingKind.PROTECTED_BELOW, "list of banks")
        assert finding.detail.startswith("below shop.com: 0.shop.com (bank), ")
        assert finding.detail.endswith(" and 2 more")

    def test_the_installations_lists_count_beside_the_registrys_names(self) -> None:
        lists = GuardLists([listed(ListKind.BANK, "bank.example"), listed(ListKind.PARKING, "parked.example")])
        assert [one.kind for one in guard(normalise(TargetKind.DOMAIN, "www.bank.example"), lists.joined(LISTS))] == [
            FindingKind.PROTECTED_NAME
        ]
        assert guard(normalise(TargetKind.DOMAIN, "www.parked.example"), lists.joined(LISTS)) == ()

    def test_a_rank_that_its_list_does_not_hold_for_is_noted(self) -> None:
        lists = GuardLists([listed(ListKind.TOP_SITE, ("known.biz", 20_000), ("a.low.biz", 20_000), within=10_000)])
        assert guard(normalise(TargetKind.DOMAIN, "low.biz"), lists.joined(LISTS)) == ()
        (finding,) = guard(normalise(TargetKind.DOMAIN, "known.biz"), lists.joined(LISTS))
        assert (finding.kind, finding.holds) == (FindingKind.POPULAR, False)

    def test_a_finding_holds_unless_it_says_otherwise(self) -> None:
        assert Finding(kind=FindingKind.CO_HOSTED, detail="x", source="y").holds

    def test_an_application_has_no_host_to_look_up(self) -> None:
        assert guard(normalise(TargetKind.MOBILE_APP, "com.google.app"), NO_LISTS.joined(LISTS)) == ()

    @given(labels=st.lists(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), max_size=4))
    def test_whatever_stands_below_a_protected_name_is_held(self, labels: list[str]) -> None:
        assert findings(".".join([*labels, "google", "com"])) == [(FindingKind.PROTECTED_NAME, TOP_SITE.source)]
