"""Reading a page: what a browser wrote is understood, and no page keeps the reader busy."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.adapters.investigators.page import LINKS, PATHS, TRACKERS, read_page
from precinto.domain.fingerprints import LONGEST_TITLE

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Y2Mate &amp; friends -
  free</title><link rel="shortcut icon" href="/img/logo.ico?a=1&amp;b=2"><link rel="stylesheet" href="/style.css">
<script>document.write("<p>not a tag</p>"); ym(12345678, "init"); fbq('init', '123456789012345');</script>
<script src="https://www.googletagmanager.com/gtag/js?id=G-ABCDE12345"></script>
<script>_Hasync.push(['Histats.start', '1,4321234,4,0,0,0,00010000']); ga('create', 'UA-1234567-2')</script></head>
<body><!-- <h1>not a tag either</h1> --><main><section><h1>Convert</h1><p>text<br>more</p></section>
<ul><li><a href="https://ads.partner.co.uk/x">ad</a></li><li><a href="//cdn.y2mate.com/a.js">own</a></li></ul></main>
<ins data-ad-client="ca-pub-1234567890123456"></ins><form action="https://pay.example.org/"></form>
<a href="http://127.0.0.1/">no</a><a href="mailto:x@y.test">no</a><a href="http://[bad/">no</a></body></html>"""


def test_a_page_is_read_as_the_browser_wrote_it() -> None:
    page = read_page(PAGE)
    assert page.title == "Y2Mate & friends - free"
    assert page.trackers == (
        "adsense:1234567890123456",
        "facebook:123456789012345",
        "google-analytics-4:ABCDE12345",
        "google-analytics:1234567-2",
        "histats:4321234",
        "yandex-metrika:12345678",
    )
    assert page.links == ("example.org", "googletagmanager.com", "partner.co.uk", "y2mate.com")
    assert page.icons == ["/img/logo.ico?a=1&b=2"]
    assert "html/body/main/section/h1" in page.paths
    assert "body/main/section/p/br" in page.paths
    assert not any("script/p" in path or path.endswith("body/h1") for path in page.paths)


def test_a_path_is_its_last_tags_only() -> None:
    """One more wrapper at the top, as a copy often has, leaves most paths as they were."""
    page = "<section><ul><li><p>x</p></li></ul></section>"
    wrapped = read_page(f"<html><body><div><div>{page}</div></div></body></html>").paths
    assert "div/section/ul/li/p" in wrapped & read_page(f"<html><body><div>{page}</div></body></html>").paths


def test_a_picture_in_the_page_does_not_name_it() -> None:
    assert read_page("<svg><title>an icon</title></svg><title>the page</title>").title == "the page"


@pytest.mark.parametrize(
    "hostile",
    [
        "<" * 2_000_000,
        "<a " * 700_000,
        "<!--" * 500_000,
        "<script>" * 300_000,
        "</p>" * 500_000,
        "<div>" * 400_000,
        '<a href="' * 250_000,
        "ym(" * 700_000,
        "UA-1" * 500_000,
        "Histats.start'   ,   '1,   " * 80_000,
        "<title>" + "&#" * 1_000_000,
        "<a href='//x'>" + "a" * 2_000_000,
    ],
    ids=lambda text: text[:14],
)
def test_no_page_keeps_the_reader_busy(hostile: str) -> None:
    began = time.monotonic()
    read_page(hostile)
    assert time.monotonic() - began < 3.0


def test_what_is_kept_of_a_page_is_bounded() -> None:
    links = "".join(f'<a href="http://h{n}.example{n}.com/">x</a>' for n in range(2_000))
    counters = "".join(f"UA-{n}-1 " for n in range(10_000, 20_000))
    paths = "".join(f"<x{n}></x{n}>" for n in range(10_000))
    page = read_page(f"<title>{'t' * 9_000}</title>{links}{counters}{paths}")
    assert len(page.title) == LONGEST_TITLE
    assert len(page.links) <= LINKS + 1
    assert len(page.trackers) <= TRACKERS
    assert len(page.paths) <= PATHS


@given(st.text(alphabet="<>/!-\"'= abcdivpscrtle&;#\n", max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    page = read_page(text)
    assert all(0 < len(path.split("/")) <= 5 for path in page.paths)
