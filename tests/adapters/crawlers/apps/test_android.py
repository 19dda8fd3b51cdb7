"""What is read out of APKs: real ones, sets of them, and ones that are made to stop readers."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from precinto.adapters.crawlers.apps.analysis import analyse
from precinto.adapters.crawlers.apps.isolation import Limits
from precinto.domain.apps import Android, AppFacts, AppKind, Component
from tests.adapters.crawlers.apps.tampering import patched, renamed_locally, with_members, zipped

MANIFEST = "AndroidManifest.xml"
DEBUG_KEY = "680dbbc39ab0944796c811b636ace510c8e551317087036cebab0751b0a6190c"


async def read(folder: Path, content: bytes, limits: Limits | None = None, name: str = "file.bin") -> AppFacts:
    path = folder / name
    path.write_bytes(content)
    return await analyse(path, limits)


@pytest.fixture(scope="module")
async def settings(settings_apk: Path) -> AppFacts:
    """What is read out of an ordinary APK."""
    return await analyse(settings_apk)


class TestAnOrdinaryApk:
    async def test_everything_it_says_is_told(self, settings: AppFacts) -> None:
        facts = settings
        assert facts.kind is AppKind.APK
        assert (facts.size, facts.sha1, facts.md5) == (
            3_076_294,
            "23d3edebd209e57aedea0d3a3ea34304a7c26f67",
            "96b6a81e7aa89a2220bf6b5226fd0c44",
        )
        assert facts.identity == "io.appium.settings"
        app = facts.android
        assert app is not None
        assert (app.label, app.version_name, app.version_code) == ("Appium Settings", "8.0.10", "192")
        assert (app.min_sdk, app.target_sdk, app.schemes) == ("26", "35", ("v2",))
        assert len(app.permissions) == 27
        assert "android.permission.READ_SMS" in app.permissions
        recorder = "io.appium.settings.recorder.RecorderService"
        assert Component(kind="service", name=recorder, permission="android.permission.RECORD_AUDIO") in app.exported
        assert app.icon is not None
        assert app.icon.name == "res/drawable-xxxhdpi-v4/ic_launcher.png"
        assert app.icon_look == "273b597173531f1f"
        assert len(facts.parts) == 9
        assert facts.parts[0].name == "classes.dex"
        assert (facts.oddities, facts.problems) == ((), ())
        assert set(facts.tools) == {"androguard", "apkInspector"}

    async def test_the_signing_certificate_links_it_to_its_copies(self, settings: AppFacts) -> None:
        (certificate,) = settings.certificates
        assert (certificate.sha256, certificate.found_in, certificate.signer) == (DEBUG_KEY, "v2", True)
        assert "Common Name: Android Debug" in certificate.subject
        assert certificate.not_before == datetime(2026, 9, 26, 17, 20, 13, tzinfo=UTC)

    async def test_each_scheme_gives_its_certificates(self, three_schemes_apk: Path) -> None:
        facts = await analyse(three_schemes_apk)
        assert facts.android is not None
        assert facts.android.schemes == ("v1", "v2", "v3")
        assert [one.found_in for one in facts.certificates] == ["v1", "v2", "v3"]
        assert len({one.sha256 for one in facts.certificates}) == 1

    async def test_addresses_in_code_and_resources_are_found(self, settings: AppFacts) -> None:
        facts = settings
        assert "https://www.googleapis.com/auth/drive" in facts.urls
        assert "www.googleapis.com" in facts.domains

    async def test_the_same_file_gives_the_same_facts(self, settings: AppFacts, settings_apk: Path) -> None:
        assert (await analyse(settings_apk)).model_dump_json() == settings.model_dump_json()


class TestKindsByContent:
    async def test_a_name_says_nothing(self, settings_apk: Path, tmp_path: Path) -> None:
        facts = await read(tmp_path, settings_apk.read_bytes(), name="holiday.jpg")
        assert facts.kind is AppKind.APK

    async def test_the_base_of_a_set_is_read(
        self, settings_apk: Path, three_schemes_apk: Path, tmp_path: Path
    ) -> None:
        """The larger APK is not the base: the set says which is."""
        told = json.dumps({"package_name": "io.appium.uiautomator2.server.test"}).encode()
        whole = zipped(
            ("config.arm64_v8a.apk", settings_apk.read_bytes()),
            ("io.appium.uiautomator2.server.test.apk", three_schemes_apk.read_bytes()),
            ("manifest.json", told),
        )
        facts = await read(tmp_path, whole)
        assert (facts.kind, facts.identity) == (AppKind.APK_SET, "io.appium.uiautomator2.server.test")
        assert [part.name for part in facts.parts][:2] == [
            "config.arm64_v8a.apk",
            "io.appium.uiautomator2.server.test.apk",
        ]
        assert [one.found_in for one in facts.certificates] == ["v1", "v2", "v3"]

    async def test_a_bundle_for_the_store_is_recognised(self, tmp_path: Path) -> None:
        facts = await read(tmp_path, zipped(("BundleConfig.pb", b"\n"), ("base/manifest/AndroidManifest.xml", b"\n")))
        assert (facts.kind, facts.problems) == (AppKind.AAB, ())

    async def test_an_archive_that_is_cut_off_is_none_and_is_told(self, settings_apk: Path, tmp_path: Path) -> None:
        facts = await read(tmp_path, settings_apk.read_bytes()[:1_000_000])
        assert facts.kind is AppKind.OTHER
        assert [problem.reader for problem in facts.problems] == ["kind"]


class TestAnApkThatHidesFromReaders:
    """Each of these installs, or did on some Android, and stops some reader."""

    @pytest.mark.parametrize(
        ("tamper", "oddity"),
        [
            (lambda apk: patched(apk, MANIFEST, method=0x2F5B), "DEFLATED_TAMPERED"),
            (lambda apk: patched(apk, "classes.dex", method=0x1234), "DEFLATED_TAMPERED"),
            (lambda apk: patched(apk, MANIFEST, flags=0x0809), f"is flagged as encrypted: {MANIFEST}"),
            (lambda apk: with_members(apk, (MANIFEST, _manifest(apk))), f"occurs more than once: {MANIFEST}"),
            (lambda apk: with_members(apk, ("../../evil", b"")), "a name that leads out of the archive: ../../evil"),
            (lambda apk: with_members(apk, (f"{MANIFEST}/x", b"")), "path_collisions"),
        ],
    )
    async def test_is_read_all_the_same_and_said_to_be_odd(
        self, settings_apk: Path, tmp_path: Path, tamper: Callable[[bytes], bytes], oddity: str
    ) -> None:
        facts = await read(tmp_path, tamper(settings_apk.read_bytes()))
        assert facts.android is not None
        assert (facts.android.package, facts.android.label) == ("io.appium.settings", "Appium Settings")
        assert len(facts.parts) == 9
        assert facts.problems == ()
        (told,) = facts.oddities
        assert oddity in told

    async def test_what_stops_one_reader_leaves_what_the_other_saw(self, settings_apk: Path, tmp_path: Path) -> None:
        hidden = renamed_locally(settings_apk.read_bytes(), MANIFEST, "AndroidManifesT.xml")
        facts = await read(tmp_path, hidden)
        assert facts.identity == "io.appium.settings"
        assert "AndroidManifesT.xml" in facts.oddities[0]
        assert len(facts.parts) == 9
        assert {problem.reader for problem in facts.problems} == {"declarations"}

    async def test_resources_of_noise_cost_only_what_stands_in_them(self, settings_apk: Path, tmp_path: Path) -> None:
        noise = with_members(settings_apk.read_bytes(), ("resources.arsc", bytes(range(256)) * 40))
        facts = await read(tmp_path, noise)
        assert facts.android is not None
        assert (facts.android.package, facts.android.label) == ("io.appium.settings", None)
        assert len(facts.android.permissions) == 27
        assert {p.reason.partition(":")[0] for p in facts.problems} >= {"the label", "the icon"}

    async def test_a_manifest_that_unfolds_without_end_is_bounded(self, settings_apk: Path, tmp_path: Path) -> None:
        endless = with_members(settings_apk.read_bytes(), (MANIFEST, bytes(300 << 20)))
        facts = await read(tmp_path, endless, Limits(memory=400 * 2**20))
        assert facts.android == Android()
        assert {problem.reader: problem.reason for problem in facts.problems} == {
            "structure": f"BadArchive: {MANIFEST}: more than {16 * 2**20} bytes",
            "declarations": "it needs more memory than a reader may take",
            "mentions": f"{MANIFEST}: more than {96 * 2**20} bytes",
        }

    async def test_a_manifest_that_holds_a_reader_for_ever_is_bounded(
        self, settings_apk: Path, tmp_path: Path
    ) -> None:
        """Of zeros alone: ``apkInspector`` 1.3.7 does not come back from it."""
        endless = with_members(settings_apk.read_bytes(), (MANIFEST, bytes(1_000)))
        facts = await read(tmp_path, endless, Limits(seconds=8))
        assert "it took longer than 8 s" in {p.reason for p in facts.problems if p.reader == "structure"}
        assert facts.oddities == (f"occurs more than once: {MANIFEST}",)
        assert "https://www.googleapis.com/auth/drive" in facts.urls

    async def test_more_code_files_than_are_told_cost_nothing_else(self, settings_apk: Path, tmp_path: Path) -> None:
        many = with_members(settings_apk.read_bytes(), *((f"classes{number}.dex", b"") for number in range(3_000)))
        facts = await read(tmp_path, many)
        assert len(facts.parts) == 2_000
        assert facts.identity == "io.appium.settings"
        assert facts.problems == ()

    async def test_a_directory_of_very_many_entries_is_read_up_to_a_bound(self, tmp_path: Path) -> None:
        head = zipped((MANIFEST, b""))
        entry = head[head.index(b"PK\x01\x02") : head.index(b"PK\x05\x06")]
        start = head.index(b"PK\x01\x02")
        many = head[:start] + entry * 100_000 + head[head.index(b"PK\x05\x06") :]
        facts = await read(tmp_path, many)
        assert any(oddity.startswith("occurs more than once") for oddity in facts.oddities)
        assert "the directory announces 1 entries and has 65536" in facts.oddities


def _manifest(apk: bytes) -> bytes:
    return zipfile.ZipFile(io.BytesIO(apk)).read(MANIFEST)
