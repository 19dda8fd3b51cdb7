"""Evidence: one visit is one sealed bundle, and a failed visit is a sealed failure."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.evidence import EvidenceActivities
from precinto.contracts import CaptureTask, Sealed, Stamped, StampTask
from precinto.domain.custody import Act
from precinto.domain.errors import Unavailable
from precinto.domain.evidence import NO_LISTS, Manifest
from precinto.domain.guards import ProtectedName
from precinto.domain.intake import TargetKind
from precinto.domain.model import digest
from precinto.domain.review import Outcome
from precinto.ports import Capture, CapturedFile, Subject
from precinto.store import custody
from precinto.store.evidence import bundles
from tests.activities.conftest import World
from tests.authority import referral
from tests.store.steps import TERMS, decide, open_case


def task(case: str, round: int = 1) -> CaptureTask:
    """The task of a round."""
    return CaptureTask(case=case, round=round)


async def capture(world: World, case: str, round: int = 1) -> Sealed:
    """Run the activity once."""
    return await world.run(EvidenceActivities(world.ports).capture, task(case, round))


def brought(folder: Path, **files: bytes) -> tuple[CapturedFile, ...]:
    """Files of a capture, by name without its ending."""
    for name, content in files.items():
        (folder / f"{name}.txt").write_bytes(content)
    return tuple(
        CapturedFile(name=f"{name}.txt", media_type="text/plain", path=folder / f"{name}.txt") for name in files
    )


async def manifest(world: World, sealed: Sealed) -> Manifest:
    """The manifest of a bundle, from the blob store."""
    return Manifest.model_validate_json(await world.ports.blobs.get(sealed.bundle))


async def test_a_bundle_is_its_manifest_and_every_file_is_under_its_digest(world: World) -> None:
    case = await open_case(world.store)
    sealed = await capture(world, case)
    written = await manifest(world, sealed)
    assert sealed.items == 2
    assert (await world.store.gate.place(case)).due == sealed.due
    assert written.bundle_digest() == sealed.bundle == digest(written.canonical())
    item, weighed = written.items
    content = await world.ports.blobs.get(item.sha256)
    assert (content, item.size, digest(content)) == (b"<h1>y2mate.com", 14, item.sha256)
    assert (written.case, written.attempt, written.failure) == (case, 1, None)
    assert weighed.name == "proportionality.json"
    assert written.addresses == {"y2mate.com": ("127.0.1.1",)}
    assert (await world.store.review.docket(case)).bundle == sealed.bundle


async def test_run_again_it_returns_the_same_bundle_and_visits_nobody(world: World) -> None:
    case = await open_case(world.store)
    first = await capture(world, case)
    assert await capture(world, case) == first
    assert world.crawler.visits == ["y2mate.com"]


async def test_a_crash_between_storing_and_sealing_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies when the files are stored and the bundle is not: the next attempt seals its own visit, and the
    first one stays on the chain of custody."""
    case = await open_case(world.store)
    seal = world.store.evidence.seal

    async def dies(*_: object) -> Sealed:
        raise ConnectionResetError("the worker is gone")

    monkeypatch.setattr(world.store.evidence, "seal", dies)
    with pytest.raises(ConnectionResetError):
        await capture(world, case)
    monkeypatch.setattr(world.store.evidence, "seal", seal)
    sealed = await capture(world, case)
    assert [row.digest for row in await bundles(world.store.database, case)] == [sealed.bundle]
    assert world.crawler.visits == ["y2mate.com"] * 2
    acts = [(record.attempt, record.act) for record in await custody.chain_of(world.store.database, case)]
    assert acts[:3] == [(1, Act.ATTEMPT_BEGUN), (1, Act.ATTEMPT_INTERRUPTED), (2, Act.ATTEMPT_BEGUN)]


async def test_a_site_that_is_down_is_a_sealed_failure_and_the_case_goes_on(world: World) -> None:
    class Down:
        async def capture(self, subject: Subject, folder: Path) -> Capture:
            return Capture(
                files=brought(folder, log=b"connection refused"),
                addresses={},
                tools={"chromium": "142"},
                vantage="lima",
                failure=f"{subject.target.value} is down",
            )

    world.ports.crawlers[TargetKind.DOMAIN] = Down()  # type: ignore[index]
    case = await open_case(world.store)
    sealed = await capture(world, case)
    written = await manifest(world, sealed)
    assert written.failure == "y2mate.com is down"
    assert [item.name for item in written.items] == ["log.txt", "proportionality.json"]
    (row,) = await bundles(world.store.database, case)
    assert row.failure == "y2mate.com is down"
    assert (await world.store.review.docket(case)).bundle == sealed.bundle


