"""Commands about orders: what is on file about them, their documents, and checking a signed one offline."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.cases import with_installation
from precinto.cli.output import AsJson, emit, stdout, table, when

if TYPE_CHECKING:
    from rich.console import Console

    from precinto.cli.opened import Opened
    from precinto.domain.order_document import OrderDocument
    from precinto.store.documents import OrderFile, VersionFile

order_app = typer.Typer(help="Order documents.", no_args_is_help=True)


@order_app.callback()
def order() -> None:
    """Order documents."""


class InLanguage(StrEnum):
    """Languages of documents; the domain's, which take too long to load for a help text."""

    ES = "es"
    EN = "en"


@order_app.command("list")
def list_orders(as_json: AsJson = False) -> None:
    """List the orders, each with what it says now."""
    from precinto.store.documents import order_files

    async def act(here: Opened) -> list[OrderFile]:
        return await order_files(here.store.database)

    found = with_installation(act)
    if as_json:
        emit(found)
        return
    lines = table(
        "order", "version", "says", "from (UTC)", "until (UTC)", "case", "documents", fixed=("order", "case")
    )
    for one in found:
        newest = one.newest
        said = (newest.kind.value, when(newest.valid_from), when(newest.valid_until))
        lines.add_row(one.number, str(newest.version), *said, one.case, _documents(newest))
    stdout().print(lines)


@order_app.command()
def show(
    order: Annotated[str, typer.Argument(metavar="ORDER", help="Number of an order, as 'order list' has it.")],
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="One version of it; the newest without.")
    ] = None,
    language: Annotated[InLanguage, typer.Option("--language", help="Of the document to write.")] = InLanguage.ES,
    pdf: Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help="Write the letter there.")] = None,
    jws: Annotated[Path | None, typer.Option("--jws", metavar="FILE", help="Write the signed JSON there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show an order with every version of it, and write out the documents of one."""
    from precinto.adapters.blobs import blob_store
    from precinto.store.documents import order_files

    async def act(here: Opened) -> OrderFile:
        (found,) = await order_files(here.store.database, order)
        blobs = blob_store(here.settings.blob_place)
        for path, name in ((pdf, "pdf"), (jws, "jws")):
            if path is not None:
                document = _document(found, version, language)
                _write(path, await blobs.get(getattr(document, name)))
        return found

    found = with_installation(act)
    if as_json:
        emit(found)
    else:
        _print(stdout(), found)
        for path in filter(None, (pdf, jws)):
            stdout().print(f"{path}: written", soft_wrap=True)


def _document(order: OrderFile, version: int | None, language: InLanguage) -> OrderDocument:
    """The document of a version, the newest where none is asked for.

    Raises:
        NotFound: There is no such version, or no document of it in this language.
    """
    from precinto.domain.errors import NotFound

    number = order.newest.version if version is None else version
    for one in order.versions:
        for document in one.documents:
            if one.version == number and document.language == language:
                return document
    raise NotFound(f"order {order.number} has no document of version {number} in {language.value!r}")


def _write(path: Path, content: bytes) -> None:
    from precinto.domain.errors import BadInput

    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror or error}") from error


def _print(console: Console, order: OrderFile) -> None:
    under = f", under the standing order {order.standing_order}" if order.standing_order else ""
    console.print(f"Order {order.number} of case {order.case}{under}", style="bold")
    console.print(f"targets: {', '.join(order.targets)}", soft_wrap=True)
    lines = table(
        "version", "says", "from (UTC)", "until (UTC)", "why it ended", "documents", "SHA-256 of what is signed"
    )
    for one in order.versions:
        said = (one.kind.value, when(one.valid_from), when(one.valid_until), one.end_reason or "")
        digests = "\n".join(f"{document.language} {document.content}" for document in one.documents)
        lines.add_row(str(one.version), *said, _documents(one), digests)
    console.print(lines)


def _documents(version: VersionFile) -> str:
    """Which documents there are of a version, in words."""
    if version.documents:
        return ", ".join(document.language for document in version.documents)
    return "none could be made" if version.undocumented_at else "not made yet"


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
