"""Commands about cases: refer, list, show, decide, sweep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from precinto.cli.output import AsJson, Exit, Officer, emit, stderr, stdout, table, when
from precinto.cli.signing import PassphraseFile, signatory

if TYPE_CHECKING:
    from rich.table import Table

    from precinto.cli.opened import Opened
    from precinto.desk import Desk
    from precinto.domain.evidence import Finding
    from precinto.domain.referral_files import BadRow, GoodRow
    from precinto.store.overview import CaseFile, CaseLine

AT_ONCE = 25
"""Referrals that are taken in at the same time."""

Case = Annotated[str, typer.Argument(metavar="CASE", help="Case id, as 'cases' lists it.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reasons, for the file.")]


class Verb(StrEnum):
    """What an officer can decide on a case; the domain's outcomes, which take too long to load for a help text."""

    APPROVE = "approve"
    REJECT = "reject"
    RETURN = "return"
    REVOKE = "revoke"
    STAY = "stay"
    RESUME = "resume"
    RENEW = "renew"
    UPHOLD = "uphold"
    DISMISS = "dismiss"


def refer(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Referral files, CSV or JSON.")],
    officer: Officer = "operator-1",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check only; open nothing.")] = False,
    as_json: AsJson = False,
) -> int:
    """Take in referral files.

    Each good row opens a case, or joins the open case about its target. A bad row is reported with file, line,
    column and reason; the others go on, and the exit code is 6.
    """
    from precinto.domain import referral_files
    from precinto.domain.errors import BadInput

    good: list[GoodRow] = []
    bad: list[BadRow] = []
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}") from error
        for row in referral_files.read(content, path.name):
            if isinstance(row, referral_files.BadRow):
                bad.append(row)
            else:
                good.append(row)
    taken = asyncio.run(_take_in(good, officer, dry_run=dry_run, quiet=as_json)) if good else []
    if as_json:
        emit({"dry_run": dry_run, "referrals": taken, "bad": bad})
    else:
        _print_taken(taken, bad)
    return Exit.PARTIAL if bad else Exit.OK


async def _take_in(rows: list[GoodRow], officer: str, *, dry_run: bool, quiet: bool) -> list[dict[str, Any]]:
    from rich.progress import Progress

    from precinto.cli.opened import opened

    async with opened() as here:
        if dry_run:
            return await _plan(here, rows, officer)
        desk = await here.desk()
        with Progress(console=stderr(), transient=True, disable=quiet or len(rows) < AT_ONCE) as progress:
            task = progress.add_task("Taking in referrals", total=len(rows))
            answers: list[dict[str, Any]] = []
            async for answer in taken_in(desk, rows, officer):
                answers.append(answer)
                progress.advance(task)
            return answers


async def taken_in(desk: Desk, rows: list[GoodRow], officer: str) -> AsyncIterator[dict[str, Any]]:
    """Take in good rows in their order, a page at a time; what became of each."""
    for start in range(0, len(rows), AT_ONCE):
        page = rows[start : start + AT_ONCE]
        registered = await desk.refer([row.referral for row in page], officer)
        for row, one in zip(page, registered, strict=True):
            yield {**_place(row), **one.model_dump(exclude={"start"})}


async def _plan(here: Opened, rows: list[GoodRow], officer: str) -> list[dict[str, Any]]:
    """What taking these rows in would do."""
    from datetime import UTC, datetime

    from precinto.domain.evidence import guard
    from precinto.domain.policy import Deed, can

    can(here.registry.officers, officer, Deed.REFER, datetime.now(UTC))
    lists = here.guardlists
    planned: list[dict[str, Any]] = []
    seen: set[str] = set()
    for row in rows:
        case, opens = await here.store.intake.place(row.referral.target)
        found = _grouped(guard(row.referral.target, lists))
        planned.append({**_place(row), "case": case, "opened": opens and case not in seen, "findings": found})
        seen.add(case)
    return planned


