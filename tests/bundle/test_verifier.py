"""The verifier accepts what the authority sealed, and refuses whatever differs from it, by name."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from lab.timestamps import Clock
from precinto.adapters.seals.identity import issue_sealing_identity
from precinto.adapters.seals.key_file import FileKeySealer
from precinto.bundle.report import MOST_PROBLEMS, Report, Rules
from precinto.bundle.trust import Trust, read_certificates
from precinto.bundle.verifier import verify
from precinto.bundle.writer import Parts, write_bundle
from precinto.domain.custody import Act, CustodyRecord, next_record, read_chain
from precinto.domain.errors import BadInput
from precinto.domain.model import digest
from tests.bundle.certificates import issue_chain
from tests.bundle.conftest import GoodBundle
from tests.bundle.sealing import ITEMS, Sealing, captured, chain, stamped, with_certificate

NAMES = sorted(
    [
        "README.txt", "SHA256SUMS", "custody.jsonl", "custody.p7s", "manifest.json", "manifest.p7s",
        "timestamps/dos.tst", "timestamps/uno.tst", *(f"files/{name}" for name in ITEMS),
    ]
)  # fmt: skip


def refusals(report: Report) -> dict[str, str]:
    """Each check that refused the bundle, with all that it said."""
    assert report.good is not any(check.problems for check in report.checks)
    return {check.name: "; ".join(check.problems) for check in report.checks if check.problems}


@pytest.fixture
def folder(good: GoodBundle, tmp_path: Path) -> Path:
    """A good bundle, unpacked: to be spoiled."""
    return good.unpacked(tmp_path / "bundle")


@pytest.fixture
def judge(authority: Sealing) -> Callable[..., dict[str, str]]:
    """Verify as one who trusts the authority; returns the refusals."""
    return lambda path, **rules: refusals(verify(path, authority.trust, Rules(**rules)))


Judge = Callable[..., dict[str, str]]
Acts = Sequence[tuple[Act, str | None, datetime]]


async def exported(authority: Sealing, parts: Parts, path: Path, acts: Acts | None = None) -> Path:
    """Write a bundle of these parts, with a chain of custody that tells of exactly these tokens."""
    manifest = parts.manifest
    told = acts or [
        (Act.ATTEMPT_BEGUN, None, manifest.started_at),
        (Act.SEALED, manifest.bundle_digest(), manifest.finished_at),
        *((Act.STAMPED, digest(token), datetime.now(UTC)) for token in parts.tokens.values()),
        (Act.EXPORTED, manifest.bundle_digest(), datetime.now(UTC)),
    ]
    write_bundle(path, await authority.export(parts, chain(manifest.case, manifest.attempt, told)))
    return path


class TestGood:
    def test_a_zip(self, good: GoodBundle, authority: Sealing) -> None:
        report = verify(good.path, authority.trust)
        assert refusals(report) == {}
        assert report.bundle == good.parts.manifest.bundle_digest()
        assert [check.name for check in report.checks] == [
            "manifest", "files", "items", "derived files", "signature", "time stamp dos", "time stamp uno",
            "time stamps", "signer", "custody", "custody of the bundle", "custody signature", "container",
        ]  # fmt: skip
        assert all(check.found for check in report.checks)

    def test_the_folder_of_it(self, folder: Path, judge: Judge) -> None:
        assert judge(folder) == {}

    async def test_a_failed_capture_without_any_file(self, authority: Sealing, tmp_path: Path, judge: Judge) -> None:
        await authority.bundle(tmp_path / "b.zip", {}, failure="the site did not answer")
        assert judge(tmp_path / "b.zip") == {}

    def test_a_certificate_that_is_trusted_itself(self, good: GoodBundle, authority: Sealing) -> None:
        """How a certificate from a public certificate authority is trusted: alone, without its root."""
        (own,) = read_certificates(authority.folder.parent / "seals" / "signing.pem")
        assert refusals(verify(good.path, replace(authority.trust, authority=(own,)))) == {}

    async def test_a_signature_by_rsa_and_a_chain_of_three(self, authority: Sealing, tmp_path: Path) -> None:
        """What an authority brings that has its certificate from its country's root."""
        chain_of_three = issue_chain(tmp_path, key=rsa.generate_private_key(65_537, 3_072))
        theirs = Sealing.known(tmp_path / "trust", chain_of_three.sealer, chain_of_three.root, authority.clocks)
        await theirs.bundle(tmp_path / "b.zip")
        assert refusals(verify(tmp_path / "b.zip", theirs.trust)) == {}


