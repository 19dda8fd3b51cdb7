"""Commands about orders: checking a signed one offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from precinto.cli.output import AsJson, emit, stdout

order_app = typer.Typer(help="Order documents.", no_args_is_help=True)


@order_app.callback()
def order() -> None:
    """Order documents."""


@order_app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A signed order: compact JWS.")],
    roots: Annotated[Path, typer.Option("--roots", metavar="FILE", help="The authority's root that you trust, PEM.")],
    as_json: AsJson = False,
) -> None:
    """Check a signed order, offline and with a root certificate that you got by another way."""
    from precinto.adapters.seals.document import LARGEST, verify_document
    from precinto.bundle.trust import read_certificates
    from precinto.domain.errors import BadInput
    from precinto.domain.model import canonical_json, digest

    trusted = read_certificates(roots)
    try:
        with file.open("rb") as opened:
            signed = opened.read(LARGEST + 2).decode("utf-8", errors="replace").rstrip("\r\n")
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror or error}") from error
    said = verify_document(signed, trusted)
    sha256 = digest(canonical_json(said))
    if as_json:
        emit({"sha256": sha256, "order": said})
        return
    out = stdout()
    out.print(f"{said['kind']} {said['number']} v{said['version']}: the signature is good")
    out.print(f"issued {said['issued_at']}, from {said['valid_from']} until {said['valid_until']}", soft_wrap=True)
    out.print(f"targets {len(said['locations'])}, in {said['territory'] or 'a territory that is not stated'}")
    out.print(f"sha256 {sha256}, which stands at the foot of each page of the letter", soft_wrap=True)
