"""Anchors of the ledger: taken in time, stamped when the authorities answer, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Field, SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain.evidence import STAMPS_NEEDED
from precinto.domain.ledger import ANCHORED, GENESIS, Anchor, leaf, tell
from precinto.domain.merkle import TreeHead
from precinto.ports import FiledStamp, UnstampedAnchor
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.ledger import AnchorRow, LedgerRow


class AnchorStampRow(SQLModel, table=True):
    """A time-stamp token over an anchor's statement; the blob store holds it under ``token``."""

    __tablename__ = "anchor_stamps"  # pyright: ignore[reportAssignmentType]

    anchor: int = Field(foreign_key="anchors.anchor", primary_key=True)
    authority: str = Field(primary_key=True, max_length=64)
    token: str = Field(max_length=64)
    at: datetime


class AnchorStore:
    """Port ``AnchorRepository``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def anchor(self, every: timedelta = timedelta()) -> Anchor | None:
        """Take an anchor of the newest row; None where nothing happened since the last, or that is younger.

        Raises:
            BrokenChain: The ledger was changed so that no anchor of it can be taken.
        """
        # Read first, and outside the writers' queue: a day's rows take a while, and do not change.
        async with self._database.read() as session:
            taken = await _next(session, every)
        if taken is None:
            return None
        async with self._database.write() as session:
            if await session.get(AnchorRow, taken.anchor) is not None:
                return None  # somebody else was faster
            session.add(AnchorRow(**taken.model_dump()))
            await ledger.append(session, ANCHORED, tell(taken))
        return taken

    async def unstamped(self) -> Sequence[UnstampedAnchor]:
        """The anchors that lack a time stamp, oldest first."""
        async with self._database.read() as session:
            stamped = select(AnchorStampRow.anchor).group_by(col(AnchorStampRow.anchor))
            enough = stamped.having(func.count() >= STAMPS_NEEDED)
            waiting = select(AnchorRow).where(col(AnchorRow.anchor).not_in(enough)).order_by(col(AnchorRow.anchor))
            found: list[UnstampedAnchor] = []
            for row in (await session.exec(waiting)).all():
                who = select(AnchorStampRow.authority).where(AnchorStampRow.anchor == row.anchor)
                authorities = tuple((await session.exec(who)).all())
                found.append(UnstampedAnchor(anchor=Anchor.model_validate(row.model_dump()), authorities=authorities))
        return found

    async def stamped(self, anchor: int, stamp: FiledStamp) -> None:
        """Record a time stamp of an anchor; idempotent."""
        async with self._database.write() as session:
            if await session.get(AnchorStampRow, (anchor, stamp.authority)) is None:
                session.add(AnchorStampRow(anchor=anchor, authority=stamp.authority, token=stamp.token, at=stamp.at))

    async def stamps(self) -> dict[int, list[FiledStamp]]:
        """The time stamps of each anchor that has any."""
        found: dict[int, list[FiledStamp]] = {}
        async with self._database.read() as session:
            order = select(AnchorStampRow).order_by(col(AnchorStampRow.anchor), col(AnchorStampRow.authority))
            for row in await session.exec(order):
                stamp = FiledStamp(authority=row.authority, token=row.token, at=row.at)
                found.setdefault(row.anchor, []).append(stamp)
        return found


async def _next(session: AsyncSession, every: timedelta) -> Anchor | None:
    newest = select(AnchorRow).order_by(col(AnchorRow.anchor).desc()).limit(1)
    before = (await session.exec(newest)).first()
    if before is not None and now() - before.at < every:
        return None
    first = before.last + 1 if before else 1
    news = select(LedgerRow.seq).where(LedgerRow.seq >= first, LedgerRow.action != ANCHORED).limit(1)
    if (await session.exec(news)).first() is None:
        return None
    tree = TreeHead()
    rows = select(LedgerRow.seq, LedgerRow.hash).where(LedgerRow.seq >= first).order_by(col(LedgerRow.seq))
    stream = await session.stream(rows.execution_options(yield_per=1000))
    last, head = first, GENESIS
    async for last, head in stream:
        tree.add(leaf(last, head))
    return Anchor(
        anchor=before.anchor + 1 if before else 1,
        at=now(),
        first=first,
        last=last,
        head=head,
        root=tree.root(),
        prev=Anchor.model_validate(before.model_dump()).digest() if before else GENESIS,
    )