class TestFiles:
    @pytest.mark.parametrize("name", [name for name in NAMES if name != "files/empty.json"])
    def test_a_flipped_bit(self, folder: Path, judge: Judge, name: str) -> None:
        """One in the first byte, one in the middle, one in the last."""
        content = (folder / name).read_bytes()
        for at in (0, len(content) // 2, len(content) - 1):
            spoiled = bytearray(content)
            spoiled[at] ^= 1
            (folder / name).write_bytes(spoiled)
            assert judge(folder), f"byte {at}"

    @pytest.mark.parametrize("name", ["timestamps/uno.tst", "manifest.p7s", "custody.p7s"])
    def test_no_byte_of_what_proves_may_differ(self, folder: Path, judge: Judge, name: str) -> None:
        """Not even one that no signature covers, such as the name of the algorithm in a token."""
        content = (folder / name).read_bytes()
        for at in range(0, len(content), 7):
            spoiled = bytearray(content)
            spoiled[at] ^= 1
            (folder / name).write_bytes(spoiled)
            assert judge(folder), f"byte {at}"

    @pytest.mark.parametrize("name", NAMES)
    def test_a_removed_file(self, folder: Path, judge: Judge, name: str) -> None:
        (folder / name).unlink()
        assert name in str(judge(folder)) or name.startswith("timestamps/")
        assert judge(folder)

    @pytest.mark.parametrize("name", ["more.txt", "files/more.html", "timestamps/uno.tst.old"])
    def test_an_added_file(self, folder: Path, judge: Judge, name: str) -> None:
        (folder / name).write_bytes(b"more")
        assert judge(folder) == {"files": f"{name}: nothing accounts for it"}

    def test_a_token_that_nobody_knows_is_an_added_file_too(self, folder: Path, judge: Judge) -> None:
        shutil.copy(folder / "timestamps/uno.tst", folder / "timestamps/otra.tst")
        assert judge(folder) == {"time stamp otra": "no certificate of an authority 'otra' is trusted"}

    def test_more_tokens_than_anyone_looks_at(self, folder: Path, judge: Judge) -> None:
        for number in range(30):
            (folder / f"timestamps/zz-{number}.tst").write_bytes(b"")
        assert "more than 16 time stamps: 16 were not looked at" in judge(folder)["files"]

    def test_an_item_of_another_size_is_not_even_read(self, folder: Path, judge: Judge) -> None:
        (folder / "files/dom.html").write_bytes(b"<html>")
        assert judge(folder) == {"items": "files/dom.html: 6 bytes, in place of 19"}

    def test_all_problems_are_told_and_none_without_end(self, folder: Path, judge: Judge) -> None:
        for number in range(MOST_PROBLEMS + 10):
            (folder / f"files/more-{number}").write_bytes(b"")
        (folder / "files/dom.html").write_bytes(b"<html>replaced</htm")
        found = judge(folder)
        assert set(found) == {"files", "items"}
        assert found["files"].endswith("and 10 more of this kind")

    @pytest.mark.parametrize("name", ["README.txt", "SHA256SUMS"])
    def test_what_follows_from_the_rest_may_not_say_anything_else(self, folder: Path, judge: Judge, name: str) -> None:
        with (folder / name).open("ab") as file:
            file.write(b"\n")
        assert judge(folder) == {"derived files": f"{name}: not what it must be"}


class TestFolder:
    def test_a_link_is_not_followed(self, folder: Path, judge: Judge, tmp_path: Path) -> None:
        (folder / "files/dom.html").rename(tmp_path / "dom.html")
        (folder / "files/dom.html").symlink_to(tmp_path / "dom.html")
        assert judge(folder)["container"] == "'files/dom.html': a symbolic link"

    def test_a_linked_folder_neither(self, folder: Path, judge: Judge, tmp_path: Path) -> None:
        (folder / "files").rename(tmp_path / "files")
        (folder / "files").symlink_to(tmp_path / "files")
        assert judge(folder)["container"] == "'files': a symbolic link"

    def test_a_pipe_is_not_opened(self, folder: Path, judge: Judge) -> None:
        subprocess.run(["mkfifo", folder / "files/pipe"], check=True)
        assert judge(folder)["container"] == "'files/pipe': neither a file nor a folder of a bundle"

    def test_a_folder_that_no_bundle_has(self, folder: Path, judge: Judge) -> None:
        (folder / "other").mkdir()
        assert judge(folder)["container"] == "'other': neither a file nor a folder of a bundle"

    def test_a_name_that_deceives_the_eye(self, folder: Path, judge: Judge) -> None:
        (folder / "files/dom\u202elmth.exe").write_bytes(b"")
        assert judge(folder)["container"] == r"'files/dom\u202elmth.exe': not a name of a bundle"

    def test_no_bundle_at_all(self, tmp_path: Path, judge: Judge) -> None:
        with pytest.raises(BadInput, match="cannot be read"):
            judge(tmp_path / "nothing.zip")
        (tmp_path / "nothing.zip").write_bytes(b"")
        assert judge(tmp_path / "nothing.zip")["manifest"] == "manifest.json: is missing"


class TestManifest:
    def test_not_canonical(self, folder: Path, judge: Judge) -> None:
        content = (folder / "manifest.json").read_bytes()
        (folder / "manifest.json").write_bytes(content.replace(b'{"addresses"', b'{ "addresses"'))
        assert judge(folder)["manifest"] == "not in its canonical form"

    @pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"v":1}', b'{"v":1e999}'])
    def test_no_manifest(self, folder: Path, judge: Judge, content: bytes) -> None:
        (folder / "manifest.json").write_bytes(content)
        assert {"manifest", "signature", "files", "items"} <= judge(folder).keys()

    async def test_of_a_version_that_is_not_known(self, authority: Sealing, tmp_path: Path, judge: Judge) -> None:
        await authority.bundle(tmp_path / "b.zip", v=3)
        assert judge(tmp_path / "b.zip")["manifest"] == "of version 3; this verifier knows 2"

    async def test_items_that_are_not_sorted(self, authority: Sealing, tmp_path: Path, judge: Judge) -> None:
        await authority.bundle(tmp_path / "b.zip", items=captured(ITEMS).items[::-1])
        assert judge(tmp_path / "b.zip")["manifest"] == "the items are not sorted, or one is listed twice"


