"""Commands about main proceedings, without which some orders lapse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.cases import Case, with_installation
from precinto.cli.output import AsJson, Officer, emit, stdout, when

if TYPE_CHECKING:
    from precinto.cli.opened import Opened
    from precinto.store.orders import OrderRow

proceedings_app = typer.Typer(help="Main proceedings, without which some orders lapse.", no_args_is_help=True)


@proceedings_app.callback()
def proceedings() -> None:
    """Main proceedings, without which some orders lapse."""


@proceedings_app.command("open")
def open_main_proceeding(
    case: Case,
    officer: Officer,
    number: Annotated[str, typer.Option("--number", metavar="NUMBER", help="The proceeding's number.")],
    as_json: AsJson = False,
) -> None:
    """Record that the main proceeding of a case was opened: its order does not lapse any more."""

    async def act(here: Opened) -> OrderRow:
        from precinto.store.proceedings import open_proceeding

        return await open_proceeding(here.store.database, case, number, officer, here.registry.officers)

    order: OrderRow = with_installation(act)
    if as_json:
        emit({"case": case, "order": order.number, "proceeding": order.proceeding, "until": order.valid_until})
    else:
        until = when(order.valid_until)
        stdout().print(f"order {order.number} rests on proceeding {order.proceeding}, until {until} UTC")
