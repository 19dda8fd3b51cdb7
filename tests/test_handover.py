"""Handing over: what leaves the house verifies without us, and who took it stands on the chain of custody."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.evidence import EvidenceActivities
from precinto.adapters.blobs.local import LocalBlobStore
from precinto.adapters.seals.identity import issue_sealing_identity
from precinto.adapters.seals.key_file import FileKeySealer
from precinto.adapters.timestamps.rfc3161 import Rfc3161Timestamper
from precinto.bundle.trust import Trust
from precinto.bundle.verifier import verify
from precinto.contracts import CaptureTask
from precinto.domain.custody import Act
from precinto.domain.errors import BadInput, NotFound, Refused
from precinto.handover import Handover, write_trust
from precinto.store import custody
from tests.activities.conftest import World, world  # noqa: F401 - a fixture
from tests.bundle.sealing import stamping
from tests.store.steps import open_case


@dataclasses.dataclass
class House:
    """A case with a sealed bundle, in a house with real seals and real time stamps."""

    world: World
    handover: Handover
    case: str
    trust: Path


@pytest.fixture
async def house(world: World, tmp_path: Path) -> AsyncGenerator[House]:  # noqa: F811 - the fixture
    """The bundle was captured, signed and stamped; ``trust`` is what whoever checks it was given."""
    blobs = LocalBlobStore(tmp_path / "blobs")
    identity = issue_sealing_identity(tmp_path / "sealing", "autoridad")
    sealer = FileKeySealer(identity.key, identity.certificates)
    async with stamping(tmp_path / "clocks") as clocks:
        stampers = tuple(Rfc3161Timestamper(name, clock.url, clock.ca) for name, clock in clocks.items())
        ports = dataclasses.replace(world.ports, blobs=blobs, sealer=sealer, timestampers=stampers)
        case = await open_case(world.store)
        task = CaptureTask(case=case, round=1)
        await ActivityEnvironment().run(EvidenceActivities(ports).capture, task)
        write_trust(
            identity.root, {name: clock.ca for name, clock in clocks.items()}, tmp_path / "former", tmp_path / "trust"
        )
        yield House(world, Handover(world.store, blobs, sealer, world.ports.registry), case, tmp_path / "trust")


async def test_an_export_verifies_offline_with_the_certificates_that_were_published(
    house: House, tmp_path: Path
) -> None:
    handed = await house.handover.export(house.case, None, "reviewer-1", "for the court", tmp_path / "out")
    report = verify(handed.bundle, Trust.read(house.trust))
    assert report.good, report.checks
    assert report.bundle == handed.digest
    assert [path.read_bytes()[:5] for path in handed.reports] == [b"%PDF-"] * 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        handed.bundle.name, *(path.name for path in handed.reports)
    }  # fmt: skip


async def test_each_export_is_on_the_chain_and_each_verifies(house: House, tmp_path: Path) -> None:
    for number, officer in enumerate(("reviewer-1", "legal-head")):
        folder = tmp_path / str(number)
        handed = await house.handover.export(house.case, 1, officer, f"copy {number}", folder)
        assert verify(handed.bundle, Trust.read(house.trust)).good
    last = (await custody.chain_of(house.world.store.database, house.case))[-2:]
    assert [(one.act, one.actor, one.detail) for one in last] == [
        (Act.EXPORTED, "reviewer-1", "copy 0"),
        (Act.EXPORTED, "legal-head", "copy 1"),
    ]


async def test_a_blob_that_was_changed_is_never_handed_over(house: House, tmp_path: Path) -> None:
    (page,) = [
        path for path in (tmp_path / "blobs").rglob("*") if path.is_file() and path.read_bytes() == b"<h1>y2mate.com"
    ]
    page.chmod(0o600)
    page.write_bytes(b"<h1>Y2mate.com")
    with pytest.raises(Refused) as refused:
        await house.handover.export(house.case, None, "reviewer-1", "for the court", tmp_path / "out")
    assert refused.value.code == "corrupt_blob"
    assert list((tmp_path / "out").iterdir()) == []


async def test_one_file_can_be_looked_at_and_that_is_on_the_chain(house: House, tmp_path: Path) -> None:
    await house.handover.open(house.case, None, "page.html", "reviewer-1", "review", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == b"<h1>y2mate.com"
    last = (await custody.chain_of(house.world.store.database, house.case))[-1]
    assert (last.act, last.actor, last.detail) == (Act.OPENED, "reviewer-1", "page.html: review")
    with pytest.raises(NotFound, match=r"it has page\.html"):
        await house.handover.open(house.case, None, "nothing", "reviewer-1", "review", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("officer", "purpose", "code"),
    [("nobody", "for the court", "unknown_officer"), ("reviewer-1", "  ", "purpose_missing")],
)
async def test_only_officers_take_evidence_out_and_they_say_what_for(
    house: House, tmp_path: Path, officer: str, purpose: str, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        await house.handover.export(house.case, None, officer, purpose, tmp_path / "out")
    assert refused.value.code == code


async def test_what_was_never_sealed_cannot_be_had(house: House, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no bundle of attempt 9"):
        await house.handover.export(house.case, 9, "reviewer-1", "for the court", tmp_path / "out")
    with pytest.raises(BadInput, match="root"):
        write_trust(tmp_path / "root.pem", {}, tmp_path / "former", tmp_path / "trust2")


class TestTrust:
    """What is published for those who check: it grows, and what was published once is not lost by mistake."""

    @staticmethod
    def root(folder: Path) -> Path:
        """A root of its own."""
        return issue_sealing_identity(folder, "autoridad").root

    def test_a_root_that_is_no_longer_in_use_is_not_overwritten(self, tmp_path: Path) -> None:
        old, new = self.root(tmp_path / "old"), self.root(tmp_path / "new")
        write_trust(old, {"uno": old}, tmp_path / "former", tmp_path / "trust")
        with pytest.raises(BadInput, match=r"authority\.pem: holds a certificate that is no longer in use: keep it"):
            write_trust(new, {"uno": new}, tmp_path / "former", tmp_path / "trust")
        assert (tmp_path / "trust/authority.pem").read_bytes() == old.read_bytes()

    def test_once_it_is_kept_it_is_published_with_its_period(self, tmp_path: Path) -> None:
        old, new = self.root(tmp_path / "old"), self.root(tmp_path / "new")
        former = tmp_path / "former"
        write_trust(old, {"uno": old, "dos": old}, former, tmp_path / "trust")
        (former / "timestamps").mkdir(parents=True)
        (former / "authority_2024-01-01_2026-05-01T143000Z.pem").write_bytes(old.read_bytes())
        (former / "timestamps/dos_2024-01-01_2026-05-01.pem").write_bytes(old.read_bytes())
        written = write_trust(new, {"uno": new}, former, tmp_path / "trust")
        assert [(one.of, one.until) for one in written.former] == [
            ("authority", datetime(2026, 5, 1, 14, 30, tzinfo=UTC)),
            ("timestamps/dos", datetime(2026, 5, 1, tzinfo=UTC)),
        ]
        assert {str(path.relative_to(tmp_path / "trust")) for path in (tmp_path / "trust").rglob("*.pem")} == {
            "authority.pem",
            "timestamps/uno.pem",
            "former/authority_2024-01-01_2026-05-01T143000Z.pem",
            "former/timestamps/dos_2024-01-01_2026-05-01.pem",
        }
        assert written == write_trust(new, {"uno": new}, former, tmp_path / "trust")
