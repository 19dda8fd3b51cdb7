"""Evidence: capture, find out, weigh, seal. A site that is down is a sealed failure, and the case goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from temporalio import activity

from activities.clock import clock
from activities.heartbeat import beating
from activities.stamps import stamps
from precinto import stubs
from precinto.contracts import CaptureTask, Sealed, Stamped, StampTask
from precinto.domain.errors import PrecintoError
from precinto.domain.evidence import STAMPS_NEEDED, EvidenceItem, Manifest, named
from precinto.domain.proportionality import Proportionality, assess
from precinto.ports import Capture, CapturedFile, Package, Ports, Subject


class EvidenceActivities:
    """Activities of the evidence stage."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name=stubs.SEAL.name)
    async def capture(self, task: CaptureTask) -> Sealed:
        """Capture a case's target and seal what was captured. Run again, it returns the same bundle.

        An attempt that is cut off leaves its trace in the chain of custody, and the next one starts from nothing.
        """
        if known := await self._ports.evidence.sealed(task.case, task.round):
            return known
        subject = await self._ports.intake.subject(task.case)
        attempt = await self._ports.evidence.begin(task.case, task.round)
        async with beating():
            try:
                with tempfile.TemporaryDirectory(prefix="precinto-evidence-") as folder:
                    package = await self._package(task, subject, attempt, Path(folder))
            except PrecintoError as error:
                await self._ports.evidence.abandon(task.case, attempt, str(error))
                raise
            return await self._ports.evidence.seal(package)

    @activity.defn(name=stubs.STAMP.name)
    async def stamp(self, _: StampTask) -> Stamped:
        """Get the time stamps that bundles still lack, because an authority did not answer when they were sealed."""
        got = waiting = 0
        async with beating():
            for one in await self._ports.evidence.unstamped():
                signature = await self._ports.blobs.get(one.signature)
                new = [stamp async for stamp in stamps(self._ports, signature, one.authorities)]
                for stamp in new:
                    await self._ports.evidence.stamped(one.bundle, stamp)
                got += len(new)
                waiting += len(one.authorities) + len(new) < STAMPS_NEEDED
        return Stamped(got=got, waiting=waiting)

    async def _package(self, task: CaptureTask, subject: Subject, attempt: int, folder: Path) -> Package:
        started = datetime.now(UTC)
        capture = await self._visit(subject, folder)
        archive = await self._ports.archiver.archive(subject, attempt, started, capture, folder)
        found = await self._ports.investigator.investigate(subject, capture, folder)
        missing = named((*capture.missing, *archive.missing, *found.missing))
        weighed = assess(
            subject.target,
            found.facts,
            self._ports.guardlists,
            capture.failure,
            started.date(),
            page=subject.page,
            own_addresses=self._ports.registry.own_addresses,
            missing=missing,
        )
        files = (*capture.files, *archive.files, *found.files, _written(folder, weighed))
        manifest = Manifest(
            case=task.case,
            attempt=attempt,
            target=subject.target,
            service=subject.service,
            recipe=capture.recipe,
            started_at=started,
            finished_at=datetime.now(UTC),
            vantage=capture.vantage,
            clock=clock(),
            tools={**capture.tools, **archive.tools, **found.tools},
            addresses=capture.addresses,
            failure=capture.failure,
            missing=missing,
            items=await self._store(files),
        )
        content = manifest.canonical()
        signature = await self._ports.sealer.sign(content)
        await self._ports.blobs.put(content)
        return Package(
            manifest=manifest,
            round=task.round,
            signature=await self._ports.blobs.put(signature),
            stamps=tuple([stamp async for stamp in stamps(self._ports, signature)]),
            findings=weighed.findings,
            # On the server's clock, as every term is.
            sealed_at=activity.info().started_time + (datetime.now(UTC) - started),
        )

    async def _visit(self, subject: Subject, folder: Path) -> Capture:
        crawler = self._ports.crawlers.get(subject.target.kind)
        if crawler is None:
            reason = f"there is no crawler for targets of kind {subject.target.kind}"
            return Capture(files=(), addresses={}, tools={}, vantage="none", failure=reason)
        return await crawler.capture(subject, folder)

    async def _store(self, files: Iterable[CapturedFile]) -> tuple[EvidenceItem, ...]:
        items: list[EvidenceItem] = []
        for file in sorted(files, key=lambda file: file.name):
            sha256, size = await self._ports.blobs.put_file(file.path)
            items.append(EvidenceItem(name=file.name, media_type=file.media_type, size=size, sha256=sha256))
        return tuple(items)


def _written(folder: Path, weighed: Proportionality) -> CapturedFile:
    path = folder / "proportionality.json"
    path.write_bytes(weighed.canonical())
    return CapturedFile(name=path.name, media_type="application/json", path=path)
