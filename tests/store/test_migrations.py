"""A database of release 0.1 goes on: its cases can be read, its orders end, and nothing is lost on the way back."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic import command
from pydantic import TypeAdapter
from sqlalchemy import Connection, MetaData, Table, select

from precinto.domain.case import Stage
from precinto.domain.model import digest
from precinto.domain.review import Outcome
from precinto.store import Database, Store
from precinto.store.database import _alembic  # pyright: ignore[reportPrivateUsage]
from precinto.store.overview import case_file
from precinto.store.review import DecisionRow
from tests.authority import REASONS, enrol, envelope
from tests.fakes import OFFICERS
from tests.store.steps import ISPS, deliver, end, refusal, tell

FROM = datetime(2026, 11, 1, 12, tzinfo=UTC)
BUNDLES = {case: digest(case.encode()) for case in ("forced-1", "ended-1", "review-1", "weird-1")}
TERMS = {
    "procedure": "precautionary",
    "basis": "dl-822-art-177",
    "review": "P10D",
    "order": "P180D",
    "comply": "PT24H",
    "remind": "PT12H",
    "release": "P1DT12H",
    "recheck": "PT1M30S",
}
"""As release 0.1 kept them."""

WEIRD = TERMS | {"procedure": "live_event (trial)", "basis": 'DL 822, art. 177 "c"', "order": "PT1S", "comply": "PT2S"}
WEIRD |= {"recheck": "PT0.1S"}
"""Release 0.1 asked for no form of names, and for no proportion of terms."""

OLD = {"cases", "targets", "referrals", "bundles", "decisions", "orders", "measures", "notices", "standings"}


def rows_of_old() -> dict[str, list[dict[str, Any]]]:
    """What release 0.1 had on file: a case in force, one whose order was revoked, and two under review."""
    stages = {"forced-1": "verification", "ended-1": "unblocking", "review-1": "review", "weird-1": "review"}
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in OLD}
    for case, stage in stages.items():
        host = f"{case}.example"
        tables["cases"].append(
            {
                "id": case, "target_key": f"domain:{host}", "ordinal": 1, "service": "stream_ripper", "stage": stage,
                "hold": case == "review-1", "opened_by": "operator-1", "opened_at": FROM, "stage_at": FROM,
                "terms": json.dumps(WEIRD if case == "weird-1" else TERMS), "bundle": BUNDLES[case],
            }
        )  # fmt: skip
        tables["targets"].append({"case": case, "kind": "domain", "value": host, "host": host, "registrable": host})
        tables["referrals"].append(
            {
                "id": f"r-{case}", "case": case, "partner": "ifpi", "reference": "1", "work": "A catalogue",
                "registered_by": "operator-1", "received_at": FROM,
            }
        )  # fmt: skip
        tables["bundles"].append(
            {"case": case, "attempt": 1, "digest": BUNDLES[case], "items": 0, "bytes": 0, "sealed_at": FROM}
        )
        tables["decisions"].append(
            {
                "id": f"d-{case}", "case": case, "officer": "reviewer-1", "role": "reviewer", "outcome": "approve",
                "bundle": BUNDLES[case], "basis": WEIRD["basis"], "reasons": "As the bundle shows.",
                "submitted_at": FROM, "state": "admitted", "ticket": f"t-{case}",
            }
        )  # fmt: skip
    for number, (case, ended) in enumerate({"forced-1": None, "ended-1": FROM + timedelta(days=3)}.items(), 1):
        tables["orders"].append(
            {
                "id": f"o-{case}", "number": f"2026-{number:06}", "case": case, "basis": TERMS["basis"],
                "bundle": BUNDLES[case], "valid_from": FROM, "valid_until": FROM + timedelta(days=180),
                "ended_at": ended, "revoked": ended is not None,
            }
        )  # fmt: skip
        measure = {"id": f"m-{case}", "order": f"o-{case}", "target": f"{case}.example", "method": "dns"}
        tables["measures"].append(measure)
        for isp in ISPS:
            for action in ("block", "release") if ended else ("block",):
                tables["notices"].append(
                    {
                        "id": f"n-{case}-{isp}-{action}", "order": f"o-{case}", "isp": isp, "action": action,
                        "reminder": 0, "state": "delivered", "queued_at": FROM, "delivered_at": FROM, "tries": 1,
                    }
                )  # fmt: skip
            standing = {"measure": measure["id"], "isp": isp, "standing": "pending" if ended else "compliant"}
            tables["standings"].append(standing | {"since": FROM})
    return tables


class Old:
    """A database that was made by release 0.1, and how to go up and down from there."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    async def run(self, do: Callable[[Connection], Any]) -> Any:
        """Do something in one transaction, as a migration is done."""
        async with self.database._writer.begin() as connection:  # pyright: ignore[reportPrivateUsage]
            return await connection.run_sync(do)

    async def go(self, way: Callable[..., None], revision: str) -> None:
        """Upgrade or downgrade to a revision."""

        def migrate(connection: Connection) -> None:
            config = _alembic()
            config.attributes["connection"] = connection
            way(config, revision)

        await self.run(migrate)

    async def content(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of the tables of release 0.1, sorted."""

        def look(connection: Connection) -> dict[str, list[dict[str, Any]]]:
            found: dict[str, list[dict[str, Any]]] = {}
            for name in sorted(OLD):
                table = Table(name, MetaData(), autoload_with=connection)
                rows = (
                    {key: _plain(key, row[key]) for key in row} for row in connection.execute(select(table)).mappings()
                )
                found[name] = sorted(rows, key=lambda row: repr(sorted(row.items())))
            return found

        return await self.run(look)


def _plain(column: str, value: Any) -> Any:
    """A value to compare by; a term is its length, however that is written."""
    if column != "terms":
        return value
    length = TypeAdapter(timedelta)
    said = json.loads(value).items()
    return sorted(
        (name, text if name in {"procedure", "basis"} else length.validate_python(text)) for name, text in said
    )


@pytest.fixture
async def old(empty_url: str) -> AsyncGenerator[Old]:
    """A database of release 0.1 with cases in it."""
    made = Old(empty_url)
    await made.go(command.upgrade, "0001")

    def fill(connection: Connection) -> None:
        metadata = MetaData()
        metadata.reflect(connection)
        for name in ("cases", "targets", "referrals", "bundles", "decisions", "orders", "measures", "notices"):
            connection.execute(metadata.tables[name].insert(), rows_of_old()[name])
        connection.execute(metadata.tables["standings"].insert(), rows_of_old()["standings"])

    await made.run(fill)
    yield made
    await made.database.close()


@pytest.fixture
async def store(old: Old) -> Store:
    """The same, brought to the newest schema."""
    await old.database.migrate()
    return Store(old.database)


async def test_up_and_down_again_every_row_is_as_it_was(old: Old) -> None:
    """But for what release 0.1 let pass and the new form does not: odd names of procedures and grounds, odd terms."""
    await old.go(command.upgrade, "0004")
    before = await old.content()
    await old.go(command.upgrade, "0005")
    await old.go(command.downgrade, "0004")
    after = await old.content()
    assert {row["id"]: row["terms"] for row in after["cases"] if row["id"] == "weird-1"} == {
        "weird-1": [
            ("basis", "DL-822-art.-177-c"),
            ("comply", timedelta(seconds=0.999)),
            ("order", timedelta(seconds=1)),
            ("procedure", "live-event-trial"),
            ("recheck", timedelta(seconds=0.1)),
            ("release", timedelta(hours=36)),
            ("remind", timedelta(hours=12)),
            ("review", timedelta(days=10)),
        ]
    }
    for rows in (before["cases"], after["cases"]):
        rows[:] = [row for row in rows if row["id"] != "weird-1"]
    assert after == before


async def test_every_old_case_can_be_read_with_its_terms(store: Store) -> None:
    for case, bundle in BUNDLES.items():
        file = await case_file(store.database, case)
        assert (file.case.id, file.bundle) == (case, bundle)
        (decision,) = file.decisions
        assert (decision["officer"], decision["envelope"], decision["round"]) == ("reviewer-1", None, 1)
        assert json.loads(decision["grounds"]) == [WEIRD["basis"]]
        assert (await store.gate.place(case)).round == 1
    kept = await store.review.snapshot("forced-1")
    for name in ("review", "order", "comply", "remind", "release", "recheck"):
        assert kept.span(name) == TypeAdapter(timedelta).validate_python(TERMS[name])
    assert (kept.procedure.name, kept.procedure.basis) == ("precautionary", "dl-822-art-177")
    assert kept.due("review", FROM) == FROM + timedelta(days=10)
    assert "review" in kept.procedure.unverified
    kept = await store.review.snapshot("weird-1")
    assert (kept.procedure.name, kept.procedure.basis) == ("live-event-trial", "DL-822-art.-177-c")
    assert kept.span("comply") < kept.span("order") == timedelta(seconds=1)


async def test_an_order_in_force_ends_at_its_date_and_every_isp_is_told(store: Store) -> None:
    until = FROM + timedelta(days=180)
    assert not (await end(store, "forced-1", "o-forced-1", until - timedelta(seconds=1))).ended
    assert (await end(store, "forced-1", "o-forced-1", until)).ended
    assert await deliver(store, "o-forced-1", until) == 2
    place = await store.gate.place("forced-1")
    assert (place.stage, place.version, place.over) == (Stage.UNBLOCKING, 2, True)


async def test_an_order_that_was_revoked_is_so_and_its_unblock_is_awaited(store: Store) -> None:
    (order,) = (await case_file(store.database, "ended-1")).orders
    assert (order["end_reason"], order["version"], order["asked_version"]) == ("revoked", 2, 2)
    assert order["asked_at"] == order["ended_at"]
    assert await store.notification.undelivered("o-ended-1") == []
    assert await store.notification.notified("o-ended-1") == (2, 2, 0)
    assert [due.case for due in await store.verification.due("isp0", "", 10)] == ["ended-1", "forced-1"]


async def test_what_was_approved_without_a_signature_carries_nothing_any_more(store: Store) -> None:
    docket = await store.review.docket("review-1")
    assert (docket.approvals, docket.still_needed) == ((), 2)
    assert [one.code for one in await tell(store, "weird-1", "d-weird-1")] == [None]  # it was admitted before
    async with store.database.write() as session:
        row = await session.get_one(DecisionRow, "d-weird-1")
        row.state = "submitted"
        session.add(row)
    assert [one.code for one in await tell(store, "weird-1", "d-weird-1")] == ["unsigned"]
    assert (await store.gate.place("weird-1")).order is None
    # But whoever decided an order may not dismiss an objection to it.
    assert (await store.review.docket("forced-1")).deciders == ("reviewer-1",)


async def test_signed_decisions_go_on_where_the_old_ones_ended(store: Store) -> None:
    """Under the ground that the case has; what has no proven time is rejected or captured again, not approved."""
    await enrol(store)

    async def decided(case: str, officer: str, outcome: Outcome) -> None:
        ground = (await store.review.snapshot(case)).procedure.basis
        signed = envelope(case, BUNDLES[case], officer, outcome, grounds=(ground,))
        row = await store.review.file(case, signed, REASONS, OFFICERS)
        assert [one.code for one in await tell(store, case, row.id)] == [None]

    assert await refusal(decided("weird-1", "reviewer-2", Outcome.APPROVE)) == "time_pending"
    await decided("weird-1", "reviewer-2", Outcome.RETURN)
    await decided("review-1", "reviewer-2", Outcome.REJECT)
    await decided("forced-1", "duty-1", Outcome.STAY)
    await decided("forced-1", "legal-head", Outcome.RESUME)
    places = {case: await store.gate.place(case) for case in BUNDLES}
    assert {case: place.stage for case, place in places.items()} == {
        "weird-1": Stage.EVIDENCE,
        "review-1": Stage.CLOSED,
        "forced-1": Stage.NOTIFICATION,
        "ended-1": Stage.UNBLOCKING,
    }
    assert (places["weird-1"].round, places["forced-1"].version) == (2, 3)
