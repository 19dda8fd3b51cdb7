"""An investigation in the lab's internet: what each source says is kept, and a source that fails costs only itself."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import dns.message
import pytest

from precinto.domain.evidence import EvidenceItem
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.domain.model import canonical_json
from precinto.domain.proportionality import AddressFact, Question
from precinto.ports import Capture, Investigation, Subject
from tests.adapters.investigators.world import World
from tests.adapters.scripted_dns import scripted_dns

NOTHING_SEEN = Capture(files=(), addresses={}, tools={}, vantage="control")


def subject(host: str) -> Subject:
    return Subject(case="case-1", target=normalise(TargetKind.DOMAIN, host), service=Service.STREAM_RIPPER)


def document(investigation: Investigation, name: str) -> Any:
    """Content of a file that the investigation left."""
    return json.loads(next(file for file in investigation.files if file.name == name).path.read_bytes())


def reasons(investigation: Investigation) -> dict[str, str]:
    return {one.what: one.reason for one in investigation.missing}


async def shown_by(world: World, host: str, address: str) -> dict[str, Any]:
    """What a site shows on a connection of its own, as the wire record's decoder tells it."""
    context = ssl.create_default_context(cafile=world.ca)
    _, writer = await asyncio.open_connection(address, world.ports[443], ssl=context, server_hostname=host)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    chain = [base64.b64encode(der).decode()]
    seen = {"connection": 1, "host": host, "port": 443, "address": address, "chain": chain}
    return seen | {"tls": "TLS 1.3", "cipher": "TLS_AES_256_GCM_SHA384", "alpn": "http/1.1"}


@pytest.fixture(scope="module")
async def found(world: World, tmp_path_factory: pytest.TempPathFactory) -> Investigation:
    folder = tmp_path_factory.mktemp("capture")
    servers = [await shown_by(world, "y2mate.lol", "127.0.1.4")]
    (folder / "certificates.json").write_bytes(canonical_json({"servers": servers}))
    response = {"url": "https://y2mate.lol/", "status": 200, "headers": [["Server", "lab"], ["CF-Ray", "8f"]]}
    (folder / "response.json").write_text(json.dumps(response))
    began = time.monotonic()
    found = await world.investigator().investigate(subject("y2mate.lol"), NOTHING_SEEN, folder)
    sys.stdout.write(f"an investigation took {time.monotonic() - began:.2f} s\n")
    return found


class TestASiteInTheLab:
    def test_the_facts_name_the_file_that_holds_each_answer(self, found: Investigation) -> None:
        facts = found.facts
        assert facts.host == "y2mate.lol"
        assert facts.addresses == (AddressFact(address="127.0.1.4", asn=64500, organisation="Nube Frontera CDN"),)
        assert facts.name_servers == ("ns.precinto.test",)
        assert facts.certificate_names == ("www.y2mate.lol", "y2mate.lol")
        assert facts.headers == (("server", "lab"), ("cf-ray", "8f"))
        assert set(facts.answered) == set(Question) - {Question.NEIGHBOURS, Question.ENDPOINTS}
        kept = {file.name for file in found.files} | {"response.json"}
        assert set(facts.answered.values()) <= kept
        assert document(found, "facts.json") == facts.model_dump(mode="json")

    def test_its_files_may_stand_in_a_bundle(self, found: Investigation) -> None:
        for file in found.files:
            EvidenceItem(name=file.name, media_type=file.media_type, size=file.path.stat().st_size, sha256="0" * 64)

    def test_name_servers_are_asked_and_their_messages_kept_whole(self, found: Investigation) -> None:
        answers = document(found, "dns.json")["answers"]
        asked = {(one["server"]["role"], one["question"]["name"], one["question"]["type"]) for one in answers}
        for role in ("resolver", "authoritative"):
            assert {(role, "y2mate.lol", kind) for kind in ("A", "AAAA", "NS", "SOA", "MX", "TXT", "CAA")} <= asked
            assert (role, "www.y2mate.lol", "A") in asked
        for one in answers:
            message = dns.message.from_wire(bytes.fromhex(one["wire"]))
            assert [f"{r.name} {r.ttl} {line}" for r in message.answer for line in _lines(r)] == one["answer"]

    def test_the_zones_own_server_answers_with_authority_and_without_recursion(self, found: Investigation) -> None:
        answers = document(found, "dns.json")["answers"]
        own = [one for one in answers if one["server"]["role"] == "authoritative"]
        assert {one["server"]["name"] for one in own} == {"ns.precinto.test"}
        assert all("AA" in one["flags"] and "RD" not in one["flags"] for one in own)
        resolved = [one for one in answers if one["server"]["role"] == "resolver"]
        assert all("RA" in one["flags"] and one["edns"]["version"] == 0 for one in resolved)
        assert document(found, "dns.json")["differences"] == []

    def test_the_registries_answers_are_kept_as_they_came(self, found: Investigation) -> None:
        assert document(found, "rdap-domain.json")["ldhName"] == "y2mate.lol"
        assert document(found, "rdap-127.0.1.4.json")["handle"] == "FRONTERA-LAB"
        asked = document(found, "rdap.json")["questions"]
        assert [(one["of"], one["file"], one["problem"]) for one in asked] == [
            ("y2mate.lol", "rdap-domain.json", None),
            ("127.0.1.4", "rdap-127.0.1.4.json", None),
        ]
        assert asked[0]["servers"][0]["status"] == 200

    def test_the_certificate_is_read(self, found: Investigation) -> None:
        tls = document(found, "tls.json")
        (digest,) = tls["connections"][0]["chain"]
        certificate = tls["certificates"][digest]
        assert certificate["names"] == ["www.y2mate.lol", "y2mate.lol"]
        assert "O=Lab" in certificate["issuer"]
        assert certificate["not_before"] < certificate["not_after"]
        assert document(found, "fingerprints.json")["certificate"] == digest
        assert document(found, "fingerprints.json")["public_key"] == certificate["public_key_sha256"]

    def test_what_was_not_asked_and_not_had_is_named(self, found: Investigation) -> None:
        assert set(reasons(found)) == {
            "facts.json: neighbours",
            "fingerprints.json: icon",
            "fingerprints.json: page",
            "fingerprints.json: view",
        }

    def test_the_copies_that_were_looked_up_are_among_the_tools(self, found: Investigation) -> None:
        assert found.tools["copy of the networks"] == "networks of the lab, 2026-11-01"
        assert found.tools["RDAP bootstrap files"] == "2026-11-01"


