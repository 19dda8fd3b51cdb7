"""Commands about the copy of whose networks addresses are in."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from precinto.adapters.investigators.tables import TableForm
from precinto.cli.output import AsJson, Exit, emit, stderr, stdout

networks_app = typer.Typer(help="The copy of whose networks addresses are in.", no_args_is_help=True)


@networks_app.callback()
def networks() -> None:
    """The copy of whose networks addresses are in."""


@networks_app.command("import")
def import_tables(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tables of one day; .gz is unpacked.")],
    source: Annotated[str, typer.Option("--source", metavar="TEXT", help="Who publishes them, and where.")],
    licence: Annotated[str, typer.Option("--licence", metavar="TEXT", help="Their terms.")],
    dated: Annotated[datetime, typer.Option("--dated", formats=["%Y-%m-%d"], help="The day that they are of.")],
    form: Annotated[TableForm, typer.Option("--form", help="How their rows are written.")] = TableForm.IP_LOCATION_DB,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="What they are.")] = "networks by address",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Where the copy goes; default: the one in use.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Make the copy from a publisher's tables, with its date, source and digests.

    A line that is no row is named and left out; the others go on, and the exit code is 6.
    """
    from precinto.adapters.investigators.tables import import_networks
    from precinto.settings import load_settings

    settings = load_settings()
    folder = to or settings.networks or settings.home / "networks"
    done = import_networks(folder, files, form, title, source, licence, dated.date())
    for one in done.left_out:
        stderr().print(f"{one.file}: line {one.line}: {one.reason}", soft_wrap=True)
    if (more := done.left_out_in_all - len(done.left_out)) > 0:
        stderr().print(f"and {more} more lines that were left out")
    if as_json:
        counts = {"ipv4": done.ipv4, "ipv6": done.ipv6, "left_out": done.left_out_in_all}
        emit({"folder": str(folder), **done.snapshot.model_dump(mode="json"), **counts})
    else:
        stdout().print(
            f"{folder}: {done.ipv4} networks of IPv4, {done.ipv6} of IPv6, {dated:%Y-%m-%d}", soft_wrap=True
        )
        if folder != settings.networks:
            stdout().print(
                f"used where PRECINTO_NETWORKS={folder} is set, once the workers are restarted", soft_wrap=True
            )
    return Exit.PARTIAL if done.left_out_in_all else Exit.OK
