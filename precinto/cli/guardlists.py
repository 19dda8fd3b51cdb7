"""Commands about the guard lists: what there is, what matches, and putting a newer one in place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from precinto.cli.output import AsJson, Exit, emit, stderr, stdout, table
from precinto.domain.guards import Form, ListKind

guardlists_app = typer.Typer(help="The guard lists: what must not be hit on one person's word.", no_args_is_help=True)


@guardlists_app.callback()
def guardlists() -> None:
    """The guard lists: what must not be hit on one person's word."""


@guardlists_app.command("list")
def list_lists(as_json: AsJson = False) -> None:
    """List them, with date, age and source."""
    from precinto.guardlists import read_guardlists
    from precinto.settings import load_settings

    today = datetime.now(UTC).date()
    lists = read_guardlists(load_settings().guardlists).lists
    if as_json:
        emit([{**one.model_dump(mode="json"), "stale": one.stale(today)} for one in lists])
        return
    rows = table("id", "kind", "entries", "dated", "days", "", "source", fixed=("id", "kind", "dated"))
    for one in lists:
        age = "stale" if one.stale(today) else ""
        days = str((today - one.dated).days)
        confirm = " (to be confirmed)" if one.verify else ""
        rows.add_row(one.id, one.kind, str(one.entries), one.dated.isoformat(), days, age, one.source + confirm)
    stdout().print(rows)


@guardlists_app.command()
def check(
    names: Annotated[list[str], typer.Argument(metavar="NAME|ADDRESS...", help="Host names and IP addresses.")],
    as_json: AsJson = False,
) -> None:
    """Say which entries match a name or an address.

    For a name: what it equals or lies below, and what lies below it.
    """
    from precinto.domain.intake import TargetKind, normalise
    from precinto.domain.methods import is_address
    from precinto.guardlists import read_guardlists
    from precinto.settings import load_settings

    lists = read_guardlists(load_settings().guardlists)
    found: dict[str, list[dict[str, str]]] = {}
    for name in names:
        if is_address(name):
            hits = [("holds it", match) for match in lists.around(name)]
        else:
            host = normalise(TargetKind.DOMAIN, name).value
            hits = [("above", match) for match in lists.above(host)]
            hits += [("below", match) for match in lists.below(host)]
        found[name] = [
            {"where": where, "entry": m.entry, "kind": m.kind, "reason": m.reason, "source": m.source}
            for where, m in hits
        ]
    if as_json:
        emit(found)
        return
    rows = table("name", "entry is", "entry", "reason", "list", fixed=("name", "entry is", "entry"))
    for name, hits in found.items():
        for hit in hits or [{"where": "none", "entry": "", "reason": "", "source": ""}]:
            rows.add_row(name, hit["where"], hit["entry"], hit["reason"], hit["source"])
    stdout().print(rows)


@guardlists_app.command("import")
def import_list(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Text, an entry a line; a rank stands before: 17,name.")
    ],
    id: Annotated[str, typer.Option("--id", metavar="ID", help="Id of the list; an older one of the same id goes.")],
    kind: Annotated[ListKind, typer.Option("--kind", help="What its entries are.")],
    source: Annotated[str, typer.Option("--source", metavar="TEXT", help="Who publishes it, and where.")],
    dated: Annotated[datetime, typer.Option("--dated", formats=["%Y-%m-%d"], help="The day its entries are of.")],
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="What it lists; default: the id.")] = "",
    form: Annotated[Form, typer.Option("--form", help="How its entries are written.")] = Form.NAMES,
    licence: Annotated[str, typer.Option("--licence", metavar="TEXT", help="Its terms.")] = "not stated",
    stale_after_days: Annotated[
        int, typer.Option("--stale-after-days", min=1, help="Age from which it is old.")
    ] = 365,
    hold_within: Annotated[
        int | None, typer.Option("--hold-within", min=1, help="Hold up to this rank; else every entry holds.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check a list and put it in place, with its digest.

    A line that is no entry is named and left out; the others go on, and the exit code is 6.
    """
    from precinto.guardlists import import_guardlist
    from precinto.settings import load_settings

    written, left_out = import_guardlist(
        load_settings().guardlists,
        file,
        {
            "id": id,
            "title": title or id,
            "kind": kind,
            "form": form,
            "source": source,
            "licence": licence,
            "dated": dated.date(),
            "stale_after_days": stale_after_days,
            "hold_within": hold_within,
        },
    )
    for one in left_out:
        stderr().print(f"{file.name}:{one.line}: {one.text}: {one.reason}", soft_wrap=True)
    if as_json:
        emit({**written.model_dump(mode="json"), "left_out": [one._asdict() for one in left_out]})
    else:
        stdout().print(f"{written.id}: {written.entries} entries of {written.dated}, SHA-256 {written.sha256}")
    return Exit.PARTIAL if left_out else Exit.OK
