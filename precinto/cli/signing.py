"""How a command gets at the key of the officer who acts: the file is there, the passphrase is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precinto.domain.errors import BadInput, CannotHere

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from precinto.cli.opened import Opened
    from precinto.desk import Signatory
    from precinto.store.officer_keys import OfficerKeyRow

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="PATH", help="File with the passphrase; else it is asked for."),
]


def passphrase(file: Path | None, what: str, *, new: bool = False) -> str:
    """The passphrase in a file, or as it is typed, unseen; a new one is typed twice.

    Args:
        file: The file, or None.
        what: What it is the passphrase of.
        new: Whether it is being chosen.

    Raises:
        BadInput: The file does not hold one, or nobody is there to be asked.
        CannotHere: There is no such file.
    """
    from precinto.adapters.keys.key_file import read_passphrase

    if file is not None:
        return read_passphrase(file)
    if not sys.stdin.isatty():
        raise BadInput(f"passphrase of {what}: nobody to ask, for this is no terminal; give a file with it")
    return typer.prompt(f"Passphrase of {what}", hide_input=True, confirmation_prompt=new, err=True)


async def signatory(here: Opened, officer: str, passphrase_file: Path | None) -> Signatory:
    """An officer with the key to sign with. Raises as :func:`signing_key`."""
    from precinto.desk import Signatory

    keys = await here.store.officer_keys.keys(officer)
    file = passphrase_file or here.settings.passphrase_file
    return Signatory(officer, signing_key(here.settings.keys_folder, officer, keys, file))


def signing_key(
    folder: Path, officer: str, enrolled: Sequence[OfficerKeyRow], passphrase_file: Path | None
) -> Ed25519PrivateKey:
    """The newest key of an officer that is on this machine and in force.

    Args:
        folder: Where key files are (``Settings.keys_folder``).
        officer: Whose key.
        enrolled: The keys on record.
        passphrase_file: Where the passphrase is, or None: it is asked for.

    Raises:
        CannotHere: None of the officer's keys in force is here.
        BadInput: As :func:`passphrase` and ``KeyFile.unlock``.
    """
    from precinto.adapters.keys.key_file import key_files

    in_force = {row.id for row in enrolled if row.revoked_at is None and row.officer == officer}
    for file in key_files(folder, officer):
        if file.key in in_force:
            return file.unlock(passphrase(passphrase_file, f"{officer}'s key"))
    raise CannotHere(
        f"no key of {officer} that is in force is in {folder}: python starter.py officers enrol {officer}"
    )
