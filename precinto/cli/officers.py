"""Commands about the officers and the keys that they sign their decisions with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from precinto.cli.output import AsJson, Officer, emit, stdout, table, when
from precinto.cli.signing import PassphraseFile, passphrase, signing_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from precinto.cli.opened import Opened
    from precinto.store.officer_keys import OfficerKeyRow

officers_app = typer.Typer(help="The officers, and the keys that they sign with.", no_args_is_help=True)


@officers_app.callback()
def officers() -> None:
    """The officers, and the keys that they sign with."""


@officers_app.command("list")
def list_officers(as_json: AsJson = False) -> None:
    """List the officers with their keys, the revoked ones too."""
    from precinto.cli.opened import opened

    async def run() -> list[dict[str, Any]]:
        async with opened() as here:
            return _with_keys(here, await here.store.officer_keys.keys())

    found = asyncio.run(run())
    if as_json:
        emit(found)
        return
    rows = table("officer", "roles", "key", "enrolled", "by", "revoked", fixed=("officer", "key", "enrolled"))
    for one in found:
        name, roles = one["id"], ", ".join(one["roles"]) or "not in the registry"
        for key in one["keys"]:
            enrolled, revoked = when(key["enrolled_at"]), when(key["revoked_at"])
            rows.add_row(name, roles, key["id"], enrolled, key["enrolled_by"], revoked)
        if not one["keys"]:
            rows.add_row(name, roles, "none", "", "", "")
    stdout().print(rows)


def _with_keys(here: Opened, keys: Sequence[OfficerKeyRow]) -> list[dict[str, Any]]:
    """Each officer of the registry, and each who has left it, with the keys."""
    roles = {one.id: one.roles for one in here.registry.officers}
    left = sorted({key.officer for key in keys} - roles.keys())
    return [
        {
            "id": name,
            "roles": [str(role) for role in roles.get(name, ())],
            "keys": [key.model_dump(exclude={"officer"}) for key in keys if key.officer == name],
        }
        for name in (*roles, *left)
    ]


@officers_app.command()
def enrol(
    id: Annotated[str, typer.Argument(metavar="ID", help="The officer whose key is made.")],
    officer: Officer,
    vouched_by: Annotated[
        str, typer.Option("--vouched-by", metavar="ID", help="Who signs for a further key; default: the officer.")
    ] = "",
    passphrase_file: PassphraseFile = None,
    voucher_passphrase_file: Annotated[
        Path | None,
        typer.Option("--voucher-passphrase-file", metavar="PATH", help="The same, for the key that signs for it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for an officer, protected by a passphrase, and enrol it.

    The officer types the passphrase, and nobody else learns it. The first key needs no signature. For every further
    one a key in force signs: of that officer, or of a legal head.
    """
    from precinto.cli.opened import opened

    async def run() -> tuple[OfficerKeyRow, Path]:
        async with opened() as here:
            return await _enrol(here, id, officer, vouched_by, passphrase_file, voucher_passphrase_file)

    row, path = asyncio.run(run())
    if as_json:
        emit({"officer": row.officer, "key": row.id, "enrolled_at": row.enrolled_at, "file": path})
    else:
        stdout().print(f"{row.officer} signs with the key {row.id} from {when(row.enrolled_at)} on")
        stdout().print(f"it is in {path}; keep a copy, and the passphrase elsewhere", soft_wrap=True)


async def _enrol(
    here: Opened, officer: str, by: str, vouched_by: str, passphrase_file: Path | None, voucher_file: Path | None
) -> tuple[OfficerKeyRow, Path]:
    from datetime import UTC, datetime

    from precinto.adapters.keys.key_file import make_key
    from precinto.domain import policy
    from precinto.domain.errors import BadInput, Refused
    from precinto.domain.statements import Enrolment, public_text, sign_enrolment

    folder, store = here.settings.keys_folder, here.store.officer_keys
    policy.officer(here.registry.officers, officer)
    enrolled = await store.keys()
    if any(key.officer == officer and key.revoked_at is None for key in enrolled):
        vouched_by = vouched_by or officer
    vouching = signing_key(folder, vouched_by, enrolled, voucher_file) if vouched_by else None
    secret = passphrase(passphrase_file or here.settings.passphrase_file, f"{officer}'s new key", new=True)
    file = make_key(folder, officer, secret)
    key = file.unlock(secret)  # as it will be when it is needed
    public = key.public_key()
    enrolment = Enrolment(officer=officer, public=public_text(public), at=datetime.now(UTC))
    proof = sign_enrolment(enrolment, key)
    voucher = sign_enrolment(enrolment, vouching) if vouching else None
    try:
        row = await store.enrol(
            officer, public.public_bytes_raw(), by, proof, officers=here.registry.officers, voucher=voucher
        )
    except (BadInput, Refused):
        file.path.unlink()  # surely not enrolled, so it is nobody's
        raise
    return row, file.path


# The id of a key may begin with a hyphen, and is no option then.
@officers_app.command(context_settings={"ignore_unknown_options": True})
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, as 'officers list' shows it.")],
    officer: Officer,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with the key.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key: from now on nothing that it signs is taken.

    What was decided with it before stands.
    """
    from precinto.cli.opened import opened

    async def run() -> None:
        async with opened() as here:
            await here.store.officer_keys.revoke(key, officer, reason)

    asyncio.run(run())
    if as_json:
        emit({"key": key, "revoked": True})
    else:
        stdout().print(f"the key {key} is revoked; what was decided with it before stands")
