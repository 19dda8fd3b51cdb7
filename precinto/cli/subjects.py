"""Commands about subjects: the people whose texts are sealed, each under a key that can be destroyed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.cases import with_installation
from precinto.cli.output import AsJson, emit, stdout, table, when

if TYPE_CHECKING:
    from precinto.cli.opened import Opened
    from precinto.store.subjects import SubjectRow

subjects_app = typer.Typer(help="People whose texts are kept sealed.", no_args_is_help=True)


@subjects_app.callback()
def subjects() -> None:
    """People whose texts are kept sealed."""


@subjects_app.command("list")
def list_subjects(as_json: AsJson = False) -> None:
    """List the subjects: their ids say nothing of who they are."""

    async def act(here: Opened) -> list[SubjectRow]:
        from precinto.store.subjects import subjects_of

        return list(await subjects_of(here.store.database))

    rows: list[SubjectRow] = with_installation(act)
    if as_json:
        emit([row.model_dump(exclude={"key"}) for row in rows])
        return
    shown = table("subject", "since", "erased", "by", "reason", fixed=("subject",))
    for row in rows:
        shown.add_row(row.id, when(row.created_at), when(row.erased_at), row.erased_by or "", row.reason or "")
    stdout().print(shown)


@subjects_app.command()
def erase(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Id of the subject.")],
    officer: Annotated[str, typer.Option("--officer", metavar="NAME", help="Id of the officer who erases.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; a file number, and no word on who it is.")
    ],
    as_json: AsJson = False,
) -> None:
    """Destroy a subject's key, so that no text of theirs opens any more. There is no way back.

    Backups that were made before still hold the key, wrapped: 'subjects rewrap' makes those worthless.
    """

    async def act(here: Opened) -> None:
        from precinto.domain import policy
        from precinto.store.subjects import erase as erase_subject
        from precinto.store.subjects import scrub

        policy.officer(here.registry.officers, officer)
        async with here.store.database.write() as session:
            await erase_subject(session, subject, officer, reason)
        await scrub(here.store.database)

    with_installation(act)
    if as_json:
        emit({"subject": subject, "erased": True})
    else:
        stdout().print(f"the texts of {subject} do not open any more; 'subjects rewrap' sees to the backups")


@subjects_app.command()
def rewrap(as_json: AsJson = False) -> None:
    """Give the vault a new key, wrap every subject's key with it, and forget the old one.

    Copies of the database from before then do not open with the vault. Destroy your copies of the old vault too.
    """

    async def act(here: Opened) -> int:
        return await here.subjects.rewrap(here.store.database)

    count: int = with_installation(act)
    if as_json:
        emit({"subjects": count})
    else:
        stdout().print(f"{count} keys wrapped anew; copies of the old vault open nothing of what is kept from now on")