def _grouped(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings of one kind and weight as one, with every list that says so."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in sorted(findings, key=lambda finding: not finding.holds):
        groups.setdefault((finding.kind, finding.weight), []).append(finding)
    return [
        {
            "kind": kind,
            "weight": weight,
            "lists": list(dict.fromkeys(finding.source for finding in group)),
            "details": list(dict.fromkeys(finding.detail for finding in group)),
        }
        for (kind, weight), group in groups.items()
    ]


def _place(row: GoodRow) -> dict[str, Any]:
    return {"file": row.file, "line": row.line, "target": row.referral.target.value}


def _print_taken(taken: list[dict[str, Any]], bad: list[BadRow]) -> None:
    columns = ("file", "line", "target", "case", "what becomes of it", "hold")
    told: dict[str, list[dict[str, Any]]] = {}
    rows = table(*columns, fixed=("line", "target", "case"))
    for row in taken:
        became = "known already" if row.get("known") else "opens" if row["opened"] else "joins the open case"
        found = told.setdefault(row["target"], row.get("findings", []))
        held = row.get("hold", False) or any(finding["weight"] == "hold" for finding in found)
        rows.add_row(
            row["file"], str(row["line"]), row["target"], row["case"], became, "two reviewers" if held else ""
        )
    if taken:
        stdout().print(rows)
    for target, findings in told.items():
        for one in findings:
            kind = one["kind"].replace("_", " ")
            stdout().print(f"{target}: {one['weight']}, {kind}: {'; '.join(one['lists'])}", soft_wrap=True)
    for row in bad:
        stderr().print(f"{row.file}: line {row.line}: {row.column}: {row.reason}", soft_wrap=True)


def list_cases(
    everything: Annotated[bool, typer.Option("--all", help="Closed cases too.")] = False, as_json: AsJson = False
) -> None:
    """List the open cases.

    With where each stands at each ISP, by what was measured.
    """
    from precinto.store.overview import case_lines

    async def lines(here: Opened) -> list[CaseLine]:
        return await case_lines(here.store.database, closed=everything)

    found = with_installation(lines)
    if as_json:
        emit(found)
    else:
        stdout().print(case_table(found))


def case_table(lines: list[CaseLine]) -> Table:
    """The cases as a table for people; it fits a terminal of 80 columns."""
    from precinto.domain.case import BEFORE_ORDER

    rows = table("case", "target", "stage", "due (UTC)", "at the ISPs", fixed=("case", "target"))
    for line in lines:
        stage = f"{line.stage} ({line.closure})" if line.closure else line.stage.value
        stage += ", on hold" if line.hold and line.stage in BEFORE_ORDER else ""
        rows.add_row(line.id, line.target, stage, when(line.due_at), _at_isps(line.standings))
    return rows


def _at_isps(standings: dict[str, str]) -> str:
    """Standing by standing, the ISPs at which it stands so."""
    found: dict[str, list[str]] = {}
    for isp, standing in standings.items():
        found.setdefault(standing, []).append(isp)
    return "; ".join(f"{standing.replace('_', ' ')}: {', '.join(isps)}" for standing, isps in found.items())


def show(case: Case, as_json: AsJson = False) -> None:
    """Show everything on file about a case."""
    from precinto.cli.dossier import print_case
    from precinto.store.overview import case_file

    async def file(here: Opened) -> CaseFile:
        return await case_file(here.store.database, case)

    found = with_installation(file)
    if as_json:
        emit(found)
    else:
        print_case(stdout(), found)


def decide(
    case: Case,
    outcome: Annotated[Verb, typer.Argument(help="What you decide.")],
    officer: Officer,
    reason: Reason,
    grounds: Annotated[
        list[str] | None,
        typer.Option("--ground", metavar="CODE", help="Legal ground, as 'procedures show' lists them."),
    ] = None,
    about: Annotated[str | None, typer.Option("--about", metavar="ID", help="The objection that you decide.")] = None,
    for_signal: Annotated[
        bool, typer.Option("--for-signal", help="Sign and file it only, and print what Temporal's own tools can send.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Decide on a case, signed with your key.

    On its bundle under review: approve, reject, return. On its order in force: revoke, stay, resume, renew, uphold,
    dismiss. Whoever referred or opened the case may not approve it.
    """

    async def act(here: Opened) -> dict[str, Any]:
        from datetime import UTC, datetime

        from precinto.domain.policy import can
        from precinto.domain.review import Outcome

        desk = await here.desk()
        # Before anybody is asked for a passphrase; the case's own procedure may be narrower.
        can(here.registry.officers, officer, Outcome(outcome.value), datetime.now(UTC))
        by = await signatory(here, officer, passphrase_file)
        said = (case, by, Outcome(outcome.value), reason, tuple(grounds or ()), about)
        if for_signal:
            return {"envelope": (await desk.file(*said)).envelope}
        return {"case": case, "officer": officer, "outcome": outcome, "needed": (await desk.decide(*said)).needed}

    done = with_installation(act)
    if as_json or for_signal:
        emit(done)
    elif done["needed"]:
        stdout().print(f"{case}: {outcome.value} by {officer}; one more officer must {outcome.value}, a different one")
    else:
        stdout().print(f"{case}: {outcome.value} by {officer}; carried out now")


def sweep(
    vantages: Annotated[list[str] | None, typer.Argument(metavar="[ISP...]", help="All, if none is named.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure every order at the ISPs, now."""
    from precinto import engine
    from precinto.domain.errors import NotFound

    async def act(here: Opened) -> list[Any]:
        known = [isp.id for isp in here.registry.isps]
        if unknown := sorted(set(vantages or ()) - set(known)):
            raise NotFound(f"the registry has no ISP {', '.join(unknown)}; it has {', '.join(known)}")
        client = await here.client()
        return list(await asyncio.gather(*(engine.sweep_now(client, one) for one in vantages or known)))

    found = with_installation(act)
    if as_json:
        emit(found)
    else:
        for one in found:
            stdout().print(f"{one.vantage}: {one.measured} measured, {one.lapsed} lapsed anew")


def with_installation(act: Any) -> Any:
    """Open the installation, do one thing, close it."""
    from precinto.cli.opened import opened

    async def run() -> Any:
        async with opened() as here:
            return await act(here)

    return asyncio.run(run())
