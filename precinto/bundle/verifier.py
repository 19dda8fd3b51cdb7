"""Checks a bundle offline: with the certificates of whoever checks, and with nothing that is ours but this program.

Every check is made, whatever the others found, and each says what it saw. A bundle is good when all of them say so.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from precinto.bundle import layout
from precinto.bundle import signature as cms
from precinto.bundle import timestamp as tsp
from precinto.bundle.contents import Contents, open_contents
from precinto.bundle.custody import untold
from precinto.bundle.replayable import damaged
from precinto.bundle.report import Check, Report, Rules, line
from precinto.bundle.signature import Signature, check_signature
from precinto.bundle.timestamp import Stamped, check_token
from precinto.bundle.trust import Trust, check_trusted, name_of
from precinto.domain.custody import CustodyRecord, check_chain, read_chain
from precinto.domain.errors import BadInput, Refused
from precinto.domain.evidence import Manifest
from precinto.domain.model import first_wrong

MOST_STAMPS = 16
"""Time stamps of a bundle that are looked at."""


def verify(path: Path, trust: Trust, rules: Rules | None = None, *, deep: bool = False) -> Report:
    """Check a bundle.

    Args:
        path: The bundle: a ZIP, or the folder of it.
        trust: Whom the one who checks trusts.
        rules: What is asked of the times; by default a day from the capture, and two authorities.
        deep: Look into web archives as well, record by record.

    Raises:
        BadInput: There is nothing at this path that can be read.
    """
    with open_contents(path) as contents:
        return _Inspection(contents, trust, rules or Rules(), deep=deep).report()


class _Findings:
    """What one check has found so far."""

    def __init__(self) -> None:
        self.found = ""
        self.problems: list[str] = []


_Step = Callable[[_Findings], None]


class _Inspection:
    """One bundle under examination. What a check establishes, later ones build on; where it failed, they say so."""

    def __init__(self, contents: Contents, trust: Trust, rules: Rules, *, deep: bool) -> None:
        self._contents = contents
        self._trust = trust
        self._rules = rules
        authorities = sorted(filter(None, map(layout.authority_of, contents.sizes)))
        self._authorities = authorities[:MOST_STAMPS]
        self._unread = len(authorities[MOST_STAMPS:])
        self._replayable = [name for name in sorted(contents.sizes) if deep and name.endswith(".wacz")]
        self._whole: set[str] = set()
        self._manifest: Manifest | None = None
        self._digest: str | None = None
        self._signature: Signature | None = None
        self._stamps: dict[str, Stamped] = {}
        self._custody: tuple[CustodyRecord, ...] = ()

    def report(self) -> Report:
        """Make every check."""
        steps: list[tuple[str, _Step]] = [
            ("manifest", self._check_manifest),
            ("files", self._check_files),
            ("items", self._check_items),
            ("derived files", self._check_derived),
            ("signature", self._check_signature),
            *((f"time stamp {name}", partial(self._check_stamp, name)) for name in self._authorities),
            ("time stamps", self._check_independence),
            ("signer", self._check_signer),
            ("custody", self._check_custody),
            ("custody of the bundle", self._check_custody_of_bundle),
            ("custody signature", self._check_custody_signature),
            *((f"replay of {name}", partial(self._check_replay, name)) for name in self._replayable),
            ("container", self._check_container),  # last: what is wrong with it may show only while it is read
        ]
        return Report(checks=tuple(_made(name, step) for name, step in steps), bundle=self._digest)

    # ------------------------------------------------------------------------------------------------- the files

    def _check_manifest(self, seen: _Findings) -> None:
        content = self._read(layout.MANIFEST, layout.LARGEST_MANIFEST)
        self._digest = hashlib.sha256(content).hexdigest()
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError as error:
            raise BadInput(": ".join(first_wrong(error))) from error
        if manifest.v != layout.VERSION:
            raise BadInput(f"of version {manifest.v}; this verifier knows {layout.VERSION}")
        if manifest.canonical() != content:
            raise BadInput("not in its canonical form")
        names = [one.name for one in manifest.items]
        if names != sorted(set(names)):
            raise BadInput("the items are not sorted, or one is listed twice")
        self._manifest = manifest
        seen.found = f"case {manifest.case}, attempt {manifest.attempt}, bundle {self._digest}"

    def _check_files(self, seen: _Findings) -> None:
        manifest = self._known_manifest()
        fixed = {
            layout.README, layout.MANIFEST, layout.SIGNATURE, layout.SUMS, layout.CUSTODY, layout.CUSTODY_SIGNATURE,
        }  # fmt: skip
        expected = fixed | {layout.item(one.name) for one in manifest.items}
        there = {name for name in self._contents.sizes if layout.authority_of(name) is None}
        seen.found = f"{len(self._contents.sizes)} files"
        if self._unread:
            seen.problems.append(f"more than {MOST_STAMPS} time stamps: {self._unread} were not looked at")
        seen.problems += [f"{name}: is missing" for name in sorted(expected - there)]
        seen.problems += [f"{name}: nothing accounts for it" for name in sorted(there - expected)]

    def _check_items(self, seen: _Findings) -> None:
        manifest = self._known_manifest()
        seen.found = f"{len(manifest.items)} items, {sum(one.size for one in manifest.items)} bytes"
        for one in manifest.items:
            name = layout.item(one.name)
            size = self._contents.sizes.get(name)
            if size is None:
                continue  # said among the files
            if size != one.size:
                seen.problems.append(f"{name}: {size} bytes, in place of {one.size}")
            elif self._sha256(name) != one.sha256:
                seen.problems.append(f"{name}: not the bytes that the manifest says")
            else:
                self._whole.add(name)

    def _check_derived(self, seen: _Findings) -> None:
        seen.found = f"{layout.SUMS} follows from the manifest, {layout.README} is that of this version"
        for name, expected in ((layout.SUMS, layout.sums(self._known_manifest())), (layout.README, layout.readme())):
            if self._contents.sizes.get(name) != len(expected) or self._read(name, len(expected)) != expected:
                seen.problems.append(f"{name}: not what it must be")

    def _check_replay(self, name: str, seen: _Findings) -> None:
        if name not in self._whole:
            raise BadInput("not the file that was sealed: not looked into")
        with tempfile.TemporaryFile() as copy:
            for chunk in self._contents.chunks(name):
                copy.write(chunk)
            seen.problems += damaged(copy)
        seen.found = "each record has the digest that it states"

    def _check_container(self, seen: _Findings) -> None:
        seen.found = "nothing beside the files"
        seen.problems += self._contents.problems

    # ---------------------------------------------------------------------------------------- signature and time

    def _check_signature(self, seen: _Findings) -> None:
        content = self._read(layout.MANIFEST, layout.LARGEST_MANIFEST)
        self._signature = check_signature(self._read(layout.SIGNATURE, cms.LARGEST), content)
        seen.found = f"over the manifest, by {name_of(self._signature.signer)}"

    def _check_stamp(self, authority: str, seen: _Findings) -> None:
        anchors = self._trust.timestamps_at(authority, None)
        if not anchors:
            raise BadInput(f"no certificate of an authority {authority!a} is trusted")
        token, signature = self._read(layout.token(authority), tsp.LARGEST), self._read(layout.SIGNATURE, cms.LARGEST)
        stamped = check_token(token, signature, anchors)
        # The moment is known only now: what has led to it must have counted at it.
        counting = self._trust.timestamps_at(authority, stamped.at)
        if counting != anchors:
            check_token(token, signature, counting)
        seen.found = f"{_utc(stamped.at)}, by {name_of(stamped.signer)}"
        self._check_window(stamped.at)
        self._stamps[authority] = stamped

    def _check_window(self, at: datetime) -> None:
        end, rules = self._known_manifest().finished_at, self._rules
        if not end - rules.skew <= at <= end + rules.window:
            span = f"{rules.skew} before to {rules.window} after the capture's end, {_utc(end)}"
            raise Refused("bad_timestamp", f"{_utc(at)} is not from {span}")

    def _check_independence(self, seen: _Findings) -> None:
        """Two names for one root, or one key under two roots, are one authority."""
        groups: list[set[bytes]] = []
        for authority, stamped in self._stamps.items():
            keys = set(map(_key, (*self._trust.timestamps_at(authority, None), stamped.signer)))
            groups = [
                *(group for group in groups if not group & keys),
                keys.union(*(group for group in groups if group & keys)),
            ]
        seen.found = f"{len(groups)} independent authorities"
        if len(groups) < self._rules.stamps:
            seen.problems.append(f"good stamps of {len(groups)} independent authorities; {self._rules.stamps} needed")

    def _check_signer(self, seen: _Findings) -> None:
        if self._signature is None:
            raise BadInput("there is no good signature")
        if not self._stamps:
            raise BadInput("there is no good time stamp, so no moment at which the certificate was valid")
        at = min(stamped.at for stamped in self._stamps.values())
        check_trusted(self._signature.signer, self._signature.others, self._trust.authority_at(at), at)
        seen.found = f"trusted, and valid at {_utc(at)}, the first time stamp"

    # ------------------------------------------------------------------------------------------------ the custody

    def _check_custody(self, seen: _Findings) -> None:
        records = read_chain(self._read(layout.CUSTODY, layout.LARGEST_CUSTODY))
        check_chain(records)
        self._custody = records
        seen.found = f"{len(records)} records, each follows from the one before"

    def _check_custody_of_bundle(self, seen: _Findings) -> None:
        manifest = self._known_manifest()
        tokens = {name: self._sha256(layout.token(name)) for name in self._authorities}
        seen.found = f"tells of attempt {manifest.attempt}, from its beginning to this export"
        seen.problems += untold(self._known_custody(), manifest, tokens, self._rules.skew)

    def _check_custody_signature(self, seen: _Findings) -> None:
        content = self._read(layout.CUSTODY, layout.LARGEST_CUSTODY)
        signature = check_signature(self._read(layout.CUSTODY_SIGNATURE, cms.LARGEST), content)
        at = self._known_custody()[-1].at
        check_trusted(signature.signer, signature.others, self._trust.authority_at(at), at)
        seen.found = f"over the whole chain, by {name_of(signature.signer)}, valid at {_utc(at)}"

    # ---------------------------------------------------------------------------------------------------- reading

    def _known_manifest(self) -> Manifest:
        if self._manifest is None:
            raise BadInput("there is no good manifest to compare with")
        return self._manifest

    def _known_custody(self) -> tuple[CustodyRecord, ...]:
        if not self._custody:
            raise BadInput("there is no whole chain of custody")
        return self._custody

    def _read(self, name: str, limit: int) -> bytes:
        return b"".join(self._chunks(name, limit))

    def _sha256(self, name: str) -> str:
        hasher = hashlib.sha256()
        for chunk in self._contents.chunks(name):
            hasher.update(chunk)
        return hasher.hexdigest()

    def _chunks(self, name: str, limit: int) -> Iterator[bytes]:
        size = self._contents.sizes.get(name)
        if size is None:
            raise BadInput(f"{name}: is missing")
        if size > limit:
            raise BadInput(f"{name}: {size} bytes; {limit} at most")
        return self._contents.chunks(name)


def _made(name: str, step: _Step) -> Check:
    findings = _Findings()
    try:
        step(findings)
    except (Refused, BadInput) as error:
        findings.problems.append(str(error))
    except OSError as error:
        findings.problems.append(f"cannot be read: {error.strerror or error}")
    return line(name, findings.found, findings.problems)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _key(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
