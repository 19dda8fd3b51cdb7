"""The normal form of targets: two spellings of one service meet, two services never do."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from precinto.domain.errors import BadTarget
from precinto.domain.intake import (
    Target,
    TargetKind,
    case_id,
    normalise,
    registrable_domain,
    shared_platform,
)

DOMAIN, URL, MOBILE, DESKTOP = (
    TargetKind.DOMAIN,
    TargetKind.URL,
    TargetKind.MOBILE_APP,
    TargetKind.DESKTOP_APP,
)

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda s: s[2:4] != "--")
HOSTS = st.builds(lambda labels, suffix: ".".join([*labels, suffix]), st.lists(LABEL, min_size=1, max_size=3),
                  st.sampled_from(["com", "pe", "co.uk", "github.io", "example", "xn--p1ai"]))  # fmt: skip


def domain(raw: str) -> str:
    """The value of a domain target."""
    return normalise(DOMAIN, raw).value


def url(raw: str) -> str:
    """The value of a URL target."""
    return normalise(URL, raw).value


class TestDomains:
    """IDNA 2008, lower case, no trailing dot, no ``www.``."""

    @pytest.mark.parametrize(
        "spelling",
        [
            "y2mate.com",
            "Y2MATE.com",
            "  y2mate.com\t",
            "y2mate.com.",
            "www.y2mate.com",
            "WWW.Y2Mate.COM.",
            "y2mate。com",
        ],
    )
    def test_every_spelling_of_a_name_is_one_target(self, spelling: str) -> None:
        assert normalise(DOMAIN, spelling) == Target(
            kind=DOMAIN, value="y2mate.com", host="y2mate.com", registrable="y2mate.com"
        )

    def test_a_sharp_s_is_not_two_s(self) -> None:
        """IDNA 2003 maps straße to strasse: somebody else's domain."""
        assert domain("straße.de") == "xn--strae-oqa.de"
        assert domain("straße.de") != domain("strasse.de")

    @pytest.mark.parametrize(
        ("unicode", "a_label"),
        [
            ("müller.de", "xn--mller-kva.de"),
            ("MÜLLER.de", "xn--mller-kva.de"),
            ("xn--mller-kva.de", "xn--mller-kva.de"),
            ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
            ("música.pe", "xn--msica-7ua.pe"),
            ("mu\u0301sica.pe", "xn--msica-7ua.pe"),  # decomposed
        ],
    )
    def test_unicode_and_a_labels_meet(self, unicode: str, a_label: str) -> None:
        assert domain(unicode) == a_label

    def test_a_name_below_keeps_its_labels(self) -> None:
        target = normalise(DOMAIN, "en.flvto.biz")
        assert (target.value, target.registrable) == ("en.flvto.biz", "flvto.biz")

    def test_every_www_is_taken_off(self) -> None:
        assert domain("www.www.example.com") == "example.com"

    @pytest.mark.parametrize("raw", ["www.com", "www.co.uk", "WWW.github.io"])
    def test_but_not_where_nothing_registrable_would_be_left(self, raw: str) -> None:
        """www.com is somebody's domain."""
        assert domain(raw) == raw.lower()

    def test_a_name_that_begins_with_www_without_a_dot_is_left_alone(self) -> None:
        assert domain("www2.example.com") == "www2.example.com"
        assert domain("wwwexample.com") == "wwwexample.com"

    @pytest.mark.parametrize("raw", ["com", "co.uk", "gob.pe", "github.io", "xn--p1ai.", "\u0440\u0444."])
    def test_a_whole_public_suffix_is_never_a_target(self, raw: str) -> None:
        with pytest.raises(BadTarget, match=r"public suffix|no dot"):
            normalise(DOMAIN, raw)

    def test_a_top_level_domain_that_is_newer_than_the_list_counts_as_one(self) -> None:
        assert registrable_domain("a.ripper.newest") == "ripper.newest"
        assert registrable_domain("newest") is None

    def test_customers_of_a_private_suffix_are_strangers(self) -> None:
        assert registrable_domain("ripper.github.io") == "ripper.github.io"
        assert shared_platform("ripper.github.io") == "github.io"
        assert shared_platform("github.com") is None
        assert shared_platform("y2mate.co.uk") is None

    @pytest.mark.parametrize(
        "raw",
        [
            "192.0.2.1",
            "192.0.2.1.",
            "2001:db8::1",
            "[2001:db8::1]",
            "::ffff:192.0.2.1",
            "\uff11\uff19\uff12.\uff10.\uff12.\uff11",
            "192。0。2。1",
        ],
    )
    def test_an_address_is_never_a_target(self, raw: str) -> None:
        with pytest.raises(BadTarget):
            normalise(DOMAIN, raw)

    @pytest.mark.parametrize(
        "raw", ["0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "192.0.2", "1.2.3.4.5"]
    )
    def test_nor_is_one_in_a_spelling_that_resolvers_take_for_an_address(self, raw: str) -> None:
        with pytest.raises(BadTarget):
            normalise(DOMAIN, raw)

    @pytest.mark.parametrize(
        "raw",
        [
            "",
            "   ",
            ".",
            "..",
            "localhost",
            "y2mate..com",
            ".y2mate.com",
            "-y2mate.com",
            "y2mate-.com",
            "y2 mate.com",
            "y2mate.com:443",
            "https://y2mate.com",
            "y2mate.com/search",
            "user@y2mate.com",
            "*.y2mate.com",
            "y2mate_.com",
            f"{'a' * 64}.com",
            ".".join(["a" * 60] * 5),
            "xn--a.com",
            "y2mate\u200b.com\u0000",
            "a" * 2_001,
        ],
    )
    def test_what_is_not_a_host_name_is_refused(self, raw: str) -> None:
        with pytest.raises(BadTarget):
            normalise(DOMAIN, raw)

    @pytest.mark.parametrize("character", [chr(c) for c in (*range(0x20), 0x7F)])
    def test_control_characters_are_refused(self, character: str) -> None:
        with pytest.raises(BadTarget):
            normalise(DOMAIN, f"y2{character}mate.com")

    def test_the_message_shows_what_was_given(self) -> None:
        with pytest.raises(BadTarget, match=r"'y2mate\.\.com' is not a host name: "):
            normalise(DOMAIN, "y2mate..com")


class TestUrls:
    """A web address keeps its path and query; its host is in normal form."""

    @pytest.mark.parametrize(
        ("raw", "value"),
        [
            ("https://y2mate.com", "https://y2mate.com/"),
            ("HTTPS://Y2Mate.COM/Search?Q=A", "https://y2mate.com/Search?Q=A"),
            ("https://y2mate.com:443/", "https://y2mate.com/"),
            ("http://y2mate.com:80/", "http://y2mate.com/"),
            ("http://y2mate.com:8080/", "http://y2mate.com:8080/"),
            ("https://y2mate.com:80/", "https://y2mate.com:80/"),
            ("https://y2mate.com/a#b", "https://y2mate.com/a"),
            ("https://y2mate.com./", "https://y2mate.com/"),
            ("https://www.y2mate.com/", "https://www.y2mate.com/"),
            ("https://straße.de/x", "https://xn--strae-oqa.de/x"),
        ],
    )
    def test_normal_form(self, raw: str, value: str) -> None:
        assert url(raw) == value

    def test_host_and_registrable_domain(self) -> None:
        target = normalise(URL, "https://cdn.ripper.co.uk/a")
        assert (target.host, target.registrable) == ("cdn.ripper.co.uk", "ripper.co.uk")

    @pytest.mark.parametrize(
        "raw",
        [
            "y2mate.com",
            "//y2mate.com/",
            "ftp://y2mate.com/",
            "javascript:alert(1)",
            "https://",
            "https:///path",
            "https://user@y2mate.com/",
            "https://user:word@y2mate.com/",
            "https://:word@y2mate.com/",
            "https://@y2mate.com/",
            "https://y2mate.com:0x1/",
            "https://y2mate.com:99999/",
            "https://192.0.2.1/",
            "https://[2001:db8::1]/",
            "https://[2001:db8::1",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://localhost/",
            "https://github.io/ripper",  # its host would be blocked whole
            "https://co.uk/",
            "https://y2mate.com\\@other.example/",
        ],
    )
    def test_what_is_not_a_plain_web_address_is_refused(self, raw: str) -> None:
        with pytest.raises(BadTarget):
            normalise(URL, raw)


class TestApplications:
    """Package ids keep their case; a program is its SHA-256."""

    @pytest.mark.parametrize("raw", ["com.example.app", "com.Example.App_2", "org.example.ripper-lite"])
    def test_a_package_id_is_kept_as_it_is(self, raw: str) -> None:
        assert normalise(MOBILE, f" {raw} ") == Target(kind=MOBILE, value=raw)

    @pytest.mark.parametrize(
        "raw",
        [
            "app",
            "1com.example",
            "com..example",
            ".com.example",
            "com.example.",
            "com/example",
            "https://play.example/x",
        ],
    )
    def test_what_is_no_package_id_is_refused(self, raw: str) -> None:
        with pytest.raises(BadTarget, match="not a package or bundle id"):
            normalise(MOBILE, raw)

    def test_a_program_is_its_digest_in_lower_case(self) -> None:
        assert normalise(DESKTOP, "AB" * 32) == Target(kind=DESKTOP, value="ab" * 32)

    @pytest.mark.parametrize("raw", ["ab" * 31, "ab" * 33, "zz" * 32, "ripper.exe"])
    def test_what_is_no_sha256_is_refused(self, raw: str) -> None:
        with pytest.raises(BadTarget, match="not the SHA-256"):
            normalise(DESKTOP, raw)


class TestAlways:
    """What holds for every input."""

    @given(kind=st.sampled_from(TargetKind), raw=st.text(max_size=60) | HOSTS | HOSTS.map("https://{}/a?b=1".format))
    @example(kind=DOMAIN, raw="www.www.example.com")
    @example(kind=DOMAIN, raw="ẞ.de")
    @example(kind=URL, raw="http://y2mate.com:/")
    @example(kind=URL, raw="http://y2mate.com?a")
    def test_a_normal_form_is_its_own_normal_form_or_the_input_is_refused(self, kind: TargetKind, raw: str) -> None:
        try:
            target = normalise(kind, raw)
        except BadTarget:
            return
        assert normalise(kind, target.value) == target

    @given(host=HOSTS)
    def test_case_dot_and_www_make_no_difference(self, host: str) -> None:
        assume(registrable_domain(host) is not None and not host.startswith("www."))
        assert domain(host.upper()) == domain(f"{host}.") == domain(f"www.{host}") == host

    @given(host=HOSTS)
    def test_a_target_is_never_a_public_suffix_nor_unprintable(self, host: str) -> None:
        try:
            target = normalise(DOMAIN, host)
        except BadTarget:
            return
        assert target.registrable is not None
        assert set(target.value) <= set(string.ascii_lowercase + string.digits + "-.")


class TestCaseId:
    """The name of a case is derived, so that the same referral names the same case everywhere."""

    def test_same_target_same_id(self) -> None:
        assert case_id(normalise(DOMAIN, "WWW.Y2mate.com."), 1) == case_id(normalise(DOMAIN, "y2mate.com"), 1)
        assert case_id(normalise(DOMAIN, "y2mate.com"), 1) == "ws5ksqpoov-1"

    def test_another_ordinal_is_another_case_about_the_same_target(self) -> None:
        target = normalise(DOMAIN, "y2mate.com")
        assert case_id(target, 2) == case_id(target, 1).removesuffix("1") + "2"

    def test_the_kind_counts(self) -> None:
        """A domain and a package id of the same spelling are two services."""
        names = {case_id(normalise(kind, "com.example.app"), 1) for kind in (DOMAIN, MOBILE)}
        assert len(names) == 2

    @given(one=HOSTS, other=HOSTS, ordinal=st.integers(1, 1000))
    def test_two_targets_never_share_an_id(self, one: str, other: str, ordinal: int) -> None:
        targets = [Target(kind=DOMAIN, value=value) for value in (one, other)]
        assert (case_id(targets[0], ordinal) == case_id(targets[1], ordinal)) == (one == other)
