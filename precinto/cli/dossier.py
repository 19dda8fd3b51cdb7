"""A case on paper: everything on file about it, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console

from precinto.cli.output import table, when
from precinto.store.overview import CaseFile, LedgerLine

_FREE = frozenset({"work", "detail", "source", "failure", "reasons", "subject"})
"""Columns of free text, which may fold; every other is a name, a number or a moment."""


def print_case(console: Console, file: CaseFile) -> None:
    """Print a case, its parts in the order in which it travels."""
    case = file.case
    closure = f", {case.closure}" if case.closure else ""
    due = f", due {when(case.due_at)} UTC" if case.due_at else ""
    console.print(f"Case {case.id}: {case.target} ({case.service})", style="bold")
    console.print(f"{case.stage}{closure}{due}; opened {when(case.opened_at)} UTC by {file.opened_by}")
    _section(console, "Referrals", file.referrals, ("partner", "reference", "work", "received_at"))
    _section(console, "Findings", file.findings, ("weight", "detail", "source"))
    _section(
        console, "Bundles", file.bundles, ("attempt", "digest", "items", "bytes", "stamps", "sealed_at", "failure")
    )
    _section(console, "Evidence items", file.items, ("name", "media_type", "size", "sha256"))
    _section(console, "Decisions", file.decisions, ("officer", "outcome", "state", "refusal", "reasons"))
    _section(console, "Orders", file.orders, ("number", "basis", "valid_from", "valid_until", "ended_at", "revoked"))
    _placements(console, file)
    _section(console, "Escalations", file.escalations, ("what", "subject", "at"))
    console.print("\nTimeline", style="bold")
    for line in file.ledger:
        console.print(f"  {when(line.at)}  {told(line)}", style=style_of(line), soft_wrap=True)


def told(line: LedgerLine) -> str:
    """A row of the ledger in words."""
    tell = _TOLD.get(line.action)
    return tell(line.actor, line.body) if tell else line.action.replace("_", " ")


def style_of(line: LedgerLine) -> str:
    """How a row of the ledger is marked on a terminal: what is not as it should be, and what was measured."""
    match line.action:
        case "standing_changed":
            return "bold red" if line.body["to"] in {"lapsed", "overstaying"} else "cyan"
        case "decision_refused" | "escalated":
            return "yellow"
        case "case_closed":
            return "bold"
        case _:
            return ""


def _referred(_: str, body: dict[str, Any]) -> str:
    opened = "opens the case" if body["opened"] else "joins the case"
    held = ", which is held for two reviewers" if body["hold"] and body["opened"] else ""
    return f"referral of {body['partner']} {opened}{held}"


def _sealed(_: str, body: dict[str, Any]) -> str:
    whole = "" if body["complete"] else " of an incomplete capture"
    return f"evidence sealed: {body['items']} items{whole}, bundle {body['bundle'][:12]}"


def _delivered(_: str, body: dict[str, Any]) -> str:
    said = f", who says {', '.join(sorted(set(body['claims'].values())))}" if body["claims"] else ""
    kind = f"reminder {body['reminder']}" if body["reminder"] else "notice"
    return f"{kind} to {body['action']} delivered to {body['isp']}{said}"


_TOLD: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "referral_registered": _referred,
    "case_accepted": lambda actor, body: "case accepted",
    "evidence_sealed": _sealed,
    "evidence_stamped": lambda actor, body: f"time stamped by {body['authority']}: bundle {body['bundle'][:12]}",
    "capture_failed": lambda actor, body: f"attempt {body['attempt']} to capture {body['state']}",
    "decision_submitted": lambda actor, body: f"{actor} files: {body['outcome']}",
    "decision_admitted": lambda actor, body: f"{actor}'s decision counts: {body['outcome']}",
    "decision_refused": lambda actor, body: f"decision refused: {body['code']}",
    "review_concluded": lambda actor, body: f"review ends: {body['outcome']}",
    "order_issued": lambda actor, body: (
        f"order {body['number']} issued to {', '.join(body['isps'])} until {body['until'][:19]}"
    ),
    "notice_delivered": _delivered,
    "reminders_queued": lambda actor, body: f"to be reminded to {body['action']}: {', '.join(body['isps'])}",
    "standing_changed": lambda actor, body: (
        f"at {body['isp']} still blocked by order {body['under']}"
        if "under" in body
        else f"measured at {body['isp']}: {body['from']} -> {body['to']}"
    ),
    "order_ended": lambda actor, body: (
        f"order {'revoked' if body['revoked'] else 'ended'}: every ISP is told to release"
    ),
    "escalated": lambda actor, body: f"put before a human: {body['what']} ({body['subject']})",
    "case_closed": lambda actor, body: f"case closed: {body['closure']}",
}


def _section(console: Console, title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    if not rows:
        return
    lines = table(*columns, fixed=[column for column in columns if column not in _FREE])
    for row in rows:
        lines.add_row(*(_cell(column, row[column]) for column in columns))
    console.print(f"\n{title}", style="bold")
    console.print(lines)


def _placements(console: Console, file: CaseFile) -> None:
    if not file.placements:
        return
    columns = ("target", "isp", "notices", "ISP says", "measured", "verdict", "at (UTC)")
    lines = table(*columns, fixed=("target", "isp", "notices", "at (UTC)"))
    for one in file.placements:
        standing = f"{one.standing}, though the ISP says otherwise" if one.differs else one.standing
        lines.add_row(
            one.target, one.isp, "\n".join(one.notices), one.claim, standing, one.ruling, when(one.measured_at)
        )
    console.print("\nAt the ISPs", style="bold")
    console.print(lines)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column.endswith("_at") or column.startswith("valid_"):
        return when(datetime.fromisoformat(value))
    return f"{value[:16]}..." if column in {"digest", "sha256"} else str(value)
