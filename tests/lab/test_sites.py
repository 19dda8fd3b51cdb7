"""The sites as visitors meet them: certificates, the converter's whole way, mirrors, neighbours, the sinkhole."""

from __future__ import annotations

import asyncio
import io
import re
import ssl
import wave

import httpx
import pytest

from lab.lab import Lab
from lab.names import HOSTS, SINKHOLE_ADDRESS, Kind, host_of
from lab.web import Request
from tests.lab.notices import until
from tests.lab.visitor import Visitor

PAGES = [host for host in HOSTS if host.kind is not Kind.SINKHOLE]
RIPPERS = [host.name for host in HOSTS if host.kind is Kind.RIPPER]


@pytest.mark.parametrize("name", [host.name for host in PAGES])
async def test_each_host_has_a_certificate_and_a_page_of_its_own(visitor: Visitor, name: str) -> None:
    for url in (f"https://{name}/", f"https://www.{name}/"):
        page = await visitor.get(url)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "<title>" in page.text
    for asset, media_type in (("style.css", "text/css; charset=utf-8"), ("logo.svg", "image/svg+xml")):
        assert (await visitor.get(f"https://{name}/{asset}")).headers["content-type"] == media_type


async def test_a_stranger_does_not_trust_the_lab(lab: Lab) -> None:
    async with httpx.AsyncClient(verify=ssl.create_default_context(), trust_env=False) as stranger:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.get(f"https://127.0.1.1:{lab.ports[443]}/", extensions={"sni_hostname": "flvto.biz"})


async def test_the_chain_holds_the_root(lab: Lab) -> None:
    """A browser that is told the root's key alone looks for it in the chain that the server sends."""
    context = ssl.create_default_context(cafile=str(lab.ca))
    _, writer = await asyncio.open_connection("127.0.1.1", lab.ports[443], ssl=context, server_hostname="flvto.biz")
    connection = writer.get_extra_info("ssl_object")._sslobj  # public from Python 3.13 on
    sent = [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in connection.get_unverified_chain()]
    writer.close()
    (root,) = context.get_ca_certs(binary_form=True)
    assert sent[-1] == root
    assert len(sent) == 2


async def test_converters_send_plain_http_to_https(visitor: Visitor) -> None:
    moved = await visitor.get("http://y2mate.com/?from=ad")
    assert (moved.status_code, moved.headers["location"]) == (301, "https://y2mate.com/?from=ad")
    assert (await visitor.get("http://panaderia.test/")).status_code == 200


@pytest.mark.parametrize("name", RIPPERS)
async def test_a_link_becomes_a_sound_file(visitor: Visitor, name: str) -> None:
    """Paste a link, convert, wait, download: the whole way that a capture has to show."""
    site = f"https://{name}"
    accepted = await visitor.post(f"{site}/convert", link="https://video.test/watch?v=1", format="wav")
    assert accepted.status_code == 303
    progress = site + accepted.headers["location"]
    page = await visitor.get(progress)
    assert "https://video.test/watch?v=1" in page.text

    async def done() -> bool:
        return (await visitor.get(f"{progress}.json")).json()["percent"] == 100

    early = await visitor.get(f"{progress.replace('progress', 'download')}.wav")
    assert early.status_code == 404
    await until(done)
    (link,) = re.findall(r'href="(/download/[^"]+)"', (await visitor.get(progress)).text)
    assert (await visitor.get(f"{progress}.json")).json()["download"] == link
    sound = await visitor.get(site + link)
    assert sound.headers["content-type"] == "audio/wav"
    assert sound.headers["content-disposition"].startswith("attachment")
    with wave.open(io.BytesIO(sound.content)) as file:
        assert (file.getnframes() / file.getframerate(), file.getsampwidth()) == (1.0, 2)
        assert any(file.readframes(100))


@pytest.mark.parametrize("link", ["", "nonsense", "javascript:alert(1)", "http://[", "https://", "x" * 2000])
async def test_what_is_no_link_is_refused_on_the_page(visitor: Visitor, link: str) -> None:
    refused = await visitor.post("https://yout.com/convert", link=link)
    assert refused.status_code == 400
    assert "not the link of a video" in refused.text


async def test_what_a_visitor_typed_comes_back_as_text(visitor: Visitor) -> None:
    link = "https://video.test/?q=<script>alert(1)</script>"
    accepted = await visitor.post("https://yout.com/convert", link=link)
    page = await visitor.get("https://yout.com" + accepted.headers["location"])
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


async def test_the_consent_banner_goes_when_it_is_answered(visitor: Visitor) -> None:
    assert 'class="consent"' in (await visitor.get("https://flvto.biz/")).text
    answered = await visitor.post("https://flvto.biz/consent", choice="reject")
    assert answered.headers["set-cookie"].startswith("consent=reject;")
    later = await visitor.get("https://flvto.biz/", headers={"Cookie": "consent=reject"})
    assert 'class="consent"' not in later.text


async def test_a_mirror_shows_what_its_brand_shows(visitor: Visitor) -> None:
    original = (await visitor.get("https://y2mate.com/")).text
    assert (await visitor.get("https://y2mate.lol/")).text == original
    assert (await visitor.get("https://flvto.biz/")).text != original


async def test_the_neighbours_of_a_pirate_are_lawful(visitor: Visitor) -> None:
    """Three hosts on one address: who blocks the address blocks a bookshop and a bakery."""
    titles = {
        (await visitor.get(f"https://{name}/")).text.split("</title>")[0]
        for name in ("libreria.test", "panaderia.test")
    }
    assert len(titles) == 2
    pirate, bookshop = host_of("pirate-on-shared.test"), host_of("libreria.test")
    assert pirate is not None
    assert bookshop is not None
    assert pirate.address == bookshop.address


async def test_a_name_at_a_wrong_address_is_not_served(visitor: Visitor) -> None:
    assert (await visitor.get("https://flvto.biz/", address="127.0.1.2")).status_code == 421


async def test_the_sinkhole_answers_for_every_name(visitor: Visitor) -> None:
    for name in ("flvto.biz", "tramites.gob.pe"):
        shown = await visitor.get(f"http://{name}/anything", address=SINKHOLE_ADDRESS)
        assert shown.status_code == 451
        assert shown.headers["link"] == '<https://sinkhole.test/>; rel="blocked-by"'
        assert name in shown.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/progress/0123456789abcdef", 404),
        ("GET", "/live/segment-0.ts", 404),
        ("POST", "/nothing", 404),
        ("DELETE", "/", 405),
        ("HEAD", "/", 200),
    ],
)
async def test_other_requests_get_a_plain_answer(visitor: Visitor, method: str, path: str, status: int) -> None:
    answer = await visitor.request(method, f"https://flvto.biz{path}")
    assert answer.status_code == status


def test_a_form_with_too_many_fields_is_refused() -> None:
    from lab.web import BadRequest

    body = "&".join(f"a{n}=1" for n in range(1000)).encode()
    request = Request("POST", "/convert", "", "flvto.biz", {}, body, "127.0.1.1", secure=True)
    with pytest.raises(BadRequest):
        request.form()
