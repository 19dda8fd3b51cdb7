"""What officers do with standing orders: enact and revoke one, and release cases under it, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from precinto.desk import Desk, Signatory, default_grounds
from precinto.domain.errors import NotFound, Refused, Unavailable
from precinto.domain.model import Value, digest
from precinto.domain.policy import can
from precinto.domain.procedures import Snapshot
from precinto.domain.review import Officer, Outcome
from precinto.domain.standing_orders import StandingState
from precinto.domain.statements import Statement, new_nonce, sign
from precinto.engine import TemporalSignals
from precinto.store import Store
from precinto.store.standing_orders import StandingFile

AT_ONCE = 25
"""Cases that are told at the same time."""


class Release(Value):
    """What became of one case that was to be released; ``code`` and ``reason`` are None where it was."""

    case: str
    code: str | None = None
    reason: str | None = None


async def enact(
    store: Store,
    officers: Sequence[Officer],
    number: str,
    signatory: Signatory,
    reasons: str,
    grounds: Sequence[str] = (),
) -> int:
    """Sign that an officer enacts a standing order; returns how many officers must still do so.

    Args:
        store: The repositories.
        officers: The registry's officers.
        number: The standing order.
        signatory: Who enacts.
        reasons: Why, for the file.
        grounds: Codes of its procedure; the default is what its terms name.

    Raises:
        NotFound: No standing order has this number.
        Refused: A rule says no; the refusal is on file.
    """
    file = await store.standing_orders.file(number)
    grounds = _stated(file.order.snapshot, Outcome.ENACT, grounds) or file.order.terms.grounds
    signed = _sign(file, officers, signatory, Outcome.ENACT, reasons, grounds)
    return await store.standing_orders.enact(number, signed, reasons, officers)


async def revoke(
    store: Store,
    officers: Sequence[Officer],
    number: str,
    signatory: Signatory,
    reasons: str,
    grounds: Sequence[str] = (),
) -> tuple[str, ...]:
    """Sign that an officer revokes a standing order: every order that rests on it is over from this moment on.

    Again, it names the cases again, so that they can be told again.

    Returns:
        The cases to tell, see :func:`tell`. Until a case is told, its files say it already.

    Raises:
        NotFound: No standing order has this number.
        Refused: A rule says no; the refusal is on file.
    """
    file = await store.standing_orders.file(number)
    if file.state is StandingState.REVOKED:
        return await store.standing_orders.end_releases(number)
    snapshot = file.order.snapshot
    grounds = _stated(snapshot, Outcome.REVOKE, grounds) or default_grounds(snapshot, Outcome.REVOKE)
    signed = _sign(file, officers, signatory, Outcome.REVOKE, reasons, grounds)
    return await store.standing_orders.revoke(number, signed, reasons, officers)


async def tell(signals: TemporalSignals, cases: Iterable[str]) -> list[str]:
    """Have cases look at their files; returns those that could not be told now."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(case: str) -> str | None:
        async with turn:
            try:
                await signals.changed(case)
            except Unavailable:
                return case
        return None

    return [case for case in await asyncio.gather(*map(one, cases)) if case]


async def release(
    store: Store,
    desk: Desk,
    number: str,
    cases: Sequence[str],
    signatory: Signatory,
    reasons: str,
    grounds: Sequence[str] = (),
) -> list[Release]:
    """Release cases under a standing order: each by a statement of its own, on its own bundle, in its own right.

    Args:
        store: The repositories.
        desk: The desk, which tells the cases.
        number: The standing order.
        cases: The cases.
        signatory: Who releases.
        reasons: Why, for each file.
        grounds: Codes of the procedure; the default is what the standing order rests on.

    Raises:
        NotFound: No standing order has this number.
        Refused: ``unknown_ground``; what a case is refused for is its result.
    """
    order = (await store.standing_orders.file(number)).order
    own = (code for code in order.terms.grounds if Outcome.RELEASE in order.snapshot.ground(code).outcomes)
    grounds = _stated(order.snapshot, Outcome.RELEASE, grounds) or tuple(own)
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(case: str) -> Release:
        async with turn:
            try:
                await desk.decide(case, signatory, Outcome.RELEASE, reasons, grounds, number)
            except Refused as refused:
                return Release(case=case, code=refused.code, reason=refused.reason)
            except (NotFound, Unavailable) as error:
                return Release(case=case, code=type(error).__name__, reason=str(error))
        return Release(case=case)

    return list(await asyncio.gather(*map(one, dict.fromkeys(cases))))


def _stated(snapshot: Snapshot, outcome: Outcome, grounds: Sequence[str]) -> tuple[str, ...]:
    """Grounds that an officer has named, each once.

    Raises:
        Refused: ``unknown_ground``.
    """
    known = {ground.code for ground in snapshot.procedure.grounds if outcome in ground.outcomes}
    if unknown := [code for code in grounds if code not in known]:
        raise Refused("unknown_ground", f"{', '.join(unknown)[:200]} is not a ground to {outcome.value}")
    return tuple(dict.fromkeys(grounds))


def _sign(
    file: StandingFile,
    officers: Sequence[Officer],
    signatory: Signatory,
    outcome: Outcome,
    reasons: str,
    grounds: tuple[str, ...],
) -> str:
    if not reasons.strip():
        raise Refused("reasons_missing", "a decision states its reasons")
    moment = datetime.now(UTC)
    statement = Statement(
        case=file.number,
        subject=file.digest,
        outcome=outcome,
        grounds=grounds,
        reasons=digest(reasons.encode()),
        actor=signatory.officer,
        role=can(officers, signatory.officer, outcome, moment, file.order.snapshot.procedure),
        at=moment,
        nonce=new_nonce(),
    )
    return sign(statement, signatory.key)
