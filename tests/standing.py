"""Standing orders for tests: terms around the tests' referrals, and officers who sign them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from precinto.domain.intake import Service, TargetKind
from precinto.domain.model import digest
from precinto.domain.policy import MAY
from precinto.domain.procedures import Snapshot
from precinto.domain.review import Outcome
from precinto.domain.standing_orders import Caps, Scope, StandingOrder, Terms, Window, drafted
from precinto.domain.statements import Statement, new_nonce, sign
from precinto.store import Store
from precinto.store.standing_orders import StandingFile
from tests.authority import BILINGUAL, GROUND, REASONS, TERMS, enrol, key_of
from tests.fakes import OFFICERS

HOUR = timedelta(hours=1)
ENACTING = ("reviewer-1", "legal-head")


def standing_order(snapshot: Snapshot = TERMS, **changed: Any) -> StandingOrder:
    """One whose window is open, about what :func:`tests.authority.referral` refers; with some terms changed."""
    moment = datetime.now(UTC).replace(microsecond=0)
    terms = Terms(
        v=1,
        title=BILINGUAL,
        procedure=snapshot.procedure.name,
        grounds=(GROUND,),
        scope=Scope(
            services=(Service.STREAM_RIPPER,),
            kinds=(TargetKind.DOMAIN,),
            partners=("ifpi",),
            names=("y2mate*.*", "ripper-*.com"),
        ),
        caps=Caps(total=10, per_day=10),
        window=Window(since=moment - HOUR, until=moment + 24 * HOUR),
    )
    return drafted(terms.model_copy(update=changed), snapshot, "the tests")


def signed(file: StandingFile, officer: str, outcome: Outcome = Outcome.ENACT, **changed: Any) -> str:
    """What an officer signs of a standing order, with the usual reasons."""
    roles = next((one.roles for one in OFFICERS if one.id == officer), ())
    statement = Statement(
        case=file.number,
        subject=file.digest,
        outcome=outcome,
        grounds=(GROUND,),
        reasons=digest(REASONS.encode()),
        actor=officer,
        role=next((role for role in MAY[outcome] if role in roles), MAY[outcome][0]),
        at=datetime.now(UTC),
        nonce=new_nonce(),
    )
    return sign(statement.model_copy(update=changed), key_of(officer))


async def draft(store: Store, order: StandingOrder, officer: str = "operator-1") -> StandingFile:
    """A draft on file."""
    await enrol(store)
    return await store.standing_orders.draft(order, officer, OFFICERS)


async def enacted(store: Store, order: StandingOrder) -> str:
    """A standing order that its officers have enacted; returns its number."""
    file = await draft(store, order)
    for officer in ENACTING:
        await store.standing_orders.enact(file.number, signed(file, officer), REASONS, OFFICERS)
    return file.number


async def revoked(store: Store, number: str, officer: str = "duty-1") -> tuple[str, ...]:
    """An officer revokes a standing order; returns the cases that are to be told."""
    file = await store.standing_orders.file(number)
    return await store.standing_orders.revoke(number, signed(file, officer, Outcome.REVOKE), REASONS, OFFICERS)