class TestWhenSourcesFail:
    async def test_a_host_that_does_not_exist_is_an_answer(self, world: World, tmp_path: Path) -> None:
        found = await world.investigator().investigate(subject("nobody.test"), NOTHING_SEEN, tmp_path)
        assert found.facts.addresses == ()
        assert Question.ADDRESSES in found.facts.answered
        assert reasons(found)["dns.json: the zone's own servers"] == "no resolver names any"
        assert reasons(found)["rdap-domain.json"] == "the registry does not know it"

    async def test_silent_resolvers_cost_their_answers_alone(self, world: World, tmp_path: Path) -> None:
        seen = Capture(files=(), addresses={"flvto.biz": ("127.0.1.1",)}, tools={}, vantage="control")
        async with scripted_dns(lambda _: None) as silent:
            asking = world.investigator(silent.address, seconds=3.0)
            began = time.monotonic()
            found = await asking.investigate(subject("flvto.biz"), seen, tmp_path)
            assert time.monotonic() - began < 4.0
        assert Question.ADDRESSES not in found.facts.answered
        assert [one.asn for one in found.facts.addresses] == [64496]  # the visit had been there
        assert document(found, "rdap-domain.json")["ldhName"] == "flvto.biz"
        assert reasons(found)["dns.json: a second resolver"] == "only one control resolver is set"
        assert any(reason.startswith("12 of 12: ") for reason in reasons(found).values())

    async def test_without_copies_nothing_is_looked_up_and_that_is_said(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        bare = World(world.resolver, world.ports, world.ca, tmp_path / "empty", tmp_path / "none")
        found = await bare.investigator().investigate(subject("yout.com"), NOTHING_SEEN, tmp_path)
        assert found.facts.addresses == (AddressFact(address="127.0.1.3", asn=None, organisation=""),)
        assert Question.NETWORKS not in found.facts.answered
        assert "snapshot.toml: cannot be read" in reasons(found)["networks.json"]
        assert "snapshot.toml: cannot be read" in reasons(found)["rdap-domain.json"]

    async def test_a_program_without_a_page_has_no_host_to_ask_about(self, world: World, tmp_path: Path) -> None:
        target = normalise(TargetKind.DESKTOP_APP, "a" * 64)
        app = Subject(case="case-1", target=target, service=Service.OTHER)
        found = await world.investigator().investigate(app, NOTHING_SEEN, tmp_path)
        assert (found.facts.host, found.facts.answered) == (None, {})
        assert reasons(found)["facts.json: endpoints"] == "the app's file was not read"

    async def test_an_app_with_a_page_is_investigated_there(self, world: World, tmp_path: Path) -> None:
        facts = {"kind": "apk", "size": 1, "sha256": "0" * 64, "sha1": "0" * 40, "md5": "0" * 32}
        (tmp_path / "app.json").write_text(json.dumps(facts | {"domains": ["API.example.com", "cdn.example.com"]}))
        target = normalise(TargetKind.MOBILE_APP, "com.example.app")
        app = Subject(case="case-1", target=target, service=Service.OTHER, page="https://y2mate.com/app")
        found = await world.investigator().investigate(app, NOTHING_SEEN, tmp_path)
        assert found.facts.host == "y2mate.com"
        assert found.facts.endpoints == ("api.example.com", "cdn.example.com")
        assert found.facts.answered[Question.ENDPOINTS] == "app.json"

    async def test_a_certificate_that_cannot_be_read_says_so(self, world: World, tmp_path: Path) -> None:
        good = await shown_by(world, "yout.com", "127.0.1.3")
        spoilt = good | {"chain": [base64.b64encode(b"\x30\x82\xff\xff nonsense").decode(), *good["chain"]]}
        (tmp_path / "certificates.json").write_bytes(canonical_json({"servers": [spoilt]}))
        found = await world.investigator().investigate(subject("yout.com"), NOTHING_SEEN, tmp_path)
        tls = document(found, "tls.json")
        bad, rest = (tls["certificates"][digest] for digest in tls["connections"][0]["chain"])
        assert bad["problem"].startswith("ValueError")
        assert rest["names"] == ["www.yout.com", "yout.com"]
        assert found.facts.certificate_names == ()


def _lines(rrset: Any) -> list[str]:
    return [f"{dns.rdatatype.to_text(rrset.rdtype)} {record}" for record in rrset]
