"""RDAP against a registry on a bad day: each failure is the reason of one missing answer, within limits and time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from lab.names import HOSTS
from lab.rdap import write_bootstrap
from precinto.adapters.investigators.reach import Reach
from precinto.adapters.investigators.registration import MAX_ANSWER, Record, Registrations, document
from tests.adapters.https_desk import HttpsDesk, answer, cut, drip, flood, hang, https_desk, status
from tests.adapters.investigators.world import World
from tests.adapters.scripted_dns import finds, scripted_dns

LAB = {53: 53}
"""Any mapping of ports says that this is a lab."""


@pytest.fixture
async def registry(authority: trustme.CA) -> AsyncGenerator[HttpsDesk]:
    """A registry that answers as a test tells it."""
    async with https_desk(authority) as opened:
        yield opened


@pytest.fixture
def asking(registry: HttpsDesk, authority: trustme.CA, tmp_path: Path) -> Registrations:
    """Asks that registry about everything."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "bootstrap").mkdir()
    write_bootstrap(tmp_path / "bootstrap", f"https://{registry.address}/rdap")
    return Registrations(tmp_path / "bootstrap", Reach(["127.0.0.1:53"], LAB, 1.0), tmp_path / "ca.pem")


async def ask(registrations: Registrations, seconds: float = 5.0) -> Record:
    return await registrations.domain("flvto.biz", asyncio.get_running_loop().time() + seconds)


async def test_an_answer_is_kept_byte_for_byte(registry: HttpsDesk, asking: Registrations) -> None:
    body = b'{ "objectClassName" : "domain",\n "ldhName":"FLVTO.BIZ", "n": 1.50 }'
    registry.script.append(status(200, body, "Content-Type: application/rdap+json"))
    record = await ask(asking)
    assert (record.body, record.problem) == (body, None)
    (request,) = registry.requests
    assert (request.method, request.path) == ("GET", "/rdap/domain/flvto.biz")
    assert request.headers["host"] == registry.address
    assert request.headers["accept"].startswith("application/rdap+json")
    (hop,) = record.hops
    assert (hop["status"], hop["address"], hop["size"]) == (200, "127.0.0.1", len(body))
    assert document([record])["questions"][0]["file"] == "rdap-domain.json"


async def test_a_redirect_is_followed_and_each_server_recorded(registry: HttpsDesk, asking: Registrations) -> None:
    registry.script += [status(302, b"", "Location: /elsewhere/domain/flvto.biz"), answer({"ldhName": "flvto.biz"})]
    record = await ask(asking)
    assert record.body is not None
    assert [hop["status"] for hop in record.hops] == [302, 200]


async def test_a_redirect_without_end_is_given_up(registry: HttpsDesk, asking: Registrations) -> None:
    registry.script += [status(301, b"", "Location: /again")] * 9
    record = await ask(asking)
    assert record.problem == "sent on more than 3 times"
    assert len(registry.requests) == 4


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://10.0.0.1/", "10.0.0.1, which is closed"),
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254, which is closed"),
        ("https://[::ffff:192.0.2.1]/", "which is closed"),
        ("file:///etc/passwd", "no plain web address"),
        ("https://user:secret@127.0.0.1/", "no plain web address"),
        ("https://nobody.test/", "does not resolve"),
    ],
)
async def test_a_redirect_goes_only_where_investigations_may(
    registry: HttpsDesk, asking: Registrations, location: str, reason: str
) -> None:
    registry.script.append(status(302, b"", f"Location: {location}"))
    assert reason in str((await ask(asking)).problem)


async def test_outside_the_lab_a_redirect_to_loopback_reaches_nobody(
    registry: HttpsDesk, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    write_bootstrap(tmp_path, f"https://rdap.example:{registry.address.rpartition(':')[2]}/")
    async with scripted_dns(finds("127.0.0.1")) as resolver:
        record = await ask(Registrations(tmp_path, Reach([resolver.address], {}, 1.0), tmp_path / "ca.pem"))
    assert record.problem == "rdap.example is at 127.0.0.1, which is closed: loopback"
    assert registry.requests == []


async def test_the_certificate_must_be_of_the_name_though_the_connection_goes_to_an_address(
    registry: HttpsDesk, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    write_bootstrap(tmp_path, f"https://rdap.example:{registry.address.rpartition(':')[2]}/")
    async with scripted_dns(finds("127.0.0.1")) as resolver:
        record = await ask(Registrations(tmp_path, Reach([resolver.address], LAB, 1.0), tmp_path / "ca.pem"))
    assert "CERTIFICATE_VERIFY_FAILED" in str(record.problem)
    assert registry.requests == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (status(404, b"{}"), "the registry does not know it"),
        (status(500, b"broken"), "answered 500"),
        (status(429, b"", "Retry-After: 9"), "answered 429"),
        (status(302, b""), "answered 302"),
        (status(200, b"<html>not here</html>"), "answered what is no JSON"),
        (status(200, b"[" * 100_000), "answered what is no JSON"),
        (answer(["a", "list"]), "answered JSON that is no object"),
        (flood, f"answered more than {MAX_ANSWER} bytes"),
        (cut, "RemoteProtocolError"),
        (drip, "no whole answer in time"),
        (hang, "no whole answer in time"),
    ],
    ids=["404", "500", "429", "302", "html", "deep", "list", "flood", "cut", "drip", "hang"],
)
async def test_a_registry_that_fails_leaves_a_reason(
    registry: HttpsDesk, asking: Registrations, said: object, reason: str
) -> None:
    registry.script.append(said)  # pyright: ignore[reportArgumentType]
    began = time.monotonic()
    record = await ask(asking, seconds=1.0)
    assert time.monotonic() - began < 2.0
    assert record.body is None
    assert reason in str(record.problem)
    assert document([record])["questions"][0]["file"] is None


async def test_what_no_registry_is_known_for_is_not_asked(registry: HttpsDesk, asking: Registrations) -> None:
    loop = asyncio.get_running_loop()
    record = await asking.domain("example.nowhere", loop.time() + 1)
    assert record.problem == "no server is known for example.nowhere, by the bootstrap files of 2026-11-01"
    record = await asking.address(ip_address("192.0.2.1"), loop.time() + 1)
    assert "no server is known for 192.0.2.1" in str(record.problem)
    assert registry.requests == []


async def test_colons_of_an_address_do_not_get_into_a_files_name(asking: Registrations) -> None:
    record = await asking.address(ip_address("2001:db8::1"), asyncio.get_running_loop().time() + 1)
    assert record.file == "rdap-2001-db8--1.json"


async def test_the_labs_registries_know_every_host_and_its_hoster(world: World) -> None:
    registrations = Registrations(world.bootstrap, Reach([str(world.resolver)], world.ports, 1.0), world.ca)
    deadline = asyncio.get_running_loop().time() + 10
    for host in HOSTS:
        domain = await registrations.domain(host.name, deadline)
        assert json.loads(domain.body or b"{}").get("ldhName") == host.name, domain.problem
        network = await registrations.address(ip_address(host.address), deadline)
        assert json.loads(network.body or b"{}").get("objectClassName") == "ip network", network.problem
