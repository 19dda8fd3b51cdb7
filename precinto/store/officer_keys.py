"""The keys of the officers: which key is whose, since when, on whose word, and until when.

Rows are never changed but for their revocation, and triggers hold to that. The first key of an officer is enrolled by
whoever administers the installation; every further one needs the signature of a key in force, that officer's or a
legal head's, so that who administers cannot slip in a key beside one that its officer uses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Text
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain import policy
from precinto.domain.errors import BadInput, NotFound, Refused
from precinto.domain.model import digest
from precinto.domain.review import Officer, Role
from precinto.domain.statements import (
    Enrolment,
    decode,
    encode,
    key_id,
    public_key,
    read_enrolment,
    verify_enrolment,
)
from precinto.store import ledger
from precinto.store.database import Database, now

FRESH = timedelta(hours=1)
"""How old an enrolment may be, and how far ahead of this machine's clock: a word once given is not kept for later."""


class OfficerKeyRow(SQLModel, table=True):
    """A key of an officer."""

    __tablename__ = "officer_keys"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=43)
    officer: str = Field(index=True, max_length=64)
    public: str = Field(max_length=43)
    enrolled_at: datetime
    enrolled_by: str = Field(max_length=64)
    proof: str = Field(sa_type=Text)
    voucher: str | None = Field(default=None, sa_type=Text)
    revoked_at: datetime | None = None
    revoked_by: str | None = Field(default=None, max_length=64)
    revoked_reason: str | None = Field(default=None, max_length=500)


async def key_in_force(session: AsyncSession, kid: str, officer: str, at: datetime) -> bytes:
    """The public key of this id, which was this officer's at that moment.

    Whoever files a new decision asks for this very moment, not for the time that the statement gives: who has a stolen
    key writes any time into it. The statement's own time is for what was filed long ago.

    Raises:
        Refused: ``unknown_key``, ``other_officers_key``, ``key_not_yet`` or ``key_revoked``.
    """
    row = await session.get(OfficerKeyRow, kid)
    if row is None:
        raise Refused("unknown_key", f"the key {kid} is not enrolled")
    if row.officer != officer:
        raise Refused("other_officers_key", f"the key {kid} is not {officer}'s")
    if at < row.enrolled_at:
        raise Refused("key_not_yet", f"the key {kid} is enrolled since {row.enrolled_at.isoformat()}, not before")
    if row.revoked_at is not None and at >= row.revoked_at:
        raise Refused("key_revoked", f"the key {kid} was revoked at {row.revoked_at.isoformat()}")
    return decode(row.public)


def _named(by: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", by):
        raise BadInput(f"{by[:64]!r} is not an id: lower-case letters, digits and hyphens")


class OfficerKeyStore:
    """Enrols and revokes the keys of officers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enrol(
        self,
        officer: str,
        public: bytes,
        by: str,
        proof: str,
        *,
        officers: Sequence[Officer],
        voucher: str | None = None,
    ) -> OfficerKeyRow:
        """Enrol a key.

        Args:
            officer: Whose key it is.
            public: The key, 32 bytes.
            by: Id of whoever enrols it: for the record.
            proof: The :class:`Enrolment`, signed by the key itself.
            officers: The registry's officers.
            voucher: The same enrolment, signed by a key in force of that officer or of a legal head; needed where the
                officer has had a key before.

        Raises:
            BadInput: An envelope is none, or ``by`` is no id.
            Refused: ``unknown_officer``, ``weak_key``, ``forged``, ``other_enrolment``, ``stale_enrolment``,
                ``already_enrolled``, ``voucher_missing``, ``not_a_legal_head``, or as :func:`key_in_force` for the
                key that vouches.
        """
        _named(by)
        policy.officer(officers, officer)
        enrolment = verify_enrolment(proof, public)
        if (enrolment.officer, enrolment.public) != (officer, encode(public)):
            raise Refused("other_enrolment", "what the key has signed enrols another key, or for another officer")
        row = OfficerKeyRow(
            id=key_id(public_key(public)),
            officer=officer,
            public=enrolment.public,
            enrolled_at=now(),
            enrolled_by=by,
            proof=proof,
            voucher=voucher,
        )
        if abs(row.enrolled_at - enrolment.at) > FRESH:
            raise Refused("stale_enrolment", f"signed at {enrolment.at.isoformat()}: sign anew, within {FRESH}")
        async with self._database.write() as session:
            if await session.get(OfficerKeyRow, row.id) is not None:
                raise Refused("already_enrolled", f"the key {row.id} is or was enrolled; make another one")
            vouched_by = await _vouched(session, enrolment, voucher, officers, row.enrolled_at)
            session.add(row)
            body = {"key": row.id, "officer": officer, "vouched_by": vouched_by}
            await ledger.append(session, "officer_key_enrolled", body, actor=by)
        return row

    async def revoke(self, kid: str, by: str, reason: str) -> None:
        """End a key, from now on; what it has signed before stays signed.

        Raises:
            NotFound: No such key.
            BadInput: No reason, or one of more than 500 characters; or ``by`` is no id.
            Refused: ``key_revoked``: it is already.
        """
        if not 0 < len(reason.strip()) <= 500:
            raise BadInput("reason: needed, of 500 characters at most")
        _named(by)
        async with self._database.write() as session:
            row = await session.get(OfficerKeyRow, kid)
            if row is None:
                raise NotFound(f"the key {kid} is not enrolled")
            if row.revoked_at is not None:
                raise Refused("key_revoked", f"the key {kid} was revoked at {row.revoked_at.isoformat()}")
            row.revoked_at, row.revoked_by, row.revoked_reason = now(), by, reason
            session.add(row)
            body = {"key": kid, "officer": row.officer, "reason": digest(reason.encode())}
            await ledger.append(session, "officer_key_revoked", body, actor=by)

    async def keys(self, officer: str | None = None) -> list[OfficerKeyRow]:
        """The keys of an officer, or of all; revoked ones too, in the order of their enrolment."""
        rows = select(OfficerKeyRow).order_by(col(OfficerKeyRow.enrolled_at), col(OfficerKeyRow.id))
        if officer is not None:
            rows = rows.where(OfficerKeyRow.officer == officer)
        async with self._database.read() as session:
            return list(await session.exec(rows))


async def _vouched(
    session: AsyncSession, enrolment: Enrolment, voucher: str | None, officers: Sequence[Officer], at: datetime
) -> str | None:
    """Id of the key that vouches for an enrolment; None where none is needed, and none was given."""
    had = select(OfficerKeyRow.id).where(OfficerKeyRow.officer == enrolment.officer).limit(1)
    if voucher is None:
        if (await session.exec(had)).first() is None:
            return None
        reason = f"{enrolment.officer} has had a key before: that officer or a legal head must sign for another one"
        raise Refused("voucher_missing", reason)
    said, kid = read_enrolment(voucher)
    if said != enrolment:
        raise Refused("other_enrolment", "what was vouched for is not what the key has signed")
    row = await session.get(OfficerKeyRow, kid)
    holder = row.officer if row else ""
    verify_enrolment(voucher, await key_in_force(session, kid, holder, at))
    if holder != enrolment.officer and not _is_legal_head(officers, holder):
        raise Refused("not_a_legal_head", f"{holder} may not vouch for a key of {enrolment.officer}")
    return kid


def _is_legal_head(officers: Sequence[Officer], officer: str) -> bool:
    return any(one.id == officer and Role.LEGAL_HEAD in one.roles for one in officers)
