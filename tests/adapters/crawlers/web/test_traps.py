"""What a page tries in order to reach this machine, or the network that it stands in, under the rules of production.

Traps listen at addresses that no capture may reach, on the very ports that captures use; the page itself stands at a
public address. Both are this machine, on an island: so the guard runs as it does outside the lab.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from precinto.adapters.crawlers.web.crawler import WebCrawler
from tests.adapters.crawlers.web.captures import ONLY_OPEN, content, domain, rules, url
from tests.adapters.internet import (
    FORBIDDEN,
    PUBLIC,
    Names,
    Traps,
    Web,
    names,
    on_an_island,
    owned,
    response,
    traps,
    web,
)

pytestmark = pytest.mark.skipif(not on_an_island(), reason="needs an island: root and the program ip")

INSIDE = {f"inside{number}.example.org": (address,) for number, address in enumerate(FORBIDDEN)}

LITERALS = (
    "127.0.0.1", "127.1", "0", "0.0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001",
    "127.0.0.1.", "localhost", "any.localhost", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[fd00:ec2::254]", "[fec0::1]", "169.254.169.254",
    "2852039166", "0xa9fea9fe", "10.0.0.1", "192.168.0.1", "100.64.0.1", "①②⑦.⓪.⓪.①", "[fe80::1]",
)  # fmt: skip
"""Ways to write an address: dotted, as one number, in octal and hexadecimal, mapped, translated, and in disguise."""


@pytest.fixture(scope="module")
async def resolver() -> AsyncGenerator[Names]:
    async with names() as started:
        started.answers |= dict.fromkeys(("example.com", "www.example.com", "example.org"), (PUBLIC,))
        started.answers |= INSIDE
        started.answers["mixed.example.org"] = (PUBLIC, "127.0.0.1")
        started.answers["mixed6.example.org"] = (PUBLIC, "::1")
        yield started


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Web]:
    with owned(PUBLIC):
        async with web(tmp_path_factory.mktemp("public"), PUBLIC, (80, 443, 8443)) as started:
            yield started


@pytest.fixture(scope="module")
async def set_traps() -> AsyncGenerator[Traps]:
    async with traps() as started:
        yield started


@pytest.fixture
async def outside(site: Web, resolver: Names, set_traps: Traps) -> AsyncGenerator[WebCrawler]:
    """A crawler that is in no lab, but for the certificate authority that it trusts."""
    site.pages.clear()
    site.hits.clear()
    set_traps.hits.clear()
    made = WebCrawler(None, [resolver.address], {}, site.ca, timedelta(seconds=60), ONLY_OPEN)
    yield made
    await made.close()


async def test_the_traps_are_set(set_traps: Traps) -> None:
    for address in FORBIDDEN:
        for port in (80, 443):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
    await asyncio.sleep(0.1)
    assert {f"{address} {port}" for address in FORBIDDEN for port in (80, 443)} <= set(set_traps.hits)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_way_of_writing_an_address_leads_inside(
    scheme: str, outside: WebCrawler, site: Web, set_traps: Traps, tmp_path: Path
) -> None:
    places = [*LITERALS, *INSIDE, "mixed.example.org", "mixed6.example.org"]
    addresses = [f"{scheme}://{place}/" for place in places]
    tries = "".join(
        f"try {{ fetch('{one}', {{mode: 'no-cors'}}).catch(() => 0) }} catch {{}}; new Image().src = '{one}';"
        f"try {{ new WebSocket('{one.replace('http', 'ws', 1)}') }} catch {{}};"
        for one in addresses
    )
    site.pages["example.com/"] = response(f"<!doctype html><meta charset=utf-8><h1>here</h1><script>{tries}</script>")
    capture = await outside.capture(url(f"{scheme}://example.com/"), tmp_path)
    assert capture.failure is None
    assert b"<h1>here</h1>" in content(capture, "page.html")
    assert set_traps.hits == []
    port = 80 if scheme == "http" else 443
    refused = rules(capture)
    inside = ["127.0.0.1", "::1", "::ffff:7f00:1", "::7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::",
              "169.254.169.254", "10.0.0.1", *INSIDE, "mixed.example.org", "mixed6.example.org"]  # fmt: skip
    assert {place: refused.get(f"{place}:{port}") for place in inside} == dict.fromkeys(inside, "address")


TRAP = "http://127.0.0.1"
WAYS = {
    "redirect": "<img src=/away><iframe src=/away></iframe>",
    "frames": f"<iframe src={TRAP}></iframe><object data={TRAP}></object><embed src={TRAP}>",
    "media": f"<video src={TRAP} autoplay></video><audio src={TRAP} autoplay></audio>"
    f"<video><track src={TRAP} default></video><picture><source srcset={TRAP}><img></picture>",
    "svg": f"<svg><image href={TRAP} /><use href={TRAP}#a /></svg>",
    "links": "".join(
        f"<link rel={rel} href={TRAP}>"
        for rel in (
            "preconnect",
            "dns-prefetch",
            "prefetch",
            "modulepreload",
            "stylesheet",
            "manifest",
            "icon",
            "'preload' as=script",
            "prerender",
        )
    ),
    "speculation": f'<script type=speculationrules>{{"prefetch": [{{"urls": ["{TRAP}"]}}],'
    f'"prerender": [{{"urls": ["{TRAP}"]}}]}}</script>',
    "style": f"<style>@import '{TRAP}/a.css'; @font-face {{ font-family: f; src: url({TRAP}) }}"
    f"body {{ font-family: f; background: url({TRAP}/b.png) }}</style>text",
    "form": f"<iframe name=to></iframe><form action={TRAP} method=post target=to><input name=a></form>"
    "<script>document.forms[0].submit()</script>",
    "download": f"<iframe name=to></iframe><a id=d href={TRAP} download target=to></a><a id=p href=# ping={TRAP}></a>"
    "<script>d.click(); p.click()</script>",
    "refresh": "<iframe src=/refresh></iframe>",
    "worker": "<script>new Worker('/worker.js'); new SharedWorker('/worker.js')</script>",
    "service worker": "<script>navigator.serviceWorker.register('/service.js')</script>",
    "stream": f"<script>new EventSource('{TRAP}'); navigator.sendBeacon('{TRAP}', 'a');"
    f"fetch('{TRAP}', {{keepalive: true, method: 'POST'}}).catch(() => 0); new XMLHttpRequest().open('GET', '{TRAP}');"
    f"try {{ new WebTransport('https://127.0.0.1:443') }} catch {{}}</script>",
    "webrtc": "<script>for (const to of ['stun:127.0.0.1:80', 'turn:127.0.0.1:443?transport=udp',"
    "'turn:127.0.0.1:80?transport=tcp', 'turns:127.0.0.1:443?transport=tcp', 'stun:[::1]:443']) {"
    "const peer = new RTCPeerConnection({iceServers: [{urls: to, username: 'a', credential: 'b'}]});"
    "peer.createDataChannel('a'); peer.createOffer().then(offer => peer.setLocalDescription(offer)) }</script>",
    "rebinding": "<script>(async () => { for (let i = 0; i < 6; i++) {"
    "await fetch('https://rebind.example.com/?' + i, {mode: 'no-cors', cache: 'no-store'}).catch(() => 0)"
    " } })()</script>",
}


@pytest.mark.parametrize("way", WAYS)
async def test_no_way_of_asking_leads_inside(
    way: str, outside: WebCrawler, site: Web, resolver: Names, set_traps: Traps, tmp_path: Path
) -> None:
    resolver.answers["rebind.example.com"] = [(PUBLIC,), ("127.0.0.1",)]
    ask = f"fetch('{TRAP}', {{mode: 'no-cors'}}).catch(() => 0); try {{ importScripts('{TRAP}') }} catch {{}}"
    script = ("200 OK", "text/javascript")
    site.pages |= {
        "example.com/": response(f"<!doctype html><h1>here</h1>{WAYS[way]}"),
        "example.com/away": response("", "302 Found", "text/html", f"Location: {TRAP}"),
        "example.com/refresh": response(f"<meta http-equiv=refresh content='0;url={TRAP}'>"),
        "example.com/worker.js": response(f"{ask}; new WebSocket('ws://127.0.0.1')", *script),
        "example.com/service.js": response(f"{ask}; self.oninstall = () => {{ {ask} }}", *script),
    }
    capture = await outside.capture(url("https://example.com/"), tmp_path)
    assert b"<h1>here</h1>" in content(capture, "page.html")
    assert set_traps.hits == []
    assert set(capture.addresses) <= {"example.com", "rebind.example.com"}


WAYS_OFF = {
    "redirect": ("", "302 Found", "Location: {to}"),
    "script": ("<script>location = '{to}'</script>", "200 OK", "X-A: b"),
    "later": ("<script>onload = () => location = '{to}'</script>", "200 OK", "X-A: b"),
    "refresh": ("<meta http-equiv=refresh content='0;url={to}'>", "200 OK", "X-A: b"),
}
"""Body, status and a header field of a page that leads elsewhere."""


@pytest.mark.parametrize("way", WAYS_OFF)
@pytest.mark.parametrize(
    ("to", "at", "reason"),
    [
        ("http://169.254.169.254/latest", "http://169.254.169.254/latest", "169.254.169.254 is closed to captures"),
        ("http://[::1]/", "http://[::1]/", "::1 is closed to captures: loopback"),
        ("http://2130706433/", "http://127.0.0.1/", "127.0.0.1 is closed to captures: loopback"),
        ("https://mixed.example.org/", "https://mixed.example.org/", "127.0.0.1 is closed to captures: loopback"),
    ],
    ids=["metadata", "loopback", "number", "name"],
)
async def test_a_site_that_sends_its_visitors_inside_is_a_failure_that_names_the_refusal(
    to: str, at: str, reason: str, way: str, outside: WebCrawler, site: Web, set_traps: Traps, tmp_path: Path
) -> None:
    body, status, field = WAYS_OFF[way]
    site.pages["example.com/"] = response(body.format(to=to), status, "text/html", field.format(to=to))
    capture = await outside.capture(domain("example.com"), tmp_path)
    assert capture.failure is not None
    assert capture.failure.startswith("https://example.com/: net::ERR_")
    assert f" at {at} ({reason}" in capture.failure
    assert [reason in missing.reason for missing in capture.missing if missing.what == at] == [True]
    assert site.hits.count("example.com/") == 1  # what answers over https is not asked again over http
    assert set_traps.hits == []