class TestSignature:
    async def test_transplanted_from_another_bundle(self, folder: Path, authority: Sealing, judge: Judge) -> None:
        """With its own time stamps, which are as good as ever."""
        other = await authority.seal(captured(ITEMS), ITEMS)
        (folder / "manifest.p7s").write_bytes(other.signature)
        for name, token in other.tokens.items():
            (folder / f"timestamps/{name}.tst").write_bytes(token)
        found = judge(folder)
        assert found["signature"] == "it is over other content"
        assert "time stamp uno" not in found

    def test_removed(self, folder: Path, judge: Judge) -> None:
        (folder / "manifest.p7s").unlink()
        found = judge(folder)
        assert found["signature"] == found["time stamp uno"] == "manifest.p7s: is missing"

    def test_of_an_authority_that_is_not_trusted(self, good: GoodBundle, authority: Sealing, tmp_path: Path) -> None:
        stranger = issue_sealing_identity(tmp_path, "autoridad")  # the same name, another key
        trust = replace(authority.trust, authority=read_certificates(stranger.root))
        found = refusals(verify(good.path, trust))
        assert found.keys() == {"signer", "custody signature"}
        assert "does not lead to a certificate that is trusted" in found["signer"]

    async def test_by_a_certificate_that_had_run_out_when_it_was_stamped(
        self, authority: Sealing, tmp_path: Path
    ) -> None:
        expired = issue_chain(tmp_path, until=datetime.now(UTC) - timedelta(seconds=1))
        await replace(authority, sealer=expired.sealer).bundle(tmp_path / "b.zip")
        trust = replace(authority.trust, authority=read_certificates(expired.root))
        found = refusals(verify(tmp_path / "b.zip", trust))
        assert found.keys() == {"signer", "custody signature"}
        assert "was not valid at" in found["signer"]

    async def test_by_a_certificate_that_runs_out_later_is_good_for_ever(
        self, authority: Sealing, tmp_path: Path
    ) -> None:
        """What counts is the time stamp, not the day of the trial."""
        short = issue_chain(tmp_path, until=datetime.now(UTC) + timedelta(seconds=2))
        await replace(authority, sealer=short.sealer).bundle(tmp_path / "b.zip")
        await asyncio.sleep(2)
        trust = replace(authority.trust, authority=read_certificates(short.root))
        assert refusals(verify(tmp_path / "b.zip", trust)) == {}

    @pytest.mark.parametrize("usage", ["key_cert_sign", "key_encipherment"])
    async def test_by_a_certificate_that_may_not_sign_documents(
        self, authority: Sealing, tmp_path: Path, usage: str
    ) -> None:
        wrong = issue_chain(tmp_path, usage=usage)
        await replace(authority, sealer=wrong.sealer).bundle(tmp_path / "b.zip")
        trust = replace(authority.trust, authority=read_certificates(wrong.root))
        assert "its key may not sign documents" in refusals(verify(tmp_path / "b.zip", trust))["signer"]


