"""Makes bundles as the authority makes them: its own sealer, two real time-stamp authorities, the real writer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lab.ports import PortBook
from lab.timestamps import AUTHORITIES, Clock, TimestampAuthority
from lab.web import WebServer
from precinto.adapters.seals.identity import issue_sealing_identity
from precinto.adapters.seals.key_file import FileKeySealer
from precinto.adapters.timestamps.rfc3161 import Rfc3161Timestamper
from precinto.bundle.signature import der
from precinto.bundle.trust import Trust
from precinto.bundle.writer import Parts, write_bundle
from precinto.domain.custody import Act, CustodyRecord, next_record, write_chain
from precinto.domain.evidence import Clock as MachineClock
from precinto.domain.evidence import EvidenceItem, Manifest
from precinto.domain.intake import Service, TargetKind, normalise
from precinto.domain.model import digest
from precinto.ports import Sealer

LOOPBACK = "127.0.0.1"
ITEMS = {"dom.html": b"<html>ripper</html>", "empty.json": b"", "screenshot.png": b"\x89PNG\r\n" + bytes(range(256))}


@asynccontextmanager
async def stamping(folder: Path, names: Sequence[str] = AUTHORITIES) -> AsyncGenerator[dict[str, Clock]]:
    """Time-stamp authorities that answer on loopback, each with a root of its own."""
    servers: list[WebServer] = []
    book = PortBook()
    clocks: dict[str, Clock] = {}
    try:
        for name in names:
            (folder / name).mkdir(parents=True)
            authority = TimestampAuthority(folder / name, name)
            server, port = WebServer(authority.answer), book.take(LOOPBACK)
            servers.append(server)
            await server.listen([LOOPBACK], port)
            clocks[name] = Clock(f"http://{LOOPBACK}:{port}/", authority.ca)
        yield clocks
    finally:
        for server in servers:
            await server.stop()
        book.release()


@dataclass(frozen=True)
class Sealing:
    """An authority that seals, and whom those trust who check it.

    Attributes:
        sealer: Its sealer.
        clocks: The time-stamp authorities that it asks.
        folder: The files of whoever checks: ``authority.pem``, ``timestamps/NAME.pem``.
    """

    sealer: Sealer
    clocks: Mapping[str, Clock]
    folder: Path

    @classmethod
    def own(cls, folder: Path, clocks: Mapping[str, Clock], authority: str = "autoridad") -> Sealing:
        """An authority with an identity of its own, and the trust of one who knows it."""
        identity = issue_sealing_identity(folder / "seals", authority)
        sealer = FileKeySealer(identity.key, identity.certificates)
        return cls.known(folder / "trust", sealer, identity.root, clocks)

    @classmethod
    def known(cls, folder: Path, sealer: Sealer, root: Path, clocks: Mapping[str, Clock]) -> Sealing:
        """Write the files of one who trusts these roots."""
        (folder / "timestamps").mkdir(parents=True)
        (folder / "authority.pem").write_bytes(root.read_bytes())
        for name, clock in clocks.items():
            (folder / "timestamps" / f"{name}.pem").write_bytes(clock.ca.read_bytes())
        return cls(sealer, clocks, folder)

    @property
    def trust(self) -> Trust:
        """What the verifier is given."""
        return Trust.read(self.folder)

    async def seal(self, manifest: Manifest, items: Mapping[str, bytes | Path]) -> Parts:
        """Seal, stamp and export what was captured, and keep the chain of custody of it."""
        signature = await self.sealer.sign(manifest.canonical())
        stampers = [Rfc3161Timestamper(name, clock.url, clock.ca) for name, clock in self.clocks.items()]
        stamps = {stamper.name: await stamper.stamp(signature) for stamper in stampers}
        tokens = {name: stamp.token for name, stamp in stamps.items()}
        acts = [
            (Act.ATTEMPT_BEGUN, None, manifest.started_at),
            (Act.SEALED, manifest.bundle_digest(), manifest.finished_at),
            *((Act.STAMPED, digest(stamp.token), stamp.at) for stamp in stamps.values()),
            (Act.OPENED, manifest.bundle_digest(), datetime.now(UTC)),
            (Act.EXPORTED, manifest.bundle_digest(), datetime.now(UTC)),
        ]
        records = chain(manifest.case, manifest.attempt, acts)
        return await self.export(Parts(manifest, signature, tokens, b"", b"", items), records)

    async def export(self, parts: Parts, records: Sequence[CustodyRecord]) -> Parts:
        """The same parts with another chain of custody, signed."""
        custody = write_chain(records)
        return replace(parts, custody=custody, custody_signature=await self.sealer.sign(custody))

    async def bundle(self, path: Path, files: Mapping[str, bytes] = ITEMS, **changed: Any) -> Parts:
        """Capture, seal and write a whole bundle; returns what it was made of."""
        parts = await self.seal(captured(files, **changed), files)
        write_bundle(path, parts)
        return parts


def captured(files: Mapping[str, bytes], **changed: Any) -> Manifest:
    """The manifest of a capture that has just ended, with some fields changed."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "case": "ws5ksqpoov-1",
        "attempt": 2,
        "target": normalise(TargetKind.DOMAIN, "y2mate.com"),
        "service": Service.STREAM_RIPPER,
        "recipe": None,
        "started_at": now - timedelta(seconds=9),
        "finished_at": now,
        "vantage": "lima",
        "clock": MachineClock(synchronised=True, offset_us=0, error_us=400, source="adjtimex"),
        "tools": {"chromium": "142"},
        "addresses": {"y2mate.com": ("192.0.2.1",)},
        "items": tuple(
            EvidenceItem(name=name, media_type="application/octet-stream", size=len(content), sha256=digest(content))
            for name, content in sorted(files.items())
        ),
    }
    return Manifest.model_validate(fields | changed)


