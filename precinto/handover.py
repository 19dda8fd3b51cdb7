"""Handing over evidence: the sealed bundle and its reports leave the house, and the chain of custody says to whom.

What is handed over is what was sealed: every byte is read from the blob store and checked against the manifest. The
chain of custody is signed as it stands at that moment, so that nobody can cut its end off afterwards.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from precinto.bundle.trust import AUTHORITY_FILE, FORMER, TIMESTAMPS, Trust, read_certificates, read_former
from precinto.bundle.writer import Parts, write_bundle
from precinto.domain import policy
from precinto.domain.custody import Act, CustodyRecord, write_chain
from precinto.domain.errors import BadInput, NotFound, Refused
from precinto.domain.evidence import Manifest
from precinto.domain.model import Value
from precinto.ports import BlobStore, Registry, Sealer
from precinto.reports.evidence import PICTURES, Language, evidence_report
from precinto.store import Store, custody
from precinto.store.evidence import BundleRow, bundles, stamps_of
from precinto.store.intake import findings_of


class HandedOver(Value):
    """What was written: the bundle, the reports, and the digest that stands for the bundle."""

    bundle: Path
    reports: tuple[Path, ...]
    digest: str


class Handover:
    """Takes evidence out of one installation.

    Args:
        store: The repositories.
        blobs: Where the bytes are.
        sealer: Signs the chain of custody.
        registry: Who the authority's officers are.
    """

    def __init__(self, store: Store, blobs: BlobStore, sealer: Sealer, registry: Registry) -> None:
        self._store = store
        self._blobs = blobs
        self._sealer = sealer
        self._registry = registry

    async def export(self, case: str, attempt: int | None, officer: str, purpose: str, folder: Path) -> HandedOver:
        """Write a bundle, and a report on it in each language, into a folder.

        Args:
            case: The case.
            attempt: Which of its bundles; None for the newest.
            officer: Who takes it out.
            purpose: What for; stands on the chain of custody.
            folder: Made if missing.

        Raises:
            NotFound: The case has no such bundle.
            Refused: ``unknown_officer``, ``purpose_missing``, ``not_signed``, or ``corrupt_blob``.
        """
        row = await self._bundle(case, attempt)
        if row.signature is None:
            raise Refused("not_signed", f"bundle {row.digest[:12]} is of a version that did not sign bundles yet")
        noted = await self._note(row, Act.EXPORTED, officer, purpose)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        manifest = Manifest.model_validate_json(await self._blobs.get(row.digest))
        chain = await custody.chain_of(self._store.database, case, until=noted)
        stamps = await stamps_of(self._store.database, row.digest)
        told = write_chain(chain)
        name = f"{case}-{row.attempt}"
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
            items: dict[str, bytes | Path] = {}
            for item in manifest.items:
                items[item.name] = Path(scratch) / item.name
                await self._blobs.get_file(item.sha256, Path(scratch) / item.name)
            parts = Parts(
                manifest=manifest,
                signature=await self._blobs.get(row.signature),
                tokens={stamp.authority: await self._blobs.get(stamp.token) for stamp in stamps},
                custody=told,
                custody_signature=await self._sealer.sign(told),
                items=items,
            )
            write_bundle(folder / f"{name}.zip", parts)
            picture = next((Path(scratch) / one for one in PICTURES if one in items), None)
            findings = await findings_of(self._store.database, case)
            reports: list[Path] = []
            for language in Language:
                pdf = evidence_report(manifest, findings, stamps, chain, picture, language)
                reports.append(folder / f"{name}-{language}.pdf")
                await asyncio.to_thread(reports[-1].write_bytes, pdf)
        return HandedOver(bundle=folder / f"{name}.zip", reports=tuple(reports), digest=row.digest)

    async def open(self, case: str, attempt: int | None, item: str, officer: str, purpose: str, path: Path) -> None:
        """Write one file of a bundle to a path, for an officer to look at.

        Raises:
            NotFound: There is no such bundle, or no such file in it.
            Refused: ``unknown_officer``, ``purpose_missing``, or ``corrupt_blob``.
        """
        row = await self._bundle(case, attempt)
        manifest = Manifest.model_validate_json(await self._blobs.get(row.digest))
        found = next((one for one in manifest.items if one.name == item), None)
        if found is None:
            names = ", ".join(one.name for one in manifest.items)
            raise NotFound(f"bundle {row.digest[:12]} has no file {item!r}; it has {names}")
        await self._note(row, Act.OPENED, officer, f"{item}: {purpose}")
        await self._blobs.get_file(found.sha256, path)

    async def _bundle(self, case: str, attempt: int | None) -> BundleRow:
        rows = await bundles(self._store.database, case)
        found = next((row for row in reversed(rows) if attempt in {None, row.attempt}), None)
        if found is None:
            which = "no bundle yet" if attempt is None else f"no bundle of attempt {attempt}"
            raise NotFound(f"case {case} has {which}")
        return found

    async def _note(self, row: BundleRow, act: Act, officer: str, purpose: str) -> CustodyRecord:
        policy.officer(self._registry.officers, officer)
        if not purpose.strip():
            raise Refused("purpose_missing", "whoever opens or takes out evidence says what for")
        return await self._store.evidence.handed_out(row.case, row.attempt, act, officer, purpose)


def write_trust(authority: Path, timestamps: Mapping[str, Path], former: Path, folder: Path) -> Trust:
    """Write the certificates that whoever checks our bundles must be given by another way than the bundle.

    What was published once is not taken back: a bundle may need it.

    Args:
        authority: The authority's root, PEM.
        timestamps: Name of each time-stamp authority to its root, PEM.
        former: Folder of the roots that are no longer in use, as ``read_former`` reads it; it may be missing.
        folder: Made if missing; what an earlier call has left there is brought up to date.

    Returns:
        What was written.

    Raises:
        BadInput: A file cannot be read or written; or the folder holds a certificate that is neither in use nor among
            the former.
    """
    wanted = {folder / AUTHORITY_FILE: authority}
    wanted |= {folder / TIMESTAMPS / f"{name}.pem": path for name, path in timestamps.items()}
    read_former(former)
    wanted |= {folder / FORMER / path.relative_to(former): path for path in _published(former)}
    known = {certificate for path in wanted.values() for certificate in read_certificates(path)}
    there = [*folder.glob(AUTHORITY_FILE), *_published(folder / FORMER), *(folder / TIMESTAMPS).glob("*.pem")]
    for path in there:
        if not known.issuperset(read_certificates(path)):
            advice = f"keep it in {former} first, or name another folder"
            raise BadInput(f"{path}: holds a certificate that is no longer in use: {advice}")
    try:
        for target, source in wanted.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        for path in there:
            if path not in wanted:
                path.unlink()
    except OSError as error:
        raise BadInput(f"{error.filename}: cannot be written: {error.strerror or error}") from error
    return Trust.read(folder)


def _published(former: Path) -> list[Path]:
    return [*former.glob("*.pem"), *(former / TIMESTAMPS).glob("*.pem")]
