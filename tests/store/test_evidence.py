"""Evidence in the store: every attempt leaves its trace; the first bundle of a round goes under review."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError
from sqlmodel import text

from precinto.domain.custody import Act, check_chain
from precinto.domain.errors import NotFound
from precinto.domain.evidence import Finding, FindingKind, Weight
from precinto.domain.review import Outcome
from precinto.store import Store, custody, ledger
from precinto.store.evidence import bundles
from tests.store.steps import decide, filed_stamp, manifest, open_case, package, refusal, seal


async def acts(store: Store, case: str) -> list[Act]:
    """What was done to the evidence of a case; the chain must hold."""
    chain = await custody.chain_of(store.database, case)
    check_chain(chain)
    return [record.act for record in chain]


async def test_sealing_puts_the_case_under_review(store: Store) -> None:
    case = await open_case(store)
    assert (await store.review.docket(case)).bundle is None
    bundle = await seal(store, case)
    assert (await store.review.docket(case)).bundle == bundle
    assert await acts(store, case) == [Act.ATTEMPT_BEGUN, Act.SEALED, Act.STAMPED, Act.STAMPED]


async def test_sealing_the_same_attempt_again_changes_nothing(store: Store) -> None:
    case = await open_case(store)
    bundle = await seal(store, case)
    before = await ledger.verify(store.database)
    again = await store.evidence.seal(package(manifest(case), 1, "uno", "dos"))
    assert again.bundle == bundle
    assert await store.evidence.sealed(case, 1) == again
    assert await ledger.verify(store.database) == before


async def test_an_attempt_that_was_cut_off_is_on_record_and_the_next_has_a_number_of_its_own(store: Store) -> None:
    case = await open_case(store)
    assert await store.evidence.begin(case, 1) == 1
    assert await store.evidence.begin(case, 1) == 2
    assert await acts(store, case) == [Act.ATTEMPT_BEGUN, Act.ATTEMPT_INTERRUPTED, Act.ATTEMPT_BEGUN]


async def test_an_attempt_that_brought_nothing_says_why(store: Store) -> None:
    case = await open_case(store)
    await store.evidence.abandon(case, await store.evidence.begin(case, 1), "the browser did not start")
    last = (await custody.chain_of(store.database, case))[-1]
    assert (last.act, last.detail) == (Act.ATTEMPT_ABANDONED, "the browser did not start")
    assert await store.evidence.sealed(case, 1) is None


async def test_a_worker_that_comes_back_too_late_seals_beside_and_changes_no_review(store: Store) -> None:
    """It was taken for dead, another has sealed the round; what it brings is kept, and decides nothing."""
    case = await open_case(store)
    slow = await store.evidence.begin(case, 1)
    bundle = await seal(store, case)
    late = await store.evidence.seal(package(manifest(case, slow), 1, "uno", "dos"))
    assert late.bundle == bundle
    assert (await store.review.docket(case)).bundle == bundle
    assert len(await bundles(store.database, case)) == 2


async def test_a_failed_capture_is_sealed_too(store: Store) -> None:
    case = await open_case(store)
    await store.evidence.begin(case, 1)
    failed = manifest(case).model_copy(update={"failure": "the site is down", "items": ()})
    await store.evidence.seal(package(failed, 1, "uno", "dos"))
    (row,) = await bundles(store.database, case)
    assert (row.failure, row.items) == ("the site is down", 0)


async def test_a_returned_case_keeps_both_bundles(store: Store) -> None:
    case = await open_case(store)
    first = await seal(store, case)
    await decide(store, case, "reviewer-1", Outcome.RETURN)
    second = await seal(store, case, round=2)
    assert [row.digest for row in await bundles(store.database, case)] == [first, second]
    assert (await store.review.docket(case)).bundle == second


async def test_what_the_evidence_shows_can_hold_a_case_and_a_note_cannot(store: Store) -> None:
    note = Finding(kind=FindingKind.SHARED_NETWORK, detail="behind a CDN", source="a list", weight=Weight.NOTE)
    popular = Finding(kind=FindingKind.POPULAR, detail="rank 7", source="a list")
    for findings, hold in (((note,), False), ((note, popular), True)):
        case = await open_case(store, target=f"{'held' if hold else 'free'}.example")
        one = manifest(case, await store.evidence.begin(case, 1))
        await store.evidence.seal(package(one, 1, "uno", "dos", findings=findings))
        assert (await store.review.docket(case)).hold is hold


async def test_nothing_is_ordered_on_a_bundle_without_its_time(store: Store) -> None:
    """One authority was down: the case may be read and rejected, but no order comes of it until it is stamped."""
    case = await open_case(store)
    bundle = await seal(store, case, authorities=("uno",))
    assert not (await store.review.docket(case)).stamped
    assert await refusal(decide(store, case, "reviewer-1")) == "time_pending"
    (waiting,) = await store.evidence.unstamped()
    assert (waiting.bundle, waiting.authorities) == (bundle, ("uno",))
    for _ in range(2):  # again is the same
        await store.evidence.stamped(bundle, filed_stamp("dos"))
    assert await store.evidence.unstamped() == []
    assert (await decide(store, case, "reviewer-1")).code is None


async def test_a_late_bundle_does_not_change_what_was_decided(store: Store) -> None:
    """A worker that comes back when the case has its order seals beside it: the order stays on its own bundle."""
    case = await open_case(store)
    slow = await store.evidence.begin(case, 1)
    bundle = await seal(store, case)
    await decide(store, case, "reviewer-1")
    assert (await store.evidence.seal(package(manifest(case, slow), 1, "uno", "dos"))).bundle == bundle
    assert (await store.gate.place(case, bundle=True)).bundle == bundle


async def test_who_opened_what_is_on_the_chain(store: Store) -> None:
    case = await open_case(store)
    bundle = await seal(store, case)
    await store.evidence.handed_out(case, 1, Act.OPENED, "reviewer-1", "screenshot.png")
    last = (await custody.chain_of(store.database, case))[-1]
    assert (last.act, last.actor, last.subject, last.detail) == (Act.OPENED, "reviewer-1", bundle, "screenshot.png")
    with pytest.raises(NotFound):
        await store.evidence.handed_out(case, 2, Act.OPENED, "reviewer-1", "nothing")


@pytest.mark.parametrize("change", ["UPDATE custody SET actor = 'nobody'", "DELETE FROM custody"])
async def test_the_chain_of_custody_is_append_only(store: Store, change: str) -> None:
    await seal(store, await open_case(store))
    with pytest.raises(DBAPIError, match="append-only"):
        async with store.database.write() as session:
            await (await session.connection()).execute(text(change))
