"""The keys of the index are those that players make: pywb's own function is asked where it is installed."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from precinto.wire import cdxj
from precinto.wire.archive import write_warc
from precinto.wire.bodies import Spool
from tests.wire.replay.setup import Missing, environment
from tests.wire.samples import PROVENANCE, Samples, decoded, server

_URLS = (
    "https://ripper.example",
    "https://ripper.example/",
    "http://WWW.Ripper.example:80/Path/",
    "https://www2.ripper.example:443/a//b/./c/../d/",
    "https://ripper.example:8443/a?b=2&a=1&a=0&c&d=",
    "https://ripper.example/?",
    "https://user:secret@ripper.example/x",
    "https://ripper.example/%7Euser/%2541/a%20b?q=%C3%B1%26&z=a+b",
    "https://ripper.example/caf%E9?x=<y>#fragment",
    "https://xn--espaa-rta.example/ma%C3%B1ana",
    "http://192.0.2.7:8080/live/seg1.ts",
    "https://a.b.c.example/watch?v=AbC&list=",
    "https://ripper.example/api?__wb_method=POST&url=https://video.example/watch?v=1&format=mp3",
    "urn:certificate:sha256:00ff",
)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://www.ripper.example/Watch?v=Ab&a=1", "example,ripper)/watch?a=1&v=ab"),
        ("http://ripper.example:8080/x/", "example,ripper:8080)/x"),
        ("https://[broken/", "https://[broken/"),
        ("https://ripper.example:port/", "https://ripper.example:port/"),
        ("https://", "https://"),
    ],
)
def test_a_key_is_the_host_turned_round_and_a_thing_that_is_no_url_is_its_own(url: str, key: str) -> None:
    assert cdxj.search_key(url) == key


def test_keys_are_those_of_the_player(tmp_path: Path) -> None:
    try:
        programs = environment()
    except Missing as missing:
        pytest.skip(str(missing))
    (tmp_path / "urls").write_text(json.dumps(_URLS))
    ask = "import json, sys, surt; print(json.dumps([surt.surt(url) for url in json.load(open(sys.argv[1]))]))"
    asked = subprocess.run([programs / "python", "-c", ask, tmp_path / "urls"], check=True, capture_output=True)
    assert [cdxj.search_key(url) for url in _URLS] == json.loads(asked.stdout)


@pytest.mark.parametrize(
    ("media_type", "body", "query"),
    [
        ("application/x-www-form-urlencoded", b"url=https%3A%2F%2Fv.example%2F&f=mp3", "url=https://v.example/&f=mp3"),
        ("application/x-www-form-urlencoded", b"\xff", "__wb_post_data=/w=="),
        (
            "application/json; charset=utf-8",
            b'{"a":{"b":[1,2.0,true,null]},"c":"x y"}',
            "b=1&b.2_=2&b.3_=true&b.4_=null&c=x+y",
        ),
        ("application/json", b"{", ""),
        ("application/json", b"[" * 100_000, ""),
        ("application/json", b'{"a":' * 900 + b"1" + b"}" * 900, "a=1"),
        ("application/json", b"1" * 10_000, ""),
        ("text/plain", b'{"a":"b"}', "a=b"),
        ("text/plain", b"hello", "__wb_post_data=aGVsbG8="),
        ("application/octet-stream", b"\x00\x01", "__wb_post_data=AAE="),
        ("", b"", ""),
    ],
)
def test_a_body_becomes_a_query(media_type: str, body: bytes, query: str) -> None:
    assert cdxj.body_query(media_type, body) == query


def test_a_long_body_is_cut_in_the_key() -> None:
    assert len(cdxj.body_query("application/octet-stream", bytes(2**20))) == cdxj.QUERY_CHARACTERS


def test_a_url_encoded_over_and_over_takes_no_time() -> None:
    url = "https://evil.example/" + "%25" * 5_000 + "%" + "25" * 50_000
    began = time.process_time()
    cdxj.search_key(url)
    assert time.process_time() - began < 1


def test_the_index_leads_to_each_answer(tmp_path: Path) -> None:
    warc = tmp_path / "capture.warc.gz"
    with Spool() as spool:
        samples = Samples(spool)
        post = samples.exchange(
            "https://ripper.example/api",
            b"{}",
            method="POST",
            request_headers=((b"content-type", b"application/json"),),
            request_body=samples.body(b'{"url":"u"}'),
            headers=((b"content-type", b"Application/JSON ; charset=utf-8"),),
        )
        socket = samples.exchange("wss://ripper.example/live", b"", status=101)
        lost = samples.exchange("https://ripper.example/lost", b"", status=None, incomplete="no key")
        write_warc(
            decoded(post, socket, lost, server_page := samples.exchange(), servers=(server(),)), warc, PROVENANCE
        )
    lines = cdxj.index(warc, "data.warc.gz").decode().splitlines()
    assert lines == sorted(lines)
    entries = [(key, at, json.loads(entry)) for key, at, entry in (line.split(" ", 2) for line in lines)]
    assert [key for key, _, _ in entries][:2] == ["example,ripper)/", "example,ripper)/api?__wb_method=post&url=u"]
    assert [key.split(":")[0] for key, _, _ in entries][2:] == ["urn", "urn"]
    page, api = entries[0], entries[1]
    assert page[1] == "20261125103003"
    assert page[2] == {
        "url": server_page.url,
        "mime": "text/html",
        "status": "200",
        "digest": f"sha256:{server_page.response_body.sha256}",
        "offset": page[2]["offset"],
        "length": page[2]["length"],
        "filename": "data.warc.gz",
    }
    assert (api[2]["method"], api[2]["requestBody"], api[2]["mime"]) == ("POST", "url=u", "Application/JSON")
    member = warc.read_bytes()[int(page[2]["offset"]) :][: int(page[2]["length"])]
    assert member[:2] == b"\x1f\x8b"
