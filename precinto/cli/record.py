"""The demo's record: for each case its stage times, its history and its verdicts, and whether the story held."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

from sqlmodel import col, select

from precinto import loopback, stubs
from precinto.adapters.blobs import blob_store
from precinto.adapters.seals.document import verify_document
from precinto.adapters.seals.identity import ROOT
from precinto.bundle.trust import read_certificates
from precinto.domain.case import Closure
from precinto.domain.errors import BadInput, Refused
from precinto.domain.model import canonical_json, digest
from precinto.domain.statements import decode, verify
from precinto.embedded import Running
from precinto.settings import Settings
from precinto.store import Database, Store
from precinto.store.documents import order_files
from precinto.store.ledger import verify as verify_ledger
from precinto.store.officer_keys import OfficerKeyRow
from precinto.store.orders import MeasureRow, OrderRow
from precinto.store.overview import CaseLine, LedgerLine, case_file, case_lines
from precinto.store.verification import ObservationRow

if TYPE_CHECKING:
    from lab.lab import Lab

MAX_EVENTS, MAX_BYTES = 32, 5 * 1024
"""Budget of a case's history, from its referral to its measured unblock, without a lapse."""

_TIMES = {
    "referral_registered": "intake",
    "case_accepted": "evidence",
    "evidence_sealed": "review",
    "order_issued": "notification",
    "order_ended": "unblocking",
    "case_closed": "closed",
    "review_concluded": "review_concluded",
}


async def make_record(running: Running, store: Store, lab: Lab, seconds: float) -> dict[str, Any]:
    """The record, as ``demo.json`` holds it."""
    lines = await case_lines(store.database)
    keys = {row.id: row for row in await store.officer_keys.keys()}
    cases = [await _case(running, store.database, line, keys) for line in lines]
    rows, head = await verify_ledger(store.database)
    isps = await _isps(lab, [line.target for line in lines])
    restarts = {one: count for one, count in running.supervisor.restarts.items() if count}
    checks = _checks(cases, isps)
    if not restarts:  # a killed process leaves events of its own: its task timed out and was given to another
        checks.append(_history(cases))
    return {
        "ok": all(check["holds"] for check in checks),
        "seconds": round(seconds, 1),
        "checks": checks,
        "cases": cases,
        "isps": isps,
        "ledger": {"rows": rows, "head": head},
        "temporal_ui": running.ui,
        "restarts": restarts,
    }


async def _case(
    running: Running, database: Database, line: CaseLine, keys: Mapping[str, OfficerKeyRow]
) -> dict[str, Any]:
    file = await case_file(database, line.id)
    described = await running.client.get_workflow_handle(stubs.case_workflow(line.id)).describe()
    history = described.raw_description.workflow_execution_info
    return {
        "case": line.id,
        "target": line.target,
        "hold": line.hold,
        "closure": line.closure,
        "stages": _stages(file.ledger),
        "decisions": [decision_on_record(row, line.id, keys) for row in file.decisions],
        "orders": [
            {name: row[name] for name in ("number", "bundle", "version", "valid_until", "ended_at", "end_reason")}
            | {"documents": await _documents(running.settings, database, row["number"])}
            for row in file.orders
        ],
        "standings": [
            {"isp": r.body["isp"], "from": r.body["from"], "to": r.body["to"], "at": r.at.astimezone(UTC).isoformat()}
            for r in file.ledger
            if r.action == "standing_changed"
        ],
        "verdicts": await _verdicts(database, line.id),
        "history": {"events": history.history_length, "bytes": history.history_size_bytes},
    }


def decision_on_record(row: dict[str, Any], case: str, keys: Mapping[str, OfficerKeyRow]) -> dict[str, Any]:
    """A decision, and whether its envelope says the same under the key that its officer has enrolled."""
    found = {name: row[name] for name in ("officer", "outcome", "bundle", "state", "key")}
    try:
        key = keys[row["key"]]
        said = verify(row["envelope"] or "", decode(key.public))
    except (KeyError, BadInput, Refused):
        return {**found, "signed": False}
    claimed = (case, row["officer"], row["outcome"], row["bundle"], digest(row["reasons"].encode()))
    signed = (said.case, said.actor, said.outcome.value, said.subject, said.reasons)
    return {**found, "signed": key.officer == row["officer"] and claimed == signed}


async def _documents(settings: Settings, database: Database, number: str) -> list[dict[str, Any]]:
    """The documents of each version of an order, and whether the authority has signed that they are just that."""
    blobs, roots = blob_store(settings.blob_place), read_certificates(settings.sealing_folder / ROOT)
    (order,) = await order_files(database, number)
    found: list[dict[str, Any]] = []
    for version in order.versions:
        signed: dict[str, bool] = {}
        for one in version.documents:
            said = verify_document((await blobs.get(one.jws)).decode(), roots)
            claimed = (number, version.version, version.kind, one.language, one.content)
            told = (said["number"], said["version"], said["kind"], said["language"], digest(canonical_json(said)))
            signed[one.language] = claimed == told
        found.append({"version": version.version, "kind": version.kind.value, "signed": signed})
    return found


def _stages(ledger: tuple[LedgerLine, ...]) -> dict[str, str]:
    stages: dict[str, str] = {}
    for row in ledger:
        if name := _TIMES.get(row.action):
            stages.setdefault(name, row.at.astimezone(UTC).isoformat())
    told = [
        r for r in ledger if r.action == "notice_delivered" and (r.body["action"], r.body["reminder"]) == ("block", 0)
    ]
    if told:
        stages["verification"] = told[-1].at.astimezone(UTC).isoformat()
    return dict(sorted(stages.items(), key=lambda item: item[1]))