async def test_a_target_that_no_crawler_can_visit_is_a_sealed_failure_too(world: World) -> None:
    one = referral("com.example.ripper", kind=TargetKind.MOBILE_APP)
    case = (await world.store.intake.register(one, (), "operator-1", TERMS)).case
    written = await manifest(world, await capture(world, case))
    assert written.failure == "there is no crawler for targets of kind mobile_app"
    assert [item.name for item in written.items] == ["proportionality.json"]


async def test_a_crawler_that_cannot_work_now_seals_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: Subject, folder: Path) -> Capture:
        raise Unavailable("no browser answers")

    monkeypatch.setattr(world.crawler, "capture", away)
    case = await open_case(world.store)
    with pytest.raises(Unavailable):
        await capture(world, case)
    assert await bundles(world.store.database, case) == []
    last = (await custody.chain_of(world.store.database, case))[-1]
    assert (last.act, last.detail) == (Act.ATTEMPT_ABANDONED, "no browser answers")


async def test_another_round_is_another_bundle_and_the_first_is_kept(world: World) -> None:
    case = await open_case(world.store)
    first = await capture(world, case)
    await decide(world.store, case, "reviewer-1", Outcome.RETURN)
    second = await capture(world, case, round=2)
    assert first.bundle != second.bundle
    assert [row.digest for row in await bundles(world.store.database, case)] == [first.bundle, second.bundle]
    assert (await world.store.review.docket(case)).bundle == second.bundle


async def test_files_are_listed_by_name_whatever_the_order_of_the_visit(world: World) -> None:
    class Several:
        async def capture(self, subject: Subject, folder: Path) -> Capture:
            return Capture(files=brought(folder, b=b"b", c=b"c", a=b"a"), addresses={}, tools={}, vantage="lima")

    world.ports.crawlers[TargetKind.DOMAIN] = Several()  # type: ignore[index]
    written = await manifest(world, await capture(world, await open_case(world.store)))
    assert [item.name for item in written.items] == ["a.txt", "b.txt", "c.txt", "proportionality.json"]


async def test_a_time_stamp_authority_that_is_down_leaves_the_time_pending_and_is_asked_again(world: World) -> None:
    dos = world.timestampers[1]
    dos.down = True
    case = await open_case(world.store)
    await capture(world, case)
    assert (await world.store.review.docket(case)).stamped is False
    stamping = EvidenceActivities(world.ports).stamp
    assert await world.run(stamping, StampTask()) == Stamped(got=0, waiting=1)
    dos.down = False
    assert await world.run(stamping, StampTask()) == Stamped(got=1, waiting=0)
    assert (await world.store.review.docket(case)).stamped is True
    assert await world.run(stamping, StampTask()) == Stamped(got=0, waiting=0)


async def test_the_signature_is_over_the_manifest_and_the_stamps_are_over_the_signature(world: World) -> None:
    case = await open_case(world.store)
    sealed = await capture(world, case)
    (row,) = await bundles(world.store.database, case)
    assert row.signature is not None
    assert await world.blobs.get(row.signature) == b"signed " + sealed.bundle.encode()
    assert digest(b"uno " + row.signature.encode()) in world.blobs.content


async def test_what_the_rules_find_holds_the_case(world: World) -> None:
    """A protected name lies below the target: nobody approves this alone."""
    case = await open_case(world.store, target="gob.pe.example")
    lists = NO_LISTS.joined((ProtectedName(name="www.gob.pe.example", reason="state", source="a list"),))
    ports = dataclasses.replace(world.ports, guardlists=lists)
    await world.run(EvidenceActivities(ports).capture, task(case))
    assert (await world.store.review.docket(case)).hold is True


async def test_a_slow_visit_gives_signs_of_life_and_can_be_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, alive, begun = ActivityEnvironment(), asyncio.Event(), asyncio.Event()
    environment.on_heartbeat = lambda *_: alive.set()

    async def endless(_: Subject, folder: Path) -> Capture:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    monkeypatch.setattr(world.crawler, "capture", endless)
    case = await open_case(world.store)
    running = asyncio.create_task(environment.run(EvidenceActivities(world.ports).capture, task(case)))
    async with asyncio.timeout(timedelta(seconds=20).total_seconds()):
        await begun.wait()
        await alive.wait()
        environment.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
