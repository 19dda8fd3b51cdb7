"""The records as others may check them: the ledger against its anchors and their time stamps, and excerpts of it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.bundle.trust import Trust
from precinto.domain.errors import BadInput, NotFound, Refused
from precinto.domain.evidence import STAMPS_NEEDED
from precinto.domain.ledger import Anchor, BrokenAnchor, Entry, leaf
from precinto.domain.merkle import Tree
from precinto.domain.model import canonical_json
from precinto.excerpt import Head, anchor_line, check_stamps, row_line
from precinto.ports import BlobStore, FiledStamp
from precinto.store import Store
from precinto.store.ledger import LedgerRow, anchors_of, rows_of_case, verify


@dataclass(frozen=True)
class Verified:
    """A ledger that holds.

    Attributes:
        rows: Number of rows.
        head: Hash of the newest row.
        anchors: Number of anchors.
        waiting: How many of them lack a time stamp.
        covered: The newest row that an anchor covers which has its time stamps; 0 for none.
        stamped_at: When that anchor was stamped, at the latest.
    """

    rows: int
    head: str
    anchors: int
    waiting: int
    covered: int
    stamped_at: datetime | None


class Records:
    """The ledger of an installation, with what stands in other places about it."""

    def __init__(self, store: Store, blobs: BlobStore) -> None:
        """Look at this store; the blob store has the tokens."""
        self._store = store
        self._blobs = blobs

    async def anchors(self) -> Sequence[Anchor]:
        """Every anchor, oldest first. Raises ``BrokenAnchor``: one cannot be read."""
        async with self._store.database.read() as session:
            return await anchors_of(session)

    async def verify(self, trust: Trust) -> Verified:
        """Recompute the ledger, and check every time stamp of its anchors.

        Raises:
            BrokenChain: Names the first bad row (``BrokenAnchor``: which anchor says so, or is itself bad).
        """
        rows, head = await verify(self._store.database)
        stamps = await self._store.anchors.stamps()
        anchors = await self.anchors()
        waiting, covered, at = 0, 0, None
        for anchor in anchors:
            filed = stamps.get(anchor.anchor, [])
            if filed:
                stated = check_stamps(anchor, await self._tokens(anchor, filed), trust)
                covered, at = anchor.last, max(stated.values())
            waiting += len(filed) < STAMPS_NEEDED
        return Verified(rows, head, len(anchors), waiting, covered, at)

    async def export(self, case: str, path: Path) -> Head:
        """Write the excerpt of a case, which ``precinto.excerpt`` describes; what its first line says.

        Raises:
            NotFound: The ledger has no row of this case.
            BrokenChain: The rows of this case do not hold.
            BadInput: The file cannot be written.
        """
        stamps = await self._store.anchors.stamps()
        async with self._store.database.read() as session:
            entries = [entry async for entry in rows_of_case(session, case)]
            if not entries:
                raise NotFound(f"the ledger has no row of a case {case!r}")
            covering = _covering(await anchors_of(session), set(stamps), entries)
            head = Head(case=case, anchors=len(covering), rows=len(entries))
            lines = [anchor_line(one, await self._tokens(one, stamps[one.anchor])) for one in covering]
            with _new_file(path) as file:
                for line in (canonical_json(head.model_dump()), *lines):
                    _write(file, line)
                await _write_rows(session, file, entries, covering)
        return head

    async def _tokens(self, anchor: Anchor, filed: Sequence[FiledStamp]) -> dict[str, bytes]:
        try:
            return {stamp.authority: await self._blobs.get(stamp.token) for stamp in filed}
        except (NotFound, Refused) as error:
            reason = f"has a time stamp that is not in the blob store: {error}"
            raise BrokenAnchor(anchor.anchor, anchor.first, reason) from error


def _covering(anchors: Sequence[Anchor], stamped: set[int], entries: Sequence[Entry]) -> list[Anchor]:
    """The anchors with a time stamp that cover these rows; without, an anchor proves nothing to others.

    Up to the first that has none: a row that is proved stands on those before it.
    """
    covering: list[Anchor] = []
    for anchor in anchors:
        if any(anchor.first <= entry.seq <= anchor.last for entry in entries):
            if anchor.anchor not in stamped:
                break
            covering.append(anchor)
    return covering


async def _write_rows(
    session: AsyncSession, file: IO[bytes], entries: Sequence[Entry], covering: Sequence[Anchor]
) -> None:
    left = list(reversed(entries))
    for anchor in covering:
        between = select(LedgerRow.seq, LedgerRow.hash).where(
            LedgerRow.seq >= anchor.first, LedgerRow.seq <= anchor.last
        )
        hashes = (await session.exec(between.order_by(col(LedgerRow.seq)))).all()
        tree = await asyncio.to_thread(Tree, [leaf(*one) for one in hashes])
        while left and left[-1].seq <= anchor.last:
            entry = left.pop()
            _write(file, row_line(entry, anchor.anchor, tree.path(entry.seq - anchor.first)))
    while left:
        _write(file, row_line(left.pop(), None, []))


def _write(file: IO[bytes], line: bytes) -> None:
    file.write(line + b"\n")


@contextmanager
def _new_file(path: Path) -> Generator[IO[bytes]]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror or error}") from error
