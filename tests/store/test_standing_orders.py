"""Standing orders on file: drafted, enacted under two signatures, and what rests on them from release to end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select, update

from precinto.contracts import EndTask
from precinto.domain.case import Stage
from precinto.domain.errors import NotFound, Refused
from precinto.domain.evidence import Finding, FindingKind
from precinto.domain.intake import Service, TargetKind
from precinto.domain.model import digest
from precinto.domain.orders import EndReason, OrderKind
from precinto.domain.review import Outcome, Role
from precinto.domain.standing_orders import Caps, Released, StandingState, Window, day_of
from precinto.domain.statements import read, sign
from precinto.store import Store, ledger, standing_orders
from precinto.store.intake import CaseRow
from precinto.store.orders import NoticeRow, OrderRow
from precinto.store.releases import StandingOrderRow
from tests.authority import REASONS, TERMS, enrol, envelope, key_of, referral, terms
from tests.fakes import OFFICERS
from tests.standing import HOUR, draft, enacted, revoked, signed, standing_order
from tests.store.steps import MINUTE, decide, deliver, end, file, open_case, refusal, seal, tell
from tests.store.steps import TERMS as LONG

HOLD = (Finding(kind=FindingKind.PROTECTED_NAME, detail="gob.pe", source="test list"),)


async def bodies(store: Store, action: str) -> list[dict[str, Any]]:
    """The bodies of the ledger's rows of one kind."""
    rows = select(ledger.LedgerRow.body).where(ledger.LedgerRow.action == action)
    async with store.database.read() as session:
        return [json.loads(body) for body in await session.exec(rows.order_by(col(ledger.LedgerRow.seq)))]


async def orders(store: Store, number: str) -> list[OrderRow]:
    """The orders that rest on a standing order."""
    async with store.database.read() as session:
        return list(await session.exec(select(OrderRow).where(OrderRow.standing_order == number)))


async def under_review(store: Store, target: str, **more: Any) -> str:
    """A case with a sealed bundle."""
    case = await open_case(store, target, **more)
    await seal(store, case)
    return case


