"""What a block would hit beside its target holds a case; so does what nobody could look at; nothing releases it."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from precinto.domain.evidence import Finding, FindingKind, Missing, Weight
from precinto.domain.guards import Form, GuardLists, ListKind, ProtectedName
from precinto.domain.intake import Target, TargetKind, normalise
from precinto.domain.methods import Method, Proposal, is_address
from precinto.domain.model import canonical_json
from precinto.domain.proportionality import AddressFact, Question, TargetFacts, assess
from precinto.domain.proportionality_file import Outcome, Proportionality
from tests.domain.test_guards import DAY, listed

LISTS = GuardLists(
    [
        listed(ListKind.GOVERNMENT, "gob.pe", id="governments"),
        listed(ListKind.BANK, "bank.example", "pay.shop.example", id="banks"),
        listed(ListKind.TOP_SITE, ("popular.biz", 10_000), ("known.biz", 20_000), within=10_000, id="top"),
        listed(ListKind.ESSENTIAL, "192.0.2.53/32", form=Form.RANGES, id="resolvers"),
        listed(ListKind.PLATFORM, "pages.example", id="platforms"),
        listed(ListKind.CDN, "cdn.example", id="cdn-names"),
        listed(ListKind.CDN, "198.51.100.0/24", form=Form.RANGES, id="cdn-ranges"),
        listed(ListKind.CDN, "AS64500", form=Form.NETWORKS, id="cdn-networks"),
        listed(ListKind.CDN, "cf-ray", form=Form.HEADERS, id="cdn-headers"),
        listed(ListKind.PARKING, "parking.example", id="parking"),
        listed(ListKind.SINKHOLE, "203.0.113.0/24", form=Form.RANGES, id="sinkholes"),
    ]
)
KNOWN = {question: f"{question}.json" for question in Question}
RIPPER = normalise(TargetKind.DOMAIN, "ripper.biz")
APP = normalise(TargetKind.MOBILE_APP, "com.ripper.app")


def address(text: str, asn: int | None = None) -> AddressFact:
    """An address of the target."""
    return AddressFact(address=text, asn=asn, organisation="")


def weigh(
    target: Target = RIPPER, *, lists: GuardLists = LISTS, more: dict[str, Any] | None = None, **facts: Any
) -> Proportionality:
    """The proportionality file of a target of which nothing is known to be wrong, but for these facts."""
    fields: dict[str, Any] = {"host": target.host, "answered": KNOWN, "addresses": (address("192.0.2.80"),)}
    options: dict[str, Any] = {"failure": None, "today": DAY, **(more or {})}
    return assess(target, TargetFacts(**fields | facts), lists, **options)


def found(weighed: Proportionality) -> set[tuple[FindingKind, Weight]]:
    """What was found, and how it weighs."""
    return {(finding.kind, finding.weight) for finding in weighed.findings}


HOLD, NOTE = Weight.HOLD, Weight.NOTE


class TestFindings:
    def test_a_target_beside_which_there_is_nothing_is_clear(self) -> None:
        weighed = weigh()
        assert (weighed.outcome, weighed.findings) == (Outcome.CLEAR, ())

    @pytest.mark.parametrize(
        ("host", "kind", "weight"),
        [
            ("x.gob.pe", FindingKind.PROTECTED_NAME, HOLD),
            ("www.bank.example", FindingKind.PROTECTED_NAME, HOLD),
            ("popular.biz", FindingKind.PROTECTED_NAME, HOLD),
            ("known.biz", FindingKind.POPULAR, NOTE),
            ("shop.example", FindingKind.PROTECTED_BELOW, HOLD),
            ("ripper.pages.example", FindingKind.SHARED_PLATFORM, HOLD),
            ("ripper.cdn.example", FindingKind.SHARED_PLATFORM, HOLD),
            ("ripper.github.io", FindingKind.SHARED_PLATFORM, HOLD),
        ],
    )
    def test_by_the_name_alone(self, host: str, kind: FindingKind, weight: Weight) -> None:
        assert found(weigh(normalise(TargetKind.DOMAIN, host))) == {(kind, weight)}

    @pytest.mark.parametrize(
        ("facts", "kind", "weight"),
        [
            ({"aliases": ("edge.cdn.example.",)}, FindingKind.SHARED_NETWORK, NOTE),
            ({"aliases": ("ripper.github.io",)}, FindingKind.SHARED_NETWORK, NOTE),
            ({"aliases": ("www.sunat.gob.pe",)}, FindingKind.POINTS_AT_PROTECTED, HOLD),
            ({"name_servers": ("a.cdn.example",)}, FindingKind.SHARED_NETWORK, NOTE),
            ({"name_servers": ("ns1.parking.example",)}, FindingKind.NOTHING_THERE, NOTE),
            ({"addresses": (address("198.51.100.7"),)}, FindingKind.SHARED_NETWORK, NOTE),
            ({"addresses": (address("192.0.2.1", 64500),)}, FindingKind.SHARED_NETWORK, NOTE),
            ({"addresses": (address("192.0.2.53"),)}, FindingKind.POINTS_AT_PROTECTED, HOLD),
            ({"addresses": (address("203.0.113.9"),)}, FindingKind.NOTHING_THERE, NOTE),
            ({"addresses": ()}, FindingKind.NOTHING_THERE, NOTE),
            ({"headers": (("cf-ray", "1"), ("server", "x"))}, FindingKind.SHARED_NETWORK, NOTE),
            ({"certificate_names": ("ripper.biz", "*.ripper.biz", "other.biz")}, FindingKind.SHARED_CERTIFICATE, NOTE),
            ({"neighbours": ("www.ripper.biz", "lawful.org")}, FindingKind.CO_HOSTED, NOTE),
            ({"host": "elsewhere.biz"}, FindingKind.UNKNOWN, HOLD),
        ],
    )
    def test_by_what_it_leads_to(self, facts: dict[str, Any], kind: FindingKind, weight: Weight) -> None:
        assert found(weigh(**facts)) == {(kind, weight)}

    def test_a_certificate_for_a_protected_name_holds(self) -> None:
        """Whoever got it has shown control of both names."""
        weighed = weigh(certificate_names=("ripper.biz", "www.bank.example"))
        assert (FindingKind.POINTS_AT_PROTECTED, HOLD) in found(weighed)

    def test_an_alias_of_a_top_site_is_nothing(self) -> None:
        """Every second site is an alias of a name that is asked for more often than itself."""
        assert weigh(aliases=("ghs.popular.biz",)).findings == ()

    def test_a_platforms_own_certificate_is_no_strangers(self) -> None:
        weighed = weigh(normalise(TargetKind.DOMAIN, "ripper.github.io"), certificate_names=("*.github.io",))
        assert found(weighed) == {(FindingKind.SHARED_PLATFORM, HOLD)}

    def test_a_header_whose_name_only_looks_alike_is_nothing(self) -> None:
        assert weigh(headers=(("x-cf-ray", "1"),)).findings == ()

    def test_an_address_of_an_isp_may_have_shown_a_block_page(self) -> None:
        weighed = weigh(more={"own_addresses": {"192.0.2.80"}})
        assert found(weighed) == {(FindingKind.OWN_ADDRESS, HOLD)}

    def test_the_registrys_own_names_count(self) -> None:
        own = ProtectedName(name="ripper.biz", reason="an ISP's own name", source="the registry")
        assert found(weigh(lists=LISTS.joined([own]))) == {(FindingKind.PROTECTED_NAME, HOLD)}

    def test_a_part_of_a_host_is_less_than_the_host(self) -> None:
        weighed = weigh(normalise(TargetKind.URL, "https://forum.biz/thread?id=1"))
        assert found(weighed) == {(FindingKind.WIDER_THAN_TARGET, HOLD)}

    def test_so_is_an_address_with_a_query(self) -> None:
        weighed = weigh(normalise(TargetKind.URL, "https://forum.biz/?thread=1"))
        assert found(weighed) == {(FindingKind.WIDER_THAN_TARGET, HOLD)}

    def test_the_first_page_of_a_host_is_the_host(self) -> None:
        assert weigh(normalise(TargetKind.URL, "https://ripper.biz")).outcome is Outcome.CLEAR

    def test_each_finding_says_where_it_is_known_from(self) -> None:
        (finding,) = weigh(addresses=(address("198.51.100.7"),)).findings
        assert finding.detail == "it answers from 198.51.100.7 (content delivery network)"
        assert finding.source == "cdn list, 2026-11-01; addresses.json"

    def test_the_date_of_the_networks_is_cited(self) -> None:
        (finding,) = weigh(addresses=(address("192.0.2.1", 64500),), networks_dated=date(2026, 6, 17)).findings
        assert finding.source == "cdn list, 2026-11-01; networks.json, networks of 2026-06-17"

    def test_what_holds_comes_first(self) -> None:
        weighed = weigh(aliases=("a.cdn.example", "b.gob.pe"))
        assert [finding.weight for finding in weighed.findings] == [HOLD, NOTE]


class TestUnknown:
    def test_of_a_target_of_which_nothing_is_known_two_humans_decide(self) -> None:
        weighed = assess(RIPPER, TargetFacts(host="ripper.biz"), LISTS, None, DAY)
        assert weighed.outcome is Outcome.HOLD
        assert "not known: addresses, aliases" in {finding.detail for finding in weighed.findings}

    @pytest.mark.parametrize(
        ("question", "weight"),
        [
            (Question.ADDRESSES, HOLD),
            (Question.ALIASES, HOLD),
            (Question.NAME_SERVERS, NOTE),
            (Question.NETWORKS, NOTE),
            (Question.CERTIFICATE, NOTE),
            (Question.HEADERS, NOTE),
            (Question.NEIGHBOURS, NOTE),
        ],
    )
    def test_a_question_without_an_answer(self, question: Question, weight: Weight) -> None:
        answered = {one: file for one, file in KNOWN.items() if one is not question}
        assert found(weigh(answered=answered)) == {(FindingKind.UNKNOWN, weight)}

    def test_a_failed_capture_proves_nothing(self) -> None:
        """So a page that is down, or that refuses our browser, is not ordered away by one person."""
        for failure in ("no answer", ""):
            assert found(weigh(more={"failure": failure})) == {(FindingKind.FAILED_CAPTURE, HOLD)}

    def test_what_a_capture_lacks_is_noted(self) -> None:
        missing = (Missing(what="page.pdf", reason="timed out"),)
        assert found(weigh(more={"missing": missing})) == {(FindingKind.INCOMPLETE_CAPTURE, NOTE)}

    def test_stale_lists_are_noted_and_still_hold(self) -> None:
        weighed = weigh(normalise(TargetKind.DOMAIN, "x.gob.pe"), more={"today": date(2027, 11, 1)})
        assert found(weighed) == {(FindingKind.PROTECTED_NAME, HOLD), (FindingKind.STALE_LIST, NOTE)}

    def test_without_any_list_nothing_is_clear(self) -> None:
        assert found(weigh(lists=GuardLists())) == {(FindingKind.UNKNOWN, HOLD)}

    def test_more_names_than_are_looked_at_hold(self) -> None:
        """Else a long certificate could push a protected name out of sight."""
        weighed = weigh(certificate_names=("ripper.biz",) * 10_000 + ("www.bank.example",))
        assert found(weighed) == {(FindingKind.UNKNOWN, HOLD)}


class TestProposal:
    @pytest.mark.parametrize(
        ("kind", "value", "method", "scope", "below"),
        [
            (TargetKind.DOMAIN, "ripper.biz", Method.DNS, "ripper.biz", True),
            (TargetKind.DOMAIN, "popular.biz", Method.DNS, "popular.biz", True),
            (TargetKind.DOMAIN, "shop.example", Method.DNS, "shop.example", False),
            (TargetKind.DOMAIN, "x.gob.pe", Method.TAKEDOWN, "x.gob.pe", False),
            (TargetKind.DOMAIN, "ripper.github.io", Method.TAKEDOWN, "ripper.github.io", False),
            (TargetKind.URL, "https://ripper.biz/", Method.DNS, "ripper.biz", True),
            (TargetKind.URL, "https://forum.biz/thread", Method.TAKEDOWN, "https://forum.biz/thread", False),
            (TargetKind.MOBILE_APP, "com.ripper.app", Method.TAKEDOWN, "com.ripper.app", False),
        ],
    )
    def test_the_mildest_method_that_would_work(
        self, kind: TargetKind, value: str, method: Method, scope: str, below: bool
    ) -> None:
        proposal = weigh(normalise(kind, value)).proposal
        assert (proposal.method, proposal.scope, proposal.below) == (method, (scope,), below)

    @pytest.mark.parametrize(
        ("value", "possible", "why"),
        [
            ("https://forum.biz/thread", True, "serves nothing else"),
            ("https://ripper.github.io/app", True, "serves nothing else"),
            ("https://popular.biz/thread", False, "serves more than what is referred"),
            ("https://pages.example/ripper", False, "would hit all its customers"),
        ],
    )
    def test_the_host_of_a_page_is_blocked_only_if_it_serves_nothing_else(
        self, value: str, possible: bool, why: str
    ) -> None:
        dns, path, ip = weigh(normalise(TargetKind.URL, value)).alternatives
        assert (dns.method, dns.possible) == (Method.DNS, possible)
        assert why in dns.why
        assert (path.method, path.possible, ip.method, ip.possible) == (Method.PATH, False, Method.IP, False)

    def test_a_customers_host_is_his_own_however_used_the_platform_is(self) -> None:
        lists = GuardLists([listed(ListKind.TOP_SITE, ("github.io", 100), within=10_000)])
        dns = weigh(normalise(TargetKind.URL, "https://ripper.github.io/app"), lists=lists).alternatives[0]
        assert (dns.scope, dns.possible) == (("ripper.github.io",), True)

    def test_an_app_is_withdrawn_where_it_is_offered_and_its_own_endpoints_are_cases_of_their_own(self) -> None:
        weighed = weigh(
            APP,
            endpoints=("api.ripper.biz", "8.8.8.8", "graph.bank.example", "ripper.github.io", "x" * 300, ""),
            more={"page": "https://apks.example/ripper"},
        )
        assert weighed.proposal.scope == ("https://apks.example/ripper",)
        page, endpoints, _ = weighed.alternatives
        assert (page.scope, endpoints.scope) == (("apks.example",), ("api.ripper.biz",))

    def test_an_app_of_which_no_page_is_known(self) -> None:
        weighed = weigh(APP)
        assert found(weighed) == {(FindingKind.UNKNOWN, NOTE)}
        assert not any(one.possible for one in weighed.alternatives)

    def test_what_an_address_block_would_hit_is_said(self) -> None:
        ip = weigh(neighbours=("lawful.org",)).alternatives[-1]
        assert ip.why.endswith("names of others that answer from its addresses: 1 (lawful.org)")

    @pytest.mark.parametrize("fields", [{"method": Method.IP, "scope": ("ripper.biz",)}, {"scope": ("192.0.2.1",)}])
    def test_an_address_cannot_even_be_written_into_a_proposal(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="never a target"):
            Proposal.model_validate({"method": Method.DNS, "why": "?"} | fields)


class TestFile:
    def test_its_bytes_are_canonical_and_read_again(self) -> None:
        stored = weigh(aliases=("a.cdn.example",)).canonical()
        assert canonical_json(json.loads(stored)) == stored
        assert Proportionality.model_validate_json(stored).canonical() == stored

    def test_the_lists_that_were_consulted_can_be_found_again(self) -> None:
        assert [(one.id, one.dated, one.sha256) for one in weigh().lists] == [
            (one.id, DAY, "0" * 64) for one in LISTS.lists
        ]

    def test_an_outcome_that_does_not_follow_is_refused(self) -> None:
        held = weigh(aliases=("x.gob.pe",)).model_dump(mode="json")
        with pytest.raises(ValidationError, match="does not follow"):
            Proportionality.model_validate(held | {"outcome": "clear"})

    def test_the_summary_is_for_people(self) -> None:
        summary = weigh(aliases=("x.gob.pe",)).summary()
        assert summary[0] == "HOLD: two different reviewers must decide."
        assert (
            summary[1] == "hold: it is an alias of x.gob.pe (government) [government list, 2026-11-01; aliases.json]"
        )
        assert summary[2].startswith("proposed: dns on ripper.biz and everything below: ")
        assert [line.split(":")[0] for line in summary[3:]] == ["possible", "not possible"]

    def test_what_strangers_wrote_cannot_move_the_cursor(self) -> None:
        weighed = weigh(aliases=("\x1b[2J\u202e.gob.pe",), more={"failure": "a\nb" + "c" * 5_000})
        assert all(line.isprintable() for line in weighed.summary())
        assert all(len(finding.detail) <= 1_000 for finding in weighed.findings)


# What a hostile target could have us know: its own names, others' names, addresses, and texts that are none of these.
HOSTS = st.sampled_from(
    ["ripper.biz", "x.gob.pe", "a.bank.example", "e.cdn.example", "p.github.io", "8.8.8.8", "::1", "1.2", "\u202e", ""]
)
ADDRESSES = st.builds(
    address,
    st.one_of(st.ip_addresses().map(str), st.sampled_from(["192.0.2.53", "198.51.100.9", "203.0.113.1", "?", ""])),
    st.sampled_from([None, 0, 64500]),
)
FACTS = st.fixed_dictionaries(
    {
        "addresses": st.lists(ADDRESSES, max_size=4).map(tuple),
        "aliases": st.lists(HOSTS, max_size=4).map(tuple),
        "name_servers": st.lists(HOSTS, max_size=4).map(tuple),
        "certificate_names": st.lists(HOSTS, max_size=4).map(tuple),
        "neighbours": st.lists(HOSTS, max_size=4).map(tuple),
        "endpoints": st.lists(st.one_of(HOSTS, st.ip_addresses().map(str)), max_size=4).map(tuple),
        "headers": st.lists(st.tuples(st.sampled_from(["cf-ray", "server"]), st.text(max_size=3)), max_size=2).map(
            tuple
        ),
        "answered": st.dictionaries(st.sampled_from(Question), st.just("x.json")),
    }
)
TARGETS = st.sampled_from(
    [
        RIPPER,
        APP,
        normalise(TargetKind.DOMAIN, "ripper.github.io"),
        normalise(TargetKind.DOMAIN, "shop.example"),
        normalise(TargetKind.URL, "https://forum.biz/x"),
        normalise(TargetKind.URL, "https://ripper.biz/"),
        normalise(TargetKind.DESKTOP_APP, "0" * 64),
    ]
)
PAGES = st.sampled_from([None, "https://apks.example/x", "http://192.0.2.1/x.apk", "192.0.2.1", "?"])


@settings(max_examples=150)
@given(TARGETS, FACTS, PAGES)
def test_no_facts_make_an_address_a_target(target: Target, facts: dict[str, Any], page: str | None) -> None:
    """Rule 5: whatever the target's DNS says, no block of an address is proposed, or called possible."""
    weighed = weigh(target, more={"page": page}, **facts)
    assert weighed.proposal.method is not Method.IP
    for one in (weighed.proposal, *weighed.alternatives):
        if one.method is Method.DNS:
            assert not any(is_address(name) for name in one.scope)
    (ip,) = [one for one in weighed.alternatives if one.method is Method.IP]
    assert (ip.possible, ip.scope) == (False, ())


