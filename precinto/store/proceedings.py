"""The main proceeding: once it is open, an order that was given before it does not lapse any more."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from precinto.domain.errors import BadInput, Refused
from precinto.domain.policy import Deed, can
from precinto.domain.review import Officer
from precinto.domain.statements import Number
from precinto.store import ledger
from precinto.store.database import Database, now
from precinto.store.intake import load_case
from precinto.store.orders import OrderRow, order_of
from precinto.store.releases import end_to_come


async def open_proceeding(
    database: Database, case: str, number: str, officer: str, officers: Sequence[Officer]
) -> OrderRow:
    """Put on file that the main proceeding was opened. The same again is the same.

    Args:
        database: The database.
        case: The case whose order in force rests on it.
        number: The proceeding's number, 1 to 64 characters.
        officer: Who says so.
        officers: The registry's officers.

    Returns:
        The order, which now ends with its date alone.

    Raises:
        NotFound: No such case.
        BadInput: The number cannot be one.
        Refused: ``unknown_officer``, ``not_entitled``; ``not_in_force``: it has ended or lapsed already;
            ``proceeding_open``: another one is on file.
    """
    moment = now()
    can(officers, officer, Deed.PROCEED, moment)
    try:
        number = TypeAdapter[str](Number).validate_python(number.strip())
    except ValidationError as error:
        raise BadInput("number: 1 to 64 visible characters are needed") from error
    async with database.write() as session:
        found = await load_case(session, case)
        order = await order_of(session, found)
        if order is None or order.ended_at is not None:
            raise Refused("not_in_force", f"there is no order in force: the case is in {found.stage}")
        if order.proceeding is not None:
            if order.proceeding == number:
                return order
            raise Refused("proceeding_open", f"proceeding {order.proceeding} is on file for this order already")
        end = await end_to_come(session, order)
        if end.at <= moment:
            # The law has ended it, though the engine may not have got round to it.
            raise Refused("not_in_force", f"the order was over at {end.at.isoformat()}: {end.reason.value}")
        order.proceeding, order.lapses_at = number, None
        session.add(order)
        body = {"order": order.id, "proceeding": number}
        await ledger.append(session, "proceeding_opened", body, case=case, actor=officer)
        return order