class TestDraft:
    async def test_each_gets_the_next_number_of_its_year(self, store: Store) -> None:
        year = datetime.now(UTC).year
        numbers = [(await draft(store, standing_order())).number for _ in range(3)]
        assert numbers == [f"S-{year}-{n:04}" for n in (1, 2, 3)]
        assert [one.number for one in await store.standing_orders.files()] == numbers

    async def test_it_is_on_file_with_what_its_officers_will_sign(self, store: Store) -> None:
        order = standing_order()
        made = await draft(store, order)
        assert (made.order, made.digest) == (order, digest(order.canonical()))
        assert (made.state, made.needed, made.drafted_by) == (StandingState.DRAFT, 2, ("operator-1",))
        assert await store.standing_orders.file(made.number) == made
        assert await bodies(store, "standing_order_drafted") == [
            {"standing_order": made.number, "digest": made.digest}
        ]

    @pytest.mark.parametrize(("officer", "code"), [("duty-1", "not_entitled"), ("nobody", "unknown_officer")])
    async def test_not_by_whoever_may_not(self, store: Store, officer: str, code: str) -> None:
        assert await refusal(draft(store, standing_order(), officer)) == code
        assert await store.standing_orders.files() == []

    async def test_not_for_a_window_that_is_over(self, store: Store) -> None:
        moment = datetime.now(UTC)
        over = standing_order(window=Window(since=moment - HOUR, until=moment))
        assert await refusal(draft(store, over)) == "outside_window"

    async def test_another_draft_in_its_place_takes_new_signatures(self, store: Store) -> None:
        first = await draft(store, standing_order())
        await store.standing_orders.enact(first.number, signed(first, "reviewer-1"), REASONS, OFFICERS)
        wider = standing_order(caps=Caps(total=11, per_day=10))
        second = await store.standing_orders.draft(wider, "reviewer-2", OFFICERS, first.number)
        assert (second.number, second.needed) == (first.number, 2)
        assert second.drafted_by == ("operator-1", "reviewer-2")
        stale = signed(first, "legal-head")
        assert await refusal(store.standing_orders.enact(first.number, stale, REASONS, OFFICERS)) == "other_terms"
        assert await store.standing_orders.enact(second.number, signed(second, "legal-head"), REASONS, OFFICERS) == 1
        own = signed(second, "reviewer-2")
        code = await refusal(store.standing_orders.enact(second.number, own, REASONS, OFFICERS))
        assert code == "drafter_may_not_enact"

    async def test_not_in_the_place_of_one_that_is_enacted_or_revoked(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        again = store.standing_orders.draft(standing_order(), "operator-1", OFFICERS, number)
        assert await refusal(again) == "enacted"
        await revoked(store, number)
        again = store.standing_orders.draft(standing_order(), "operator-1", OFFICERS, number)
        assert await refusal(again) == "outside_window"

    async def test_not_in_the_place_of_one_that_is_not_there(self, store: Store) -> None:
        with pytest.raises(NotFound, match="no standing order 'S-2026-9999'"):
            await store.standing_orders.draft(standing_order(), "operator-1", OFFICERS, "S-2026-9999")


class TestEnact:
    async def test_two_officers_enact_one_of_them_a_legal_head(self, store: Store) -> None:
        made = await draft(store, standing_order())

        async def enact(officer: str) -> int:
            return await store.standing_orders.enact(made.number, signed(made, officer), REASONS, OFFICERS)

        assert await enact("reviewer-1") == 1
        assert await enact("reviewer-2") == 1  # the legal head is still missing
        assert (await store.standing_orders.file(made.number)).state is StandingState.DRAFT
        assert await enact("legal-head") == 0
        found = await store.standing_orders.file(made.number)
        assert (found.state, found.needed) == (StandingState.OPEN, 0)
        assert [one.officer for one in found.signatures] == ["reviewer-1", "reviewer-2", "legal-head"]
        assert found.signatures[2].role is Role.LEGAL_HEAD
        (body,) = await bodies(store, "standing_order_enacted")
        assert body["officers"] == ["legal-head", "reviewer-1", "reviewer-2"]
        assert body["digest"] == made.digest

    @pytest.mark.parametrize(
        ("officer", "changed", "code"),
        [
            ("operator-1", {"role": Role.OPERATOR}, "not_entitled"),
            ("duty-1", {}, "not_entitled"),
            ("reviewer-1", {"role": Role.LEGAL_HEAD}, "not_entitled"),
            ("reviewer-1", {"case": "S-2026-0099"}, "other_case"),
            ("reviewer-1", {"subject": digest(b"other terms")}, "other_terms"),
            ("reviewer-1", {"grounds": ("none",)}, "unknown_ground"),
            ("reviewer-1", {"reasons": digest(b"others")}, "other_reasons"),
            ("reviewer-1", {"at": datetime.now(UTC) - HOUR}, "stale"),
            ("reviewer-1", {"outcome": Outcome.APPROVE}, "not_an_enactment"),
            ("duty-1", {"outcome": Outcome.REVOKE, "role": Role.DUTY_OFFICER}, "not_an_enactment"),
        ],
    )
    async def test_what_is_not_signed_rightly_does_not_count(
        self, store: Store, officer: str, changed: dict[str, Any], code: str
    ) -> None:
        made = await draft(store, standing_order())
        wrong = signed(made, officer, **changed)
        assert await refusal(store.standing_orders.enact(made.number, wrong, REASONS, OFFICERS)) == code
        assert (await store.standing_orders.file(made.number)).needed == 2
        assert (await bodies(store, "decision_refused"))[-1]["code"] == code

    async def test_not_with_another_key_nor_twice_nor_without_reasons(self, store: Store) -> None:
        made = await draft(store, standing_order())

        async def code(envelope: str, reasons: str = REASONS) -> str | None:
            return await refusal(store.standing_orders.enact(made.number, envelope, reasons, OFFICERS))

        said, _ = read(signed(made, "reviewer-1"))
        assert await code(sign(said, key_of("reviewer-2"))) == "other_officers_key"
        assert await code("nonsense") == "malformed"
        assert await code(signed(made, "reviewer-1", reasons=digest(b" ")), " ") == "reasons_missing"
        first = signed(made, "reviewer-1")
        assert await code(first) is None
        assert await code(first) == "replayed"
        assert await code(signed(made, "reviewer-1")) == "same_officer_twice"
        assert (await store.standing_orders.file(made.number)).needed == 1

    async def test_whoever_drafted_it_may_not(self, store: Store) -> None:
        made = await draft(store, standing_order(), "legal-head")
        own = store.standing_orders.enact(made.number, signed(made, "legal-head"), REASONS, OFFICERS)
        assert await refusal(own) == "drafter_may_not_enact"

    async def test_not_what_is_enacted_or_over(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        made = await store.standing_orders.file(number)
        again = store.standing_orders.enact(number, signed(made, "reviewer-2"), REASONS, OFFICERS)
        assert await refusal(again) == "enacted"
        moment = datetime.now(UTC)
        short = standing_order(window=Window(since=moment, until=moment + timedelta(seconds=1)))
        late = await draft(store, short)
        await asyncio.sleep(1.1)
        assert (
            await refusal(store.standing_orders.enact(late.number, signed(late, "reviewer-1"), REASONS, OFFICERS))
            == "outside_window"
        )

    async def test_an_officer_who_has_left_meanwhile_does_not_count(self, store: Store) -> None:
        made = await draft(store, standing_order())
        await store.standing_orders.enact(made.number, signed(made, "reviewer-1"), REASONS, OFFICERS)
        staff = tuple(one for one in OFFICERS if one.id != "reviewer-1")
        assert await store.standing_orders.enact(made.number, signed(made, "legal-head"), REASONS, staff) == 1
        found = await store.standing_orders.file(made.number)
        assert {one.officer: one.refusal for one in found.signatures} == {
            "reviewer-1": "unknown_officer",
            "legal-head": None,
        }
        assert await store.standing_orders.enact(made.number, signed(made, "reviewer-2"), REASONS, staff) == 0

    async def test_one_who_leaves_afterwards_has_enacted_it_all_the_same(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        (key,) = await store.officer_keys.keys("legal-head")
        await store.officer_keys.revoke(key.id, "admin", "has left")
        assert (await store.standing_orders.file(number)).needed == 0

    async def test_its_terms_cannot_be_changed_any_more_even_in_the_database(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        for change in ({"content": "{}"}, {"until": datetime.now(UTC) + 900 * HOUR}, {"enacted_at": None}):
            with pytest.raises(DBAPIError, match="never change"):
                async with store.database.write() as session:
                    await session.exec(update(StandingOrderRow).values(**change))
        await revoked(store, number)
        with pytest.raises(DBAPIError, match="its end is final"):
            async with store.database.write() as session:
                await session.exec(update(StandingOrderRow).values(revoked_at=None))


class TestRelease:
    async def test_one_officer_on_duty_releases_a_case(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        case = await under_review(store, "y2mate.com")
        at = datetime.now(UTC)
        assert (await decide(store, case, "duty-1", Outcome.RELEASE, about=number, at=at)).code is None
        (order,) = await orders(store, number)
        assert (order.case, order.kind, order.valid_from) == (case, OrderKind.RELEASE, at.replace(microsecond=0))
        assert order.valid_until == order.valid_from + LONG.span("order")
        assert (await store.gate.place(case)).stage is Stage.NOTIFICATION
        (issued,) = await bodies(store, "order_issued")
        assert (issued["kind"], issued["standing_order"], issued["officers"]) == ("release", number, ["duty-1"])
        found = await store.standing_orders.file(number)
        assert found.released == Released(total=1, on_day=1)
        assert [(one.case, one.end_reason) for one in found.orders] == [(case, None)]

    async def test_no_release_outlives_the_window(self, store: Store) -> None:
        until = datetime.now(UTC).replace(microsecond=0) + 10 * MINUTE
        number = await enacted(store, standing_order(window=Window(since=until - HOUR, until=until)))
        case = await under_review(store, "y2mate.com")
        await decide(store, case, "duty-1", Outcome.RELEASE, about=number)
        (order,) = await orders(store, number)
        assert order.valid_until == until
        assert (await end(store, case, order.id, until - MINUTE)).ends_at == until
        assert (await end(store, case, order.id, until)).ended
        (order,) = await orders(store, number)
        assert (order.ended_at, order.end_reason) == (until, EndReason.STANDING_ORDER)

    async def test_no_renewal_outlives_it_either(self, store: Store) -> None:
        until = datetime.now(UTC).replace(microsecond=0) + 61 * MINUTE
        number = await enacted(store, standing_order(window=Window(since=until - 2 * HOUR, until=until)))
        renewable = LONG.procedure.model_copy(update={"renewal": LONG.procedure.order})
        case = await under_review(store, "y2mate.com", terms=LONG.model_copy(update={"procedure": renewable}))
        await decide(store, case, "duty-1", Outcome.RELEASE, about=number)
        assert (await decide(store, case, "reviewer-1", Outcome.RENEW)).code is None
        (order,) = await orders(store, number)
        assert (order.renewals, order.valid_until) == (1, until)
        assert (await decide(store, case, "reviewer-1", Outcome.RENEW)).code == "outside_window"

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"scope": {"services": (Service.LIVE_STREAM,)}}, "outside_scope"),
            ({"scope": {"kinds": (TargetKind.URL,)}}, "outside_scope"),
            ({"scope": {"partners": ("riaa",)}}, "outside_scope"),
            ({"scope": {"names": ("flvto.*",)}}, "outside_scope"),
            ({"window": Window(since=datetime.now(UTC) + HOUR, until=datetime.now(UTC) + 2 * HOUR)}, "outside_window"),
        ],
    )
    async def test_nothing_outside_its_terms(self, store: Store, changed: dict[str, Any], code: str) -> None:
        if "scope" in changed:
            changed = {"scope": standing_order().terms.scope.model_copy(update=changed["scope"])}
        number = await enacted(store, standing_order(**changed))
        case = await under_review(store, "y2mate.com")
        assert await refusal(decide(store, case, "duty-1", Outcome.RELEASE, about=number)) == code
        assert await orders(store, number) == []
        assert (await store.gate.place(case)).stage is Stage.REVIEW

    async def test_nothing_under_another_procedure(self, store: Store) -> None:
        other = TERMS.model_copy(update={"procedure": TERMS.procedure.model_copy(update={"name": "other"})})
        number = await enacted(store, standing_order(other))
        case = await under_review(store, "y2mate.com")
        assert await refusal(decide(store, case, "duty-1", Outcome.RELEASE, about=number)) == "outside_scope"

    async def test_nothing_under_one_that_there_is_not(self, store: Store) -> None:
        case = await under_review(store, "y2mate.com")
        for about in (None, "S-2026-0001", "2026-000001"):
            code = await refusal(decide(store, case, "duty-1", Outcome.RELEASE, about=about))
            assert code == "no_standing_order"

    async def test_nothing_under_a_draft(self, store: Store) -> None:
        made = await draft(store, standing_order())
        case = await under_review(store, "y2mate.com")
        await store.standing_orders.enact(made.number, signed(made, "legal-head"), REASONS, OFFICERS)
        code = await refusal(decide(store, case, "duty-1", Outcome.RELEASE, about=made.number))
        assert code == "not_enacted"

    async def test_nor_under_one_that_only_the_database_calls_enacted(self, store: Store) -> None:
        """Whoever can write into the database enacts nothing: at each release the signatures are verified."""
        made = await draft(store, standing_order())
        await store.standing_orders.enact(made.number, signed(made, "legal-head"), REASONS, OFFICERS)
        wider = standing_order(caps=Caps(total=1_000, per_day=1_000)).canonical().decode()
        case = await under_review(store, "y2mate.com")
        for change in ({"enacted_at": datetime.now(UTC)}, {"content": wider, "enacted_at": datetime.now(UTC)}):
            other = await draft(store, standing_order())
            async with store.database.write() as session:
                where = update(StandingOrderRow).where(col(StandingOrderRow.number) == other.number)
                await session.exec(where.values(**change))
            assert await refusal(decide(store, case, "duty-1", Outcome.RELEASE, about=other.number)) == "not_enacted"

    async def test_nor_terms_that_were_swapped_before_the_last_signature(self, store: Store) -> None:
        made = await draft(store, standing_order())
        await store.standing_orders.enact(made.number, signed(made, "reviewer-1"), REASONS, OFFICERS)
        wider = standing_order(caps=Caps(total=1_000, per_day=1_000)).canonical().decode()
        async with store.database.write() as session:
            await session.exec(update(StandingOrderRow).values(content=wider))
        code = await refusal(store.standing_orders.enact(made.number, signed(made, "legal-head"), REASONS, OFFICERS))
        assert code == "other_terms"
        assert (await store.standing_orders.file(made.number)).needed == 2

    async def test_no_case_on_hold(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        case = await under_review(store, "y2mate.com", findings=HOLD)
        assert await refusal(decide(store, case, "duty-1", Outcome.RELEASE, about=number)) == "held"

    async def test_not_by_whoever_referred_it(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        case = await under_review(store, "y2mate.com", opened_by="duty-1")
        code = await refusal(decide(store, case, "duty-1", Outcome.RELEASE, about=number))
        assert code == "referrer_may_not_decide"

    async def test_what_was_filed_in_time_and_told_after_the_window_is_refused(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        case = await under_review(store, "y2mate.com")
        (filed,) = await filed_releases(store, number, [case])
        (late,) = await tell(store, case, filed, at=datetime.now(UTC) + 25 * HOUR)
        assert late.code == "outside_window"

    async def test_the_caps_hold_for_what_was_filed_before_they_were_reached(self, store: Store) -> None:
        monthly = terms(order=timedelta(days=30), comply=MINUTE)
        cases = [await under_review(store, f"ripper-{n}.com", terms=monthly) for n in range(5)]
        begin, tomorrow = day_of(datetime.now(UTC), TERMS.procedure.time_zone)
        moments = (begin, begin, tomorrow - MINUTE, tomorrow, tomorrow)
        window = Window(since=begin, until=begin + 48 * HOUR)
        number = await enacted(store, standing_order(caps=Caps(total=3, per_day=2), window=window))
        filed = await filed_releases(store, number, cases)
        codes = [
            (await tell(store, case, one, at=at))[0].code for case, one, at in zip(cases, filed, moments, strict=True)
        ]
        # The two of this day and one of the next, which is the last of all.
        assert codes == [None, None, "cap_reached", None, "cap_reached"]
        assert len(await orders(store, number)) == 3

    async def test_what_has_ended_counts_towards_the_caps(self, store: Store) -> None:
        number = await enacted(store, standing_order(caps=Caps(total=1, per_day=1)))
        first, second = [await under_review(store, f"ripper-{n}.com") for n in range(2)]
        await decide(store, first, "duty-1", Outcome.RELEASE, about=number)
        await decide(store, first, "duty-1", Outcome.REVOKE)
        assert await refusal(decide(store, second, "duty-1", Outcome.RELEASE, about=number)) == "cap_reached"


async def decided(store: Store, case: str, officer: str, outcome: Outcome) -> None:
    """Decide, and raise what the gate refuses."""
    admission = await decide(store, case, officer, outcome)
    if admission.code:
        raise Refused(admission.code, admission.reason or "")


async def filed_releases(store: Store, number: str, cases: Sequence[str]) -> list[str]:
    """Releases on file, of which no case was told yet."""
    found: list[str] = []
    for case in cases:
        bundle = (await store.review.docket(case)).bundle
        assert bundle is not None
        found.append((await file(store, case, bundle, "duty-1", Outcome.RELEASE, about=number)).id)
    return found


class TestRevoke:
    async def test_every_release_is_over_from_that_moment_on(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        cases = [await under_review(store, f"ripper-{n}.com") for n in range(3)]
        for case in cases:
            await decide(store, case, "duty-1", Outcome.RELEASE, about=number)
        untouched = await under_review(store, "flvto.biz")
        await decide(store, untouched, "reviewer-1")
        for order in await orders(store, number):
            await deliver(store, order.id, datetime.now(UTC))
        assert await revoked(store, number) == tuple(sorted(cases))
        found = await orders(store, number)
        revoked_at = (await store.standing_orders.file(number)).revoked_at
        assert {(order.ended_at, order.end_reason) for order in found} == {(revoked_at, EndReason.STANDING_ORDER)}
        for case in cases:
            place = await store.gate.place(case)
            assert (place.stage, place.over) == (Stage.UNBLOCKING, True)
        assert not (await store.gate.place(untouched)).over
        async with store.database.read() as session:
            queued = await session.exec(select(NoticeRow.action).where(NoticeRow.state == "queued"))
            assert list(queued).count("release") == 2 * len(cases)
        (body,) = await bodies(store, "standing_order_revoked")
        assert (body["standing_order"], body["orders"]) == (number, 3)

    async def test_what_a_crash_left_in_force_is_over_and_ended_when_it_is_repeated(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(standing_orders, "_PAGE", 1)
        number = await enacted(store, standing_order())
        cases = [await under_review(store, f"ripper-{n}.com") for n in range(3)]
        for case in cases:
            await decide(store, case, "duty-1", Outcome.RELEASE, about=number)
        end_page = standing_orders._end_page  # pyright: ignore[reportPrivateUsage]

        async def once(session: Any, number: str, after: str) -> str | None:
            if after:
                raise SystemExit("the machine is off")
            return await end_page(session, number, after)

        with monkeypatch.context() as crash:
            crash.setattr(standing_orders, "_end_page", once)
            with pytest.raises(SystemExit):
                await revoked(store, number)
        left = [order for order in await orders(store, number) if order.ended_at is None]
        assert len(left) == 2
        for order in left:
            assert await refusal(decided(store, order.case, "reviewer-1", Outcome.RENEW)) == "not_in_force"
        assert (await end(store, left[0].case, left[0].id, datetime.now(UTC))).ended
        assert await store.standing_orders.end_releases(number) == tuple(sorted(cases))
        assert {order.end_reason for order in await orders(store, number)} == {EndReason.STANDING_ORDER}

    async def test_nothing_that_is_not_over_is_ended(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        case = await under_review(store, "y2mate.com")
        await decide(store, case, "duty-1", Outcome.RELEASE, about=number)
        assert await store.standing_orders.end_releases(number) == (case,)
        assert not (await store.gate.place(case)).over

    async def test_its_end_comes_as_any_other(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        case = await under_review(store, "y2mate.com")
        await decide(store, case, "duty-1", Outcome.RELEASE, about=number)
        await revoked(store, number)
        (order,) = await orders(store, number)
        assert (await end(store, case, order.id, datetime.now(UTC))).ended
        assert (await orders(store, number))[0].ended_at == order.ended_at

    async def test_an_end_that_came_before_stands(self, store: Store) -> None:
        """The engine was away when the order was over, and is away still when its standing order is revoked."""
        since = datetime.now(UTC).replace(microsecond=0) - 2 * HOUR
        number = await enacted(store, standing_order(window=Window(since=since, until=since + 9 * HOUR)))
        case = await under_review(store, "y2mate.com")
        (filed,) = await filed_releases(store, number, [case])
        await tell(store, case, filed, at=datetime.now(UTC) - 59 * MINUTE)
        (order,) = await orders(store, number)
        async with store.database.write() as session:
            await session.exec(update(OrderRow).values(valid_until=order.valid_until - 30 * MINUTE))
        await revoked(store, number)
        (order,) = await orders(store, number)
        assert (order.ended_at, order.end_reason) == (order.valid_until, EndReason.EXPIRED)

    async def test_a_case_that_somebody_wrote_into_keeps_no_other_in_force(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        broken, sound = [await under_review(store, f"ripper-{n}.com") for n in range(2)]
        for case in (broken, sound):
            await decide(store, case, "duty-1", Outcome.RELEASE, about=number)
        async with store.database.write() as session:
            await session.exec(update(CaseRow).where(col(CaseRow.id) == broken).values(stage=Stage.REVIEW.value))
        await revoked(store, number)
        over = {order.case for order in await orders(store, number) if order.ended_at is not None}
        assert over == {sound}
        later = datetime.now(UTC) + HOUR
        (missed,) = await store.watch.missed(later, datetime.now(UTC))
        assert missed.case == broken, "the watch comes upon it in each round"

    async def test_nothing_is_released_any_more_also_what_was_filed(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        case, other = [await under_review(store, f"ripper-{n}.com") for n in range(2)]
        (filed,) = await filed_releases(store, number, [case])
        await revoked(store, number)
        (told,) = await tell(store, case, filed)
        assert told.code == "outside_window"
        assert await refusal(decide(store, other, "duty-1", Outcome.RELEASE, about=number)) == "outside_window"

    async def test_a_draft_is_withdrawn_by_it(self, store: Store) -> None:
        made = await draft(store, standing_order())
        assert await revoked(store, made.number, "reviewer-1") == ()
        late = store.standing_orders.enact(made.number, signed(made, "legal-head"), REASONS, OFFICERS)
        assert await refusal(late) == "outside_window"

    @pytest.mark.parametrize(
        ("officer", "changed", "code"),
        [
            ("operator-1", {"role": Role.OPERATOR}, "not_entitled"),
            ("duty-1", {"subject": digest(b"others")}, "other_terms"),
            ("reviewer-1", {"outcome": Outcome.ENACT, "role": Role.REVIEWER}, "not_a_revocation"),
        ],
    )
    async def test_not_without_a_right_signature(
        self, store: Store, officer: str, changed: dict[str, Any], code: str
    ) -> None:
        number = await enacted(store, standing_order())
        wrong = signed(await store.standing_orders.file(number), officer, **({"outcome": Outcome.REVOKE} | changed))
        assert await refusal(store.standing_orders.revoke(number, wrong, REASONS, OFFICERS)) == code
        assert (await store.standing_orders.file(number)).state is StandingState.OPEN

    async def test_a_case_that_is_never_told_is_found_by_the_watch(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        cases = [await under_review(store, f"ripper-{n}.com") for n in range(2)]
        for case in cases:
            await decide(store, case, "duty-1", Outcome.RELEASE, about=number)
        since, later = datetime.now(UTC), datetime.now(UTC) + HOUR
        assert await store.watch.unheard(later, since) == []
        await revoked(store, number)
        heard, unheard = sorted(await orders(store, number), key=lambda order: order.case != cases[0])
        await deliver(store, heard.id, datetime.now(UTC))
        assert [task.order for task in await store.watch.unheard(later, since)] == [unheard.id]
        assert await store.watch.unheard(later, later) == [], "while the engine was away nobody could hear"
        await store.watch.woken(EndTask(case=unheard.case, order=unheard.id))
        assert await store.watch.unheard(later, since) == []

    async def test_once(self, store: Store) -> None:
        number = await enacted(store, standing_order())
        await revoked(store, number)
        assert await refusal(revoked(store, number, "legal-head")) == "outside_window"


NAMES = {"ripper-{}.com": True, "y2mate{}.pe": True, "flvto{}.biz": False}
RELEASES = st.tuples(
    st.sampled_from(sorted(NAMES)),
    st.sampled_from([Service.STREAM_RIPPER, Service.STREAM_RIPPER, Service.OTHER]),
    st.sampled_from(["ifpi", "ifpi", "riaa"]),
    st.sampled_from(["duty-1", "reviewer-1", "operator-1"]),
    st.sampled_from([-26, -2, 0, 0, 2, 24, 47, 49]),
)
"""Name, service, partner, who releases, and when: hours from the middle of today; the window has 48 around it."""


@given(releases=st.lists(RELEASES, min_size=1, max_size=6), total=st.integers(1, 6), per_day=st.integers(1, 6))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_released_in_whatever_order_scope_caps_and_window_hold(
    store: Store,
    releases: list[tuple[str, Service, str, str, int]],
    total: int,
    per_day: int,
) -> None:
    """All at once, counted in the database afterwards: the standing order's promise to whoever signed it."""
    zone = TERMS.procedure.time_zone
    noon = day_of(datetime.now(UTC), zone)[0] + 12 * HOUR
    window = Window(since=noon - 24 * HOUR, until=noon + 48 * HOUR)
    caps = Caps(total=total, per_day=min(total, per_day))
    number = await enacted(store, standing_order(caps=caps, window=window))
    lawful: set[str] = set()

    async def one(turn: int, name: str, service: Service, partner: str, officer: str, hours: int) -> None:
        target = referral(name.format(f"{number[-4:]}x{turn}"), partner=partner)
        referred = target.model_copy(update={"service": service})
        case = (await store.intake.register(referred, (), "operator-1", LONG)).case
        await seal(store, case)
        bundle, at = (await store.review.docket(case)).bundle, noon + hours * HOUR
        assert bundle is not None
        entitled = officer != "operator-1"
        if NAMES[name] and service is Service.STREAM_RIPPER and partner == "ifpi" and entitled:
            if window.since <= at < window.until and at + HOUR > datetime.now(UTC):
                lawful.add(case)
        release = envelope(case, bundle, officer, Outcome.RELEASE, about=number)
        await refusal(store.review.file(case, release, REASONS, OFFICERS))
        await tell(store, case, envelopes=[release], at=at)

    await enrol(store)
    await asyncio.gather(*(one(turn, *release) for turn, release in enumerate(releases)))
    found = await orders(store, number)
    assert {order.case for order in found} <= lawful
    assert len(found) <= caps.total
    days = [day_of(order.valid_from, zone) for order in found]
    assert max((days.count(day) for day in days), default=0) <= caps.per_day
    assert all(window.since <= order.valid_from and order.valid_until <= window.until for order in found)
    if caps.per_day >= len(releases):
        assert {order.case for order in found} == lawful
    await ledger.verify(store.database)
