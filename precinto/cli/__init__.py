"""The commands behind ``starter.py``. Each imports what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import os
import sys

import typer
from typer._click.exceptions import ClickException  # typer brings a click of its own

from precinto.cli import (
    cases,
    demo,
    escalations,
    evidence,
    guardlists,
    hearings,
    machine,
    networks,
    objections,
    officers,
    orders,
    procedures,
    proceedings,
    records,
    standing,
    subjects,
)
from precinto.cli.output import Exit, exit_code, report, report_json
from precinto.domain.errors import PrecintoError

app = typer.Typer(
    name="precinto",
    help="Copyright enforcement with proof: refer, decide, notify, measure, and end what was ordered.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(help=app.info.help)
def every_command() -> None:
    """Before each command: warnings of our own and of libraries go to standard error, never between an answer."""
    from precinto.observability import set_up_logging

    set_up_logging("WARNING")


app.command()(demo.demo)
app.command()(machine.up)
app.command()(machine.setup)
app.command()(machine.bootstrap)
app.command()(machine.doctor)
app.command()(cases.refer)
app.command("cases")(cases.list_cases)
app.command()(cases.show)
app.command()(cases.decide)
app.command()(cases.sweep)
app.add_typer(evidence.evidence_app, name="evidence")
app.add_typer(orders.order_app, name="order")
app.add_typer(guardlists.guardlists_app, name="guardlists")
app.add_typer(networks.networks_app, name="networks")
app.add_typer(records.ledger_app, name="ledger")
app.add_typer(subjects.subjects_app, name="subjects")
app.add_typer(procedures.procedures_app, name="procedures")
app.add_typer(officers.officers_app, name="officers")
app.add_typer(escalations.escalations_app, name="escalations")
app.add_typer(standing.standing_app, name="standing")
app.add_typer(objections.objections_app, name="objections")
app.add_typer(hearings.hearings_app, name="hearings")
app.add_typer(proceedings.proceedings_app, name="proceedings")


def run(arguments: list[str]) -> int:
    """Run one command; the exit code."""
    as_json = "--json" in arguments
    try:
        result = app(arguments, standalone_mode=False)
    except PrecintoError as error:
        report(error, as_json=as_json)
        return exit_code(error)
    except typer.Abort:
        return Exit.INTERRUPTED
    except ClickException as error:
        if as_json:
            report_json("Usage", error.format_message())
        else:
            error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return int(result or Exit.OK)


def main() -> None:
    """Entry point. Leaves without taking the interpreter apart: Temporal's SDK can crash one (sdk-python#300)."""
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