def chain(case: str, attempt: int, acts: Sequence[tuple[Act, str | None, datetime]]) -> list[CustodyRecord]:
    """A chain of custody that begins with an attempt before this one, which was interrupted."""
    before, act = acts[0][2] - timedelta(minutes=5), Act.ATTEMPT_INTERRUPTED
    last = next_record(None, case=case, attempt=attempt - 1, at=before, actor="engine", act=act)
    records = [last]
    for act, subject, at in acts:
        last = next_record(last, case=case, attempt=attempt, at=at, actor="engine", act=act, subject=subject)
        records.append(last)
    return records


def unpack(path: Path, folder: Path) -> Path:
    """The folder of a bundle, as anybody's program unpacks it."""
    with ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


async def stamped(clock: Clock, content: bytes) -> bytes:
    """A token of this authority."""
    return (await Rfc3161Timestamper("any", clock.url, clock.ca).stamp(content)).token


def with_certificate(token: bytes, certificate: x509.Certificate) -> bytes:
    """The same token with one more certificate among those that come along, which no signature covers."""
    ((_, message),) = _elements(token)
    content_type, (tag, tagged) = _elements(message)
    ((_, data),) = _elements(tagged)
    version, digests, content, (_, certificates), signers = _elements(data)
    along = sorted([*(der(*one) for one in _elements(certificates)), certificate.public_bytes(Encoding.DER)])
    data = b"".join([der(*version), der(*digests), der(*content), der(0xA0, b"".join(along)), der(*signers)])
    return der(0x30, der(*content_type) + der(tag, der(0x30, data)))


def _elements(content: bytes) -> list[tuple[int, bytes]]:
    """The elements of DER that stand here one after the other, as tag and content."""
    found: list[tuple[int, bytes]] = []
    while content:
        tag, length, start = content[0], content[1], 2
        if length > 0x80:
            start = 2 + length - 0x80
            length = int.from_bytes(content[2:start], "big")
        found.append((tag, content[start : start + length]))
        content = content[start + length :]
    return found
