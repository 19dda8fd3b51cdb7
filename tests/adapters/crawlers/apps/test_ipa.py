"""What is read out of an IPA: a real archive with real property lists and a real signed profile, made here."""

from __future__ import annotations

import plistlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from precinto.adapters.crawlers.apps.analysis import analyse
from precinto.domain.apps import AppFacts, AppKind
from tests.adapters.crawlers.apps.tampering import with_members, zipped

APP = "Payload/Pelotazo.app/"
INFO = {
    "CFBundleIdentifier": "test.pelotazo.app",
    "CFBundleDisplayName": "Pelotazo TV",
    "CFBundleShortVersionString": "3.2",
    "CFBundleVersion": "321",
    "MinimumOSVersion": "15.0",
    "CFBundleExecutable": "Pelotazo",
    "CFBundleURLTypes": [{"CFBundleURLSchemes": ["pelotazo", "plz"]}],
}
PROFILE: dict[str, Any] = {
    "Name": "Pelotazo In House",
    "TeamName": "Pelotazo Ltd",
    "TeamIdentifier": ["A1B2C3D4E5"],
    "ExpirationDate": datetime(2027, 3, 1, 12, 0, 0),  # noqa: DTZ001 - property lists have no time zone
    "ProvisionsAllDevices": True,
    "Entitlements": {
        "application-identifier": "A1B2C3D4E5.test.pelotazo.app",
        "com.apple.developer.associated-domains": ["applinks:pelotazo.test"],
        "get-task-allow": False,
    },
}


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``key.pem`` and ``certificate.pem``."""
    folder = tmp_path_factory.mktemp("signer")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=Profiles -days 30 -keyout key.pem -out certificate.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


def certificate(signer: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((signer / "certificate.pem").read_bytes())


def signed(content: bytes, signer: Path) -> bytes:
    command = "openssl cms -sign -nodetach -binary -outform DER -inkey key.pem -signer certificate.pem"
    return subprocess.run(command.split(), cwd=signer, input=content, capture_output=True, check=True).stdout


async def read(folder: Path, *members: tuple[str, bytes]) -> AppFacts:
    path = folder / "file.bin"
    path.write_bytes(zipped(*members))
    return await analyse(path)


@pytest.mark.parametrize("form", [plistlib.FMT_BINARY, plistlib.FMT_XML])
async def test_the_property_list_is_read_in_both_forms(tmp_path: Path, form: plistlib.PlistFormat) -> None:
    program = b"\xcf\xfa\xed\xfe https://api.pelotazo.test/v1/channels \0"
    facts = await read(tmp_path, (f"{APP}Info.plist", plistlib.dumps(INFO, fmt=form)), (f"{APP}Pelotazo", program))
    assert (facts.kind, facts.identity, facts.problems) == (AppKind.IPA, "test.pelotazo.app", ())
    app = facts.ios
    assert app is not None
    assert (app.name, app.version, app.build, app.minimum_os) == ("Pelotazo TV", "3.2", "321", "15.0")
    assert app.url_schemes == ("pelotazo", "plz")
    assert (app.team, app.profile_name, app.all_devices) == (None, None, None)
    assert [(part.name, part.size) for part in facts.parts] == [(f"{APP}Pelotazo", len(program))]
    assert "https://api.pelotazo.test/v1/channels" in facts.urls
    assert "api.pelotazo.test" in facts.domains


async def test_the_profile_says_whose_it_is_and_what_it_may(tmp_path: Path, signer: Path) -> None:
    own = certificate(signer).public_bytes(Encoding.DER)
    profile = signed(plistlib.dumps({**PROFILE, "DeveloperCertificates": [own]}), signer)
    facts = await read(
        tmp_path, (f"{APP}Info.plist", plistlib.dumps(INFO)), (f"{APP}embedded.mobileprovision", profile)
    )
    app = facts.ios
    assert app is not None
    assert (app.team, app.profile_name) == ("Pelotazo Ltd A1B2C3D4E5", "Pelotazo In House")
    assert app.profile_expires == datetime(2027, 3, 1, 12, tzinfo=UTC)
    assert (app.all_devices, app.domains) == (True, ("applinks:pelotazo.test",))
    assert app.entitlements["get-task-allow"] == "false"
    assert [(one.found_in, one.signer) for one in facts.certificates] == [("profile signer", True), ("profile", False)]
    assert {one.subject for one in facts.certificates} == {"Common Name: Profiles"}


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (b"no signature at all", "embedded.mobileprovision: "),
        (b"\x30\x84\xff\xff\xff\xff", "embedded.mobileprovision: "),
    ],
)
async def test_a_broken_profile_costs_only_what_it_would_say(tmp_path: Path, profile: bytes, reason: str) -> None:
    facts = await read(
        tmp_path, (f"{APP}Info.plist", plistlib.dumps(INFO)), (f"{APP}embedded.mobileprovision", profile)
    )
    assert facts.identity == "test.pelotazo.app"
    (problem,) = facts.problems
    assert problem.reason.startswith(reason)


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (bytes(200 << 20), f"BadArchive: {APP}Info.plist: more than {4 * 2**20} bytes"),
        (b"<plist>" * 100_000, "BadArchive: Info.plist is no property list"),
        (b"bplist00" + bytes(40), "BadArchive: Info.plist is no property list"),
        (plistlib.dumps(["a list"]), "BadArchive: Info.plist holds no dictionary"),
        (
            b'<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><plist><string>&b;'
            b"</string></plist>",
            "BadArchive: Info.plist is no property list",
        ),
    ],
    ids=["without end", "deep", "torn", "a list", "entities"],
)
async def test_a_hostile_property_list_is_a_problem(tmp_path: Path, info: bytes, reason: str) -> None:
    facts = await read(tmp_path, (f"{APP}Info.plist", info))
    assert (facts.kind, facts.identity) == (AppKind.IPA, None)
    assert any(problem.reason.startswith(reason) for problem in facts.problems)


async def test_names_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    outside = tmp_path / "outside"
    members = (f"../{outside.name}", b"x"), (f"{APP}Info.plist", plistlib.dumps(INFO)), ("/etc/x", b""), ("C:\\x", b"")
    path.write_bytes(with_members(b"", *members))
    facts = await analyse(path)
    assert facts.identity == "test.pelotazo.app"
    assert facts.oddities == (f"has a name that leads out of the archive: ../{outside.name}, /etc/x, C:\\x",)
    assert sorted(tmp_path.iterdir()) == [path]
