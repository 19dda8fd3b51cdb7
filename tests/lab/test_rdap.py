"""The lab's registries: what is registered is told, in the protocol's own words; what is not, is not."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import httpx
import pytest

from lab.hosters import HOSTERS, hoster_of
from lab.names import HOSTS
from lab.ports import PortBook
from lab.rdap import MEDIA_TYPE, answer
from lab.web import WebServer


@pytest.fixture
async def registry() -> AsyncGenerator[str]:
    """Base address of the registries."""
    book, server = PortBook(), WebServer(answer)
    port = book.take("127.0.0.1")
    await server.listen(["127.0.0.1"], port)
    yield f"http://127.0.0.1:{port}"
    await server.stop()
    book.release()


async def ask(url: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, url)


async def test_a_domain_is_told_with_its_registrar_and_name_servers(registry: str) -> None:
    reply = await ask(f"{registry}/domain/FLVTO.biz")
    assert (reply.status_code, reply.headers["content-type"]) == (200, MEDIA_TYPE)
    domain = reply.json()
    assert (domain["objectClassName"], domain["ldhName"]) == ("domain", "flvto.biz")
    assert domain["nameservers"][0]["ldhName"] == "ns.precinto.test"
    assert domain["entities"][0]["roles"] == ["registrar"]


async def test_an_address_is_told_with_its_hosters_block(registry: str) -> None:
    network = (await ask(f"{registry}/ip/127.0.1.6")).json()
    assert (network["startAddress"], network["endAddress"]) == ("127.0.1.5", "127.0.1.6")
    assert "Hospedaje Compartido Lima" in json.dumps(network)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/domain/example.com", 404),
        ("/domain/www.flvto.biz", 404),
        ("/ip/192.0.2.1", 404),
        ("/ip/::1", 404),
        ("/ip/nonsense", 404),
        ("/entity/x", 400),
        ("/", 400),
    ],
)
async def test_anything_else_is_an_error_of_the_protocol(registry: str, path: str, status: int) -> None:
    reply = await ask(f"{registry}{path}")
    assert (reply.status_code, reply.json()["errorCode"]) == (status, status)


async def test_only_questions_are_answered(registry: str) -> None:
    assert (await ask(f"{registry}/domain/flvto.biz", "DELETE")).status_code == 405


def test_every_host_of_the_lab_is_in_somebodys_network() -> None:
    assert all(hoster_of(host.address) for host in HOSTS)
    assert hoster_of("127.0.2.1") is None
    assert len({hoster.asn for hoster in HOSTERS}) == len(HOSTERS)