class TestTimestamps:
    def test_removed(self, folder: Path, judge: Judge) -> None:
        (folder / "timestamps/dos.tst").unlink()
        assert judge(folder) == {"time stamps": "good stamps of 1 independent authorities; 2 needed"}

    def test_all_removed(self, folder: Path, judge: Judge) -> None:
        shutil.rmtree(folder / "timestamps")
        assert judge(folder).keys() == {"time stamps", "signer"}

    async def test_of_a_foreign_authority(
        self, good: GoodBundle, authority: Sealing, clocks: dict[str, Clock], tmp_path: Path, judge: Judge
    ) -> None:
        token = await stamped(clocks["tres"], good.parts.signature)
        parts = replace(good.parts, tokens=good.parts.tokens | {"dos": token})
        found = judge(await exported(authority, parts, tmp_path / "b.zip"))
        assert found.keys() == {"time stamp dos", "time stamps"}
        assert "unable to get local issuer certificate" in found["time stamp dos"]

    async def test_of_a_foreign_authority_that_brings_its_root_along(
        self, good: GoodBundle, authority: Sealing, clocks: dict[str, Clock], tmp_path: Path, judge: Judge
    ) -> None:
        """Slipped in as an intermediate: certificates out of a token are never trusted."""
        foreign = with_certificate(
            await stamped(clocks["tres"], good.parts.signature), read_certificates(clocks["tres"].ca)[0]
        )
        parts = replace(good.parts, tokens=good.parts.tokens | {"dos": foreign})
        found = judge(await exported(authority, parts, tmp_path / "b.zip"))
        assert found.keys() == {"time stamp dos", "time stamps"}
        assert "certificate" in found["time stamp dos"]

    async def test_one_authority_twice(
        self, good: GoodBundle, authority: Sealing, clocks: dict[str, Clock], tmp_path: Path
    ) -> None:
        """Under two names, and trusted by whoever checks under both."""
        twice = {"uno": clocks["uno"], "dos": clocks["uno"]}
        tokens = {name: await stamped(clock, good.parts.signature) for name, clock in twice.items()}
        path = await exported(authority, replace(good.parts, tokens=tokens), tmp_path / "b.zip")
        one = authority.trust.timestamps["uno"]
        found = refusals(verify(path, replace(authority.trust, timestamps={"uno": one, "dos": one})))
        assert found == {"time stamps": "good stamps of 1 independent authorities; 2 needed"}

    def test_of_other_bytes(self, folder: Path, judge: Judge, good: GoodBundle) -> None:
        """The signature was replaced by another good one over the same manifest, the stamps were not."""
        (folder / "manifest.p7s").write_bytes(good.parts.custody_signature)
        assert "Mismatch between messages" in judge(folder)["time stamp uno"]

    async def test_before_the_end_of_the_capture(self, authority: Sealing, tmp_path: Path, judge: Judge) -> None:
        later = datetime.now(UTC) + timedelta(minutes=10)
        await authority.bundle(tmp_path / "b.zip", finished_at=later)
        found = judge(tmp_path / "b.zip")
        assert {"time stamp uno", "time stamp dos", "time stamps", "signer"} <= found.keys()
        assert "0:01:00 before to 1 day, 0:00:00 after the capture's end" in found["time stamp uno"]
        assert judge(tmp_path / "b.zip", skew=timedelta(minutes=11)) == {}

    async def test_too_long_after_it(self, authority: Sealing, tmp_path: Path, judge: Judge) -> None:
        ended = datetime.now(UTC) - timedelta(hours=25)
        await authority.bundle(tmp_path / "b.zip", started_at=ended, finished_at=ended)
        assert judge(tmp_path / "b.zip").keys() == {"time stamp uno", "time stamp dos", "time stamps", "signer"}
        assert judge(tmp_path / "b.zip", window=timedelta(hours=26)) == {}


