"""Commands about evidence: handing a sealed bundle over, looking into it, and checking one offline."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from precinto.cli.cases import Case, with_installation
from precinto.cli.output import AsJson, Exit, Officer, emit, stdout, table, when

if TYPE_CHECKING:
    from precinto.bundle.report import Report
    from precinto.cli.opened import Opened
    from precinto.handover import HandedOver

evidence_app = typer.Typer(help="Sealed evidence.", no_args_is_help=True)

_Trust = Annotated[
    Path,
    typer.Option("--trust", metavar="FOLDER", help="Certificates you trust: authority.pem, timestamps/NAME.pem."),
]
_Purpose = Annotated[str, typer.Option("--purpose", metavar="TEXT", help="What for; stands on the chain of custody.")]
_Attempt = Annotated[int | None, typer.Option("--attempt", min=1, help="Which bundle of the case; else the newest.")]
_Window = Annotated[float, typer.Option("--window-hours", min=0, help="How long after the capture a stamp may be.")]
_Deep = Annotated[bool, typer.Option("--deep", help="Look into the web archive as well, record by record.")]


@evidence_app.callback()
def evidence() -> None:
    """Sealed evidence."""


@evidence_app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle: the ZIP, or the folder of it.")],
    trust: _Trust,
    window: _Window = 24.0,
    deep: _Deep = False,
    as_json: AsJson = False,
) -> int:
    """Check a bundle, offline and with your own trusted certificates.

    One line for each check. The exit code is 1 when any of them refuses the bundle.
    """
    from precinto.bundle.report import Rules
    from precinto.bundle.trust import Trust
    from precinto.bundle.verifier import verify as verify_bundle

    report = verify_bundle(bundle, Trust.read(trust), Rules(window=timedelta(hours=window)), deep=deep)
    if as_json:
        checks = [{"name": one.name, "found": one.found, "problems": list(one.problems)} for one in report.checks]
        emit({"good": report.good, "bundle": report.bundle, "checks": checks})
    else:
        _print(report)
    return Exit.OK if report.good else Exit.FAILED


@evidence_app.command()
def export(
    case: Case,
    officer: Officer,
    purpose: _Purpose,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where it goes.")] = Path("evidence"),
    attempt: _Attempt = None,
    as_json: AsJson = False,
) -> None:
    """Hand over a sealed bundle, with a report in Spanish and English.

    The export stands on the case's chain of custody, with its purpose, and goes with the bundle.
    """

    async def act(here: Opened) -> HandedOver:
        return await here.handover.export(case, attempt, officer, purpose, to)

    handed = with_installation(act)
    if as_json:
        emit(handed)
        return
    stdout().print(f"{handed.bundle}  bundle {handed.digest}", soft_wrap=True)
    for report in handed.reports:
        stdout().print(str(report), soft_wrap=True)


@evidence_app.command("open")
def open_item(
    case: Case,
    item: Annotated[str, typer.Argument(metavar="FILE", help="A file of the bundle, as 'show' lists it.")],
    officer: Officer,
    purpose: _Purpose,
    to: Annotated[Path | None, typer.Option("--to", metavar="PATH", help="Where it goes; its own name here.")] = None,
    attempt: _Attempt = None,
    as_json: AsJson = False,
) -> None:
    """Take out one file of a bundle, to look at it; noted on the chain of custody.

    Pages of strangers are hostile: look at pictures, and open nothing else outside a sandbox.
    """
    path = to or Path(item)

    async def act(here: Opened) -> None:
        await here.handover.open(case, attempt, item, officer, purpose, path)

    with_installation(act)
    if as_json:
        emit({"case": case, "item": item, "path": str(path)})
    else:
        stdout().print(f"{path}: noted on the chain of custody", soft_wrap=True)


@evidence_app.command()
def custody(case: Case, as_json: AsJson = False) -> None:
    """Show who did what to the evidence of a case."""
    from precinto.domain.custody import CustodyRecord, check_chain
    from precinto.store.custody import chain_of
    from precinto.store.intake import load_case

    async def act(here: Opened) -> list[CustodyRecord]:
        async with here.store.database.read() as session:
            await load_case(session, case)
        return await chain_of(here.store.database, case)

    records = with_installation(act)
    check_chain(records)
    if as_json:
        emit(records)
        return
    lines = table("", "at (UTC)", "attempt", "who", "act", "subject", "detail", fixed=("at (UTC)", "who", "act"))
    for one in records:
        subject = f"{one.subject[:12]}..." if one.subject else ""
        lines.add_row(str(one.seq), when(one.at), str(one.attempt), one.actor, one.act, subject, one.detail)
    stdout().print(lines)


@evidence_app.command()
def stamp(as_json: AsJson = False) -> None:
    """Get the time stamps that bundles still lack, now."""
    from precinto import engine
    from precinto.contracts import Stamped

    async def act(here: Opened) -> Stamped:
        return await engine.stamp_now(await here.client())

    done = with_installation(act)
    if as_json:
        emit(done)
    else:
        stdout().print(f"{done.got} stamps got; {done.waiting} bundles still wait for their time")


@evidence_app.command()
def trust(
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where they go.")] = Path("trust"),
    as_json: AsJson = False,
) -> None:
    """Write the certificates that whoever checks bundles needs, the former ones too.

    Give them to others by another way than the bundles: publish them, with their fingerprints.
    """
    from precinto.adapters.seals.identity import ROOT
    from precinto.bundle.trust import FORMER
    from precinto.handover import write_trust
    from precinto.registry import read_registry
    from precinto.settings import load_settings

    settings = load_settings()
    asked = {one.name: one.ca_file for one in read_registry(settings.registry).timestamp_authorities}
    written = write_trust(settings.sealing_folder / ROOT, asked, settings.sealing_folder / FORMER, to)
    if as_json:
        former = [
            {"of": one.of, "since": one.since.isoformat(), "until": one.until.isoformat()} for one in written.former
        ]
        emit({"folder": str(to), "timestamps": list(asked), "former": former})
        return
    stdout().print(f"{to}: the authority's root, and those of {len(asked)} time-stamp authorities", soft_wrap=True)
    for one in written.former:
        stdout().print(f"former root of {one.of}: counted from {when(one.since)} until {when(one.until)}")


def _print(report: Report) -> None:
    console = stdout()
    for check in report.checks:
        for problem in check.problems:
            console.print(f"refused  {check.name}: {problem}", soft_wrap=True)
        if not check.problems:
            console.print(f"ok       {check.name}: {check.found}", soft_wrap=True)
    console.print("the bundle is good" if report.good else "the bundle is refused", soft_wrap=True)
