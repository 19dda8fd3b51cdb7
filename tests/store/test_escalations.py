"""Escalations as an inbox: before whom, for whom, and seen to by whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from precinto.domain.errors import BadInput, NotFound
from precinto.domain.review import Absence, Officer, Role
from precinto.store import Store, ledger
from precinto.store.review import raise_escalation
from tests.authority import terms
from tests.fakes import OFFICERS
from tests.store.steps import MINUTE, TERMS, open_case, refusal, seal

NOW = datetime.now(UTC)
AWAY = (Absence(since=NOW - timedelta(days=1), until=NOW + timedelta(days=1)),)

HEAD_AWAY = tuple(
    one.model_copy(update={"away": AWAY, "deputy": "reviewer-2"}) if one.id == "legal-head" else one
    for one in OFFICERS
)
"""The legal head is away, and a reviewer stands in."""

REMINDING = TERMS.model_copy(
    update={"procedure": terms(review=100 * MINUTE).procedure.model_copy(update={"reminders": (50,)})}
)


async def escalated(store: Store, target: str = "y2mate.com") -> str:
    """A case with something that is late."""
    case = await open_case(store, target)
    async with store.database.write() as session:
        await raise_escalation(session, case, "review_overdue", "2026-11-25T12:00:00+00:00")
    return case


async def inbox(store: Store, officer: str, officers: tuple[Officer, ...] = OFFICERS) -> list[str]:
    """The cases in an officer's inbox."""
    return [line.case for line in await store.escalations.lines(officers, officer)]


class TestBeforeWhom:
    async def test_the_legal_head(self, store: Store) -> None:
        case = await escalated(store)
        assert await store.escalations.address(OFFICERS, NOW) == 1
        [line] = await store.escalations.lines()
        assert (line.case, line.target, line.what, line.to) == (case, "y2mate.com", "review_overdue", ("legal-head",))

    async def test_the_deputy_while_the_legal_head_is_away(self, store: Store) -> None:
        case = await escalated(store)
        await store.escalations.address(HEAD_AWAY, NOW)
        assert await inbox(store, "reviewer-2", HEAD_AWAY) == [case]
        assert await inbox(store, "legal-head", HEAD_AWAY) == []

    async def test_once_addressed_it_stays_with_whom_it_was_put_before(self, store: Store) -> None:
        await escalated(store)
        await store.escalations.address(HEAD_AWAY, NOW)
        assert await store.escalations.address(OFFICERS, NOW) == 0
        [line] = await store.escalations.lines()
        assert line.to == ("reviewer-2",)

    async def test_where_nobody_is_there_the_next_round_tries_again(self, store: Store) -> None:
        await escalated(store)
        nobody = tuple(one for one in OFFICERS if Role.LEGAL_HEAD not in one.roles)
        assert await store.escalations.address(nobody, NOW) == 0
        [line] = await store.escalations.lines()
        assert line.to == (), "and everybody who lists what waits sees so"
        assert await store.escalations.address(OFFICERS, NOW) == 1

    async def test_a_reminder_goes_to_the_reviewers_who_may_decide_the_case(self, store: Store) -> None:
        """A reviewer who opened the case may not decide it, and is not reminded to."""
        case = await open_case(store, terms=REMINDING, opened_by="reviewer-1")
        await seal(store, case)
        await store.watch.remind(datetime.now(UTC) + 60 * MINUTE)
        await store.escalations.address(OFFICERS, NOW)
        [line] = await store.escalations.lines()
        assert (line.what, line.to) == ("review_reminder", ("reviewer-2",))

    async def test_the_ledger_keeps_before_whom(self, store: Store) -> None:
        case = await escalated(store)
        await store.escalations.address(OFFICERS, NOW)
        async with store.database.read() as session:
            last = [entry async for entry in ledger.rows_of_case(session, case)][-1]
        assert last.action == "escalation_addressed"
        assert '"to":["legal-head"]' in last.body


class TestInbox:
    async def test_the_oldest_comes_first(self, store: Store) -> None:
        cases = [await escalated(store, f"site{number}.example.com") for number in range(3)]
        await store.escalations.address(OFFICERS, NOW)
        assert await inbox(store, "legal-head") == cases

    async def test_a_deputy_reads_what_the_absent_officer_was_sent_before(self, store: Store) -> None:
        case = await escalated(store)
        await store.escalations.address(OFFICERS, NOW)
        assert await inbox(store, "reviewer-2") == []
        assert await inbox(store, "reviewer-2", HEAD_AWAY) == [case]

    async def test_an_officer_whom_the_registry_does_not_have_has_none(self, store: Store) -> None:
        assert await refusal(store.escalations.lines(OFFICERS, "nobody")) == "unknown_officer"


class TestSeen:
    async def test_it_leaves_the_inbox_and_the_record_keeps_it(self, store: Store) -> None:
        case = await escalated(store)
        await store.escalations.address(OFFICERS, NOW)
        [line] = await store.escalations.lines()
        done = await store.escalations.seen(line.id, "legal-head", OFFICERS)
        assert (done.seen_by, done.to) == ("legal-head", ("legal-head",))
        assert await store.escalations.lines() == []
        assert await store.escalations.lines(everything=True) == [done]
        async with store.database.read() as session:
            last = [entry async for entry in ledger.rows_of_case(session, case)][-1]
        assert (last.action, last.actor) == ("escalation_seen", "legal-head")

    async def test_who_was_first_stays(self, store: Store) -> None:
        await escalated(store)
        await store.escalations.address(HEAD_AWAY, NOW)
        [line] = await store.escalations.lines()
        first = await store.escalations.seen(line.id, "reviewer-2", HEAD_AWAY)
        assert await store.escalations.seen(line.id, "legal-head", OFFICERS) == first

    async def test_one_that_it_was_not_put_before_may_not_say_so(self, store: Store) -> None:
        await escalated(store)
        await store.escalations.address(OFFICERS, NOW)
        [line] = await store.escalations.lines()
        for officer in ("reviewer-1", "duty-1", "operator-1"):
            assert await refusal(store.escalations.seen(line.id, officer, OFFICERS)) == "not_addressed"
        assert await refusal(store.escalations.seen(line.id, "nobody", OFFICERS)) == "unknown_officer"
        assert await store.escalations.lines() == [line]

    async def test_what_nobody_was_there_for_a_legal_head_can_see_to_and_nobody_is_sent_it_later(
        self, store: Store
    ) -> None:
        await escalated(store)
        [line] = await store.escalations.lines()
        await store.escalations.seen(line.id, "legal-head", OFFICERS)
        assert await store.escalations.address(OFFICERS, NOW) == 0

    async def test_the_beginning_of_an_id_names_one(self, store: Store) -> None:
        await escalated(store)
        [line] = await store.escalations.lines()
        assert (await store.escalations.seen(line.id[:8], "legal-head", OFFICERS)).id == line.id

    @pytest.mark.parametrize("wrong", ["", "%", "zzzz", "_______"])
    async def test_what_names_none_is_not_found(self, store: Store, wrong: str) -> None:
        await escalated(store)
        with pytest.raises(NotFound):
            await store.escalations.seen(wrong, "legal-head", OFFICERS)

    async def test_a_beginning_that_several_share_names_none(self, store: Store) -> None:
        for number in range(17):  # of seventeen, two begin alike
            await escalated(store, f"site{number}.example.com")
        firsts = [line.id[0] for line in await store.escalations.lines()]
        shared = next(first for first in firsts if firsts.count(first) > 1)
        with pytest.raises(BadInput, match="several"):
            await store.escalations.seen(shared, "legal-head", OFFICERS)