@settings(max_examples=150)
@given(TARGETS, FACTS, FACTS)
def test_knowing_more_of_what_is_there_never_releases(
    target: Target, facts: dict[str, Any], more: dict[str, Any]
) -> None:
    """Guards can hold, never release: a target that is held stays so, whatever else it leads to."""
    both = {key: facts[key] + more[key] for key in facts if key != "answered"}
    before = weigh(target, **facts)
    after = weigh(target, **both, answered=facts["answered"])
    assert set(_holding(before)) <= set(_holding(after))
    assert not (before.outcome is Outcome.HOLD and after.outcome is Outcome.CLEAR)


@given(TARGETS, FACTS, st.integers(0, len(LISTS.lists)))
def test_one_more_list_never_releases(target: Target, facts: dict[str, Any], kept: int) -> None:
    few = GuardLists([listed(ListKind.BANK, "bank.example")])
    if weigh(target, lists=few, **facts).outcome is Outcome.HOLD:
        own = [ProtectedName(name=f"{n}.example", reason="own", source="test") for n in range(kept)]
        more = GuardLists([listed(ListKind.BANK, "bank.example"), listed(ListKind.TOP_SITE, "ripper.biz", id="more")])
        assert weigh(target, lists=more.joined(own), **facts).outcome is Outcome.HOLD


def _holding(weighed: Proportionality) -> list[tuple[FindingKind, str]]:
    return [(finding.kind, _list_of(finding)) for finding in weighed.findings if finding.holds]


def _list_of(finding: Finding) -> str:
    return finding.source.split(";", maxsplit=1)[0]