class TestFormerRoots:
    """A bundle outlasts the roots that it was sealed under: those count for their own time."""

    TODAY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}_{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
    BEFORE = f"2020-01-01_{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H%M%SZ}"

    @pytest.fixture
    def renewed(self, authority: Sealing, clocks: dict[str, Clock], tmp_path: Path) -> Sealing:
        """The authority with another root, and ``uno`` with the root of ``tres``."""
        return Sealing.own(tmp_path / "renewed", {"uno": clocks["tres"], "dos": clocks["dos"]})

    @staticmethod
    def keep(renewed: Sealing, authority: Sealing, period: str) -> None:
        """Keep what counted before among the former roots, with its period."""
        (renewed.folder / "former/timestamps").mkdir(parents=True)
        shutil.copy(authority.folder / "authority.pem", renewed.folder / f"former/authority_{period}.pem")
        shutil.copy(authority.folder / "timestamps/uno.pem", renewed.folder / f"former/timestamps/uno_{period}.pem")

    def test_who_lost_them_can_check_nothing_of_their_time(self, good: GoodBundle, renewed: Sealing) -> None:
        found = refusals(verify(good.path, renewed.trust))
        assert found.keys() == {"time stamp uno", "time stamps", "signer", "custody signature"}

    def test_who_kept_them_can(self, good: GoodBundle, renewed: Sealing, authority: Sealing) -> None:
        self.keep(renewed, authority, self.TODAY)
        assert refusals(verify(good.path, renewed.trust)) == {}

    async def test_what_is_sealed_since_is_checked_with_the_same_trust(
        self, renewed: Sealing, authority: Sealing, tmp_path: Path
    ) -> None:
        self.keep(renewed, authority, self.BEFORE)
        await renewed.bundle(tmp_path / "b.zip")
        assert refusals(verify(tmp_path / "b.zip", renewed.trust)) == {}

    async def test_an_old_bundle_that_is_exported_today(
        self, good: GoodBundle, renewed: Sealing, authority: Sealing, tmp_path: Path
    ) -> None:
        """Its seal is of its own day, its chain of custody is signed with the key of today."""
        self.keep(renewed, authority, self.TODAY)
        path = await exported(renewed, good.parts, tmp_path / "b.zip")
        assert refusals(verify(path, renewed.trust)) == {}
        assert refusals(verify(path, authority.trust)).keys() == {"custody signature"}

    def test_after_its_end_a_former_root_counts_for_nothing(
        self, good: GoodBundle, renewed: Sealing, authority: Sealing
    ) -> None:
        """As when its key has got into other hands."""
        self.keep(renewed, authority, self.BEFORE)
        found = refusals(verify(good.path, renewed.trust))
        assert found.keys() == {"time stamp uno", "time stamps", "signer", "custody signature"}

    async def test_two_names_are_one_authority_if_they_once_were(
        self, good: GoodBundle, authority: Sealing, tmp_path: Path
    ) -> None:
        shutil.copytree(authority.folder, tmp_path / "trust")
        (tmp_path / "trust/former/timestamps").mkdir(parents=True)
        shutil.copy(
            authority.folder / "timestamps/uno.pem", tmp_path / f"trust/former/timestamps/dos_{self.TODAY}.pem"
        )
        found = refusals(verify(good.path, Trust.read(tmp_path / "trust")))
        assert found == {"time stamps": "good stamps of 1 independent authorities; 2 needed"}

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("authority.pem", "not a name such as authority_2024-01-01_2026-05-01.pem"),
            ("uno_2024-01-01_2026-05-01.pem", "not a name such as"),
            ("timestamps/UNO_2024-01-01_2026-05-01.pem", "not a name such as"),
            ("authority_2024-13-01_2026-05-01.pem", "2024-13-01 is no moment"),
            ("authority_2026-05-01_2024-01-01.pem", "it would never have counted"),
            ("authority_2026-05-01_2026-05-01.pem", "it would never have counted"),
        ],
    )
    def test_a_file_that_does_not_say_whose_and_when(
        self, authority: Sealing, tmp_path: Path, name: str, reason: str
    ) -> None:
        shutil.copytree(authority.folder, tmp_path / "trust")
        (tmp_path / "trust/former/timestamps").mkdir(parents=True)
        shutil.copy(authority.folder / "authority.pem", tmp_path / "trust/former" / name)
        with pytest.raises(BadInput, match=reason):
            Trust.read(tmp_path / "trust")


