"""Evidence: capture, store, seal. A site that is down is a sealed failure, and the case goes on."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio import activity

from activities.heartbeat import beating
from precinto import stubs
from precinto.contracts import CaptureTask, Sealed
from precinto.domain.evidence import EvidenceItem, Manifest
from precinto.domain.intake import Target
from precinto.ports import Capture, Ports


class EvidenceActivities:
    """Activities of the evidence stage."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @activity.defn(name=stubs.SEAL.name)
    async def capture(self, task: CaptureTask) -> Sealed:
        """Capture a case's target and seal what was captured. Run again, it returns the same bundle."""
        if known := await self._ports.evidence.sealed(task.case, task.attempt):
            return known
        target = await self._ports.intake.target(task.case)
        started = datetime.now(UTC)
        async with beating():
            captured = await self._visit(target)
            manifest = await self._store(task, target, captured, started)
            bundle = await self._ports.blobs.put(manifest.canonical())
        return await self._ports.evidence.seal(manifest, bundle, task.review_until)

    async def _visit(self, target: Target) -> Capture:
        crawler = self._ports.crawlers.get(target.kind)
        if crawler is None:
            reason = f"there is no crawler for targets of kind {target.kind}"
            return Capture(files=(), addresses={}, tools={}, vantage="none", failure=reason)
        return await crawler.capture(target)

    async def _store(self, task: CaptureTask, target: Target, captured: Capture, started: datetime) -> Manifest:
        items = [
            EvidenceItem(
                name=file.name,
                media_type=file.media_type,
                size=len(file.content),
                sha256=await self._ports.blobs.put(file.content),
            )
            for file in captured.files
        ]
        return Manifest(
            case=task.case,
            attempt=task.attempt,
            target=target,
            started_at=started,
            finished_at=datetime.now(UTC),
            vantage=captured.vantage,
            tools=captured.tools,
            addresses=captured.addresses,
            failure=captured.failure,
            items=tuple(sorted(items, key=lambda item: item.name)),
        )
