"""What is read out of Windows programs and installers: real ones, altered ones, broken ones."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from precinto.adapters.crawlers.apps.analysis import analyse
from precinto.domain.apps import AppFacts, AppKind

with_osslsigncode = pytest.mark.skipif(shutil.which("osslsigncode") is None, reason="osslsigncode is not installed")


async def read(folder: Path, content: bytes) -> AppFacts:
    path = folder / "file.bin"
    path.write_bytes(content)
    return await analyse(path)


def _run(command: str, folder: Path) -> None:
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


class TestAProgram:
    async def test_headers_sections_and_signer_are_told(self, signed_exe: Path) -> None:
        facts = await analyse(signed_exe)
        program = facts.program
        assert program is not None
        assert (facts.kind, program.machine) == (AppKind.PE, "IMAGE_FILE_MACHINE_I386")
        assert (program.imphash, program.linked_at) == ("afdf77bf2623a742a1766aec78d04484", None)
        assert (program.authenticode, program.overlay) == (True, 0)
        assert [part.name for part in facts.parts] == [".text", ".rdata", ".buildid", ".data", ".tls", ".reloc"]
        (signer,) = [one for one in facts.certificates if one.signer]
        assert signer.subject.startswith("Common Name: WireGuard LLC")
        assert signer.sha256 == "c9e1b3127c2f1312056d49a93ac4bd700393fd323d2bf3b2235aff52bea8d136"
        assert facts.tools["pefile"]
        assert facts.problems == ()

    async def test_the_version_resource_is_told(self, forms_exe: Path) -> None:
        program = (await analyse(forms_exe)).program
        assert program is not None
        assert program.version["OriginalFilename"] == "WindowsFormsApplication1.exe"
        assert program.version["LegalCopyright"] == "Copyright \u00a9  2017"
        assert program.linked_at == datetime(2017, 2, 23, 5, 30, 44, tzinfo=UTC)

    @with_osslsigncode
    async def test_a_program_that_was_altered_after_it_was_signed_is_told(
        self, signed_exe: Path, tmp_path: Path
    ) -> None:
        whole = signed_exe.read_bytes()
        altered = whole[:0x800] + bytes([whole[0x800] ^ 1]) + whole[0x801:]
        verdicts = [(await read(tmp_path, content)).program for content in (whole, altered)]
        assert [program.intact for program in verdicts if program] == [True, False]

    async def test_what_hangs_behind_is_measured_and_searched(self, signed_exe: Path, tmp_path: Path) -> None:
        behind = b"x" * 5_000 + "https://update.pirata.test/feed".encode("utf-16-le") + b"\0\0"
        facts = await read(tmp_path, signed_exe.read_bytes() + behind)
        assert facts.program is not None
        assert facts.program.overlay == len(behind)
        assert "https://update.pirata.test/feed" in facts.urls

    @pytest.mark.parametrize(
        ("where", "content"),
        [(0x3C, b"\xff\xff\xff\x7f"), (0x3C, b"\x40\0\0\0")],
    )
    async def test_what_only_begins_like_a_program_is_none(
        self, signed_exe: Path, tmp_path: Path, where: int, content: bytes
    ) -> None:
        whole = signed_exe.read_bytes()
        facts = await read(tmp_path, whole[:where] + content + whole[where + len(content) :])
        assert (facts.kind, facts.program) == (AppKind.OTHER, None)

    async def test_a_program_that_is_cut_off_is_a_problem(self, signed_exe: Path, tmp_path: Path) -> None:
        facts = await read(tmp_path, signed_exe.read_bytes()[:200])
        assert facts.kind is AppKind.PE
        assert [problem.reader for problem in facts.problems] == ["program"]

    async def test_a_signature_that_is_none_costs_only_its_certificates(
        self, signed_exe: Path, tmp_path: Path
    ) -> None:
        whole = signed_exe.read_bytes()
        table = 10_752  # where the certificate table begins
        facts = await read(tmp_path, whole[: table + 8] + bytes(len(whole) - table - 8))
        assert facts.program is not None
        assert (facts.program.authenticode, facts.certificates) == (True, ())
        assert any("the embedded signature" in problem.reason for problem in facts.problems)


class TestAnInstaller:
    async def test_the_property_table_is_told(self, msi: Path) -> None:
        facts = await analyse(msi)
        assert facts.kind is AppKind.MSI
        installer = facts.installer
        assert installer is not None
        assert installer.product_code == "{01D48E5F-8885-47C2-8D89-793CFC9DE165}"
        assert installer.upgrade_code == "{A9C9A3FB-AF3C-4A5C-9818-BC9BE1EDCD51}"
        assert (installer.manufacturer, installer.name, installer.version) == ("dummy", "dummy", "1.0.0")
        assert installer.signed is False
        assert set(facts.tools) == {"olefile"}

    @pytest.mark.skipif(shutil.which("wixl") is None, reason="wixl is not installed")
    async def test_one_of_another_make_in_another_code_page(self, tmp_path: Path) -> None:
        source = tmp_path / "pelotazo.wxs"
        source.write_text(
            '<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi"><Product Id="*" Language="1033" Codepage="65001" '
            'Name="Pelotazo Señal" Version="4.5.6" Manufacturer="Compañía Ñandú" '
            'UpgradeCode="A9C9A3FB-AF3C-4A5C-9818-BC9BE1EDCD52"><Package Compressed="yes"/>'
            '<Directory Id="TARGETDIR" Name="SourceDir"/></Product></Wix>'
        )
        _run("wixl -o made.msi pelotazo.wxs", tmp_path)
        installer = (await analyse(tmp_path / "made.msi")).installer
        assert installer is not None
        assert (installer.name, installer.manufacturer) == ("Pelotazo Señal", "Compañía Ñandú")
        assert (installer.version, installer.upgrade_code) == ("4.5.6", "{A9C9A3FB-AF3C-4A5C-9818-BC9BE1EDCD52}")

    @with_osslsigncode
    async def test_a_signed_installer_names_its_signer(self, msi: Path, tmp_path: Path) -> None:
        for command in (
            "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=Pelotazo -days 30 -keyout key.pem -out own.pem",
            f"osslsigncode sign -certs own.pem -key key.pem -in {msi} -out signed.msi",
        ):
            _run(command, tmp_path)
        facts = await analyse(tmp_path / "signed.msi")
        assert facts.installer is not None
        assert facts.installer.signed is True
        (certificate,) = facts.certificates
        assert (certificate.subject, certificate.found_in) == ("Common Name: Pelotazo", "msi")
        assert certificate.signer is True

    async def test_an_installer_that_is_cut_off_is_a_problem(self, msi: Path, tmp_path: Path) -> None:
        facts = await read(tmp_path, msi.read_bytes()[:6_000])
        assert facts.installer is None
        assert facts.problems != ()


async def test_a_package_of_the_windows_store_is_recognised(appx: Path) -> None:
    facts = await analyse(appx)
    assert (facts.kind, facts.problems) == (AppKind.APPX, ())
    assert "www.microsoft.com" in facts.domains


async def test_any_other_file_has_its_digests_and_its_addresses(tmp_path: Path) -> None:
    facts = await read(tmp_path, b"#!/bin/sh\ncurl -O https://descargas.pirata.test/app.run\n")
    assert (facts.kind, facts.domains) == (AppKind.OTHER, ("descargas.pirata.test",))
    assert facts.urls == ("https://descargas.pirata.test/app.run",)


async def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    facts = await read(tmp_path, b"")
    assert (facts.kind, facts.size, facts.problems) == (AppKind.OTHER, 0, ())
