"""The bootstrap files: the longest name and the narrowest block decide; a file that is none is refused."""

from __future__ import annotations

import json
from datetime import date
from ipaddress import ip_address
from pathlib import Path

import pytest

from precinto.adapters.investigators.bootstrap import SHIPPED, Bootstrap
from precinto.adapters.investigators.snapshot import write_snapshot
from precinto.domain.errors import BadInput

FILES = {
    "dns.json": [[["example", "COM"], ["http://a.test/rdap", "https://b.test/rdap"]], [["co.example"], ["https://c.test/"]]],
    "ipv4.json": [[["192.0.0.0/8"], ["https://wide.test/"]], [["192.0.2.0/24"], ["https://narrow.test/"]]],
    "ipv6.json": [[["2001:db8::/32"], ["https://six.test/"]]],
}  # fmt: skip


def bootstrap(folder: Path, **contents: object) -> Bootstrap:
    """A copy; ``dns`` and the like replace the content of a file."""
    for name, services in FILES.items():
        registry = {"version": "1.0", "publication": "2026-01-01T00:00:00Z", "services": services}
        (folder / name).write_text(json.dumps(contents.get(name.partition(".")[0], registry)))
    write_snapshot(folder, "bootstrap files", "a test", "none", date(2026, 1, 1), FILES)
    return Bootstrap(folder)


def test_the_longest_name_decides_and_https_comes_first(tmp_path: Path) -> None:
    known = bootstrap(tmp_path)
    assert known.for_domain("shop.EXAMPLE") == ("https://b.test/rdap/", "http://a.test/rdap/")
    assert known.for_domain("shop.co.example") == ("https://c.test/",)
    assert known.for_domain("flvto.com") == ("https://b.test/rdap/", "http://a.test/rdap/")
    assert known.for_domain("notexample") == known.for_domain("flvto.biz") == ()


def test_the_narrowest_block_decides(tmp_path: Path) -> None:
    known = bootstrap(tmp_path)
    assert known.for_address(ip_address("192.0.2.9")) == ("https://narrow.test/",)
    assert known.for_address(ip_address("192.0.3.9")) == ("https://wide.test/",)
    assert known.for_address(ip_address("2001:db8::1")) == ("https://six.test/",)
    assert known.for_address(ip_address("198.51.100.1")) == ()


@pytest.mark.parametrize(
    "content",
    ["nonsense", {"version": "2.0", "publication": "", "services": []}, {"version": "1.0", "services": [[["a"]]]}],
)
def test_what_is_no_bootstrap_file_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(BadInput, match=r"dns\.json: is no bootstrap file of RFC 9224"):
        bootstrap(tmp_path, dns=content)


def test_a_block_that_is_none_is_named(tmp_path: Path) -> None:
    wrong = {"version": "1.0", "publication": "", "services": [[["192.0.2.1/24"], ["https://a.test/"]]]}
    with pytest.raises(BadInput, match=r"ipv4\.json: 192\.0\.2\.1/24"):
        bootstrap(tmp_path, ipv4=wrong)


def test_the_copy_that_is_shipped_is_what_it_says_and_knows_where_to_ask() -> None:
    known = Bootstrap(SHIPPED)
    assert known.dated >= date(2026, 7, 23)
    assert known.for_domain("y2mate.com") == ("https://rdap.verisign.com/com/v1/",)
    assert known.for_address(ip_address("200.60.0.1")) == ("https://rdap.lacnic.net/rdap/",)
    assert known.for_address(ip_address("127.0.0.1")) == known.for_address(ip_address("10.0.0.1")) == ()
