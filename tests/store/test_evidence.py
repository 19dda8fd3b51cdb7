"""Evidence in the store: every attempt is sealed once, and puts its case under review."""

from __future__ import annotations

from datetime import UTC, datetime

from precinto.domain.review import Outcome
from precinto.store import Store, ledger
from precinto.store.evidence import bundles
from tests.fakes import OFFICERS
from tests.store.steps import TERMS, file, manifest, open_case, seal


async def test_sealing_puts_the_case_under_review(store: Store) -> None:
    case = await open_case(store)
    assert (await store.review.docket(case)).bundle is None
    bundle = await seal(store, case)
    assert (await store.review.docket(case)).bundle == bundle


async def test_sealing_the_same_attempt_again_keeps_the_first_bundle(store: Store) -> None:
    """A capture that is retried after its answer was lost brings other bytes; the sealed ones stand."""
    case = await open_case(store)
    bundle = await seal(store, case)
    before = await ledger.verify(store.database)
    other = manifest(case).model_copy(update={"vantage": "elsewhere"})
    again = await store.evidence.seal(other, other.bundle_digest(), datetime.now(UTC) + TERMS.review)
    assert again.bundle == bundle
    assert await store.evidence.sealed(case, 1) == again
    assert await ledger.verify(store.database) == before


async def test_a_failed_capture_is_sealed_too(store: Store) -> None:
    case = await open_case(store)
    failed = manifest(case).model_copy(update={"failure": "the site is down", "items": ()})
    await store.evidence.seal(failed, failed.bundle_digest(), datetime.now(UTC) + TERMS.review)
    (row,) = await bundles(store.database, case)
    assert (row.failure, row.items) == ("the site is down", 0)


async def test_a_returned_case_keeps_both_bundles(store: Store) -> None:
    case = await open_case(store)
    first = await seal(store, case)
    returned = await file(store, case, first, "reviewer-1", Outcome.RETURN)
    await store.review.conclude(case, returned.id, OFFICERS)
    second = await seal(store, case, attempt=2)
    assert [row.digest for row in await bundles(store.database, case)] == [first, second]
    assert (await store.review.docket(case)).bundle == second
