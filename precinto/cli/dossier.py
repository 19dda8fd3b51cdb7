"""A case on paper: everything on file about it, for a person at a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console

from precinto.cli.output import table, when
from precinto.store.overview import CaseFile, LedgerLine

_FREE = frozenset({"work", "detail", "source", "failure", "subject"})
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
    _entries(console, "Decisions (UTC)", file.decisions, _decision)
    _entries(console, "Hearing (UTC)", [one.model_dump(mode="json") for one in file.hearing], _hearing)
    stayed = [{**row, "stays": [one for one in file.stays if one["order"] == row["id"]]} for row in file.orders]
    _entries(console, "Orders (UTC)", stayed, _order)
    _entries(console, "Objections (UTC)", [one.model_dump(mode="json") for one in file.objections], _objection)
    _placements(console, file)
    _section(console, "Escalations", file.escalations, ("what", "subject", "at", "seen_by"))
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


def _end(body: dict[str, Any]) -> str:
    if "reason" in body:
        return body["reason"].replace("_", " ")
    return "revoked" if body["revoked"] else "expired"  # as release 0.1 wrote it


_TOLD: dict[str, Callable[[str, dict[str, Any]], str]] = {
    "referral_registered": _referred,
    "case_accepted": lambda actor, body: "case accepted",
    "evidence_sealed": _sealed,
    "evidence_stamped": lambda actor, body: f"time stamped by {body['authority']}: bundle {body['bundle'][:12]}",
    "capture_failed": lambda actor, body: f"attempt {body['attempt']} to capture {body['state']}",
    "decision_submitted": lambda actor, body: f"{actor} files: {body['outcome']}",
    "decision_admitted": lambda actor, body: f"{actor}'s decision counts: {body['outcome']}",
    "decision_refused": lambda actor, body: f"decision refused: {body['code']}",
    "signals_dropped": lambda actor, body: f"{body['count']} signals dropped unread: too many",
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
    "order_documented": lambda actor, body: f"document of version {body['version']} of the order is made and signed",
    "order_stayed": lambda actor, body: "order stayed: every ISP is told to release for now",
    "order_resumed": lambda actor, body: "order resumed: every ISP is told to block again",
    "order_renewed": lambda actor, body: f"order renewed: it ends at {body['until'][:19]}, not at {body['from'][:19]}",
    "order_ended": lambda actor, body: f"order ended, {_end(body)}: every ISP is told to release",
    "objection_filed": lambda actor, body: f"{body['instance']} {body['objection']} filed, as {body['capacity']}",
    "objection_closed": lambda actor, body: f"objection {body['objection']}: {body['state']}",
    "hearing_recorded": lambda actor, body: f"hearing: {body['step']}",
    "proceeding_opened": lambda actor, body: f"main proceeding {body['proceeding']} opened: the order does not lapse",
    "escalation_addressed": lambda actor, body: f"put before {', '.join(body['to'])}",
    "escalation_seen": lambda actor, body: f"{actor} has seen to an escalation",
    "escalated": lambda actor, body: f"put before a human: {body['what']} ({body['subject']})",
    "case_closed": lambda actor, body: f"case closed: {body['closure']}",
    "officer_key_enrolled": lambda actor, body: f"{actor} enrols a key of {body['officer']}",
    "officer_key_revoked": lambda actor, body: f"{actor} revokes a key of {body['officer']}",
    "ledger_anchored": lambda actor, body: f"ledger anchored, up to row {body['last']}",
}


def _section(console: Console, title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    if not rows:
        return
    lines = table(*columns, fixed=[column for column in columns if column not in _FREE])
    for row in rows:
        lines.add_row(*(_cell(column, row[column]) for column in columns))
    console.print(f"\n{title}", style="bold")
    console.print(lines)


def _entries(
    console: Console,
    title: str,
    rows: Sequence[dict[str, Any]],
    told: Callable[[dict[str, Any]], tuple[str, Sequence[str]]],
) -> None:
    """What has too much to it for a table: a line for each row, and what belongs to it below."""
    if not rows:
        return
    console.print(f"\n{title}", style="bold")
    for row in rows:
        first, more = told(row)
        console.print(first, soft_wrap=True)
        for line in more:
            console.print(f"  {line}", soft_wrap=True)


def _decision(row: dict[str, Any]) -> tuple[str, Sequence[str]]:
    state = f"{row['state']} ({row['refusal']})" if row["refusal"] else row["state"]
    about = f" of {row['about']}" if row["about"] else ""
    signed = f"signed with the key {row['key']}" if row["envelope"] else "not signed: from before release 0.2"
    return (
        f"{_cell('submitted_at', row['submitted_at'])}  {row['officer']} as {row['role'].replace('_', ' ')}: "
        f"{row['outcome']}{about}: {state}",
        (f"grounds {', '.join(json.loads(row['grounds']))}; {signed}", row["reasons"]),
    )


def _order(row: dict[str, Any]) -> tuple[str, Sequence[str]]:
    at = {name: _cell(name, row[name]) for name in ("valid_from", "valid_until", "lapses_at", "ended_at")}
    kind = row["kind"] if row["standing_order"] is None else f"{row['kind']} under {row['standing_order']}"
    more = [f"until {at['valid_until']}, renewals {row['renewals']}; basis {row['basis']}"]
    if at["lapses_at"]:
        more.append(f"lapses at {at['lapses_at']}, unless the main proceeding is opened before")
    if row["proceeding"]:
        more.append(f"main proceeding {row['proceeding']}")
    for stay in row["stays"]:
        until = f"until {_moment(stay['until'])}" if stay["until"] else "until it is resumed"
        about = f", for {stay['about']}" if stay["about"] else ""
        more.append(f"stayed from {_moment(stay['since'])} {until}{about}")
    if at["ended_at"]:
        more.append(f"ended at {at['ended_at']}: {(row['end_reason'] or 'ended').replace('_', ' ')}")
    return f"{at['valid_from']}  {row['number']}, {kind}, version {row['version']}", more


def _hearing(row: dict[str, Any]) -> tuple[str, Sequence[str]]:
    because = f": {row['reason'].replace('_', ' ')}" if row["reason"] else ""
    more = [f"answer due {_cell('due_at', row['due_at'])}"] if row["due_at"] else []
    return f"{_cell('at', row['at'])}  {row['step']}{because}; recorded by {row['officer']}", more


def _objection(row: dict[str, Any]) -> tuple[str, Sequence[str]]:
    marks = [mark for mark in ("collateral", "late", "suspends") if row[mark]]
    more = [", ".join([f"due {_cell('due_at', row['due_at'])}", *marks])]
    if row["minutes_to_correct"] is not None:
        more.append(f"corrected in {row['minutes_to_correct']} minutes, as measured")
    elif row["correction"]["waiting"]:
        more.append(f"not measured open yet at {', '.join(row['correction']['waiting'])}")
    filed = _cell("filed_at", row["filed_at"])
    return f"{filed}  {row['id']}, {row['instance']} as {row['capacity'].replace('_', ' ')}: {row['state']}", more


def _placements(console: Console, file: CaseFile) -> None:
    if not file.placements:
        return
    console.print("\nAt the ISPs", style="bold")
    for one in file.placements:
        differs = ", though the ISP says otherwise" if one.differs else ""
        claim = f"the ISP says {one.claim}" if one.claim else "the ISP says nothing"
        measured = f"measured {one.ruling} at {when(one.measured_at)} UTC" if one.ruling else "not measured yet"
        console.print(f"{one.target} at {one.isp}: {one.standing}{differs}", soft_wrap=True)
        console.print(f"  {claim}; {measured}", soft_wrap=True)
        if one.overstay_seconds:
            minutes = f"{one.overstay_seconds / 60:.1f}"
            console.print(f"  blocked {minutes} minutes longer than it was to be", soft_wrap=True)
        console.print(f"  notices: {'; '.join(one.notices)}", soft_wrap=True)


def _moment(text: str) -> str:
    return when(datetime.fromisoformat(text))


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "at" or column.endswith("_at") or column.startswith("valid_"):
        return _moment(value)
    return f"{value[:16]}..." if column in {"digest", "sha256"} else str(value)