async def _verdicts(database: Database, case: str) -> dict[str, list[dict[str, str]]]:
    """Each ISP's verdicts in order of time, each with its first moment; repetitions of the same are left out."""
    query = (
        select(ObservationRow)
        .join(MeasureRow, col(MeasureRow.id) == ObservationRow.measure)
        .join(OrderRow, col(OrderRow.id) == MeasureRow.order)
        .where(OrderRow.case == case)
        .order_by(col(ObservationRow.at))
    )
    found: dict[str, list[dict[str, str]]] = {}
    async with database.read() as session:
        for row in await session.exec(query):
            known = found.setdefault(row.isp, [])
            if not known or known[-1]["ruling"] != row.ruling:
                known.append({"ruling": row.ruling, "rule": row.rule, "at": row.at.astimezone(UTC).isoformat()})
    return found


async def _isps(lab: Lab, targets: list[str]) -> dict[str, Any]:
    """What each ISP itself saw, and what its customers get now."""
    found: dict[str, Any] = {}
    for name in ("norte", "sur", "andes"):
        now = {
            t: (await lab.resolve(name, t)).addresses == (await lab.resolve("control", t)).addresses for t in targets
        }
        found[name] = {"open_now": now}
    found["norte"]["names_in_zone"] = list(await lab.norte.names())
    for name, journal in (("sur", lab.sur.journal), ("andes", lab.andes.journal)):
        taken = journal.taken()
        found[name]["taken"] = [
            {
                "order": e.order,
                "version": e.version,
                "action": e.action.value,
                "reminder": e.reminder,
                "notice": e.notice,
            }
            for e in taken
        ]
        found[name]["repeats"] = sum(e.repeated for e in journal.entries)
    return found


def _checks(cases: list[dict[str, Any]], isps: dict[str, Any]) -> list[dict[str, Any]]:
    enforced = [case for case in cases if case["closure"] != Closure.REJECTED]
    moves = [(m["isp"], m["from"], m["to"]) for case in enforced for m in case["standings"]]
    notices = [
        (isp, one["order"], one["version"], one["action"], one["reminder"])
        for isp in ("sur", "andes")
        for one in isps[isp]["taken"]
    ]
    counted = [one for case in cases for one in case["decisions"] if one["state"] == "admitted"]
    blocked = {(case["target"], m["isp"]) for case in enforced for m in case["standings"] if m["to"] == "compliant"}
    checks = {
        "each of three stream rippers was measured blocked at all three ISPs": len(blocked) == 9
        and len(enforced) == 3,
        "andes said done and was not: found, reminded, corrected": (
            ("andes", "pending", "lapsed") in moves and ("andes", "lapsed", "compliant") in moves
        ),
        "andes forgot to unblock: found, reminded, corrected": ("andes", "pending", "overstaying") in moves
        and ("andes", "overstaying", "released") in moves,
        "every unblock was measured and its case closed": all(
            case["closure"] == Closure.UNBLOCKED for case in enforced
        ),
        "the state's portal was held, and rejected by a second reviewer": all(
            case["hold"] and not case["verdicts"] for case in cases if case["closure"] == Closure.REJECTED
        ),
        "a name with a large audience was held, and ordered by two different reviewers": any(
            case["hold"] and rests_on_what_was_signed(case) for case in enforced
        ),
        "no decision counts without its officer's valid signature": all(one["signed"] for one in counted),
        "each order rests on the very bundle that its officers signed": all(map(rests_on_what_was_signed, enforced)),
        "each version of each order has its document, in two languages, signed by the authority": all(
            [*one["signed"].values()] == [True, True]
            for case in enforced
            for order in case["orders"]
            for one in order["documents"]
        ),
        "a stayed order was lifted by every ISP, and blocked again when it was resumed": any(
            all(blocked_again(case, isp) for isp in isps) for case in enforced
        ),
        "every ISP took each notice once": len(notices) == len(set(notices)),
        "customers of every ISP reach every name again": all(all(isps[i]["open_now"].values()) for i in isps),
        "nothing tried to leave loopback": not loopback.attempts(),
    }
    return [{"what": what, "holds": holds} for what, holds in checks.items()]


def rests_on_what_was_signed(case: dict[str, Any]) -> bool:
    """Whether enough different officers have signed an approval of just the bundle that its order is on."""
    approvals = [one for one in case["decisions"] if (one["outcome"], one["state"]) == ("approve", "admitted")]
    needed = 2 if case["hold"] else 1
    return bool(case["orders"]) and all(
        len({one["officer"] for one in approvals if one["signed"] and one["bundle"] == order["bundle"]}) == needed
        for order in case["orders"]
    )


def blocked_again(case: dict[str, Any], isp: str) -> bool:
    """Whether an ISP was measured to block, to lift, and to block once more."""
    settled = [one["to"] for one in case["standings"] if one["isp"] == isp and one["to"] in {"compliant", "released"}]
    return settled[:3] == ["compliant", "released", "compliant"]


def _history(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """Whether a case of one decision, without a lapse, stays within its budget."""
    reference = [
        case
        for case in cases
        if not case["hold"]
        and len(case["decisions"]) == 1
        and not any(move["to"] == "lapsed" for move in case["standings"])
    ]
    sizes = [(case["history"]["events"], case["history"]["bytes"]) for case in reference]
    within = bool(sizes) and all(events <= MAX_EVENTS and size <= MAX_BYTES for events, size in sizes)
    return {"what": f"the reference history stays within {MAX_EVENTS} events and {MAX_BYTES} bytes", "holds": within}