class TestCustody:
    @staticmethod
    def records(good: GoodBundle) -> list[CustodyRecord]:
        return list(read_chain(good.parts.custody))

    async def judged(
        self, authority: Sealing, good: GoodBundle, records: list[CustodyRecord], path: Path, judge: Judge
    ) -> dict[str, str]:
        """A bundle whose chain of custody the authority itself has signed as it is."""
        write_bundle(path, await authority.export(good.parts, records))
        return judge(path)

    def test_cut_off(self, folder: Path, judge: Judge) -> None:
        """What is left is a chain; only the signature knows of the rest, and the missing export."""
        lines = (folder / "custody.jsonl").read_bytes().splitlines(keepends=True)
        (folder / "custody.jsonl").write_bytes(b"".join(lines[:-2]))
        assert judge(folder) == {
            "custody of the bundle": "its last record is not the export of this bundle",
            "custody signature": "it is over other content",
        }

    async def test_broken_and_signed(self, authority: Sealing, good: GoodBundle, tmp_path: Path, judge: Judge) -> None:
        records = self.records(good)
        records[2] = records[2].model_copy(update={"actor": "nobody"})
        found = await self.judged(authority, good, records, tmp_path / "b.zip", judge)
        assert found["custody"] == "record 3 was changed after it was written"

    async def test_a_record_taken_out_and_signed(
        self, authority: Sealing, good: GoodBundle, tmp_path: Path, judge: Judge
    ) -> None:
        records = self.records(good)
        found = await self.judged(authority, good, records[:2] + records[3:], tmp_path / "b.zip", judge)
        assert found["custody"] == "record 3 is missing: the next one is 4"

    async def test_of_another_bundle(self, authority: Sealing, good: GoodBundle, tmp_path: Path, judge: Judge) -> None:
        other = await authority.seal(captured(ITEMS, case="ws5ksqpoov-9"), ITEMS)
        parts = replace(good.parts, custody=other.custody, custody_signature=other.custody_signature)
        write_bundle(tmp_path / "b.zip", parts)
        found = judge(tmp_path / "b.zip")
        assert found.keys() == {"custody of the bundle"}
        for problem in ("another case", "the seal of this bundle", "the time stamp of uno", "not the export"):
            assert problem in found["custody of the bundle"]

    async def test_that_begins_after_the_capture(
        self, authority: Sealing, good: GoodBundle, tmp_path: Path, judge: Judge
    ) -> None:
        manifest, late = good.parts.manifest, good.parts.manifest.started_at + timedelta(minutes=2)
        acts = [
            (Act.ATTEMPT_BEGUN, None, late),
            (Act.SEALED, manifest.bundle_digest(), late),
            *((record.act, record.subject, late) for record in self.records(good) if record.act is Act.STAMPED),
            (Act.EXPORTED, manifest.bundle_digest(), late),
        ]
        found = judge(await exported(authority, good.parts, tmp_path / "b.zip", acts))
        assert found == {
            "custody of the bundle": "it does not tell of the beginning of this attempt, once and before the capture"
        }

    async def test_whose_times_go_back(
        self, authority: Sealing, good: GoodBundle, tmp_path: Path, judge: Judge
    ) -> None:
        records = self.records(good)[:-1]
        earlier = records[-1].at - timedelta(hours=1)
        last = next_record(
            records[-1], case=records[0].case, attempt=2, at=earlier, actor="engine", act=Act.EXPORTED,
            subject=good.parts.manifest.bundle_digest(),
        )  # fmt: skip
        found = await self.judged(authority, good, [*records, last], tmp_path / "b.zip", judge)
        assert found["custody of the bundle"] == f"record {last.seq} is earlier than the one before it"

    def test_a_line_that_is_no_record(self, folder: Path, judge: Judge) -> None:
        with (folder / "custody.jsonl").open("ab") as file:
            file.write(b'{"case":"\x1b[2J"}\n')
        assert judge(folder)["custody"].startswith("line 8: ")

    def test_signature_removed(self, folder: Path, judge: Judge) -> None:
        (folder / "custody.p7s").unlink()
        assert judge(folder).keys() == {"files", "custody signature"}

    async def test_signature_of_a_stranger(
        self, good: GoodBundle, authority: Sealing, tmp_path: Path, judge: Judge
    ) -> None:
        stranger = issue_sealing_identity(tmp_path / "stranger", "autoridad")
        signature = await FileKeySealer(stranger.key, stranger.certificates).sign(good.parts.custody)
        write_bundle(tmp_path / "b.zip", replace(good.parts, custody_signature=signature))
        assert judge(tmp_path / "b.zip").keys() == {"custody signature"}


class TestTrust:
    def test_a_file_without_certificates(self, authority: Sealing, tmp_path: Path) -> None:
        shutil.copytree(authority.folder, tmp_path / "trust")
        (tmp_path / "trust/timestamps/uno.pem").write_text("nothing")
        with pytest.raises(BadInput, match=r"uno\.pem: holds no certificates"):
            Trust.read(tmp_path / "trust")

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"authority\.pem: cannot be read"):
            Trust.read(tmp_path / "trust")


def test_the_verifier_is_light() -> None:
    """Whoever checks needs neither engine, database nor browser, and does not wait for an HTTP client to load."""
    heavy = {
        "PIL", "dns", "httpx", "jinja2", "playwright", "requests", "sqlalchemy", "sqlmodel", "structlog", "temporalio",
        "tldextract", "warcio",
    }  # fmt: skip
    program = "import precinto.bundle.verifier, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not heavy & loaded
    ours = {name.split(".")[1] for name in loaded if name.startswith("precinto.")}
    assert ours == {"bundle", "domain"}
