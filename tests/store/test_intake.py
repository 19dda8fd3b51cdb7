"""Referrals become cases: each once, the same target into the same case, a new case after the old one closed."""

from __future__ import annotations

import asyncio
import sys

import pytest
from sqlmodel import func, select

from precinto.domain.case import Closure, Stage
from precinto.domain.errors import NotFound
from precinto.domain.evidence import Finding, FindingKind
from precinto.domain.intake import TargetKind
from precinto.store import Database, Store, ledger
from precinto.store.intake import CaseRow, FindingRow, ReferralRow
from tests.authority import TERMS, enrol, referral, terms
from tests.store.steps import close_case

FINDING = Finding(kind=FindingKind.PROTECTED_NAME, detail="gob.pe", source="test list")


async def count(database: Database, table: type) -> int:
    """How many rows a table has."""
    async with database.read() as session:
        return (await session.exec(select(func.count()).select_from(table))).one()


async def test_a_referral_opens_a_case(store: Store) -> None:
    registered = await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)
    assert registered.opened
    assert not registered.known
    assert registered.start
    target = (await store.intake.subject(registered.case)).target
    assert (target.value, target.registrable) == ("y2mate.com", "y2mate.com")


async def test_the_same_referral_again_changes_nothing(store: Store) -> None:
    first = await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)
    before = await ledger.verify(store.database)
    again = await store.intake.register(referral("y2mate.com"), (), "operator-2", TERMS)
    assert (again.case, again.opened, again.known) == (first.case, False, True)
    assert await ledger.verify(store.database) == before


async def test_another_referral_of_the_same_target_joins_the_open_case(store: Store) -> None:
    first = await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)
    for joining in (
        referral("www.Y2Mate.com.", reference="2"),
        referral("y2mate.com", partner="ministerio"),
    ):
        joined = await store.intake.register(joining, (), "operator-1", TERMS)
        assert (joined.case, joined.opened, joined.known) == (first.case, False, False)
    assert await count(store.database, CaseRow) == 1
    assert await count(store.database, ReferralRow) == 3


async def test_after_a_case_has_closed_the_next_referral_opens_a_second_one(store: Store) -> None:
    first = await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)
    await enrol(store)
    await close_case(store, first.case)
    second = await store.intake.register(referral("y2mate.com", reference="2"), (), "operator-1", TERMS)
    assert second.opened
    assert second.case != first.case
    assert second.case.removesuffix("-2") == first.case.removesuffix("-1")


async def test_a_referral_known_from_a_closed_case_does_not_open_another(store: Store) -> None:
    first = await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)
    await enrol(store)
    await close_case(store, first.case)
    again = await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)
    assert (again.case, again.opened, again.known, again.start) == (first.case, False, True, False)


async def test_a_finding_holds_the_case_and_is_kept(store: Store) -> None:
    registered = await store.intake.register(referral("copias.example.pe"), (FINDING,), "operator-1", TERMS)
    assert registered.hold
    assert (await store.review.docket(registered.case)).hold
    assert await count(store.database, FindingRow) == 1


async def test_whoever_referred_or_opened_is_barred(store: Store) -> None:
    case = (await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)).case
    await store.intake.register(referral("y2mate.com", partner="ministerio"), (), "operator-1", TERMS)
    assert (await store.review.docket(case)).barred == ("ifpi", "ministerio", "operator-1")


async def test_whoever_took_in_a_joining_referral_is_barred_too(store: Store) -> None:
    """An officer who brought a second referral to the case has referred it as much as the first one."""
    case = (await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)).case
    await store.intake.register(referral("y2mate.com", reference="2"), (), "reviewer-1", TERMS)
    assert "reviewer-1" in (await store.review.docket(case)).barred


async def test_a_case_is_placed_at_intake_until_its_first_capture_begins(store: Store) -> None:
    case = (await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)).case
    place = await store.gate.place(case, bundle=True)
    assert (place.stage, place.round, place.order, place.bundle) == (Stage.INTAKE, 1, None, None)
    await store.evidence.begin(case, 1)
    assert (await store.gate.place(case)).stage is Stage.EVIDENCE
    again = await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)
    assert (again.start, again.known) == (False, True)


async def test_there_is_no_case_without_a_referral(store: Store) -> None:
    with pytest.raises(NotFound, match="nobody-1"):
        await store.intake.subject("nobody-1")


async def test_the_terms_of_a_case_are_those_of_its_opening(store: Store) -> None:
    case = (await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)).case
    later = terms(order=9 * TERMS.span("order"))
    assert later != TERMS
    await store.intake.register(referral("y2mate.com", reference="2"), (), "operator-1", later)
    async with store.database.read() as session:
        row = await session.get_one(CaseRow, case)
    assert row.snapshot() == TERMS


async def test_two_hundred_writers_at_once_lose_nothing(store: Store) -> None:
    """Forty targets, five partners each, all at the same time: forty cases, two hundred referrals, one chain."""
    registered = await asyncio.gather(
        *(
            store.intake.register(
                referral(f"site{n % 40}.example.com", partner=f"p{n // 40}"), (), "operator-1", TERMS
            )
            for n in range(200)
        )
    )
    assert sum(one.opened for one in registered) == 40
    assert await count(store.database, CaseRow) == 40
    assert await count(store.database, ReferralRow) == 200
    assert (await ledger.verify(store.database))[0] == 200


_WRITER = """
import asyncio, sys
from precinto.domain.intake import Referral
from precinto.domain.procedures import Snapshot
from precinto.store import Database, Store
async def main(url, terms, *referrals):
    store = Store(Database(url))
    for one in referrals:
        one = Referral.model_validate_json(one)
        await store.intake.register(one, (), "operator-1", Snapshot.model_validate_json(terms))
    await store.database.close()
asyncio.run(main(*sys.argv[1:]))
"""


async def test_several_processes_write_one_chain(store: Store) -> None:
    """A worker, the console and a command line share one database; none waits for ever, none forks the ledger."""
    url = store.database.url.render_as_string(hide_password=False)
    writers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _WRITER, url, TERMS.model_dump_json()),
            *(referral(f"site{n}.example.com", partner=f"p{me}").model_dump_json() for n in range(25)),
        )
        for me in range(3)
    ]
    assert [await writer.wait() for writer in writers] == [0, 0, 0]
    assert await count(store.database, CaseRow) == 25
    assert await count(store.database, ReferralRow) == 75
    assert (await ledger.verify(store.database))[0] == 75


async def test_a_case_that_is_rejected_is_closed_for_good(store: Store) -> None:
    case = (await store.intake.register(referral("y2mate.com"), (), "operator-1", TERMS)).case
    await enrol(store)
    await close_case(store, case)
    async with store.database.read() as session:
        row = await session.get_one(CaseRow, case)
    assert (row.stage, row.closure, row.due_at) == (Stage.CLOSED, Closure.REJECTED, None)


@pytest.mark.parametrize("kind", [TargetKind.MOBILE_APP, TargetKind.URL])
async def test_applications_and_addresses_are_targets_of_equal_rank(store: Store, kind: TargetKind) -> None:
    value = {TargetKind.MOBILE_APP: "com.example.ripper", TargetKind.URL: "https://site.example.com/player"}[kind]
    case = (await store.intake.register(referral(value, kind=kind), (), "operator-1", TERMS)).case
    assert (await store.intake.subject(case)).target.value == value
